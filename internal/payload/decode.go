package payload

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

const (
	errClaim    = jose.Malformed("a claim of the wrong JSON type")
	errCase     = jose.Malformed("a claim that differs from a known one only in case")
	errAudience = jose.Malformed("the audience is neither a string nor a list of strings")
	errTime     = jose.Malformed("a time out of range")
	errScope    = jose.Malformed("scope and scp differ")
	errPayload  = jose.Malformed("the payload is not strict JSON")
)

// Decode reads a payload strictly: one JSON object without duplicate members, every known claim of
// its JSON type, no claim that differs from a known one only in case. With wantPrivate it collects
// the other members as private claims. A layout reads its special members in the function member,
// which returns false for a member that it leaves to Decode.
func Decode(text []byte, names Names, wantPrivate bool, member func(d *Decoder, name []byte, value jsontext.Value) (bool, error)) (*Claims, error) {
	if jose.DeeperThan(text, jose.MaxDepth) {
		return nil, jose.ErrTooDeep
	}
	d := Decoder{text: string(text), names: names, wantPrivate: wantPrivate, member: member}
	if err := json.Unmarshal(text, &d); err != nil {
		var malformed jose.Malformed
		if errors.As(err, &malformed) {
			return nil, malformed
		}
		return nil, errPayload
	}
	if d.hasScope && d.hasScp && !slices.Equal(d.Scopes, d.scp) {
		return nil, errScope
	}
	if !d.hasScope {
		d.Scopes = d.scp
	}
	for _, object := range []*[]byte{&d.Private, &d.Public} {
		if *object != nil {
			*object = append(*object, '}')
		}
	}
	d.scp, d.member = nil, nil // the cache may keep the claims, and with them the decoder
	return &d.Claims, nil
}

// Decoder is a payload that [Decode] reads.
type Decoder struct {
	Claims
	// text is the payload. The strings of the claims are parts of it, so that they cost one
	// allocation together.
	text string
	// end is where the value of the current member ends in the text.
	end              int
	names            Names
	wantPrivate      bool
	member           func(d *Decoder, name []byte, value jsontext.Value) (bool, error)
	scp              []string
	hasScope, hasScp bool
}

// UnmarshalJSONFrom implements the decoding for Decode.
func (d *Decoder) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return jose.EachMember(dec, func(name []byte, value jsontext.Value) error {
		d.end = int(dec.InputOffset())
		if known, err := d.member(d, name, value); known {
			return err
		}
		return d.read(name, value)
	})
}

// read reads a member that has the same meaning in every layout.
func (d *Decoder) read(name []byte, value jsontext.Value) (err error) {
	switch string(name) {
	case "iss":
		d.Issuer, err = d.String(value)
	case "sub":
		d.Subject, err = d.String(value)
	case "jti":
		d.ID, err = d.String(value)
	case "sid":
		d.Session, err = d.String(value)
	case "client_id":
		d.ClientID, err = d.String(value)
	case "csrf":
		d.CSRF, err = d.String(value)
	case "exp":
		d.Expires, err = d.Date(value)
	case "nbf":
		d.NotBefore, err = d.Date(value)
	case "iat":
		d.Issued, err = d.Date(value)
	case "auth_time":
		d.AuthTime, err = d.Date(value)
	case "aud":
		if d.Audience, err = d.strings(value, d.end); err != nil || len(d.Audience) == 0 {
			err = errAudience
		}
	case "fresh":
		d.Fresh, err = d.Bool(value)
	case "scope":
		d.hasScope = true
		var scope string
		scope, err = d.String(value)
		d.Scopes = strings.Fields(scope)
	case "scp":
		d.hasScp = true
		if d.scp, err = d.strings(value, d.end); err == nil && value.Kind() == '"' {
			d.scp = strings.Fields(d.scp[0])
		}
	default:
		err = d.collect(name, value)
	}
	return err
}

// collect adds a member that is not a known claim to the public or the private claims.
func (d *Decoder) collect(name []byte, value jsontext.Value) (err error) {
	if IsReserved(string(name)) {
		if !slices.Contains(reserved, string(name)) {
			return errCase
		}
		return nil // defined by an RFC and not used here
	}
	if path, ok := bytes.CutPrefix(name, []byte(d.names.Namespace)); ok && d.names.Namespace != "" {
		d.Public, err = appendMember(d.Public, path, value)
		return err
	}
	if rest, ok := bytes.CutPrefix(name, []byte(d.names.Prefix)); ok && d.wantPrivate {
		d.Private, err = appendMember(d.Private, rest, value)
	}
	return err
}

// String returns the value of the current member, a JSON string.
func (d *Decoder) String(value jsontext.Value) (string, error) { return d.stringAt(value, d.end) }

// stringAt returns a JSON string, given where it ends in the payload. A negative end is for a
// string that is not a part of it.
func (d *Decoder) stringAt(value jsontext.Value, end int) (string, error) {
	if value.Kind() == '"' && end >= 0 && bytes.IndexByte(value, '\\') < 0 {
		return d.text[end-len(value)+1 : end-1], nil
	}
	return jose.String(value)
}

// strings returns a JSON string or a list of JSON strings. An empty string in a list is an error,
// because null reads like one.
func (d *Decoder) strings(value jsontext.Value, end int) ([]string, error) {
	if value.Kind() == '"' {
		s, err := d.stringAt(value, end)
		if err != nil {
			return nil, err
		}
		return []string{s}, nil
	}
	if value.Kind() != '[' {
		return nil, errClaim
	}
	var list []string
	if err := json.Unmarshal(value, &list); err != nil || slices.ContainsFunc(list, emptyOrNUL) {
		return nil, errClaim
	}
	return list, nil
}

func emptyOrNUL(s string) bool { return s == "" || strings.IndexByte(s, 0) >= 0 }

// Bool returns the value of the current member, a JSON boolean.
func (d *Decoder) Bool(value jsontext.Value) (bool, error) {
	switch value.Kind() {
	case 't', 'f':
		return value.Kind() == 't', nil
	}
	return false, errClaim
}

// Date returns the value of the current member, a NumericDate (RFC 7519, section 2).
func (d *Decoder) Date(value jsontext.Value) (Instant, error) {
	if value.Kind() != '0' {
		return None, errClaim
	}
	i, err := ParseNumericDate(value)
	if err != nil {
		return None, errTime
	}
	return i, nil
}

// RolesAt returns the roles at a path below the value of the current member: one string or a list.
// Malformed roles are none, because they are no reason to refuse a token where no role is asked
// for.
func (d *Decoder) RolesAt(value jsontext.Value, path ...string) []string {
	end := d.end
	for _, name := range path {
		if value = jose.Member(value, name); value == nil {
			return nil
		}
		end = -1
	}
	roles, err := d.strings(value, end)
	if err != nil || slices.ContainsFunc(roles, emptyOrNUL) {
		return nil
	}
	return roles
}

// appendMember appends a member to an object under construction. It opens the object first.
func appendMember(object, name []byte, value jsontext.Value) ([]byte, error) {
	if len(object) == 0 {
		object = append(object, '{')
	} else {
		object = append(object, ',')
	}
	object, err := jsontext.AppendQuote(object, name)
	if err != nil {
		return object, err
	}
	object = append(object, ':')
	return append(object, value...), nil
}
