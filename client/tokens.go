package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"time"
)

// Tokens are the tokens of a log-in. They print as a fixed text: fmt, slog and encoding/json never
// show them.
type Tokens struct {
	AccessToken string
	// RefreshToken is "" if there is none. The session then ends with the access token.
	RefreshToken string
	// Expires is the end of the access token. If it is zero, the token is used until the server
	// refuses it.
	Expires time.Time
	// Received is the time of the answer. It is used with Expires to refresh earlier.
	Received time.Time
}

const redactedTokens = "client.Tokens(redacted)"

// String returns a fixed text.
func (t Tokens) String() string { return redactedTokens }

// GoString returns a fixed text.
func (t Tokens) GoString() string { return redactedTokens }

// Format writes a fixed text.
func (t Tokens) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedTokens) }

// LogValue returns a fixed text.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(redactedTokens) }

// MarshalJSON returns a fixed text.
func (t Tokens) MarshalJSON() ([]byte, error) { return json.Marshal(redactedTokens) }

// maxEarly bounds how long before its end an access token is refreshed.
const maxEarly = 30 * time.Second

// fresh reports whether the access token is used without a refresh: it ends later than in 30 seconds,
// or in a tenth of its lifetime if that is less.
func (t *Tokens) fresh(now time.Time) bool {
	if t.AccessToken == "" {
		return false
	}
	early := maxEarly
	if !t.Received.IsZero() {
		early = min(early, t.Expires.Sub(t.Received)/10)
	}
	return t.Expires.IsZero() || now.Before(t.Expires.Add(-early))
}

// valid reports whether the access token has not ended.
func (t *Tokens) valid(now time.Time) bool {
	return t.AccessToken != "" && (t.Expires.IsZero() || now.Before(t.Expires))
}

// storedTokens are tokens as a keeper gets them.
type storedTokens struct {
	Access   string    `json:"access_token"`
	Refresh  string    `json:"refresh_token,omitempty"`
	Expires  time.Time `json:"expires_at,omitzero"`
	Received time.Time `json:"received_at,omitzero"`
}

func (t *Tokens) encode() ([]byte, error) {
	return json.Marshal(storedTokens{t.AccessToken, t.RefreshToken, t.Expires.UTC().Round(0), t.Received.UTC().Round(0)})
}

// decodeTokens reads what encode returned. Nothing is no tokens.
func decodeTokens(data []byte) (*Tokens, error) {
	if len(data) == 0 {
		return &Tokens{}, nil
	}
	var stored storedTokens
	if err := json.Unmarshal(data, &stored); err != nil || stored.Access == "" {
		// The error of the decoder could contain a part of a token.
		return nil, fmt.Errorf("client: what the keeper has is not tokens that this package saved; remove it and log in again")
	}
	return &Tokens{AccessToken: stored.Access, RefreshToken: stored.Refresh, Expires: stored.Expires, Received: stored.Received}, nil
}

// ParseTokens reads the answer of a log-in or of a refresh, JSON with the fields of RFC 6749, section
// 5.1. The lifetime of the access token counts from received. If the answer has no expires_in, and the
// access token is a JWT, the lifetime is the time from its claim iat to its claim exp. The error is
// [ErrUnexpectedAnswer].
func ParseTokens(answer []byte, received time.Time) (Tokens, error) {
	var fields struct {
		Access    string      `json:"access_token"`
		Refresh   string      `json:"refresh_token"`
		Type      string      `json:"token_type"`
		ExpiresIn json.Number `json:"expires_in"`
	}
	// The errors of the decoder could contain a part of a token.
	if err := json.Unmarshal(answer, &fields); err != nil {
		return Tokens{}, fmt.Errorf("%w: it is not JSON with the fields of RFC 6749, section 5.1", ErrUnexpectedAnswer)
	}
	switch {
	case fields.Access == "":
		return Tokens{}, fmt.Errorf("%w: it has no access_token", ErrUnexpectedAnswer)
	case fields.Type != "" && !strings.EqualFold(fields.Type, "Bearer"):
		return Tokens{}, fmt.Errorf("%w: its token_type is not Bearer", ErrUnexpectedAnswer)
	case !sendable(fields.Access) || !sendable(fields.Refresh):
		return Tokens{}, fmt.Errorf("%w: a token has characters that no header can carry", ErrUnexpectedAnswer)
	}
	tokens := Tokens{AccessToken: fields.Access, RefreshToken: fields.Refresh, Received: received}
	lifetime := lifetimeOf(fields.Access)
	if fields.ExpiresIn != "" {
		seconds, err := fields.ExpiresIn.Float64()
		if err != nil || seconds < 0 {
			return Tokens{}, fmt.Errorf("%w: its expires_in is not a number of seconds", ErrUnexpectedAnswer)
		}
		lifetime = secondsOf(seconds)
	}
	if lifetime > 0 || fields.ExpiresIn != "" {
		tokens.Expires = received.Add(lifetime)
	}
	return tokens, nil
}

// secondsOf returns a number of seconds as a duration, at most 100 years.
func secondsOf(seconds float64) time.Duration {
	const most = 100 * 365 * 24 * time.Hour
	return time.Duration(math.Min(seconds, most.Seconds()) * float64(time.Second))
}

// sendable reports whether a text can be sent in a header: visible ASCII and no space.
func sendable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// unverifiedClaims are claims of a token that the client reads without a check: the server verifies.
type unverifiedClaims struct {
	IssuedAt float64 `json:"iat"`
	Expires  float64 `json:"exp"`
	CSRF     string  `json:"csrf"`
}

// claimsOf reads claims of a JWT. It returns none for any other text.
func claimsOf(token string) unverifiedClaims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return unverifiedClaims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return unverifiedClaims{}
	}
	var claims unverifiedClaims
	if err := json.NewDecoder(bytes.NewReader(payload)).Decode(&claims); err != nil {
		return unverifiedClaims{}
	}
	return claims
}

// lifetimeOf returns the time from the claim iat of a JWT to its claim exp, or 0. The clock of the
// client does not matter for it.
func lifetimeOf(token string) time.Duration {
	claims := claimsOf(token)
	if claims.IssuedAt <= 0 || claims.Expires <= claims.IssuedAt {
		return 0
	}
	return secondsOf(claims.Expires - claims.IssuedAt)
}
