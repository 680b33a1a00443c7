package security

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// OwnVerifier is the name of the verifier whose issuer is the application itself.
const OwnVerifier = "own"

// Defaults of a verifier.
const (
	// DefaultLeeway is how far clocks may differ.
	DefaultLeeway = 30 * time.Second
	// DefaultMaxLifetime is the longest accepted time between iat and exp.
	DefaultMaxLifetime = 30 * 24 * time.Hour
	// DefaultMaxTokenSize is the longest accepted token text, in bytes.
	DefaultMaxTokenSize = 8 << 10

	maxLeeway = 5 * time.Minute
)

// Verifier accepts the tokens of one issuer: it knows the issuer's name, its audiences and its
// keys. A key verifies only tokens of that issuer. A Verifier is immutable, except for its cache of
// verified tokens (see [WithTokenCache]), and safe for concurrent use.
type Verifier struct {
	name        string
	issuer      string
	audience    []string
	keys        keys.Source
	leeway      time.Duration
	maxLifetime time.Duration
	maxSize     int
	now         func() time.Time
	logger      *slog.Logger
	// neverExpiring accepts tokens without exp.
	neverExpiring bool
	layout        payload.Layout
	demands       payload.Demands
	// accessAudience is the audience of access tokens.
	accessAudience payload.Audience
	names          payload.Names
	// tenants is for an issuer template, or nil.
	tenants *tenants
	// retention is how long revocations of sessions and cut-offs are stored.
	retention time.Duration
	// keepsText stores the text in each token.
	keepsText bool
	cache     *tokenCache
	headers   headerMemo
}

// NewVerifier makes a verifier. The issuer is the exact value of the claim iss, by convention an
// https URL (RFC 9068, section 2.2).
func NewVerifier(issuer string, source keys.Source, options ...VerifierOption) (*Verifier, error) {
	if issuer == "" {
		return nil, errors.New("security: a verifier needs the name of its issuer")
	}
	if isNil(source) {
		return nil, errNoKeys
	}
	if set, ok := source.(*keys.Set); ok && set.Len() == 0 {
		return nil, errNoKeys
	}
	v := &Verifier{
		name: OwnVerifier, issuer: issuer, keys: source,
		leeway: DefaultLeeway, maxLifetime: DefaultMaxLifetime, maxSize: DefaultMaxTokenSize, now: time.Now,
		logger: slog.New(slog.DiscardHandler), layout: payload.RFC9068{}, cache: newTokenCache(DefaultCachedTokens, DefaultCacheBytes),
	}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(v); err != nil {
			return nil, err
		}
	}
	if err := v.finish(); err != nil {
		return nil, err
	}
	return v, nil
}

// finish fills in defaults, and refuses options that contradict each other.
func (v *Verifier) finish() error {
	v.demands = v.layout.Demands()
	v.accessAudience = v.layout.Audience(v.audience, v.issuer, payload.TypeOf(payload.Access))
	if v.retention == 0 {
		v.retention = max(DefaultSessionLifetime, v.maxLifetime)
	}
	ownAudience := func(audience string) bool { return strings.HasPrefix(audience, payload.OtherAudience(v.issuer, "")) }
	names := v.layout.ClaimNames()
	_, isWritten := v.layout.(payload.Encoder)
	switch {
	case slices.Contains(names, ""):
		return errors.New("security: the layout reads a claim without a name")
	case isWritten && len(slices.Compact(slices.Sorted(slices.Values(names)))) < len(names):
		return errors.New("security: the layout has one claim for two things, such as the role and the identity")
	case slices.ContainsFunc(names, v.names.InNamespace):
		return errors.New("security: the claim of the roles or of the type is in the namespace of public claims, which could then replace it")
	case slices.ContainsFunc(names, payload.IsRegistered):
		return errors.New("security: the claim of the roles or of the type is a claim that decides over the token, such as exp; it cannot be read as something else")
	case v.demands.TypeUnknown && v.audience == nil && v.demands.Clients == nil:
		return errors.New("security: a layout that does not tell token types apart needs WithAudience or WithClientFrom")
	case slices.ContainsFunc(v.audience, ownAudience):
		return errors.New("security: an audience that begins with the issuer and # is reserved for tokens that are not access tokens")
	case v.retention < v.maxLifetime:
		return errors.New("security: the retention is at least the longest lifetime; see WithRetention")
	case (v.tenants != nil) != strings.Contains(v.issuer, "{"):
		return errors.New("security: an issuer template, such as https://login.example.com/{tenant}, needs WithTenants, and WithTenants needs a template")
	}
	return nil
}

var (
	errNoKeys    = errors.New("security: a verifier needs a key set; make one with keys.NewSet")
	errNilOption = errors.New("security: a nil option")
	// errZeroVerifier is also for a nil token type.
	errZeroVerifier = errors.New("security: the verifier was not made by NewVerifier, or there is no token type")
)

// Name returns the verifier's name.
func (v *Verifier) Name() string { return v.name }

// Issuer returns the issuer, or the issuer template.
func (v *Verifier) Issuer() string { return v.issuer }

// Leeway returns how far clocks may differ; see [WithLeeway].
func (v *Verifier) Leeway() time.Duration { return v.leeway }

// MaxLifetime returns the longest accepted lifetime; see [WithMaxLifetime].
func (v *Verifier) MaxLifetime() time.Duration { return v.maxLifetime }

// Now returns the time of the verifier's clock; see [WithClock].
func (v *Verifier) Now() time.Time {
	if v.now == nil {
		return time.Now()
	}
	return v.now()
}

// Logger returns the logger; see [WithLogger].
func (v *Verifier) Logger() *slog.Logger { return v.logger }

// IsRecent reports whether an instant is at most maxAge ago. An instant that is ahead of the clock
// by more than the leeway is not recent, and neither is the zero time.
func (v *Verifier) IsRecent(at time.Time, maxAge time.Duration) bool {
	if at.IsZero() || v.now == nil {
		return false
	}
	then, now := payload.InstantOf(at), payload.InstantOf(v.now())
	return then <= now.Add(v.leeway) && then.Add(maxAge) >= now
}

// Verify decides whether the text is a token of this verifier and of the wanted type: form, header,
// signature, times, issuer, type, audience, in this order. Nothing of the payload is decoded before
// the signature is verified. A cached token is decided again in everything that depends on the
// time. Verify does not ask the blacklist: see [Validator.CheckRevoked].
func (v *Verifier) Verify(ctx context.Context, want TokenType, text string) (AnyToken, error) {
	token, _, err := v.VerifyReportingCache(ctx, want, text)
	return token, err
}

// VerifyReportingCache is [Verifier.Verify], and reports whether the cache of verified tokens had
// the token, also one that has expired since. It is for observers of decisions.
func (v *Verifier) VerifyReportingCache(ctx context.Context, want TokenType, text string) (token AnyToken, cached bool, err error) {
	if v.keys == nil || want == nil {
		return nil, false, errZeroVerifier
	}
	now := payload.InstantOf(v.now())
	var place cachePlace
	if len(text) <= v.maxSize {
		v.cache.locate(text, now, &place)
	}
	known := place.find(want, now)
	if known != nil {
		set, err := v.keys.VerificationKeys(ctx, known.header)
		if err != nil {
			return nil, false, keysError(err)
		}
		if set == known.keys {
			token, err := v.verifyCached(ctx, known, want, now)
			return token, true, err
		}
	}
	p, err := v.verifyText(ctx, text, want, now)
	if err != nil {
		if known != nil {
			place.forget() // the key is not trusted any more
		}
		return nil, false, err
	}
	if v.keepsText {
		p.text = strings.Clone(text)
	}
	token, err = v.newToken(p, want, now)
	if err != nil {
		return nil, false, err
	}
	place.store(p, want, token, now)
	return token, false, nil
}

// verifyCached decides over a token from the cache: the times and the tenant.
func (v *Verifier) verifyCached(ctx context.Context, known *cachedToken, want TokenType, now payload.Instant) (AnyToken, error) {
	if err := v.checkTimes(known.claims, now); err != nil {
		return nil, v.withIdentity(err, known.claims, want)
	}
	if v.tenants != nil {
		if _, err := v.tenants.issuerOf(ctx, v.issuer, known.claims); err != nil {
			return nil, err
		}
	}
	if known.token != nil {
		return known.token, nil
	}
	return v.newToken(known.verifiedPayload, want, now)
}

// newToken makes the token with the claims.
func (v *Verifier) newToken(p verifiedPayload, want TokenType, now payload.Instant) (AnyToken, error) {
	c := p.claims
	if c.FreshUntil != payload.None {
		// Whether the token is fresh depends on the time of this request.
		atNow := *c
		atNow.Fresh = atNow.Fresh || now <= atNow.FreshUntil
		c = &atNow
	}
	return want.newToken(verifiedToken{
		claims: c, verifier: v, typ: want.Name(), header: p.memo, text: p.text, places: p.places,
	})
}

// withIdentity adds the identity of a token to the error that refuses it.
func (v *Verifier) withIdentity(err error, c *payload.Claims, want TokenType) error {
	return withIdentity(err, v.identityOf(c, want.Name()))
}

// identityOf returns how the blacklist knows a token.
func (v *Verifier) identityOf(c *payload.Claims, typ string) (id blacklist.Identity) {
	id.Issuer, id.ID, id.Session, id.Subject = v.issuer, c.ID, c.SessionID(typ), c.Subject
	id.SessionStart = c.SessionStart().Time()
	if v.tenants != nil {
		id.Issuer, id.Template = c.Issuer, v.issuer // the filled-in template, which was compared
		if id.Issuer == "" {
			id.Issuer = v.tenants.fill(v.issuer, c.Tenant)
		}
	}
	return id
}

// verifiedPayload is a payload that was verified, with what the cache needs of it.
type verifiedPayload struct {
	claims *payload.Claims
	header keys.Header
	keys   *keys.Set
	memo   *decodedHeader
	// text is the token, if the verifier stores it.
	text string
	// places is nil for a token that is not cached.
	places *tokenPlaces
}

// verifyText verifies a token without the cache.
func (v *Verifier) verifyText(ctx context.Context, text string, want TokenType, now payload.Instant) (verifiedPayload, error) {
	memory := contents.Get().(*[]byte)
	defer contents.Put(memory)
	opened, err := v.open(ctx, text, memory)
	if err != nil {
		return verifiedPayload{}, err
	}
	reading := payload.Reading{Names: v.names, WantPrivate: want.hasClaims()}
	if v.tenants != nil {
		reading.TenantClaim = v.tenants.claim
	}
	claims, err := v.layout.Decode(opened.content, reading)
	if err != nil {
		return verifiedPayload{}, malformed(err)
	}
	if err := v.checkClaims(ctx, claims, &opened, want, now); err != nil {
		return verifiedPayload{}, v.withIdentity(err, claims, want)
	}
	if err := want.checkSchema(claims.Private); err != nil {
		return verifiedPayload{}, v.withIdentity(ErrInvalidToken.Because("the private claims are not what the document says", err), claims, want)
	}
	return verifiedPayload{claims: claims, header: opened.ofKey, keys: opened.keys, memo: opened.header}, nil
}

// checkClaims checks the times, the issuer, the type, the audience, the client and the ids.
func (v *Verifier) checkClaims(ctx context.Context, c *payload.Claims, opened *openedToken, want TokenType, now payload.Instant) error {
	if err := v.checkTimes(c, now); err != nil {
		return err
	}
	if err := v.checkIssuer(ctx, c, opened.key); err != nil {
		return err
	}
	typ := payload.TypeOf(want.Name())
	switch {
	case !v.layout.Accepts(opened.header.Header, c, typ):
		return withReason(ErrWrongTokenType, "the type of the token")
	case !isAudienceAccepted(v.audienceOf(typ), c.Audience):
		return withReason(ErrInvalidToken, "another audience")
	case v.demands.Clients != nil && !slices.Contains(v.demands.Clients, c.Client):
		return withReason(ErrInvalidToken, "another client")
	case c.Bound:
		return withReason(ErrInvalidToken, "the token is bound to a key of its holder, whose proof is not checked")
	case c.Subject == "":
		return withReason(ErrInvalidToken, "no subject")
	case c.ID == "" && !v.demands.IDOptional:
		return withReason(ErrInvalidToken, "no id")
	case v.demands.Foreign && c.AuthTime > c.Issued.Add(v.leeway):
		return withReason(ErrInvalidToken, "auth_time after iat") // no cut-off of now would cover it
	}
	return nil
}

// checkIssuer checks iss, and that the key is one of the issuer's.
func (v *Verifier) checkIssuer(ctx context.Context, c *payload.Claims, key *keys.Key) error {
	issuer := v.issuer
	if v.tenants != nil {
		var err error
		if issuer, err = v.tenants.issuerOf(ctx, v.issuer, c); err != nil {
			return err
		}
	}
	if c.Issuer != issuer && !(v.demands.IssuerOptional && c.Issuer == "") {
		return withReason(ErrInvalidToken, "another issuer")
	}
	if of := key.Issuer(); of != "" && of != issuer && (v.tenants == nil || v.tenants.fill(of, c.Tenant) != issuer) {
		return withReason(ErrInvalidToken, "a key of another issuer")
	}
	return nil
}

// audienceOf returns the accepted audiences of a type. Those of access tokens are not made anew for
// each token.
func (v *Verifier) audienceOf(typ payload.Type) payload.Audience {
	if typ.Name == payload.Access {
		return v.accessAudience
	}
	return v.layout.Audience(v.audience, v.issuer, typ)
}

// isAudienceAccepted reports whether a token has an accepted audience.
func isAudienceAccepted(wanted payload.Audience, has []string) bool {
	if len(has) == 0 && !wanted.Required {
		return true
	}
	return wanted.Values == nil || slices.ContainsFunc(has, func(a string) bool { return slices.Contains(wanted.Values, a) })
}

// checkTimes checks iat, nbf and exp with the leeway (RFC 7519, sections 4.1.4 to 4.1.6), and the
// lifetime.
func (v *Verifier) checkTimes(c *payload.Claims, now payload.Instant) error {
	latest := now.Add(v.leeway)
	switch {
	case c.Expires == payload.None && !v.neverExpiring:
		return withReason(ErrInvalidToken, "no exp")
	case c.Issued == payload.None:
		return withReason(ErrInvalidToken, "no iat")
	case c.Expires == payload.None: // never expires
	case c.Expires <= c.Issued:
		return withReason(ErrInvalidToken, "exp not after iat")
	case c.Expires > c.Issued.Add(v.maxLifetime):
		return withReason(ErrInvalidToken, "a longer lifetime than accepted")
	case c.Expires.Add(v.leeway) <= now:
		return ErrTokenExpired
	}
	switch {
	case c.Issued > latest:
		return withReason(ErrTokenNotYetValid, "iat in the future")
	case c.NotBefore > latest:
		return ErrTokenNotYetValid
	}
	return nil
}
