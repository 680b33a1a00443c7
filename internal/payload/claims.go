//go:build ignore

package security

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// claims is what a verified payload says, in the layout of RFC 9068 with the additions that refreshing and revoking
// need. Strings are parts of one copy of the payload.
type claims struct {
	issuer, subject, id, session, clientID, csrf string

	// typ is the claim that says the type, where the profile has one.
	typ string

	audience                             []string
	expires, issued, notBefore, authTime instant
	fresh                                bool
	// freshUntil is until when the token is fresh, where the profile says it so.
	freshUntil instant

	// roles is nil for a token without roles and for one whose claim is malformed: both fail every rule on roles.
	roles  []string
	scopes []string

	// private is a JSON object with the members that are not above, or nil where there are none; public is one with the public
	// claims, under their paths.
	private, public []byte
}

// reserved are the claims that this package reads and writes itself, with those that RFC 7519, RFC 9068 and RFC 8693
// give a meaning that a private claim must not take. A private claim has none of these names in any case.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "acr", "amr", "azp", "client_id",
	"scope", "scp", "roles", "fresh", "csrf", "typ", "type", "cnf", "act", "may_act",
}

// isReserved reports whether name is a reserved claim, or would be in another case.
func isReserved(name string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) })
}

// decodeClaims reads a payload strictly: one JSON object without duplicate members, every known claim of its own JSON
// type, no claim that differs from a known one only in case. With wantPrivate the other members are gathered.
func decodeClaims(payload []byte, profile *layout, wantPrivate bool) (*claims, error) {
	if nestedDeeper(payload, maxDepth) {
		return nil, errTooDeep
	}
	d := claimsDecoder{text: string(payload), profile: profile, wantPrivate: wantPrivate}
	if err := json.Unmarshal(payload, &d); err != nil {
		var r *refusal
		if errors.As(err, &r) {
			return nil, r
		}
		return nil, because(ErrInvalidToken, "the payload is not strict JSON")
	}
	if d.hasScope && d.hasScp && !slices.Equal(d.scopes, d.scp) {
		return nil, because(ErrInvalidToken, "scope and scp differ")
	}
	if !d.hasScope {
		d.scopes = d.scp
	}
	d.scp = nil // the claims may be kept for long, and the decoder with them
	for _, object := range []*[]byte{&d.private, &d.public} {
		if *object != nil {
			*object = append(*object, '}')
		}
	}
	return &d.claims, nil
}

// size is how much memory the lists and objects of the claims take at most, in bytes. Their other strings are parts of the payload, which
// is shorter than the token.
func (c *claims) size() int {
	const header = 16 // of a string, on 64-bit machines
	size := cap(c.private) + cap(c.public)
	for _, list := range [][]string{c.audience, c.roles, c.scopes} {
		size += cap(list) * header
		for _, s := range list {
			size += len(s)
		}
	}
	return size
}

type claimsDecoder struct {
	claims
	// text is the payload; the strings of the claims are parts of it, so that they cost one allocation together.
	text             string
	profile          *layout
	wantPrivate      bool
	scp              []string
	hasScope, hasScp bool
}

var (
	errClaim    = because(ErrInvalidToken, "a claim of the wrong JSON type")
	errCase     = because(ErrInvalidToken, "a claim that differs from a known one in case only")
	errAudience = because(ErrInvalidToken, "the audience is neither a string nor a list of strings")
)

// UnmarshalJSONFrom implements the decoding for decodeClaims.
func (d *claimsDecoder) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return eachMember(dec, func(name []byte, value jsontext.Value) error {
		end := int(dec.InputOffset())
		var err error
		if p := d.profile; len(p.roles) > 0 && string(name) == p.roles[0] {
			// Malformed roles are no reason to refuse the token where no role is asked for.
			d.roles = p.readRoles(d, value, end)
			return nil
		} else if p.typeIn == typeInClaim && string(name) == p.typeClaim {
			d.typ, err = d.stringAt(value, end)
			return err
		}
		switch string(name) {
		case "iss":
			d.issuer, err = d.stringAt(value, end)
		case "sub":
			d.subject, err = d.stringAt(value, end)
		case "jti":
			d.id, err = d.stringAt(value, end)
		case "sid":
			d.session, err = d.stringAt(value, end)
		case "client_id":
			d.clientID, err = d.stringAt(value, end)
		case "csrf":
			d.csrf, err = d.stringAt(value, end)
		case "exp":
			d.expires, err = numericDate(value)
		case "nbf":
			d.notBefore, err = numericDate(value)
		case "iat":
			d.issued, err = numericDate(value)
		case "auth_time":
			d.authTime, err = numericDate(value)
		case "aud":
			if d.audience, err = d.strings(value, end); err != nil || len(d.audience) == 0 {
				err = errAudience
			}
		case "fresh":
			switch k := value.Kind(); {
			case k == 't' || k == 'f':
				d.fresh = k == 't'
			case d.profile.freshUntil:
				d.freshUntil, err = numericDate(value)
			default:
				return errClaim
			}
		case "scope":
			d.hasScope = true
			var scope string
			scope, err = d.stringAt(value, end)
			d.scopes = strings.Fields(scope)
		case "scp":
			d.hasScp = true
			if d.scp, err = d.strings(value, end); err == nil && value.Kind() == '"' {
				d.scp = strings.Fields(d.scp[0])
			}
		default:
			if isReserved(string(name)) && !slices.Contains(reserved, string(name)) {
				return errCase
			}
			err = d.gather(name, value)
		}
		return err
	})
}

// gather keeps a member that is not a known claim.
func (d *claimsDecoder) gather(name []byte, value jsontext.Value) (err error) {
	if slices.Contains(reserved, string(name)) {
		return nil // one that is known to others
	}
	p := d.profile
	if path, ok := bytes.CutPrefix(name, []byte(p.namespace)); ok && p.namespace != "" {
		d.public, err = appendMember(d.public, path, value)
		return err
	}
	if own, ok := bytes.CutPrefix(name, []byte(p.prefix)); ok && d.wantPrivate {
		d.private, err = appendMember(d.private, own, value)
	}
	return err
}

// stringAt returns a JSON string, given where it ends in the payload; a negative end is for one that is not a part of it.
func (d *claimsDecoder) stringAt(value jsontext.Value, end int) (string, error) {
	if value.Kind() != '"' {
		return "", errNotString
	}
	if end >= 0 && bytes.IndexByte(value, '\\') < 0 {
		return d.text[end-len(value)+1 : end-1], nil
	}
	return plainString(value)
}

// strings returns a JSON string or a list of JSON strings. An empty string in a list, which null would read as, is an
// error.
func (d *claimsDecoder) strings(value jsontext.Value, end int) ([]string, error) {
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

func numericDate(value jsontext.Value) (instant, error) {
	if value.Kind() != '0' {
		return none, errClaim
	}
	i, err := parseNumericDate(value)
	if err != nil {
		return none, because(ErrInvalidToken, "a time out of range")
	}
	return i, nil
}

// appendMember appends a member to an object under construction, opening it first.
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

// encode writes the claims as a JSON object, the private ones last. extra is what the private claims marshal to: nothing,
// or a JSON object; a member with a reserved name is an error, so that no private claim ever stands in for a known one.
func (c *claims) encode(p *layout, extra []byte) ([]byte, error) {
	b := make([]byte, 0, 384)
	text := func(name, value string) {
		if value != "" {
			b = append(b, `,"`+name+`":`...)
			b, _ = jsontext.AppendQuote(b, value) // fails on invalid UTF-8 only, which check refuses
		}
	}
	date := func(name string, at instant) {
		if at != none {
			b = appendNumericDate(append(b, `,"`+name+`":`...), at)
		}
	}
	list := func(name string, values []string) {
		for i, value := range values {
			if i == 0 {
				b = append(b, `,"`+name+`":[`...)
			} else {
				b = append(b, ',')
			}
			b, _ = jsontext.AppendQuote(b, value)
		}
		if len(values) > 0 {
			b = append(b, ']')
		}
	}
	text("iss", c.issuer)
	text("sub", c.subject)
	if len(c.audience) == 1 {
		text("aud", c.audience[0])
	} else {
		list("aud", c.audience)
	}
	date("exp", c.expires)
	date("nbf", c.notBefore)
	date("iat", c.issued)
	text("jti", c.id)
	text("sid", c.session)
	date("auth_time", c.authTime)
	text("client_id", c.clientID)
	text("csrf", c.csrf)
	if c.fresh {
		b = append(b, `,"fresh":true`...)
	}
	switch {
	case len(p.roles) != 1:
	case p.oneRole && len(c.roles) == 1:
		text(p.roles[0], c.roles[0])
	default:
		list(p.roles[0], c.roles)
	}
	if p.typeIn == typeInClaim {
		text(p.typeClaim, c.typ)
	}
	text("scope", strings.Join(c.scopes, " "))
	b[0] = '{'
	b = append(b, c.public...)

	if len(extra) == 0 || string(extra) == "null" {
		return append(b, '}'), nil
	}
	if nestedDeeper(extra, maxDepth) {
		return nil, errors.New("security: the private claims are nested too deeply")
	}
	e := privateEncoder{object: b, profile: p}
	if err := json.Unmarshal(extra, &e); err != nil {
		return nil, fmt.Errorf("security: the private claims cannot be written: %w", errors.Join(e.fault, errNotAnObject))
	}
	return append(e.object, '}'), nil
}

var errNotAnObject = errors.New("they have to marshal to a JSON object without reserved names")

// privateEncoder copies the members of a JSON object behind those of object.
type privateEncoder struct {
	object  []byte
	profile *layout
	fault   error
}

// UnmarshalJSONFrom implements the copying.
func (p *privateEncoder) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return eachMember(dec, func(name []byte, value jsontext.Value) error {
		name = append([]byte(p.profile.prefix), name...)
		if isReserved(string(name)) || slices.Contains(p.profile.roles, string(name)) || p.profile.inNamespace(string(name)) {
			p.fault = fmt.Errorf("the name %q is reserved", name)
			return p.fault
		}
		var err error
		p.object, err = appendMember(p.object, name, value)
		return err
	})
}
