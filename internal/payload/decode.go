package payload

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

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

// MemberFunc reads a special member of a layout. It returns false for a member that it leaves to
// Decode.
type MemberFunc func(d *Decoder, name []byte, value jsontext.Value) (bool, error)

// Decode reads a payload strictly: one JSON object without duplicate members, every known claim of
// its JSON type, no claim that differs from a known one only in case. It collects the other members
// as private claims if they are wanted. A layout reads its special members in the function member.
// The claims have a copy of the text.
func Decode(text []byte, r Reading, member MemberFunc) (*Claims, error) {
	return decode(text, Decoder{reading: r, member: member})
}

// DecodeForeign reads a payload of somebody else. It judges only what is used: iss, sub, aud, exp,
// nbf, iat, jti, sid and auth_time have their JSON type, or are null, which is absent. Scopes may be
// a list. A claim that differs from a known one in case is another claim. All members are private
// claims, also those that are read as something else.
func DecodeForeign(text []byte, r Reading, member MemberFunc) (*Claims, error) {
	return decode(text, Decoder{reading: r, member: member, foreign: true})
}

// parser has the memory for reading a payload. It serves one payload after the other.
type parser struct {
	decoder Decoder
	// json reads from input.
	input bytes.Buffer
	json  jsontext.Decoder
	name  [64]byte
}

var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.json.Reset(&p.input)
	return p
}}

func decode(text []byte, d Decoder) (*Claims, error) {
	if jose.DeeperThan(text, jose.MaxDepth) {
		return nil, jose.ErrTooDeep
	}
	p := parsers.Get().(*parser)
	defer p.free()
	p.decoder = d
	p.decoder.Claims, p.decoder.text = &Claims{}, string(text)
	if err := p.parse(text); err != nil {
		var malformed jose.Malformed
		if errors.As(err, &malformed) {
			return nil, malformed
		}
		return nil, errPayload
	}
	return p.decoder.finish()
}

// parse reads the text: one JSON object and nothing behind it.
func (p *parser) parse(text []byte) error {
	p.input = *bytes.NewBuffer(text)
	err := jose.EachMemberIn(&p.json, p.name[:0], func(name []byte, value jsontext.Value) error {
		return p.decoder.readMember(name, value, int(p.json.InputOffset()))
	})
	if err != nil {
		return err
	}
	if _, err := p.json.ReadToken(); !errors.Is(err, io.EOF) {
		return errPayload
	}
	return nil
}

// free leaves the memory to the next payload, without what belongs to this one.
func (p *parser) free() {
	p.decoder, p.input = Decoder{}, bytes.Buffer{}
	p.json.Reset(&p.input)
	parsers.Put(p)
}

// Decoder is a payload that [Decode] reads.
type Decoder struct {
	*Claims
	// text is the payload. The strings of the claims are parts of it, so that they cost one
	// allocation together.
	text string
	// end is where the value of the current member ends in the text.
	end              int
	reading          Reading
	foreign          bool
	member           MemberFunc
	scp              []string
	hasScope, hasScp bool
}

// finish returns the claims when all members were read.
func (d *Decoder) finish() (*Claims, error) {
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
	return d.Claims, nil
}

// readMember reads a member whose value ends at the offset end of the payload.
func (d *Decoder) readMember(name []byte, value jsontext.Value, end int) error {
	d.end = end
	if d.reading.TenantClaim != "" && string(name) == d.reading.TenantClaim {
		d.Tenant, _ = d.String(value) // without a tenant the issuer is refused
	}
	if string(name) == "cnf" && value.Kind() != 'n' {
		d.Bound = true
	}
	known, err := d.member(d, name, value)
	if d.foreign {
		if !known && err == nil {
			err = d.readForeign(name, value)
		}
		if err != nil {
			return err
		}
		return d.collect(name, value)
	}
	if known {
		return err
	}
	return d.read(name, value)
}

// read reads a member that has the same meaning in every layout of this module.
func (d *Decoder) read(name []byte, value jsontext.Value) (err error) {
	switch string(name) {
	case "client_id":
		d.ClientID, err = d.String(value)
	case "csrf":
		d.CSRF, err = d.String(value)
	case "session_start":
		d.Start, err = milliseconds(value)
	case "fresh":
		d.Fresh, err = d.Bool(value)
	case "scope":
		d.hasScope = true
		var scope string
		scope, err = d.String(value)
		d.Scopes = splitScopes(scope)
	case "scp":
		d.hasScp = true
		d.scp, err = d.scopes(value)
	default:
		var known bool
		if known, err = d.readRegistered(name, value); known || err != nil {
			return err
		}
		if IsReserved(string(name)) {
			if !slices.Contains(reserved, string(name)) {
				return errCase
			}
			return nil // defined by an RFC and not used here
		}
		err = d.collect(name, value)
	}
	return err
}

// readForeign reads a member of a token of somebody else.
func (d *Decoder) readForeign(name []byte, value jsontext.Value) error {
	switch string(name) {
	case "client_id":
		d.ClientID, _ = d.String(value)
		return nil
	case "scope":
		d.Scopes, d.hasScope = d.scopesOrNone(value)
		return nil
	case "scp":
		d.scp, d.hasScp = d.scopesOrNone(value)
		return nil
	}
	if value.Kind() == 'n' {
		return nil
	}
	_, err := d.readRegistered(name, value)
	return err
}

// readRegistered reads a member that decides over the token, in every layout.
func (d *Decoder) readRegistered(name []byte, value jsontext.Value) (known bool, err error) {
	switch string(name) {
	case "iss":
		d.Issuer, err = d.String(value)
	case "sub":
		d.Subject, err = d.String(value)
	case "jti":
		d.ID, err = d.String(value)
	case "sid":
		d.Session, err = d.String(value)
	case "exp":
		d.Expires, err = d.Date(value)
	case "nbf":
		d.NotBefore, err = d.pastDate(value, None)
	case "iat":
		d.Issued, err = d.Date(value)
	case "auth_time":
		d.AuthTime, err = d.pastDate(value, None)
	case "aud":
		if d.Audience, err = d.strings(value, d.end); err != nil || len(d.Audience) == 0 {
			err = errAudience
		}
	default:
		return false, nil
	}
	return true, err
}

// collect adds a member to the public or the private claims.
func (d *Decoder) collect(name []byte, value jsontext.Value) (err error) {
	if namespace := d.reading.Namespace; namespace != "" && bytes.HasPrefix(name, []byte(namespace)) {
		d.Public, err = appendMember(d.Public, name[len(namespace):], value)
		return err
	}
	if prefix := d.reading.Prefix; d.reading.WantPrivate && bytes.HasPrefix(name, []byte(prefix)) {
		d.Private, err = appendMember(d.Private, name[len(prefix):], value)
	}
	return err
}

// scopes returns the scopes in a string or a list of strings.
func (d *Decoder) scopes(value jsontext.Value) ([]string, error) {
	list, err := d.strings(value, d.end)
	if err == nil && value.Kind() == '"' {
		list = splitScopes(list[0])
	}
	return list, err
}

// splitScopes returns the scopes of a text. Only the space of ASCII separates them (RFC 6749, section
// 3.3): what is one name to the issuer must not become two here.
func splitScopes(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ' ' })
}

// scopesOrNone is scopes for a token of somebody else. A value of another type has no scopes, which
// fails every rule about scopes.
func (d *Decoder) scopesOrNone(value jsontext.Value) (list []string, found bool) {
	list, err := d.scopes(value)
	return list, err == nil
}

// pastDate is Date, but zero and negative times in a token of somebody else are the given instant.
func (d *Decoder) pastDate(value jsontext.Value, past Instant) (Instant, error) {
	if d.foreign && value.Kind() == '0' && (value[0] == '-' || len(bytes.Trim(value, "0.")) == 0) {
		return past, nil
	}
	return d.Date(value)
}

// milliseconds returns a JSON integer of milliseconds since 1970.
func milliseconds(value jsontext.Value) (Instant, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if value.Kind() != '0' || err != nil || n <= 0 || Instant(n) > MaxInstant {
		return None, errTime
	}
	return Instant(n), nil
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
	if end >= 0 && bytes.IndexByte(value, '\\') < 0 {
		return cutList(d.text[end-len(value)+1 : end-1])
	}
	var list []string
	if err := json.Unmarshal(value, &list); err != nil || slices.ContainsFunc(list, emptyOrNUL) {
		return nil, errClaim
	}
	return list, nil
}

// cutList cuts a JSON list of strings without escapes at its quotes, given the text between the
// brackets. The strings are parts of the text. The decoder has checked that it is JSON.
func cutList(text string) ([]string, error) {
	const space = " \t\r\n" // of JSON (RFC 8259, section 2)
	list := make([]string, 0, strings.Count(text, `"`)/2)
	for text = strings.Trim(text, space); text != ""; {
		item, rest, closed := strings.Cut(strings.TrimPrefix(text, `"`), `"`)
		if text[0] != '"' || !closed || item == "" {
			return nil, errClaim
		}
		list = append(list, item)
		text = strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(rest, space), ","), space)
	}
	return list, nil
}

func emptyOrNUL(s string) bool { return s == "" || strings.IndexByte(s, 0) >= 0 }

// Name returns a string, or a JSON integer as its decimal text: some providers identify subjects by
// numbers.
func (d *Decoder) Name(value jsontext.Value) (string, error) {
	if value.Kind() == '0' {
		if _, err := strconv.ParseInt(string(value), 10, 64); err != nil {
			return "", errClaim
		}
		return string(value), nil
	}
	return d.String(value)
}

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
		const signs = len(`{"":}`)
		object = append(slices.Grow(object, signs+len(name)+len(value)), '{')
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
