package security

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Defaults of a validator.
const (
	// DefaultLookupTimeout bounds one look-up in the blacklist.
	DefaultLookupTimeout = 500 * time.Millisecond
	// DefaultRevocationTimeout bounds one revocation.
	DefaultRevocationTimeout = 5 * time.Second
)

// Validator decides over tokens: it knows the verifiers, asks the blacklist, runs the hooks and
// revokes. It knows nothing of HTTP; package guard decides over requests with it. It is safe for
// concurrent use.
type Validator struct {
	// verifier is that of the application itself.
	verifier  *Verifier
	verifiers map[string]*Verifier
	blacklist blacklist.Blacklist
	// inProcess is set where look-ups need no deadline.
	inProcess bool
	// locator is the blacklist itself, if it can find the entries of a cached token again, or nil.
	locator           blacklist.Locator
	lookupTimeout     time.Duration
	revocationTimeout time.Duration
	clockSkew         time.Duration
	hooks             map[string]hook
	watched           *watchTable
}

// ValidatorOption changes a validator.
type ValidatorOption func(*Validator) error

// WithLookupTimeout bounds one look-up in the blacklist, 500 ms by default. A look-up that takes
// longer is answered 503. It has no effect on a blacklist in memory.
func WithLookupTimeout(d time.Duration) ValidatorOption {
	return func(v *Validator) error {
		v.lookupTimeout = d
		return positive("look-up timeout", d)
	}
}

// WithRevocationTimeout bounds one revocation, 5 s by default.
func WithRevocationTimeout(d time.Duration) ValidatorOption {
	return func(v *Validator) error {
		v.revocationTimeout = d
		return positive("revocation timeout", d)
	}
}

// WithClockSkew sets how far the clocks of the machines that issue tokens may differ: 0 by default,
// for one machine, and at most 5 minutes. [Validator.RevokeSubject] and [Validator.RevokeAll] cut
// this much later, so that they cover a session that began on a machine whose clock is ahead.
func WithClockSkew(d time.Duration) ValidatorOption {
	return func(v *Validator) error {
		if d < 0 || d > maxLeeway {
			return fmt.Errorf("security: the clock skew is between 0 and %s", maxLeeway)
		}
		v.clockSkew = d
		return nil
	}
}

// WithVerifier adds a verifier for tokens that others issue, such as an identity provider. The
// document names it, and its name is a part of the identity of its tokens on the blacklist.
func WithVerifier(verifier *Verifier) ValidatorOption {
	return func(v *Validator) error {
		if verifier == nil || verifier.keys == nil {
			return errors.New("security: WithVerifier needs a verifier")
		}
		if verifier.name == OwnVerifier {
			return fmt.Errorf("security: the name %q is for the verifier of the application; set another one with WithName", OwnVerifier)
		}
		if v.verifiers[verifier.name] != nil {
			return fmt.Errorf("security: two verifiers have the name %q; set one with WithName", verifier.name)
		}
		for _, other := range v.verifiers {
			if other.issuer == verifier.issuer {
				return errors.New("security: two verifiers have the same issuer")
			}
		}
		v.verifiers[verifier.name] = verifier
		return nil
	}
}

func positive(what string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("security: the %s is positive", what)
	}
	return nil
}

// NewValidator makes a validator for the tokens of the verifier. The blacklist is mandatory. An
// application that revokes nothing passes blacklist.None.
func NewValidator(verifier *Verifier, list blacklist.Blacklist, options ...ValidatorOption) (*Validator, error) {
	if verifier == nil || verifier.keys == nil {
		return nil, errors.New("security: a validator needs a verifier; make one with NewVerifier")
	}
	if isNil(list) {
		return nil, errors.New("security: a validator needs a blacklist; pass blacklist.None{} if the application revokes nothing")
	}
	v := &Validator{
		verifier: verifier, verifiers: map[string]*Verifier{verifier.name: verifier}, blacklist: list, hooks: map[string]hook{},
		lookupTimeout: DefaultLookupTimeout, revocationTimeout: DefaultRevocationTimeout,
	}
	_, v.inProcess = blacklist.As[blacklist.InProcess](list)
	if v.inProcess {
		v.locator = blacklist.LocatorOf(list)
	}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(v); err != nil {
			return nil, err
		}
	}
	v.watched = newWatchTable(v)
	return v, nil
}

// Verifier returns the verifier of the name, or nil. The name "" is for that of the application.
func (v *Validator) Verifier(name string) *Verifier {
	if name == "" {
		return v.verifier
	}
	return v.verifiers[name]
}

// Verify decides over the text of a token that did not come with a request of a guarded operation: a
// WebSocket message, a message of a queue, gRPC metadata. It runs [Verifier.Verify],
// [Validator.CheckRevoked] and [Validator.RunHook], in this order. There is no place, no origin, no
// CSRF and no rule of an operation. Generated code has a typed function for each token type.
func (v *Validator) Verify(ctx context.Context, typ TokenType, text string) (AnyToken, error) {
	if typ == nil || v == nil || v.verifier == nil {
		return nil, errZeroValidator
	}
	verifier := v.Verifier(typ.Verifier())
	if verifier == nil {
		return nil, fmt.Errorf("security: the validator has no verifier %q; see WithVerifier", typ.Verifier())
	}
	token, err := verifier.Verify(ctx, typ, text)
	if err != nil {
		return nil, err
	}
	if err := v.CheckRevoked(ctx, token); err != nil {
		return nil, withIdentity(err, token.Identity())
	}
	if _, err := v.RunHook(ctx, token); err != nil {
		return nil, err
	}
	return token, nil
}

// CheckRevoked asks the blacklist for a verified token. The error is [ErrTokenRevoked] for a token
// that is revoked and wraps [ErrUnavailable] where the blacklist did not answer.
//
// A refresh token is used once. A revoked one was stolen, or its holder has the copy of a stolen
// one, and nobody can tell which of the two. So CheckRevoked also revokes its session (RFC 9700,
// section 4.14.2).
func (v *Validator) CheckRevoked(ctx context.Context, token AnyToken) error {
	t, err := v.knownToken(token)
	if err != nil {
		return err
	}
	revoked, err := v.lookUpToken(ctx, t)
	return v.judgeRevoked(ctx, t, revoked, err)
}

// replica is implemented by a copy of a blacklist. IsRevokedNow asks the copied blacklist itself too.
type replica interface {
	IsRevokedNow(ctx context.Context, id blacklist.Identity) (bool, error)
}

// CheckRevokedNow is [Validator.CheckRevoked], and asks the store itself where the blacklist is a
// replica, whose copy may be as old as its bound. It is for operations that cannot wait for it.
func (v *Validator) CheckRevokedNow(ctx context.Context, token AnyToken) error {
	t, err := v.knownToken(token)
	if err != nil {
		return err
	}
	revoked, err := v.IsRevokedNow(ctx, t.identity())
	return v.judgeRevoked(ctx, t, revoked, err)
}

// judgeRevoked returns the error for the answer of the blacklist.
func (v *Validator) judgeRevoked(ctx context.Context, t *verifiedToken, revoked bool, err error) error {
	switch {
	case err != nil:
		return err
	case !revoked:
		return nil
	case t.typ == refreshType:
		if err := v.endReusedSession(ctx, t); err != nil {
			return err
		}
	}
	return ErrTokenRevoked
}

// knownToken returns the contents of a token. It refuses the zero token, and a token that another
// validator verified, because nobody would look up its revocation.
func (v *Validator) knownToken(token AnyToken) (*verifiedToken, error) {
	t, err := verifiedOf(token)
	if err != nil {
		return nil, err
	}
	if t.verifier != v.verifier && v.verifiers[t.verifier.name] != t.verifier {
		return nil, errors.New("security: the token belongs to a verifier of another validator")
	}
	return t, nil
}

// IsRevoked asks the blacklist for a session or a subject of which there is no token, with the
// deadline of a look-up. An error wraps [ErrUnavailable].
func (v *Validator) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if v.verifier == nil {
		return false, errZeroValidator
	}
	return v.lookUp(ctx, &id)
}

// IsRevokedNow is [Validator.IsRevoked], and asks the store itself where the blacklist is a replica.
func (v *Validator) IsRevokedNow(ctx context.Context, id blacklist.Identity) (bool, error) {
	list, ok := blacklist.As[replica](v.blacklist)
	if !ok {
		return v.IsRevoked(ctx, id)
	}
	ctx, cancel := context.WithTimeout(ctx, v.lookupTimeout)
	defer cancel()
	revoked, err := list.IsRevokedNow(ctx, id)
	if err != nil {
		return false, unavailable("the blacklist did not answer", err)
	}
	return revoked, nil
}

// Blacklist returns the blacklist.
func (v *Validator) Blacklist() blacklist.Blacklist { return v.blacklist }

func (v *Validator) lookUp(ctx context.Context, id *blacklist.Identity) (bool, error) {
	if !v.inProcess {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.lookupTimeout)
		defer cancel()
	}
	revoked, err := v.blacklist.IsRevoked(ctx, *id)
	if err != nil {
		return false, unavailable("the blacklist did not answer", err)
	}
	return revoked, nil
}

// tokenPlaces is where the blacklist of the first validator that looked up a cached token has its
// entries.
type tokenPlaces = atomic.Pointer[locatedToken]

type locatedToken struct {
	validator *Validator
	*blacklist.Located
}

// lookUpToken is lookUp for a token. The ids of a cached one are hashed once.
func (v *Validator) lookUpToken(ctx context.Context, t *verifiedToken) (bool, error) {
	var located *locatedToken
	if v.locator != nil && t.places != nil {
		if located = t.places.Load(); located == nil {
			located = &locatedToken{v, v.locator.Locate(t.identity())}
			t.places.Store(located)
		}
	}
	if located == nil || located.validator != v {
		id := t.identity()
		return v.lookUp(ctx, &id)
	}
	revoked, err := v.locator.IsRevokedAt(ctx, located.Located)
	if err != nil {
		return false, unavailable("the blacklist did not answer", err)
	}
	return revoked, nil
}

// RunHook runs the hook of the token's type and returns its value; nil for a type without a hook.
func (v *Validator) RunHook(ctx context.Context, token AnyToken) (any, error) {
	if len(v.hooks) == 0 {
		return nil, nil
	}
	if _, err := v.knownToken(token); err != nil {
		return nil, err
	}
	h := v.hooks[token.Type()]
	if h == nil {
		return nil, nil
	}
	return h.run(ctx, token)
}

// Ready returns an error that wraps [ErrUnavailable] while requests with a token would be answered
// 503. It is for a readiness probe.
func (v *Validator) Ready(ctx context.Context) error {
	if v.verifier == nil {
		return errZeroValidator
	}
	ctx, cancel := context.WithTimeout(ctx, v.revocationTimeout)
	defer cancel()
	for _, verifier := range v.verifiers {
		source, ok := verifier.keys.(keys.CurrentSet)
		if !ok {
			continue
		}
		if _, err := source.Current(ctx); err != nil {
			return keysError(err)
		}
	}
	if err := blacklist.Ping(ctx, v.blacklist); err != nil {
		return unavailable("the blacklist is not ready", err)
	}
	return nil
}

// endReusedSession revokes the session of a refresh token that was presented after it was revoked.
// If the session is over already it writes nothing, so that the same token presented again and
// again costs one look-up each time.
func (v *Validator) endReusedSession(ctx context.Context, token *verifiedToken) error {
	id := token.identity()
	if id.Session == "" {
		return nil
	}
	id.ID = ""
	if over, err := v.lookUp(ctx, &id); err != nil || over {
		return err
	}
	v.audit(ctx, slog.LevelWarn, "refresh token reused", blacklist.Session, id)
	_, err := v.revoke(ctx, blacklist.OfSession(id, token.verifier.sessionEntryEnd()))
	return err
}
