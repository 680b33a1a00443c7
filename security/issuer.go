package security

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Defaults of an issuer.
const (
	// DefaultAccessLifetime is how long an access token is valid.
	DefaultAccessLifetime = 15 * time.Minute
	// DefaultSessionLifetime is how long a session can be refreshed. No token is valid after its end.
	DefaultSessionLifetime = 30 * 24 * time.Hour
)

// Token types with a special meaning.
const (
	accessType  = payload.Access
	refreshType = payload.Refresh
)

// Issuer issues the tokens that one [Verifier] accepts, in the layout of that verifier. It is safe
// for concurrent use.
type Issuer struct {
	verifier        *Verifier
	keys            keys.SigningSource
	layout          payload.Encoder
	accessLifetime  time.Duration
	sessionLifetime time.Duration
	defaults        []TokenOption
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

// WithSessionLifetime sets how long a session lasts, 30 days by default. It is absolute: a refresh
// does not prolong it. A refresh token is valid to the end of its session.
func WithSessionLifetime(d time.Duration) IssuerOption {
	return func(i *Issuer) error {
		i.sessionLifetime = d
		return i.verifier.checkLifetime(d)
	}
}

// WithTokenDefaults sets options of every token of the issuer, such as WithClientID or
// WithoutNotBefore. An option of a call comes after them. An option that cannot hold is an error
// here, and so is one for a single token or session, such as WithID.
func WithTokenDefaults(options ...TokenOption) IssuerOption {
	return func(i *Issuer) error {
		i.defaults = append(i.defaults, options...)
		var r tokenRequest
		if err := applyTokenOptions(&r, options); err != nil {
			return err
		}
		if r.ID != "" || r.parent != nil || r.state != nil || r.Start != payload.None {
			return errors.New("security: an id and a session are for one call; they are no defaults of all tokens")
		}
		return nil
	}
}

func applyTokenOptions(r *tokenRequest, options []TokenOption) error {
	for _, option := range options {
		if option == nil {
			return errNilOption
		}
		if err := option(r); err != nil {
			return err
		}
	}
	return nil
}

func (v *Verifier) checkLifetime(d time.Duration) error {
	if d < time.Second || d > v.maxLifetime {
		return fmt.Errorf("security: a lifetime is at least a second and at most what the verifier accepts (%s; see WithMaxLifetime)", v.maxLifetime)
	}
	return nil
}

// Verifier returns the verifier of the issuer's tokens.
func (i *Issuer) Verifier() *Verifier { return i.verifier }

// SessionLifetime returns how long a session lasts; see [WithSessionLifetime].
func (i *Issuer) SessionLifetime() time.Duration { return i.sessionLifetime }

// AccessLifetime returns how long an access token is valid; see [WithAccessLifetime].
func (i *Issuer) AccessLifetime() time.Duration { return i.accessLifetime }

// RefreshTokenID returns the id of the refresh token that is the generation of the session, in the
// form that the layout demands. [AnyToken].Generation reads it back.
func (i *Issuer) RefreshTokenID(session string, generation uint32) string {
	return i.layout.GenerationID(session, generation)
}

// NewIssuer makes an issuer of tokens for the verifier. The keys of the verifier must be able to
// sign, and its layout must not be that of an identity provider.
func NewIssuer(verifier *Verifier, options ...IssuerOption) (*Issuer, error) {
	if verifier == nil || verifier.keys == nil {
		return nil, errors.New("security: an issuer needs a verifier; make one with NewVerifier")
	}
	layout, ok := verifier.layout.(payload.Encoder)
	if !ok {
		return nil, errors.New("security: the layout of the verifier is read and not written: the identity provider issues its tokens")
	}
	source, ok := verifier.keys.(keys.SigningSource)
	if !ok {
		return nil, fmt.Errorf("security: the key source of the verifier cannot sign: %w", keys.ErrNoSigningKey)
	}
	// A source that chooses the key by the context may have none here.
	if _, err := source.SigningKey(context.Background()); errors.Is(err, keys.ErrNoSigningKey) {
		return nil, fmt.Errorf("security: an issuer needs a key that signs: %w", err)
	}
	i := &Issuer{
		verifier: verifier, keys: source, layout: layout,
		accessLifetime:  min(DefaultAccessLifetime, verifier.maxLifetime),
		sessionLifetime: min(DefaultSessionLifetime, verifier.maxLifetime),
	}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(i); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// IssueAccessToken issues an access token. claims are the private claims: nil, or a value that
// marshals to a JSON object without reserved names. Generated code has a method that takes them in
// their Go type. Without [WithSession] a new session begins.
func (i *Issuer) IssueAccessToken(ctx context.Context, subject string, claims any, options ...TokenOption) (IssuedToken, error) {
	return i.Issue(ctx, NewTokenType[NoClaims](accessType), subject, claims, options...)
}

// IssueRefreshToken issues a refresh token. Without [WithSession] a new session begins.
func (i *Issuer) IssueRefreshToken(ctx context.Context, subject string, claims any, options ...TokenOption) (IssuedToken, error) {
	return i.Issue(ctx, NewTokenType[NoClaims](refreshType), subject, claims, options...)
}

// IssueTokenPair issues an access token and the refresh token of the same session. The options for
// the client, the session and the header are for both tokens. Those for roles, scopes, freshness,
// lifetime and the start of validity are for the access token.
func (i *Issuer) IssueTokenPair(ctx context.Context, subject string, accessClaims, refreshClaims any, options ...TokenOption) (TokenPair, error) {
	return i.IssueTokenPairOf(ctx, NewTokenType[NoClaims](accessType), NewTokenType[NoClaims](refreshType), subject, accessClaims, refreshClaims, options...)
}

// IssueTokenPairOf is [Issuer.IssueTokenPair] for types of the names "access" and "refresh" that have
// a schema of their private claims; see [TokenType.WithSchema].
func (i *Issuer) IssueTokenPairOf(ctx context.Context, accessTyp, refreshTyp TokenType, subject string, accessClaims, refreshClaims any, options ...TokenOption) (TokenPair, error) {
	if accessTyp == nil || refreshTyp == nil || accessTyp.Name() != accessType || refreshTyp.Name() != refreshType {
		return TokenPair{}, errors.New("security: a pair is an access token and a refresh token")
	}
	r, err := i.newRequest(ctx, subject, options)
	if err != nil {
		return TokenPair{}, err
	}
	if r.ID != "" {
		return TokenPair{}, errors.New("security: the tokens of a pair have different ids; WithID is for a single token")
	}
	access, err := i.issue(ctx, accessTyp, r, accessClaims)
	if err != nil {
		return TokenPair{}, err
	}
	r.lifetime, r.noExpiry = 0, false
	if !r.noNotBefore {
		r.NotBefore = r.Issued
	}
	r.Roles, r.Scopes = nil, nil
	refresh, err := i.issue(ctx, refreshTyp, r, refreshClaims)
	if err != nil {
		return TokenPair{}, err
	}
	i.logSession(ctx, &r)
	return TokenPair{Access: access, Refresh: refresh}, nil
}

// Issue issues a token of the given type.
func (i *Issuer) Issue(ctx context.Context, typ TokenType, subject string, claims any, options ...TokenOption) (IssuedToken, error) {
	if typ == nil || !payload.ValidTypeName(typ.Name()) {
		return IssuedToken{}, errors.New("security: a token type has a name of lower-case letters, digits and dashes")
	}
	r, err := i.newRequest(ctx, subject, options)
	if err != nil {
		return IssuedToken{}, err
	}
	token, err := i.issue(ctx, typ, r, claims)
	if err == nil {
		i.logSession(ctx, &r)
	}
	return token, err
}

// newRequest applies the options and fills in the rest.
func (i *Issuer) newRequest(ctx context.Context, subject string, options []TokenOption) (tokenRequest, error) {
	if i.verifier == nil {
		return tokenRequest{}, errors.New("security: the issuer was not made by NewIssuer")
	}
	if err := ctx.Err(); err != nil {
		return tokenRequest{}, err
	}
	now := payload.InstantOf(i.verifier.now())
	r := tokenRequest{Claims: payload.Claims{
		// Whole seconds: verifiers of others refuse fractions, or take the token for one of the future.
		Issuer: i.verifier.issuer, Subject: subject, Issued: now.Seconds(), NotBefore: now.Seconds(),
	}}
	if err := applyTokenOptions(&r, slices.Concat(i.defaults, options)); err != nil {
		return r, err
	}
	if err := i.setSession(&r, now); err != nil {
		return r, err
	}
	if r.noNotBefore {
		r.NotBefore = payload.None
	}
	return r, r.check()
}

// setSession begins a session, or continues that of the parent.
func (i *Issuer) setSession(r *tokenRequest, now payload.Instant) error {
	switch {
	case r.state != nil && (r.parent != nil || r.Start != payload.None || r.wantsCSRF && r.state.CSRF == ""):
		return errors.New("security: WithSessionState contradicts WithSession and WithSessionStart, and has the claim csrf itself")
	case r.state != nil:
		r.Session, r.Start, r.CSRF = r.state.ID, payload.InstantOf(r.state.Start), r.state.CSRF
		r.Fresh = r.state.Fresh
		r.AuthTime = r.Start.Seconds()
		return nil
	case r.parent == nil:
		r.Session, r.Start = rand.Text(), cmp.Or(r.Start, now)
		r.AuthTime = r.Start.Seconds()
		return nil
	case r.Fresh || r.Start != payload.None:
		return errors.New("security: a continued session has the freshness and the start of its log-in; WithFresh and WithSessionStart contradict WithSession")
	case r.parent.claims.Subject != r.Subject:
		return errors.New("security: a continued session belongs to its subject")
	case r.parent.verifier != i.verifier:
		return errors.New("security: a continued session belongs to the issuer that began it")
	}
	r.Session, r.Start = r.parent.identity().Session, r.parent.claims.SessionStart()
	r.AuthTime = cmp.Or(r.parent.claims.AuthTime, r.Start.Seconds())
	return nil
}

// issue completes, writes and signs one token of the request.
func (i *Issuer) issue(ctx context.Context, typ TokenType, r tokenRequest, private any) (IssuedToken, error) {
	if err := i.setExpiry(typ, &r); err != nil {
		return IssuedToken{}, err
	}
	r.Fresh = r.Fresh && typ.Name() == accessType
	r.ID = cmp.Or(r.ID, i.layout.NewID())
	if r.wantsCSRF && r.state == nil {
		r.CSRF = rand.Text()
	}
	content, err := i.encode(typ, &r, private)
	if err != nil {
		return IssuedToken{}, err
	}
	text, err := i.sign(ctx, typ, r.header, content)
	if err != nil {
		return IssuedToken{}, err
	}
	return IssuedToken{
		secret: &issuedSecret{&issuedText{text, r.CSRF}}, id: r.ID, session: r.Session, typ: typ.Name(), issuedAt: r.Issued, expiresAt: r.Expires,
	}, nil
}

// encode writes the payload. It changes the claims of the request into what the layout can say.
func (i *Issuer) encode(typ TokenType, r *tokenRequest, private any) ([]byte, error) {
	var text []byte
	var err error
	if private != nil {
		if text, err = json.Marshal(private, json.Deterministic(true)); err != nil {
			return nil, fmt.Errorf("security: the private claims cannot be written: %w", err)
		}
	}
	if err := typ.checkSchema(text); err != nil {
		return nil, fmt.Errorf("security: the private claims are not what the schema of the token type says: %w", err)
	}
	if r.Public, err = i.verifier.names.Flatten(r.publicTree); err != nil {
		return nil, err
	}
	if audience := i.layout.Audience(i.verifier.audience, i.verifier.issuer, payload.TypeOf(typ.Name())); audience.Written {
		r.Audience = audience.Values
	}
	return i.layout.Encode(&r.Claims, i.verifier.names, payload.TypeOf(typ.Name()), text)
}

// sign returns the token in compact serialization.
func (i *Issuer) sign(ctx context.Context, typ TokenType, more, content []byte) (string, error) {
	key, err := i.keys.SigningKey(ctx)
	if err != nil {
		return "", fmt.Errorf("security: no key to sign the token: %w", err)
	}
	if key == nil {
		return "", fmt.Errorf("security: the key source returned no key: %w", keys.ErrNoSigningKey)
	}
	header := i.layout.Header(string(key.Algorithm()), key.ID(), payload.TypeOf(typ.Name()))
	if more != nil {
		header = append(append(header[:len(header)-1], more...), '}')
	}
	text := jose.Base64URL.EncodeToString(header) + "." + jose.Base64URL.EncodeToString(content)
	signature, err := key.Sign(text)
	if err != nil {
		return "", fmt.Errorf("security: the key could not sign the token: %w", err)
	}
	text += "." + jose.Base64URL.EncodeToString(signature)
	if len(text) > i.verifier.maxSize {
		return "", fmt.Errorf("security: the token has %d bytes, more than its verifier accepts (%d; see WithMaxTokenSize)", len(text), i.verifier.maxSize)
	}
	return text, nil
}

// logSession logs that a session began or continued. Package session logs what happens to the
// sessions that it keeps.
func (i *Issuer) logSession(ctx context.Context, r *tokenRequest) {
	if r.state != nil {
		return
	}
	message := "session began"
	if r.parent != nil {
		message = "session continued"
	}
	id := blacklist.Identity{Issuer: i.verifier.issuer, Subject: r.Subject, Session: r.Session}
	audit(ctx, i.verifier.logger, slog.LevelInfo, message, blacklist.Session, id)
}

// setExpiry sets when the token expires. No token outlives its session, so that a refresh prolongs
// nothing.
func (i *Issuer) setExpiry(typ TokenType, r *tokenRequest) error {
	if r.noExpiry {
		if r.parent != nil && r.parent.claims.Expires != payload.None || r.state != nil && !r.state.End.IsZero() {
			return errors.New("security: a token without an expiry would outlive the session that it continues")
		}
		if !i.verifier.neverExpiring {
			return errors.New("security: the verifier accepts no tokens without an expiry; see WithNeverExpiring")
		}
		r.Expires = payload.None
		return nil
	}
	lifetime := r.lifetime
	if lifetime == 0 {
		lifetime = i.accessLifetime
		if typ.Name() == refreshType {
			lifetime = i.sessionLifetime
		}
	}
	r.Expires = min(r.Issued.Add(lifetime), i.sessionEnd(r)).Seconds()
	if r.Expires <= r.Issued {
		return withReason(ErrTokenExpired, "the session is over")
	}
	if r.Expires > r.Issued.Add(i.verifier.maxLifetime) {
		return i.verifier.checkLifetime(lifetime)
	}
	return nil
}

// sessionEnd returns when the session of the request ends. The session of a refresh token that never
// expires does not end by itself.
func (i *Issuer) sessionEnd(r *tokenRequest) payload.Instant {
	if r.state != nil && !r.state.End.IsZero() {
		return payload.InstantOf(r.state.End)
	}
	end := r.Start.Add(i.sessionLifetime)
	if r.parent == nil || r.parent.typ != refreshType {
		return end
	}
	if r.parent.claims.Expires == payload.None {
		return payload.MaxInstant
	}
	return min(end, r.parent.claims.Expires)
}
