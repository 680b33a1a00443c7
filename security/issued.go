package security

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// IssuedToken is a token for a client. It prints and logs redacted: only Text returns its text.
type IssuedToken struct {
	secret    *issuedSecret
	id        string
	session   string
	typ       string
	issuedAt  payload.Instant
	expiresAt payload.Instant
}

// issuedSecret is behind two pointers, because fmt follows one where it prints a field without
// asking its type.
type issuedSecret struct{ *issuedText }

type issuedText struct{ text, csrf string }

// Text returns the token in compact serialization (RFC 7515, section 3.1). A response with it says
// Cache-Control: no-store (RFC 6749, section 5.1).
func (t IssuedToken) Text() string {
	if t.secret == nil {
		return ""
	}
	return t.secret.text
}

// ID returns the id of the token (jti).
func (t IssuedToken) ID() string { return t.id }

// Session returns the id of the token's session (sid).
func (t IssuedToken) Session() string { return t.session }

// CSRF returns the claim csrf of a token that was issued with [WithCSRF], or "". It is for the
// cookie that scripts read.
func (t IssuedToken) CSRF() string {
	if t.secret == nil {
		return ""
	}
	return t.secret.csrf
}

// ExpiresAt returns when the token expires, in UTC. The zero time means never.
func (t IssuedToken) ExpiresAt() time.Time { return t.expiresAt.Time() }

// ExpiresIn returns how long the token is valid from the moment of issue: the expires_in of RFC
// 6749, section 5.1. It is 0 for a token that never expires.
func (t IssuedToken) ExpiresIn() time.Duration {
	if t.expiresAt == payload.None {
		return 0
	}
	return time.Duration(t.expiresAt-t.issuedAt) * time.Millisecond
}

// String returns the token's type.
func (t IssuedToken) String() string { return redacted(t.typ) }

// Format prints as String does, for every verb.
func (t IssuedToken) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue logs as String does.
func (t IssuedToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// TokenPair is an access token and the refresh token of the same session.
type TokenPair struct{ Access, Refresh IssuedToken }
