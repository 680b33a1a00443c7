//go:build ignore

package security

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Defaults of an issuer.
const (
	// DefaultAccessLifetime is how long an access token is valid.
	DefaultAccessLifetime = 15 * time.Minute
	// DefaultSessionLifetime is how long a session can be refreshed; no token of it is valid beyond.
	DefaultSessionLifetime = 30 * 24 * time.Hour
)

// Issuer issues the tokens that one [Verifier] accepts, in the layout of RFC 9068. It is safe for concurrent use.
type Issuer struct {
	verifier        *Verifier
	accessLifetime  time.Duration
	sessionLifetime time.Duration
	logger          *slog.Logger
}

// IssuerOption changes an issuer.
type IssuerOption func(*Issuer) error

// WithAccessLifetime sets how long access tokens are valid, 15 minutes by default.
func WithAccessLifetime(d time.Duration) IssuerOption {
	return func(i *Issuer) error {
		i.accessLifetime = d
		return i.verifier.checkLifetime(d)
	}
}

// WithSessionLifetime sets how long a session lasts, 30 days by default. It is absolute: refreshing does not prolong it.
// A refresh token is valid to the end of its session.
func WithSessionLifetime(d time.Duration) IssuerOption {
	return func(i *Issuer) error {
		i.sessionLifetime = d
		return i.verifier.checkLifetime(d)
	}
}

// WithIssuanceLogger sets where the issuer logs that a session began or was continued, with the session's id hashed as the validator
// hashes it. The default is to log nothing.
func WithIssuanceLogger(logger *slog.Logger) IssuerOption {
	return func(i *Issuer) error {
		if logger == nil {
			return errors.New("security: WithIssuanceLogger needs a logger")
		}
		i.logger = logger
		return nil
	}
}

func (v *Verifier) checkLifetime(d time.Duration) error {
	if d < time.Millisecond || d > v.maxLifetime {
		return fmt.Errorf("security: a lifetime is positive and at most what the verifier accepts (%s; see WithMaxLifetime)", v.maxLifetime)
	}
	return nil
}

// NewIssuer makes an issuer of tokens for the verifier. Its key set needs a key that signs.
func NewIssuer(verifier *Verifier, options ...IssuerOption) (*Issuer, error) {
	if verifier == nil || verifier.keys == nil {
		return nil, errors.New("security: an issuer needs a verifier; make one with NewVerifier")
	}
	if verifier.layout.foreign {
		return nil, errors.New("security: tokens of an identity provider are not issued here")
	}
	if keys, err := verifier.keys.current(); err != nil {
		return nil, err
	} else if keys.signing == nil {
		return nil, errNoSigningKey
	}
	i := &Issuer{
		verifier:        verifier,
		accessLifetime:  min(DefaultAccessLifetime, verifier.maxLifetime),
		sessionLifetime: min(DefaultSessionLifetime, verifier.maxLifetime),
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("security: a nil option")
		}
		if err := option(i); err != nil {
			return nil, err
		}
	}
	return i, nil
}

var errNoSigningKey = errors.New("security: no key of the verifier can sign")

// IssuedToken is a token to hand to a client. It prints and logs redacted: only Text returns its text.
type IssuedToken struct {
	secret    *issuedSecret
	id        string
	session   string
	typ       string
	issuedAt  instant
	expiresAt instant
}

// Text returns the token itself, in compact serialization (RFC 7515, section 3.1). Responses that carry it say
// Cache-Control: no-store (RFC 6749, section 5.1).
func (t IssuedToken) Text() string {
	if t.secret == nil {
		return ""
	}
	return t.secret.text
}

// issuedSecret is behind two pointers, because fmt follows one where it prints a field without asking its type.
type issuedSecret struct{ *issuedText }

type issuedText struct{ text, csrf string }

// ID returns the token's id (jti).
func (t IssuedToken) ID() string { return t.id }

// Session returns the id of the token's session (sid).
func (t IssuedToken) Session() string { return t.session }

// CSRF returns the claim csrf of a token that was issued with [WithCSRF], or "". It is for the cookie that scripts read.
func (t IssuedToken) CSRF() string {
	if t.secret == nil {
		return ""
	}
	return t.secret.csrf
}

// ExpiresAt returns when the token expires, in UTC; the zero time is never.
func (t IssuedToken) ExpiresAt() time.Time { return t.expiresAt.Time() }

// ExpiresIn returns how long the token is valid from the moment it was issued, the expires_in of RFC 6749, section 5.1; 0 for a token
// that never expires.
func (t IssuedToken) ExpiresIn() time.Duration {
	if t.expiresAt == none {
		return 0
	}
	return time.Duration(t.expiresAt-t.issuedAt) * time.Millisecond
}

// String returns the token's type.
func (t IssuedToken) String() string { return redacted(t.typ) }

// Format prints as String does, whatever the verb.
func (t IssuedToken) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue logs as String does.
func (t IssuedToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// TokenPair is an access token and the refresh token of the same session.
type TokenPair struct{ Access, Refresh IssuedToken }

// TokenOption says more of a token to issue. An option that cannot hold is an error of the call that takes it.
type TokenOption func(*tokenRequest) error

// tokenRequest is a token to issue, as the options say.
type tokenRequest struct {
	claims
	lifetime  time.Duration
	wantsCSRF bool
	noExpiry  bool
	// logged says that the other token of the pair was logged.
	logged bool
	// ownStart says that the start of the session was set.
	ownStart bool
	// publicTree are the public claims.
	publicTree map[string]any
	// parent is the token that the session is continued from.
	parent *verified
}

// WithRoles sets the token's roles (roles; RFC 9068, section 2.2.3.1).
func WithRoles(roles ...string) TokenOption {
	return func(r *tokenRequest) error {
		r.roles = slices.Clone(roles)
		if slices.Contains(roles, "") {
			return errors.New("security: a role is empty")
		}
		return nil
	}
}

// WithScopes sets the token's scopes (scope; RFC 9068, section 2.2.3). A scope has no white space (RFC 6749, section 3.3).
func WithScopes(scopes ...string) TokenOption {
	return func(r *tokenRequest) error {
		r.scopes = slices.Clone(scopes)
		for _, scope := range scopes {
			if !validScope(scope) {
				return errors.New("security: a scope is outside the grammar of RFC 6749, section 3.3")
			}
		}
		return nil
	}
}

// validScope reports whether s is a scope-token of RFC 6749, section 3.3.
func validScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' })
}

// WithFresh marks the access token as fresh: issued because the subject just proved who it is. It has no effect on
// other types of token, and contradicts Continue.
func WithFresh() TokenOption {
	return func(r *tokenRequest) error { r.fresh = true; return nil }
}

// WithCSRF gives every token of the call a claim csrf, as tokens in cookies need: requests that change something repeat it in a
// header.
func WithCSRF() TokenOption {
	return func(r *tokenRequest) error { r.wantsCSRF = true; return nil }
}

// WithClientID sets the client that the token is issued to (client_id; RFC 9068, section 2.2).
func WithClientID(id string) TokenOption {
	return func(r *tokenRequest) error { r.clientID = id; return nil }
}

// WithLifetime sets how long the token is valid, instead of the issuer's own lifetime. Of a pair it is the access token.
// No token outlives its session.
func WithLifetime(d time.Duration) TokenOption {
	return func(r *tokenRequest) error {
		r.lifetime = d
		if d < time.Millisecond {
			return errors.New("security: a lifetime is positive")
		}
		return nil
	}
}

// WithoutExpiry issues a token that never expires. Its verifier has to accept such tokens, see [WithNeverExpiring]. Of a pair it is the
// access token.
func WithoutExpiry() TokenOption {
	return func(r *tokenRequest) error { r.noExpiry = true; return nil }
}

// WithID sets the token's id (jti; RFC 7519, section 4.1.7) instead of a random one of 128 bits. Two tokens of one id are one token to
// the blacklist, and a pair of one id is an error.
func WithID(id string) TokenOption {
	return func(r *tokenRequest) error {
		r.id = id
		if id == "" {
			return errors.New("security: an id is not empty")
		}
		return nil
	}
}

// WithNotBefore sets when the token's time begins (nbf). The default is when it is issued.
func WithNotBefore(t time.Time) TokenOption {
	return func(r *tokenRequest) error { r.notBefore = instantOf(t); return nil }
}

// WithSessionStart sets when the session began (auth_time), for a login that happened elsewhere or that has to begin
// after a cut-off of [Validator.RevokeSubject]. The default is now. It contradicts Continue.
func WithSessionStart(t time.Time) TokenOption {
	return func(r *tokenRequest) error { r.authTime, r.ownStart = instantOf(t), true; return nil }
}

// Continue issues tokens of the session of an earlier token, as refreshing does: they share its session, its
// authentication time and its end, and they are not fresh. Without it every call begins a new session.
func Continue(token AnyToken) TokenOption {
	return func(r *tokenRequest) error {
		parent, err := verifiedOf(token)
		if err != nil {
			return err
		}
		if parent.session() == "" {
			return errors.New("security: Continue needs a token of a session")
		}
		r.parent = parent
		return nil
	}
}

// Access issues an access token. The claims are the private claims: nil, or a value that marshals to a JSON object
// without reserved names. Code generated from the document has a method that takes them in their own type.
func (i *Issuer) Access(ctx context.Context, subject string, claims any, options ...TokenOption) (IssuedToken, error) {
	return i.Issue(ctx, NewTokenType[NoClaims](accessType), subject, claims, options...)
}

// Refresh issues a refresh token.
func (i *Issuer) Refresh(ctx context.Context, subject string, claims any, options ...TokenOption) (IssuedToken, error) {
	return i.Issue(ctx, NewTokenType[NoClaims](refreshType), subject, claims, options...)
}

// Pair issues an access token and the refresh token of the same session. Options on roles, scopes, the client and the
// session hold for both, those on freshness, lifetime and the beginning of its time for the access token.
func (i *Issuer) Pair(ctx context.Context, subject string, accessClaims, refreshClaims any, options ...TokenOption) (TokenPair, error) {
	request, err := i.request(ctx, subject, options)
	if err != nil {
		return TokenPair{}, err
	}
	if request.id != "" {
		return TokenPair{}, errors.New("security: the tokens of a pair have different ids; WithID is for a single token")
	}
	access, err := i.sign(ctx, NewTokenType[NoClaims](accessType), request, accessClaims)
	if err != nil {
		return TokenPair{}, err
	}
	request.logged = true
	request.lifetime, request.noExpiry, request.notBefore = 0, false, request.issued
	refresh, err := i.sign(ctx, NewTokenType[NoClaims](refreshType), request, refreshClaims)
	if err != nil {
		return TokenPair{}, err
	}
	return TokenPair{Access: access, Refresh: refresh}, nil
}

// Issue issues a token of the given type.
func (i *Issuer) Issue(ctx context.Context, typ TokenType, subject string, claims any, options ...TokenOption) (IssuedToken, error) {
	if typ == nil || !validTypeName(typ.Name()) {
		return IssuedToken{}, errors.New("security: a token type has a name of lower-case letters, digits and dashes")
	}
	request, err := i.request(ctx, subject, options)
	if err != nil {
		return IssuedToken{}, err
	}
	return i.sign(ctx, typ, request, claims)
}

// request collects what the options say and fills in the rest.
func (i *Issuer) request(ctx context.Context, subject string, options []TokenOption) (tokenRequest, error) {
	if i.verifier == nil {
		return tokenRequest{}, errors.New("security: the issuer was not made by NewIssuer")
	}
	if err := ctx.Err(); err != nil {
		return tokenRequest{}, err
	}
	now := instantOf(i.verifier.now())
	r := tokenRequest{claims: claims{
		issuer: i.verifier.issuer, audience: i.verifier.audience, subject: subject, issued: now, notBefore: now,
	}}
	for _, option := range options {
		if option == nil {
			return r, errors.New("security: a nil option")
		}
		if err := option(&r); err != nil {
			return r, err
		}
	}
	if r.parent == nil {
		r.session = rand.Text()
		if r.authTime == none {
			r.authTime = now
		}
	} else {
		if r.fresh || r.authTime != none {
			return r, errors.New("security: a continued session has the freshness and the start of its login; WithFresh and WithSessionStart contradict Continue")
		}
		if r.parent.claims.subject != subject {
			return r, errors.New("security: a continued session belongs to its subject")
		}
		if r.parent.verifier != i.verifier {
			return r, errors.New("security: a continued session belongs to the issuer that began it")
		}
		r.session, r.authTime = r.parent.session(), r.parent.claims.sessionStart()
	}
	if r.ownStart && i.verifier.layout.wholeSeconds {
		// Up, not down like other times: it may have been chosen to be after a cut-off.
		r.authTime = (r.authTime + 999) / 1000 * 1000
	}
	return r, r.check()
}

// check refuses what could not be read back.
func (r *tokenRequest) check() error {
	if r.subject == "" {
		return errors.New("security: a token needs a subject")
	}
	for _, s := range slices.Concat([]string{r.subject, r.clientID, r.id}, r.roles) {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return errors.New("security: subject, client, id and roles are UTF-8 without NUL")
		}
	}
	if r.authTime < 1 || r.authTime > maxInstant || r.notBefore < 1 || r.notBefore > maxInstant {
		return errors.New("security: a time is not between 1970 and 9999")
	}
	return nil
}

// sign writes one token of the request.
func (i *Issuer) sign(ctx context.Context, typ TokenType, r tokenRequest, private any) (IssuedToken, error) {
	keys, err := i.verifier.keys.current()
	if err != nil {
		return IssuedToken{}, err
	}
	key := keys.signing
	if key == nil {
		return IssuedToken{}, errNoSigningKey
	}
	if err := i.setExpiry(typ, &r); err != nil {
		return IssuedToken{}, err
	}
	profile := &i.verifier.layout
	if err := profile.prepare(&r.claims, typ); err != nil {
		return IssuedToken{}, err
	}
	r.fresh = r.fresh && typ.Name() == accessType
	r.id = cmp.Or(r.id, rand.Text())
	if r.wantsCSRF {
		r.csrf = rand.Text()
	}

	var extra []byte
	if private != nil {
		var err error
		if extra, err = json.Marshal(private, json.Deterministic(true)); err != nil {
			return IssuedToken{}, fmt.Errorf("security: the private claims cannot be written: %w", err)
		}
	}
	if r.public, err = profile.flatten(r.publicTree); err != nil {
		return IssuedToken{}, err
	}
	payload, err := r.claims.encode(profile, extra)
	if err != nil {
		return IssuedToken{}, err
	}
	text := profile.header(key, typ) + "." + base64url.EncodeToString(payload)
	signature, err := key.method.Sign(text, key.sign)
	if err != nil {
		return IssuedToken{}, errors.New("security: the key could not sign")
	}
	text += "." + base64url.EncodeToString(signature)
	if len(text) > i.verifier.maxSize {
		return IssuedToken{}, fmt.Errorf("security: the token has %d bytes, more than its verifier accepts (%d; see WithMaxTokenSize)", len(text), i.verifier.maxSize)
	}
	if i.logger != nil && !r.logged {
		message := "session began"
		if r.parent != nil {
			message = "session continued"
		}
		id := blacklist.Identity{Verifier: i.verifier.name, Subject: r.subject, Session: r.session}
		audit(ctx, i.logger, slog.LevelInfo, message, blacklist.Session, id)
	}
	return IssuedToken{
		secret: &issuedSecret{&issuedText{text, r.csrf}}, id: r.id, session: r.session, typ: typ.Name(), issuedAt: r.issued, expiresAt: r.expires,
	}, nil
}

// setExpiry sets when the token expires. The end of the session caps every token of it, so that refreshing prolongs nothing.
func (i *Issuer) setExpiry(typ TokenType, r *tokenRequest) error {
	if r.noExpiry {
		if r.parent != nil && r.parent.claims.expires != none {
			return errors.New("security: a token without an expiry would outlive the session that it continues")
		}
		if !i.verifier.neverExpiring {
			return errors.New("security: the verifier accepts no tokens without an expiry; see WithNeverExpiring")
		}
		r.expires = none
		return nil
	}
	lifetime := r.lifetime
	if lifetime == 0 {
		lifetime = i.accessLifetime
		if typ.Name() == refreshType {
			lifetime = i.sessionLifetime
		}
	}
	r.expires = min(r.issued.add(lifetime), r.authTime.add(i.sessionLifetime))
	if r.parent != nil && r.parent.typ == refreshType && r.parent.claims.expires != none {
		r.expires = min(r.expires, r.parent.claims.expires)
	}
	if r.expires <= r.issued {
		return because(ErrTokenExpired, "the session is over")
	}
	if r.expires > r.issued.add(i.verifier.maxLifetime) {
		return i.verifier.checkLifetime(lifetime)
	}
	return nil
}
