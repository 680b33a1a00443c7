package security

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// OwnVerifier is the name of the application's own verifier: the one whose issuer is the application itself.
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

// Verifier says whose tokens are accepted: an issuer, its audiences and its keys. A key verifies only tokens of its
// verifier's issuer. It is immutable, but for the verified tokens that it keeps (see [WithTokenCache]), and safe for concurrent use.
type Verifier struct {
	name        string
	issuer      string
	audience    []string
	keys        KeySource
	leeway      time.Duration
	maxLifetime time.Duration
	maxSize     int
	now         func() time.Time
	// neverExpiring says that tokens without exp are accepted.
	neverExpiring bool
	layout        layout
	// ownAudience says that the audience was set.
	ownAudience bool
	cache       *tokenCache
}

// VerifierOption changes a verifier.
type VerifierOption func(*Verifier) error

// WithAudience sets the audiences that the application answers to. A token names at least one of them (RFC 9068, section
// 4). The default is the issuer itself, as for an application that issues tokens for its own use only. An [Issuer]
// writes all of them.
func WithAudience(audience ...string) VerifierOption {
	return func(v *Verifier) error {
		if len(audience) == 0 || slices.Contains(audience, "") {
			return errors.New("security: WithAudience needs audiences, none of them empty")
		}
		v.audience, v.ownAudience = slices.Clone(audience), true
		return nil
	}
}

// WithLeeway sets how far clocks may differ, for exp, nbf and iat: 0 to 5 minutes, 30 seconds by default.
func WithLeeway(d time.Duration) VerifierOption {
	return func(v *Verifier) error {
		if d < 0 || d > maxLeeway {
			return fmt.Errorf("security: the leeway is between 0 and %s", maxLeeway)
		}
		v.leeway = d
		return nil
	}
}

// WithMaxLifetime sets the longest accepted time between iat and exp, 30 days by default. Revocations of sessions are
// kept as long as this, so that no token outlives its revocation.
func WithMaxLifetime(d time.Duration) VerifierOption {
	return func(v *Verifier) error {
		if d < time.Millisecond {
			return errors.New("security: the longest lifetime is positive")
		}
		v.maxLifetime = d
		return nil
	}
}

// WithNeverExpiring accepts tokens without exp, which an [Issuer] issues when asked to with [WithoutExpiry]. Revocations are then kept
// for ever, and a stolen token that nobody knows to be stolen is good for ever too.
func WithNeverExpiring() VerifierOption {
	return func(v *Verifier) error { v.neverExpiring = true; return nil }
}

// WithMaxTokenSize sets the longest accepted token text in bytes, 8 KiB by default. A longer one is refused before
// anything of it is decoded.
func WithMaxTokenSize(bytes int) VerifierOption {
	return func(v *Verifier) error {
		if bytes < 64 {
			return errors.New("security: no token fits into less than 64 bytes")
		}
		v.maxSize = bytes
		return nil
	}
}

// WithClock sets the clock, time.Now by default, of the verifier and of the issuer and validator over it. For tests.
func WithClock(now func() time.Time) VerifierOption {
	return func(v *Verifier) error {
		if now == nil {
			return errors.New("security: WithClock needs a clock")
		}
		v.now = now
		return nil
	}
}

// NewVerifier makes the application's own verifier. The issuer is the exact value of the claim iss, by convention an
// https URL (RFC 9068, section 2.2).
func NewVerifier(issuer string, keys KeySource, options ...VerifierOption) (*Verifier, error) {
	if issuer == "" {
		return nil, errors.New("security: a verifier needs the name of its issuer")
	}
	if hasNoKeys(keys) {
		return nil, errors.New("security: a verifier needs a key set; make one with NewKeySet")
	}
	v := &Verifier{
		name: OwnVerifier, issuer: issuer, audience: []string{issuer}, keys: keys,
		leeway: DefaultLeeway, maxLifetime: DefaultMaxLifetime, maxSize: DefaultMaxTokenSize, now: time.Now,
		layout: layout{Profile: rfc9068}, cache: newTokenCache(DefaultCachedTokens, DefaultCacheBytes),
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("security: a nil option")
		}
		if err := option(v); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(slices.Concat(v.layout.roles, []string{v.layout.typeClaim}), v.layout.inNamespace) {
		return nil, errors.New("security: the claim of the roles or of the type is in the namespace of public claims, which could then stand in for it")
	}
	if v.layout.typeIn == typeNowhere && !v.ownAudience {
		return nil, errors.New("security: a profile that cannot tell types of token apart needs WithAudience")
	}
	return v, nil
}

// WithName sets the verifier's name, [OwnVerifier] by default. It is part of the identity of its tokens on the blacklist: keep it
// when anything else changes.
func WithName(name string) VerifierOption {
	return func(v *Verifier) error {
		if name == "" {
			return errors.New("security: a verifier's name is not empty")
		}
		v.name = name
		return nil
	}
}

// Name returns the verifier's name, which is part of every token's identity on the blacklist.
func (v *Verifier) Name() string { return v.name }

// verifyToken decides whether the text is a token of this verifier and of the wanted type, and makes the token. The order is that of the
// package doc. A token that is kept from an earlier request is decided anew in what depends on the time.
func (v *Verifier) verifyToken(text string, want TokenType) (credential, error) {
	now := instantOf(v.now())
	keys, keysErr := v.keys.current()
	var place cachePlace
	if keysErr == nil && len(text) <= v.maxSize {
		v.cache.locate(keys, text, now, &place)
		if known := place.find(want, now); known != nil {
			if err := v.checkTimes(known.claims, now); err != nil {
				return nil, err
			}
			if known.token != nil {
				return known.token, nil
			}
			return v.newToken(known.claims, want, now)
		}
	}
	c, err := cutCompact(text, v.maxSize)
	if err != nil {
		return nil, err // whatever is the matter with the keys
	}
	if keysErr != nil {
		return nil, keysErr
	}
	claims, err := v.verifyAnew(c, keys, want, now)
	if err != nil {
		return nil, err
	}
	token, err := v.newToken(claims, want, now)
	if err != nil {
		return nil, err
	}
	place.keep(claims, want, token, now)
	return token, nil
}

// newToken makes the token that says the claims.
func (v *Verifier) newToken(c *claims, want TokenType, now instant) (credential, error) {
	if c.freshUntil != none {
		// Fresh or not at the time of this request, and of no other.
		own := *c
		own.fresh = own.fresh || now <= own.freshUntil
		c = &own
	}
	return want.newToken(verified{claims: c, verifier: v})
}

// verifyAnew checks everything of a token. Nothing of the payload is decoded before the signature holds.
func (v *Verifier) verifyAnew(c compact, keys *KeySet, want TokenType, now instant) (*claims, error) {
	payload, signed, err := v.payload(c, keys)
	if err != nil {
		return nil, err
	}
	claims, err := decodeClaims(payload, &v.layout, want.hasClaims())
	if err != nil {
		return nil, err
	}
	if err := v.checkTimes(claims, now); err != nil {
		return nil, err
	}
	if claims.issuer != v.issuer && !(v.layout.anyone && claims.issuer == "") {
		return nil, because(ErrInvalidToken, "another issuer")
	}
	if !(v.layout.anyone && claims.audience == nil) && !slices.ContainsFunc(claims.audience, func(a string) bool { return slices.Contains(v.audience, a) }) {
		return nil, because(ErrInvalidToken, "another audience")
	}
	switch {
	case claims.subject == "":
		return nil, because(ErrInvalidToken, "no subject")
	case claims.id == "" && !v.layout.noID:
		return nil, because(ErrInvalidToken, "no id")
	case !v.layout.accepts(signed, claims, want):
		return nil, because(ErrWrongTokenType, "the type that it says")
	}
	return claims, nil
}

// payload returns the payload of a token that one of the keys has signed, and what its header says. What the payload says is not looked
// at.
func (v *Verifier) payload(c compact, keys *KeySet) (text []byte, signed signedAs, err error) {
	signed, err = keys.readHeader(c.header)
	if err != nil {
		if m, ok := v.keys.(interface{ missed() }); ok && errors.Is(err, errUnknownKeyID) {
			m.missed() // a key that is new, perhaps; this request does not wait for it
		}
		return nil, signedAs{}, err
	}
	signature, err := base64url.DecodeString(c.signature)
	if err != nil {
		return nil, signedAs{}, because(ErrInvalidToken, "the signature's encoding")
	}
	if err := signed.key.check(c.signed, signature); err != nil {
		return nil, signedAs{}, because(ErrInvalidToken, "the signature")
	}
	if text, err = base64url.DecodeString(c.payload); err != nil {
		return nil, signedAs{}, because(ErrInvalidToken, "the payload's encoding")
	}
	return text, signed, nil
}

// checkTimes checks iat, nbf and exp with the leeway (RFC 7519, sections 4.1.4 to 4.1.6), and the lifetime.
func (v *Verifier) checkTimes(c *claims, now instant) error {
	latest := now.add(v.leeway)
	switch {
	case c.expires == none && !v.neverExpiring:
		return because(ErrInvalidToken, "no exp")
	case c.issued == none:
		return because(ErrInvalidToken, "no iat")
	case c.expires == none: // for ever
	case c.expires <= c.issued:
		return because(ErrInvalidToken, "exp not after iat")
	case c.expires > c.issued.add(v.maxLifetime):
		return because(ErrInvalidToken, "a longer lifetime than accepted")
	case c.expires.add(v.leeway) <= now:
		return ErrTokenExpired
	}
	switch {
	case c.issued > latest:
		return because(ErrTokenNotYetValid, "iat in the future")
	case c.notBefore > latest:
		return ErrTokenNotYetValid
	}
	return nil
}

// sessionStart is when the token's session began: auth_time, or iat where there is none.
func (c *claims) sessionStart() instant {
	if c.authTime != none {
		return c.authTime
	}
	return c.issued
}
