package guard

import (
	"errors"
	"net/textproto"
	"slices"
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security"
)

// Scheme is a security scheme of the document: the kind of its credential and the place of it in a
// request.
type Scheme struct {
	// Name is the scheme's name in the document.
	Name string
	// Kind is the kind of credential, a JWT by default.
	Kind Kind
	// Token is the token type, for a JWT. It names the verifier.
	Token security.TokenType
	// In is the place of the credential, and Parameter the name of the header, query parameter or
	// cookie. The zero values are the header Authorization (RFC 6750, section 2.1). A client
	// certificate has neither.
	In        Location
	Parameter string
	// Prefix is the word before the credential in a header, compared without case (RFC 9110, section
	// 11.1). The default is Bearer in the header Authorization, Basic for that kind, and none in
	// other headers.
	Prefix string
	// CSRFForm accepts the claim csrf of a token in a cookie also in a field of an urlencoded form,
	// for pages without scripts. If the header is missing the guard reads the form, at most 64 KiB,
	// and the handler can read it again.
	CSRFForm bool
	// Scopes and Roles are those that a requirement needs, all of them; see With. A credential
	// without one of them is answered 403.
	Scopes, Roles []string
}

// With returns the scheme for a requirement that needs the scopes.
func (s *Scheme) With(scopes ...string) *Scheme {
	required := *s
	required.Scopes = scopes
	return &required
}

// WithRoles returns the scheme for a requirement that needs the roles, which OpenAPI 3.1 has for
// schemes without scopes.
func (s *Scheme) WithRoles(roles ...string) *Scheme {
	required := *s
	required.Roles = roles
	return &required
}

// Kind is a kind of credential.
type Kind uint8

const (
	// KindJWT is a token for a verifier. Every other kind is for an authenticator of the
	// application.
	KindJWT Kind = iota
	// KindBasic is a name and a password (RFC 7617).
	KindBasic
	// KindKey is a text for the application: an API key, an opaque token, or the text behind the word
	// of any other scheme in the header Authorization.
	KindKey
	// KindCertificate is the client certificate of the TLS connection.
	KindCertificate
)

// Location is the place of a credential in a request.
type Location uint8

const (
	// InHeader is a header field.
	InHeader Location = iota
	// InQuery is a query parameter. URLs appear in logs and histories, so the response says that
	// nothing may store it.
	InQuery
	// InCookie is a cookie. Browsers send it by themselves, so an unsafe request must prove that a
	// page of the application sent it.
	InCookie

	// inConnection is the TLS connection, for a client certificate.
	inConnection
)

const authorization = "Authorization"

// isAmbient reports whether browsers send the credential by themselves, also for a page of another
// site.
func (s *Scheme) isAmbient() bool {
	return s.In == InCookie || s.Kind == KindBasic || s.Kind == KindCertificate || slices.Contains(ambientPrefixes, strings.ToLower(s.Prefix))
}

// ambientPrefixes are the auth schemes that browsers answer by themselves, once the user has logged
// in to the site or to the network (IANA HTTP Authentication Scheme Registry).
var ambientPrefixes = []string{"basic", "digest", "negotiate", "ntlm", "kerberos", "hoba", "mutual", "scram-sha-1", "scram-sha-256"}

// source is the place of a credential, in a comparable form.
type source struct {
	in   Location
	name string
	// prefix is the word of the auth scheme in lower case, and usual is how nearly all clients write
	// it.
	prefix, usual string
	// spaces is set where the credential may contain spaces.
	spaces bool
	// onlyTokens is set where each scheme with this source is a JWT and has no other scheme beside
	// it. The guard sets it.
	onlyTokens bool
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
	if src.prefix != "" {
		src.usual = strings.ToUpper(src.prefix[:1]) + src.prefix[1:]
	}
	src.spaces = src.spaces && src.prefix != "bearer"
	return src
}

// validate refuses a scheme that the guard could not enforce.
func (s *Scheme) validate() error {
	if s == nil {
		return errors.New("a nil scheme")
	}
	fault := func(text string) error { return errors.New("scheme " + s.Name + ": " + text) }
	switch {
	case s.Kind > KindCertificate:
		return fault("an unknown kind of credential")
	case s.Kind == KindJWT && (s.Token == nil || !payload.ValidTypeName(s.Token.Name())):
		return fault("no token type")
	case s.Kind != KindJWT && (s.Token != nil || s.CSRFForm):
		return fault("a token type or a form for a credential that is not a JWT")
	case s.Kind == KindBasic && (s.In != InHeader || s.Parameter != "" || s.Prefix != ""):
		return fault("a name and a password are in the header Authorization behind Basic")
	case s.Kind == KindCertificate && (s.In != InHeader || s.Parameter != "" || s.Prefix != ""):
		return fault("a certificate is not in a header, a query parameter or a cookie")
	case s.In == InHeader && textproto.CanonicalMIMEHeaderKey(s.Parameter) == "Cookie":
		return fault("a cookie is in: cookie; browsers send the header by themselves")
	case s.In > InCookie:
		return fault("its credentials are not in a header, a query parameter or a cookie")
	case s.In != InHeader && s.Parameter == "":
		return fault("no name of a query parameter or cookie")
	case s.CSRFForm && s.In != InCookie:
		return fault("a form is for tokens in cookies only")
	case s.In != InHeader && s.Prefix != "":
		return fault("a prefix is for headers only")
	case slices.ContainsFunc(s.Scopes, func(scope string) bool { return !payload.ValidScope(scope) }):
		return fault("a scope is outside the grammar of RFC 6749, section 3.3")
	case slices.Contains(s.Roles, ""):
		return fault("an empty role")
	case strings.ContainsAny(s.Prefix, " \t"):
		return fault("a prefix is one word")
	}
	return nil
}
