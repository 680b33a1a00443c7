//go:build ignore

package security

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Authenticated is what an application says of a credential that is not a JWT and that it accepts. P is the type of the principal, of the
// application's choice: who the credential speaks for.
type Authenticated[P any] struct {
	Principal P
	// Scopes and Roles are what the rules of operations are checked against. Without roles every rule on roles refuses.
	Scopes, Roles []string
	// AuthTime is when the principal last proved who it is, for operations that ask for a recent authentication: for a password that
	// was just checked, now. The zero time satisfies none of them.
	AuthTime time.Time

	scheme string
}

// Scheme returns the name of the security scheme of the credential.
func (a Authenticated[P]) Scheme() string { return a.scheme }

// Principal is the type of principals where the document names no other.
type Principal struct {
	// Subject is whom the credential speaks for, in the application's own terms.
	Subject string
}

// BasicCredentials are a name and a password (RFC 7617). They print, log and encode without the password.
type BasicCredentials struct {
	// A function, because fmt follows the fields of a struct, exported or not.
	get func() (username, password string)
}

// Username returns the user-id.
func (c BasicCredentials) Username() string {
	username, _ := c.both()
	return username
}

// Password returns the password. Compare it with a hash made for passwords.
func (c BasicCredentials) Password() string {
	_, password := c.both()
	return password
}

func (c BasicCredentials) both() (username, password string) {
	if c.get == nil {
		return "", ""
	}
	return c.get()
}

// String returns fixed words. No method prints more.
func (c BasicCredentials) String() string { return "[basic credentials]" }

// Format prints as String does, whatever the verb.
func (c BasicCredentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue logs as String does.
func (c BasicCredentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText encodes as String does.
func (c BasicCredentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Authenticators resolve the credentials of an API that are not JWTs, by the name of their scheme. Generated code makes them of an
// application's Authenticator.
type Authenticators map[string]SchemeAuthenticator

// SchemeAuthenticator resolves the credentials of one scheme: make one with [AuthenticateBasic], [AuthenticateKey] or
// [AuthenticateCertificate].
//
// The function that it is made of returns what it found; or an error of this package, such as [ErrInvalidCredentials] for a credential that
// is not accepted or [ErrAccessDenied], which refuses the request as it would by itself. Any other error means "could not know": 503. A nil
// result without an error is a mistake of the application: 500.
type SchemeAuthenticator interface {
	kind() Kind
	authenticate(ctx context.Context, scheme string, c rawCredential) (*identity, error)
}

// rawCredential is a credential as the request carries it: a text, or a certificate.
type rawCredential struct {
	text        string
	certificate *x509.Certificate
}

// identity is an Authenticated without its type.
type identity struct {
	// value is the Authenticated.
	value any
	// facts are what rules are checked against.
	facts claims
}

// AuthenticateBasic makes an authenticator for a scheme of the type http basic.
func AuthenticateBasic[P any](authenticate func(ctx context.Context, credentials BasicCredentials) (*Authenticated[P], error)) SchemeAuthenticator {
	if authenticate == nil {
		return nil
	}
	return authenticator[P]{KindBasic, func(ctx context.Context, c rawCredential) (*Authenticated[P], error) {
		credentials, err := parseBasic(c.text)
		if err != nil {
			return nil, err
		}
		return authenticate(ctx, credentials)
	}}
}

// AuthenticateKey makes an authenticator for a scheme whose credential is a text: a plain API key, an opaque token, or what follows the
// word of any other http scheme. Compare it in constant time, or by its hash.
func AuthenticateKey[P any](authenticate func(ctx context.Context, key string) (*Authenticated[P], error)) SchemeAuthenticator {
	if authenticate == nil {
		return nil
	}
	return authenticator[P]{KindKey, func(ctx context.Context, c rawCredential) (*Authenticated[P], error) {
		return authenticate(ctx, c.text)
	}}
}

// AuthenticateCertificate makes an authenticator for a scheme of the type mutualTLS. The certificate has been verified, by the TLS server or by
// the function of [WithForwardedCertificate].
func AuthenticateCertificate[P any](authenticate func(ctx context.Context, certificate *x509.Certificate) (*Authenticated[P], error)) SchemeAuthenticator {
	if authenticate == nil {
		return nil
	}
	return authenticator[P]{KindCertificate, func(ctx context.Context, c rawCredential) (*Authenticated[P], error) {
		return authenticate(ctx, c.certificate)
	}}
}

type authenticator[P any] struct {
	of  Kind
	run func(ctx context.Context, c rawCredential) (*Authenticated[P], error)
}

func (a authenticator[P]) kind() Kind { return a.of }

func (a authenticator[P]) authenticate(ctx context.Context, scheme string, c rawCredential) (*identity, error) {
	found, err := a.run(ctx, c)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			err = unavailable("the authenticator failed", err)
		}
		return nil, err
	}
	if found == nil {
		return nil, because(ErrUnguarded, "the authenticator returned neither a principal nor an error")
	}
	own := *found
	own.scheme = scheme
	facts := claims{scopes: own.Scopes, roles: own.Roles}
	if !own.AuthTime.IsZero() {
		facts.authTime = instantOf(own.AuthTime)
	}
	return &identity{own, facts}, nil
}

// parseBasic decodes what stands behind Basic (RFC 7617, section 2).
func parseBasic(text string) (BasicCredentials, error) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return BasicCredentials{}, because(ErrInvalidCredentials, "the encoding of a name and a password")
	}
	username, password, ok := strings.Cut(string(decoded), ":")
	control := func(c rune) bool { return c < 0x20 || c == 0x7f }
	if !ok || strings.ContainsFunc(username, control) || strings.ContainsFunc(password, control) {
		return BasicCredentials{}, because(ErrInvalidCredentials, "a name and a password without a colon, or with control characters")
	}
	return BasicCredentials{func() (string, string) { return username, password }}, nil
}

// WithForwardedCertificate sets a function that vouches for the client certificate of a connection that ended at a proxy: it reads the proxy's
// header, makes sure that the proxy and nobody else has set it, and returns the certificate, which the proxy has verified; nil where there
// is none. An error is a credential that is refused: one of this package as it would be by itself, any other 503. Without the function
// headers are never read for a certificate.
func WithForwardedCertificate(certificate func(ctx context.Context, header func(name string) []string) (*x509.Certificate, error)) ValidatorOption {
	return func(v *Validator) error {
		if certificate == nil {
			return errors.New("security: WithForwardedCertificate needs a function")
		}
		v.forwardedCertificate = certificate
		return nil
	}
}

// clientCertificate returns the client's certificate if it was verified, or nil.
func (v *Validator) clientCertificate(ctx context.Context, r Request) (*x509.Certificate, error) {
	if v.forwardedCertificate != nil {
		certificate, err := v.forwardedCertificate(ctx, func(name string) []string { return r.Header(http.CanonicalHeaderKey(name)) })
		var e *Error
		if err != nil && !errors.As(err, &e) {
			err = unavailable("the forwarded certificate", err)
		}
		return certificate, err
	}
	// PeerCertificates alone are what the client claims; the chains are what the server has verified.
	if state := r.TLS(); state != nil && len(state.VerifiedChains) > 0 && len(state.VerifiedChains[0]) > 0 {
		return state.VerifiedChains[0][0], nil
	}
	return nil, nil
}

// ErrNoAuthenticator says that an API whose document has credentials that are not JWTs was given no authenticator.
var ErrNoAuthenticator = errors.New("security: the API needs an authenticator for the credentials that are not JWTs")
