package security

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// Token is a verified token whose private claims have the type C. Only a [Verifier] makes one. Code
// generated from a document embeds it in a Go type for each token type, so that an access token in
// place of a refresh token does not compile. The methods of the zero Token return zero values, and
// every function that takes a token refuses it.
//
// A Token prints, logs and encodes as its type only.
type Token[C any] struct{ state *tokenState[C] }

// tokenState is shared by the copies of a token and never changes.
type tokenState[C any] struct {
	verifiedToken
	private C
}

// verifiedToken is the part of a token that does not depend on its private claims.
type verifiedToken struct {
	claims   *payload.Claims
	verifier *Verifier
	typ      string
	header   *decodedHeader
	// text is the token itself, if the verifier stores it.
	text string
	// places is where the blacklist has its entries, for a token that is cached, or nil.
	places *tokenPlaces
}

// identity is how the blacklist knows the token. It is not stored, because tokens whose claims no
// two requests share are made for each request.
func (t *verifiedToken) identity() blacklist.Identity { return t.verifier.identityOf(t.claims, t.typ) }

// generation returns the number of a refresh token within its session, or 0.
func (t *verifiedToken) generation() uint32 {
	if t.typ != refreshType {
		return 0
	}
	return payload.Generation(t.identity().Session, t.claims.ID)
}

// AnyToken is a verified token of any type: a [Token], or a generated type that embeds one.
type AnyToken interface {
	// Type returns the token type, such as "access" or "refresh".
	Type() string
	// Subject returns the principal of the token (sub; RFC 7519, section 4.1.2).
	Subject() string
	// ID returns the id of the token (jti; RFC 7519, section 4.1.7), or "".
	ID() string
	// Session returns the id of the session, which all tokens of one log-in share (sid), or "".
	Session() string
	// Generation returns the number of a refresh token within its session, from 1, which its id
	// contains if package session issued it. It is 0 for every other token.
	Generation() uint32
	// Issuer returns the issuer of the token (iss; RFC 7519, section 4.1.1).
	Issuer() string
	// Audience returns the audiences of the token (aud; RFC 7519, section 4.1.3).
	Audience() []string
	// ClientID returns the client that the token was issued to (client_id; RFC 9068, section 2.2),
	// or "".
	ClientID() string
	// ExpiresAt returns when the token expires (exp; RFC 7519, section 4.1.4), in UTC. The zero time
	// means never.
	ExpiresAt() time.Time
	// IssuedAt returns when the token was issued (iat; RFC 7519, section 4.1.6), in UTC.
	IssuedAt() time.Time
	// NotBefore returns from when on the token is valid (nbf; RFC 7519, section 4.1.5), in UTC, or
	// the zero time.
	NotBefore() time.Time
	// AuthTime returns when the subject last proved its identity (auth_time; RFC 9068, section
	// 2.2.1), in UTC, or the zero time. A log-in sets it and a refresh copies it. Times of tokens
	// that are issued here are whole seconds.
	AuthTime() time.Time
	// Fresh reports whether a log-in issued the token, not a refresh.
	Fresh() bool
	// CSRF returns the claim csrf of a token that was issued for a cookie, or "".
	CSRF() string
	// Roles returns a copy of the roles.
	Roles() []string
	// HasRole reports whether the token has the role. It does not allocate.
	HasRole(role string) bool
	// HasRoles reports whether the token has any role. It does not allocate.
	HasRoles() bool
	// Scopes returns a copy of the scopes (scope; RFC 8693, section 4.2).
	Scopes() []string
	// HasScope reports whether the token has the scope. It does not allocate.
	HasScope(scope string) bool
	// Identity returns how the blacklist knows the token.
	Identity() blacklist.Identity

	// verified returns what all token types share, or nil for the zero token.
	verified() *verifiedToken
	// untyped returns the Token that a generated type embeds.
	untyped() AnyToken
}

var errZeroToken = errors.New("security: the zero token is not a token")

// verifiedOf returns the contents of a token, or an error for nil and for the zero token.
func verifiedOf(token AnyToken) (*verifiedToken, error) {
	if isNil(token) { // an optional operation passes a nil pointer for anonymous callers
		return nil, errZeroToken
	}
	v := token.verified()
	if v == nil || v.claims == nil {
		return nil, errZeroToken
	}
	return v, nil
}

// isNil reports whether an interface holds nothing, a nil pointer or a nil function.
func isNil(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil()
}

func (t Token[C]) verified() *verifiedToken {
	if t.state == nil {
		return nil
	}
	return &t.state.verifiedToken
}

func (t Token[C]) untyped() AnyToken { return t }

// claims returns the claims, or empty ones for the zero token.
func (t Token[C]) claims() *payload.Claims {
	if t.state == nil {
		return &payload.Claims{}
	}
	return t.state.claims
}

// Type implements [AnyToken].
func (t Token[C]) Type() string {
	if t.state == nil {
		return ""
	}
	return t.state.typ
}

// Claims returns the private claims.
func (t Token[C]) Claims() C {
	if t.state == nil {
		var zero C
		return zero
	}
	return t.state.private
}

// Subject implements [AnyToken].
func (t Token[C]) Subject() string { return t.claims().Subject }

// ID implements [AnyToken].
func (t Token[C]) ID() string { return t.claims().ID }

// Session implements [AnyToken].
func (t Token[C]) Session() string { return t.claims().Session }

// Generation implements [AnyToken].
func (t Token[C]) Generation() uint32 {
	if t.state == nil {
		return 0
	}
	return t.state.generation()
}

// Issuer implements [AnyToken].
func (t Token[C]) Issuer() string { return t.claims().Issuer }

// Audience implements [AnyToken].
func (t Token[C]) Audience() []string { return slices.Clone(t.claims().Audience) }

// ClientID implements [AnyToken].
func (t Token[C]) ClientID() string { return t.claims().ClientID }

// ExpiresAt implements [AnyToken].
func (t Token[C]) ExpiresAt() time.Time { return t.claims().Expires.Time() }

// IssuedAt implements [AnyToken].
func (t Token[C]) IssuedAt() time.Time { return t.claims().Issued.Time() }

// NotBefore implements [AnyToken].
func (t Token[C]) NotBefore() time.Time { return t.claims().NotBefore.Time() }

// AuthTime implements [AnyToken].
func (t Token[C]) AuthTime() time.Time { return t.claims().AuthTime.Time() }

// Fresh implements [AnyToken].
func (t Token[C]) Fresh() bool { return t.claims().Fresh }

// CSRF implements [AnyToken].
func (t Token[C]) CSRF() string { return t.claims().CSRF }

// Roles implements [AnyToken].
func (t Token[C]) Roles() []string { return slices.Clone(t.claims().Roles) }

// Role returns the role of a token that has exactly one, or "".
func (t Token[C]) Role() string {
	if roles := t.claims().Roles; len(roles) == 1 {
		return roles[0]
	}
	return ""
}

// HasRole implements [AnyToken].
func (t Token[C]) HasRole(role string) bool { return slices.Contains(t.claims().Roles, role) }

// HasRoles implements [AnyToken].
func (t Token[C]) HasRoles() bool { return len(t.claims().Roles) > 0 }

// Scopes implements [AnyToken].
func (t Token[C]) Scopes() []string { return slices.Clone(t.claims().Scopes) }

// HasScope implements [AnyToken].
func (t Token[C]) HasScope(scope string) bool { return slices.Contains(t.claims().Scopes, scope) }

// PublicClaims returns the public claims as a tree, in the form that [WithPublicClaims] takes:
// objects are map[string]any, numbers are float64. Each call returns a new tree. Where one claim is
// a leaf and another a branch of the same path, one of them is left out.
func (t Token[C]) PublicClaims() map[string]any { return t.claims().Tree() }

// Header returns the JOSE header of the token (RFC 7515, section 4), as a new map with each call:
// numbers are float64.
func (t Token[C]) Header() map[string]any {
	if t.state == nil || t.state.header == nil {
		return nil
	}
	text, err := jose.Base64URL.DecodeString(t.state.header.segment)
	if err != nil {
		return nil
	}
	var members map[string]any
	if json.Unmarshal(text, &members) != nil {
		return nil
	}
	return members
}

// Text returns the token itself, for a service that forwards it, if the verifier has
// [WithTokenText], and "" otherwise. Never log it.
func (t Token[C]) Text() string {
	if t.state == nil {
		return ""
	}
	return t.state.text
}

// Identity implements [AnyToken].
func (t Token[C]) Identity() blacklist.Identity {
	if t.state == nil {
		return blacklist.Identity{}
	}
	return t.state.identity()
}

// String returns the token's type. No method prints more of the token.
func (t Token[C]) String() string { return redacted(t.Type()) }

// Format prints as String does, for every verb.
func (t Token[C]) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue logs as String does.
func (t Token[C]) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText encodes as String does.
func (t Token[C]) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func redacted(typ string) string {
	if typ == "" {
		return "[no token]"
	}
	return "[" + typ + " token]"
}
