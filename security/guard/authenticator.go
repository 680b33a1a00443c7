package guard

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// Caller is what an application knows of a credential that is not a JWT and that it accepts. P is
// the type of the principal, which the application chooses.
type Caller[P any] struct {
	Principal P
	// Scopes and Roles are for the rules of operations. Without roles every rule about roles refuses.
	Scopes, Roles []string
	// AuthTime is when the principal last proved its identity, for operations that need a recent
	// authentication: now, for a password that was just checked. The zero time is never recent.
	AuthTime time.Time

	scheme string
}

// Scheme returns the name of the security scheme of the credential.
func (c Caller[P]) Scheme() string { return c.scheme }

// Principal is the type of principals if the document names no other.
type Principal struct {
	// Subject is the name of the principal in the application.
	Subject string
}

// BasicCredentials are a name and a password (RFC 7617). They print, log and encode without the
// password.
type BasicCredentials struct {
	// A function, because fmt follows the fields of a struct, exported or not.
	get func() (username, password string)
}

// Username returns the user-id.
func (c BasicCredentials) Username() string {
	username, _ := c.both()
	return username
}

// Password returns the password. Compare it with a password hash.
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

// Format prints as String does, for every verb.
func (c BasicCredentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue logs as String does.
func (c BasicCredentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText encodes as String does.
func (c BasicCredentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Authenticators resolve the credentials of an API that are not JWTs, by the name of their scheme.
// Generated code makes them from the Authenticator of the application.
type Authenticators map[string]SchemeAuthenticator

// ErrNoAuthenticator means that an API with credentials that are not JWTs was given no
// authenticator.
var ErrNoAuthenticator = errors.New("guard: the API needs an authenticator for the credentials that are not JWTs")

// SchemeAuthenticator resolves the credentials of one scheme. Make one with [AuthenticateBasic],
// [AuthenticateKey] or [AuthenticateCertificate].
//
// The function of the application returns the caller or an error. A security.Error, such as
// security.ErrInvalidCredentials or security.ErrAccessDenied, keeps its status. Any other error
// means that the decision is unavailable, and is answered 503. A nil caller without an error is a
// mistake of the application: 500.
type SchemeAuthenticator interface {
	kind() Kind
	// authenticate returns the Caller, and its facts for the rules.
	authenticate(ctx context.Context, scheme string, at locatedCredential) (any, *callerFacts, error)
}

// callerFacts are the facts of a Caller without the type of its principal.
type callerFacts struct {
	scopes, roles []string
	authTime      time.Time
}

func (*callerFacts) Fresh() bool                  { return false }
func (c *callerFacts) AuthTime() time.Time        { return c.authTime }
func (c *callerFacts) HasRole(role string) bool   { return slices.Contains(c.roles, role) }
func (c *callerFacts) HasRoles() bool             { return len(c.roles) > 0 }
func (c *callerFacts) HasScope(scope string) bool { return slices.Contains(c.scopes, scope) }

// AuthenticateBasic makes an authenticator for a scheme of the type http basic.
func AuthenticateBasic[P any](authenticate func(ctx context.Context, credentials BasicCredentials) (*Caller[P], error)) SchemeAuthenticator {
	if authenticate == nil {
		return nil
	}
	return authenticator[P]{KindBasic, func(ctx context.Context, at locatedCredential) (*Caller[P], error) {
		credentials, err := parseBasic(at.text)
		if err != nil {
			return nil, err
		}
		return authenticate(ctx, credentials)
	}}
}

// AuthenticateKey makes an authenticator for a scheme whose credential is a text: an API key, an
// opaque token, or the text behind the word of any other http scheme. Compare it in constant time,
// or by its hash.
func AuthenticateKey[P any](authenticate func(ctx context.Context, key string) (*Caller[P], error)) SchemeAuthenticator {
	if authenticate == nil {
		return nil
	}
	return authenticator[P]{KindKey, func(ctx context.Context, at locatedCredential) (*Caller[P], error) {
		return authenticate(ctx, at.text)
	}}
}

// AuthenticateCertificate makes an authenticator for a scheme of the type mutualTLS. The certificate
// was verified by the TLS server, or by the function of [WithForwardedCertificate].
func AuthenticateCertificate[P any](authenticate func(ctx context.Context, certificate *x509.Certificate) (*Caller[P], error)) SchemeAuthenticator {
	if authenticate == nil {
		return nil
	}
	return authenticator[P]{KindCertificate, func(ctx context.Context, at locatedCredential) (*Caller[P], error) {
		return authenticate(ctx, at.certificate)
	}}
}

type authenticator[P any] struct {
	ofKind Kind
	run    func(ctx context.Context, at locatedCredential) (*Caller[P], error)
}

func (a authenticator[P]) kind() Kind { return a.ofKind }

func (a authenticator[P]) authenticate(ctx context.Context, scheme string, at locatedCredential) (any, *callerFacts, error) {
	found, err := a.run(ctx, at)
	if err != nil {
		var e *security.Error
		if !errors.As(err, &e) {
			err = security.ErrUnavailable.Because("the authenticator failed", err)
		}
		return nil, nil, err
	}
	if found == nil {
		return nil, nil, security.ErrUnguarded.Because("the authenticator returned neither a caller nor an error", nil)
	}
	caller := *found
	caller.scheme = scheme
	return caller, &callerFacts{caller.Scopes, caller.Roles, caller.AuthTime}, nil
}

// parseBasic decodes the text behind Basic (RFC 7617, section 2).
func parseBasic(text string) (BasicCredentials, error) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return BasicCredentials{}, security.ErrInvalidCredentials.Because("the encoding of the name and the password", nil)
	}
	username, password, ok := strings.Cut(string(decoded), ":")
	control := func(c rune) bool { return c < 0x20 || c == 0x7f }
	if !ok || strings.ContainsFunc(username, control) || strings.ContainsFunc(password, control) {
		return BasicCredentials{}, security.ErrInvalidCredentials.Because("a name and a password without a colon, or with control characters", nil)
	}
	return BasicCredentials{func() (string, string) { return username, password }}, nil
}
