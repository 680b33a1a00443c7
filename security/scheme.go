package security

import (
	"errors"
	"net/textproto"
	"slices"
	"strings"
)

// Scheme is a security scheme of the document whose credential is a JWT, wherever the request carries it.
type Scheme struct {
	// Name is the scheme's name in the document.
	Name string
	// Token is the type of token that the scheme carries.
	Token TokenType
	// Verifier is the name of the verifier that the tokens belong to; "" is the application's own.
	Verifier string
	// In says where the token stands, and Parameter the name of the header, query parameter or cookie. The zero values mean
	// the header Authorization (RFC 6750, section 2.1).
	In        Location
	Parameter string
	// Prefix is the word before the token in a header, compared without case (RFC 9110, section 11.1). The default is Bearer
	// in the header Authorization and none in others.
	Prefix string
	// CSRFForm accepts the proof against forgery of a token in a cookie also in a field of an urlencoded form, for pages without
	// scripts. The guard then reads the form, 64 KiB at most, where the header is missing, and the handler can read it again.
	CSRFForm bool
	// Scopes are what a requirement asks of the scheme's tokens, all of them; see With. A token that lacks one is refused with 403.
	Scopes []string
}

// With returns the scheme for a requirement that asks for scopes.
func (s *Scheme) With(scopes ...string) *Scheme {
	own := *s
	own.Scopes = scopes
	return &own
}

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
)

const authorization = "Authorization"

// source is where a token may stand, in a form that compares.
type source struct {
	in     Location
	name   string
	prefix string
}

func (s *Scheme) source() source {
	src := source{s.In, s.Parameter, s.Prefix}
	if s.In != InHeader {
		return src
	}
	if src.name == "" {
		src.name = authorization
	}
	src.name = textproto.CanonicalMIMEHeaderKey(src.name)
	if src.prefix == "" && src.name == authorization {
		src.prefix = "Bearer"
	}
	src.prefix = strings.ToLower(src.prefix)
	return src
}

func (s *Scheme) check() error {
	switch {
	case s == nil || s.Token == nil || !validTypeName(s.Token.Name()):
		return errors.New("a scheme without a token type")
	case s.In > InCookie:
		return errors.New("scheme " + s.Name + ": its tokens stand in no header, query parameter or cookie")
	case s.In != InHeader && s.Parameter == "":
		return errors.New("scheme " + s.Name + ": no name of a query parameter or cookie")
	case s.CSRFForm && s.In != InCookie:
		return errors.New("scheme " + s.Name + ": forms prove something for tokens in cookies only")
	case s.In != InHeader && s.Prefix != "":
		return errors.New("scheme " + s.Name + ": a prefix stands in headers only")
	case slices.ContainsFunc(s.Scopes, func(scope string) bool { return !validScope(scope) }):
		return errors.New("scheme " + s.Name + ": a scope is outside the grammar of RFC 6749, section 3.3")
	case strings.ContainsAny(s.Prefix, " \t"):
		return errors.New("scheme " + s.Name + ": a prefix is one word")
	}
	return nil
}

// found is what a request has at a source.
type found struct {
	present bool
	text    string
}

// locate reads the token at the source. The same name twice, and a place without a token, make the request malformed: nobody
// could say which credential counts. A header with the word of another auth scheme has no token for this source.
func (s source) locate(r Request) (found, error) {
	var values []string
	switch s.in {
	case InQuery:
		values = r.Query(s.name)
	case InCookie:
		values = r.Cookie(s.name)
	default:
		values = r.Header(s.name)
	}
	switch len(values) {
	case 0:
		return found{}, nil
	case 1:
	default:
		return found{}, because(ErrMalformedRequest, "the same header, query parameter or cookie more than once")
	}
	token := values[0]
	if s.in == InHeader {
		token = strings.Trim(token, " ")
	}
	if strings.ContainsRune(token, '\t') {
		return found{}, because(ErrMalformedRequest, "a tab")
	}
	if s.prefix != "" {
		word, rest, _ := strings.Cut(token, " ")
		if word != "" && !strings.EqualFold(word, s.prefix) {
			return found{}, nil
		}
		token = strings.TrimLeft(rest, " ")
	}
	switch {
	case token == "":
		return found{}, because(ErrMalformedRequest, "a place for a token without a token")
	case strings.ContainsAny(token, " \t"):
		return found{}, because(ErrMalformedRequest, "more than one token")
	}
	return found{present: true, text: token}, nil
}
