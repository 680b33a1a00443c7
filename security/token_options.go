package security

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// TokenOption changes a token that is issued. An option that cannot hold is an error of the call.
type TokenOption func(*tokenRequest) error

// tokenRequest is a token to issue.
type tokenRequest struct {
	payload.Claims
	lifetime  time.Duration
	wantsCSRF bool
	noExpiry  bool
	// noNotBefore leaves nbf out.
	noNotBefore bool
	// header are additional members of the JOSE header, each behind a comma.
	header []byte
	// publicTree are the public claims.
	publicTree map[string]any
	// parent is the token whose session continues, or nil for a new session.
	parent *verifiedToken
	// state is the session that package session keeps, or nil.
	state *SessionState
}

// WithRoles sets the token's roles (roles; RFC 9068, section 2.2.3.1).
func WithRoles(roles ...string) TokenOption {
	return func(r *tokenRequest) error {
		r.Roles = slices.Clone(roles)
		if slices.Contains(roles, "") {
			return errors.New("security: a role is empty")
		}
		return nil
	}
}

// WithScopes sets the token's scopes (scope; RFC 9068, section 2.2.3). A scope has no white space
// (RFC 6749, section 3.3).
func WithScopes(scopes ...string) TokenOption {
	return func(r *tokenRequest) error {
		r.Scopes = slices.Clone(scopes)
		for _, scope := range scopes {
			if !payload.ValidScope(scope) {
				return errors.New("security: a scope is outside the grammar of RFC 6749, section 3.3")
			}
		}
		return nil
	}
}

// WithFresh marks the access token as fresh: the subject has just proved its identity. It has no
// effect on other token types, and contradicts [WithSession].
func WithFresh() TokenOption {
	return func(r *tokenRequest) error { r.Fresh = true; return nil }
}

// WithCSRF gives every token of the call a claim csrf, which tokens in cookies need: a request that
// changes something repeats it in a header.
func WithCSRF() TokenOption {
	return func(r *tokenRequest) error { r.wantsCSRF = true; return nil }
}

// WithClientID sets the client that the token is issued to (client_id; RFC 9068, section 2.2).
func WithClientID(id string) TokenOption {
	return func(r *tokenRequest) error { r.ClientID = id; return nil }
}

// WithLifetime sets how long the token is valid, in place of the issuer's lifetime. In a pair it is
// for the access token. No token outlives its session.
func WithLifetime(d time.Duration) TokenOption {
	return func(r *tokenRequest) error {
		r.lifetime = d
		if d < time.Second {
			return errors.New("security: a lifetime is at least a second")
		}
		return nil
	}
}

// WithoutExpiry issues a token that never expires. Its verifier must accept such tokens, see
// [WithNeverExpiring]. In a pair it is for the access token.
func WithoutExpiry() TokenOption {
	return func(r *tokenRequest) error { r.noExpiry = true; return nil }
}

// WithID sets the token's id (jti; RFC 7519, section 4.1.7). The default is random, with 128 bits.
// To the blacklist two tokens with one id are one token, so a pair with it is an error.
func WithID(id string) TokenOption {
	return func(r *tokenRequest) error {
		r.ID = id
		if id == "" {
			return errors.New("security: an id is not empty")
		}
		return nil
	}
}

// WithNotBefore sets from when on the token is valid (nbf), in whole seconds. The default is the
// moment of issue.
func WithNotBefore(t time.Time) TokenOption {
	return func(r *tokenRequest) error {
		r.NotBefore, r.noNotBefore = payload.InstantOf(t).Seconds(), false
		return nil
	}
}

// WithoutNotBefore leaves nbf out.
func WithoutNotBefore() TokenOption {
	return func(r *tokenRequest) error { r.noNotBefore = true; return nil }
}

// WithHeader adds a member to the JOSE header (RFC 7515, section 4.3). The members that decide over
// a token (alg, kid, typ, crit and the others that RFC 7515, RFC 7516 and RFC 7797 define) are an
// error.
func WithHeader(name string, value any) TokenOption {
	return func(r *tokenRequest) error {
		if name == "" || jose.IsRegisteredHeader(name) {
			return errors.New("security: WithHeader needs a name that no RFC defines for the JOSE header")
		}
		text, err := json.Marshal(value, json.Deterministic(true))
		if err != nil {
			return errors.New("security: the value of a header cannot be written as JSON")
		}
		quoted, err := jsontext.AppendQuote(nil, name)
		if err != nil {
			return errors.New("security: the name of a header is not UTF-8")
		}
		r.header = append(append(append(append(r.header, ','), quoted...), ':'), text...)
		return nil
	}
}

// WithSessionStart sets when the session began, to the millisecond (the private claim session_start;
// auth_time is its second): for a log-in that happened elsewhere, or for one that must begin after a
// cut-off of [Validator.RevokeSubject]. The default is now. It contradicts [WithSession].
func WithSessionStart(t time.Time) TokenOption {
	return func(r *tokenRequest) error { r.Start = payload.InstantOf(t); return nil }
}

// WithSession issues tokens of the session of an earlier token, as a refresh does. They share its
// session id, its authentication time and its end, and they are not fresh. Without it each call
// begins a new session.
func WithSession(token AnyToken) TokenOption {
	return func(r *tokenRequest) error {
		parent, err := verifiedOf(token)
		if err != nil {
			return err
		}
		if parent.identity().Session == "" {
			return errors.New("security: WithSession needs a token of a session")
		}
		r.parent = parent
		return nil
	}
}

// SessionState is a session that the application keeps in a store. Package session does that.
type SessionState struct {
	// ID is the session id (sid).
	ID string
	// Start is when the session began; auth_time is its second.
	Start time.Time
	// End is when the session ends. No token outlives it. The zero time is the end that the issuer
	// gives to sessions.
	End time.Time
	// CSRF is the claim csrf of all tokens of the session, or "".
	CSRF string
	// Fresh marks an access token as fresh: a log-in issues it, not a refresh.
	Fresh bool
}

// WithSessionState issues tokens of a session that the application keeps. It contradicts
// [WithSession] and [WithSessionStart]. The freshness and the claim csrf are those of the session:
// [WithFresh] has no effect, and [WithCSRF] contradicts a session without one.
func WithSessionState(state SessionState) TokenOption {
	return func(r *tokenRequest) error {
		if state.ID == "" || state.Start.IsZero() {
			return errors.New("security: a session has an id and a start")
		}
		r.state = &state
		return nil
	}
}

// WithIssuedAt sets when the token was issued (iat and, by default, nbf), in whole seconds: to issue
// the same token again. The default is now.
func WithIssuedAt(t time.Time) TokenOption {
	return func(r *tokenRequest) error {
		at := payload.InstantOf(t).Seconds()
		if r.NotBefore == r.Issued {
			r.NotBefore = at
		}
		r.Issued = at
		return nil
	}
}

// WithPublicClaims sets public claims (RFC 7519, section 4.2): a tree of objects whose leaves are
// any JSON. Each leaf is written under the verifier's namespace and its path, such as
// https://claims.example.com/user/name. Empty objects are left out. The verifier needs
// [WithPublicNamespace]. A name in the tree has no slash and is not empty.
func WithPublicClaims(tree map[string]any) TokenOption {
	return func(r *tokenRequest) error { r.publicTree = tree; return nil }
}

// check refuses what no verifier could read back.
func (r *tokenRequest) check() error {
	if r.Subject == "" {
		return errors.New("security: a token needs a subject")
	}
	for _, s := range slices.Concat([]string{r.Subject, r.ClientID, r.ID, r.Session}, r.Roles) {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return errors.New("security: subject, client, id and roles are UTF-8 without NUL")
		}
	}
	if !validTime(r.Start) || !validTime(r.AuthTime) || !validTime(r.Issued) || !r.noNotBefore && !validTime(r.NotBefore) {
		return errors.New("security: a time is not between 1970 and 9999")
	}
	return nil
}

func validTime(i payload.Instant) bool { return i > payload.None && i <= payload.MaxInstant }
