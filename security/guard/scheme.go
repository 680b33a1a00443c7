//go:build ignore

package security

import (
	"crypto/x509"
	"errors"
	"net/textproto"
	"slices"
	"strings"
)

// Scheme is a security scheme of the document: what kind of credential it takes, and where a request carries it.
type Scheme struct {
	// Name is the scheme's name in the document.
	Name string
	// Kind is the kind of credential, a JWT by default.
	Kind Kind
	// Token is the type of token that the scheme carries, for a JWT.
	Token TokenType
	// Verifier is the name of the verifier that the tokens belong to; "" is the application's own.
	Verifier string
	// In says where the credential stands, and Parameter the name of the header, query parameter or cookie. The zero values mean
	// the header Authorization (RFC 6750, section 2.1). A client certificate has neither.
	In        Location
	Parameter string
	// Prefix is the word before the credential in a header, compared without case (RFC 9110, section 11.1). The default is Bearer
	// in the header Authorization, Basic for that kind, and none in others.
	Prefix string
	// CSRFForm accepts the proof against forgery of a token in a cookie also in a field of an urlencoded form, for pages without
	// scripts. The guard then reads the form, 64 KiB at most, where the header is missing, and the handler can read it again.
	CSRFForm bool
	// Scopes and Roles are what a requirement asks of the scheme's credentials, all of them; see With. One that lacks any is refused
	// with 403.
	Scopes, Roles []string
}

// With returns the scheme for a requirement that asks for scopes.
func (s *Scheme) With(scopes ...string) *Scheme {
	own := *s
	own.Scopes = scopes
	return &own
}

// WithRoles returns the scheme for a requirement that asks for roles, as OpenAPI 3.1 has it for schemes without scopes.
func (s *Scheme) WithRoles(roles ...string) *Scheme {
	own := *s
	own.Roles = roles
	return &own
}

// Kind is a kind of credential.
type Kind uint8

const (
	// KindJWT is a token that a verifier decides over. Every other kind is for [Authenticators] to resolve.
	KindJWT Kind = iota
	// KindBasic is a name and a password (RFC 7617).
	KindBasic
	// KindKey is a text that means something to the application only: an API key, an opaque token, or what follows the word of any
	// other scheme in the header Authorization.
	KindKey
	// KindCertificate is the client certificate of the TLS connection.
	KindCertificate
)

// Location is where a request carries a credential.
type Location uint8

const (
	// InHeader is a header field.
	InHeader Location = iota
	// InQuery is a query parameter. URLs end up in logs and histories: responses then say that nothing may store them.
	InQuery
	// InCookie is a cookie. Browsers send it by themselves, so unsafe requests have to prove that the application's own pages
	// sent them.
	InCookie

	// inConnection is the TLS connection, of a client certificate.
	inConnection
)

const authorization = "Authorization"

// ambient reports whether browsers send the credential by themselves, whoever made them send the request.
func (s *Scheme) ambient() bool {
	return s.In == InCookie || s.Kind == KindBasic || s.Kind == KindCertificate
}

// source is where a credential may stand, in a form that compares.
type source struct {
	in     Location
	name   string
	prefix string
	// spaces says that the credential may have spaces in it.
	spaces bool
}

func (s *Scheme) source() source {
	if s.Kind == KindCertificate {
		return source{in: inConnection}
	}
	src := source{in: s.In, name: s.Parameter, prefix: strings.ToLower(s.Prefix), spaces: s.Kind == KindKey}
	if s.In != InHeader {
		return src
	}
	if src.name == "" {
		src.name = authorization
	}
	src.name = textproto.CanonicalMIMEHeaderKey(src.name)
	switch {
	case src.prefix != "" || src.name != authorization:
	case s.Kind == KindBasic:
		src.prefix = "basic"
	case s.Kind == KindJWT || s.Parameter == "":
		src.prefix = "bearer"
	}
	src.spaces = src.spaces && src.prefix != "bearer"
	return src
}

func (s *Scheme) check() error {
	if s == nil {
		return errors.New("a nil scheme")
	}
	fault := func(text string) error { return errors.New("scheme " + s.Name + ": " + text) }
	switch {
	case s.Kind > KindCertificate:
		return fault("an unknown kind of credential")
	case s.Kind == KindJWT && (s.Token == nil || !validTypeName(s.Token.Name())):
		return fault("no token type")
	case s.Kind != KindJWT && (s.Token != nil || s.Verifier != "" || s.CSRFForm):
		return fault("a token type, a verifier or a form for what is not a JWT")
	case s.Kind == KindBasic && (s.In != InHeader || s.Parameter != "" || s.Prefix != ""):
		return fault("a name and a password stand in the header Authorization behind Basic")
	case s.Kind == KindCertificate && (s.In != InHeader || s.Parameter != "" || s.Prefix != ""):
		return fault("a certificate stands in no header, query parameter or cookie")
	case s.In > InCookie:
		return fault("its credentials stand in no header, query parameter or cookie")
	case s.In != InHeader && s.Parameter == "":
		return fault("no name of a query parameter or cookie")
	case s.CSRFForm && s.In != InCookie:
		return fault("forms prove something for tokens in cookies only")
	case s.In != InHeader && s.Prefix != "":
		return fault("a prefix stands in headers only")
	case slices.ContainsFunc(s.Scopes, func(scope string) bool { return !validScope(scope) }):
		return fault("a scope is outside the grammar of RFC 6749, section 3.3")
	case slices.Contains(s.Roles, ""):
		return fault("an empty role")
	case strings.ContainsAny(s.Prefix, " \t"):
		return fault("a prefix is one word")
	}
	return nil
}

// found is what a request has at a source.
type found struct {
	present bool
	text    string
	// certificate is that of the connection, in place of a text.
	certificate *x509.Certificate
}

// locate reads the credential at the source. The same name twice, and a place without a credential, make the request malformed: nobody
// could say which credential counts. A header with the word of another auth scheme has none for this source.
func (s *source) locate(r Request) (found, error) {
	var values []string
	switch s.in {
	case InQuery:
		values = queryValues(r, s.name)
	case InCookie:
		values = cookieValues(r, s.name)
	case InHeader:
		values = r.Header(s.name)
	}
	switch len(values) {
	case 0:
		return found{}, nil
	case 1:
	default:
		return found{}, because(ErrMalformedRequest, "the same header, query parameter or cookie more than once")
	}
	text := values[0]
	if s.in == InHeader {
		text = strings.Trim(text, " ")
	}
	if strings.ContainsRune(text, '\t') {
		return found{}, because(ErrMalformedRequest, "a tab")
	}
	if s.prefix != "" {
		word, rest, _ := strings.Cut(text, " ")
		if word != "" && !strings.EqualFold(word, s.prefix) {
			return found{}, nil
		}
		text = strings.TrimLeft(rest, " ")
	}
	switch {
	case text == "":
		return found{}, because(ErrMalformedRequest, "a place for a credential without one")
	case !s.spaces && strings.ContainsRune(text, ' '):
		return found{}, because(ErrMalformedRequest, "more than one credential")
	}
	return found{present: true, text: text}, nil
}
