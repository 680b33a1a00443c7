package security

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Defaults of a validator.
const (
	// DefaultLookupTimeout bounds one look-up in the blacklist.
	DefaultLookupTimeout = 500 * time.Millisecond
	// DefaultRevocationTimeout bounds one revocation.
	DefaultRevocationTimeout = 5 * time.Second
)

// Validator decides over requests: it verifies their tokens, asks the blacklist and applies the rules of operations. It
// also revokes. It is safe for concurrent use.
type Validator struct {
	// verifier is the application's own.
	verifier  *Verifier
	verifiers map[string]*Verifier
	blacklist blacklist.Blacklist
	// inProcess says that look-ups need no deadline.
	inProcess         bool
	lookupTimeout     time.Duration
	revocationTimeout time.Duration
	clockSkew         time.Duration
	// realm is a quoted-string of RFC 9110, section 5.6.4.
	realm string
	// noBasicChallenge keeps browsers from asking for a password.
	noBasicChallenge bool
	// differentSubjects lets two tokens of one request speak for different subjects.
	differentSubjects    bool
	forwardedCertificate func(context.Context, func(name string) []string) (*x509.Certificate, error)
	errorHandler         ErrorHandler
	requests             RequestValidator
	hooks                map[string]hook
	crossOrigin          *http.CrossOriginProtection
	csrfHeader           string
	csrfField            string
	logger               *slog.Logger
}

// ValidatorOption changes a validator.
type ValidatorOption func(*Validator) error

// WithRealm sets the realm of challenges (RFC 9110, section 11.5), "api" by default: printable ASCII.
func WithRealm(realm string) ValidatorOption {
	return func(v *Validator) error {
		for _, c := range []byte(realm) {
			if c < 0x20 || c > 0x7e {
				return errors.New("security: a realm is printable ASCII")
			}
		}
		v.realm = quoted(realm)
		return nil
	}
}

// WithoutBasicChallenge leaves the challenge of http basic schemes out of answers, so that browsers do not ask for a password on their own.
func WithoutBasicChallenge() ValidatorOption {
	return func(v *Validator) error { v.noBasicChallenge = true; return nil }
}

// WithDifferentSubjects lets operations that ask for two tokens at once take those of different subjects, such as a service's own beside
// that of the user it serves. They are refused by default: 403.
func WithDifferentSubjects() ValidatorOption {
	return func(v *Validator) error { v.differentSubjects = true; return nil }
}

// WithLookupTimeout bounds one look-up in the blacklist, 500 ms by default. A look-up that takes longer is answered 503.
// It has no effect on a blacklist in memory.
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

// WithClockSkew sets how far the clocks of the machines that issue tokens may differ, 0 by default, for one machine.
// [Validator.RevokeSubject] and [Validator.RevokeAll] cut this much later, so that no session begun on a machine whose
// clock is ahead escapes.
func WithClockSkew(d time.Duration) ValidatorOption {
	return func(v *Validator) error {
		if d < 0 || d > maxLeeway {
			return fmt.Errorf("security: the clock skew is between 0 and %s", maxLeeway)
		}
		v.clockSkew = d
		return nil
	}
}

// WithVerifier adds a verifier of tokens that others issue, such as an identity provider, beside the application's own. Its name
// is what the document calls it, and what the blacklist knows its tokens by.
func WithVerifier(verifier *Verifier) ValidatorOption {
	return func(v *Validator) error {
		if verifier == nil || verifier.keys == nil {
			return errors.New("security: WithVerifier needs a verifier")
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

// WithErrorHandler sets a function that may replace the answer to a refused request.
func WithErrorHandler(handler ErrorHandler) ValidatorOption {
	return func(v *Validator) error {
		if handler == nil {
			return errors.New("security: WithErrorHandler needs a handler")
		}
		v.errorHandler = handler
		return nil
	}
}

// WithLogger sets where the validator logs: revocations, the reuse of refresh tokens, denied requests, and answers of status 500 and
// above.
// Records hold hashed ids and fixed texts, no token material and no inner error. The default is to log nothing.
func WithLogger(logger *slog.Logger) ValidatorOption {
	return func(v *Validator) error {
		if logger == nil {
			return errors.New("security: WithLogger needs a logger")
		}
		v.logger = logger
		return nil
	}
}

func positive(what string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("security: the %s is positive", what)
	}
	return nil
}

// NewValidator makes a validator for the tokens of the verifier. The blacklist is mandatory; an application that revokes
// nothing says so with blacklist.None.
func NewValidator(verifier *Verifier, list blacklist.Blacklist, options ...ValidatorOption) (*Validator, error) {
	if verifier == nil || verifier.keys == nil {
		return nil, errors.New("security: a validator needs a verifier; make one with NewVerifier")
	}
	if isNil(list) {
		return nil, errors.New("security: a validator needs a blacklist; say blacklist.None{} for an application that revokes nothing")
	}
	v := &Validator{
		verifier: verifier, verifiers: map[string]*Verifier{verifier.name: verifier}, blacklist: list, realm: `"api"`, logger: slog.New(slog.DiscardHandler),
		hooks: map[string]hook{}, crossOrigin: http.NewCrossOriginProtection(), csrfHeader: http.CanonicalHeaderKey(DefaultCSRFHeader), csrfField: DefaultCSRFField,
		lookupTimeout: DefaultLookupTimeout, revocationTimeout: DefaultRevocationTimeout,
	}
	_, v.inProcess = list.(blacklist.InProcess)
	for _, option := range options {
		if option == nil {
			return nil, errors.New("security: a nil option")
		}
		if err := option(v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// checkRevoked asks the blacklist. No answer is neither yes nor no.
func (v *Validator) checkRevoked(ctx context.Context, token *verified) error {
	revoked, err := v.lookUp(ctx, token.identity())
	switch {
	case err != nil:
		return err
	case !revoked:
		return nil
	case token.typ == refreshType:
		// A refresh token is used once. Whoever presents one that is revoked may have stolen it, or holds a copy of
		// one that was stolen; which of the two, nobody can tell, so the session ends (RFC 9700, section 4.14.2).
		if err := v.endReusedSession(ctx, token); err != nil {
			return err
		}
	}
	return ErrTokenRevoked
}

func (v *Validator) lookUp(ctx context.Context, id blacklist.Identity) (bool, error) {
	if !v.inProcess {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.lookupTimeout)
		defer cancel()
	}
	revoked, err := v.blacklist.IsRevoked(ctx, id)
	if err != nil {
		return false, unavailable("the blacklist did not answer", err)
	}
	return revoked, nil
}

// Ready returns an error that wraps [ErrUnavailable] while requests that carry a token would be answered 503. It is for a
// readiness probe.
func (v *Validator) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.revocationTimeout)
	defer cancel()
	for _, verifier := range v.verifiers {
		if _, err := verifier.keys.current(); err != nil {
			return unavailable("the keys of a verifier are not there", err)
		}
	}
	if err := blacklist.Ping(ctx, v.blacklist); err != nil {
		return unavailable("the blacklist is not ready", err)
	}
	return nil
}

// endReusedSession revokes the session of a refresh token that was presented after it was revoked. A session that is over
// already costs a look-up and no write, so that presenting the token again and again writes nothing.
func (v *Validator) endReusedSession(ctx context.Context, token *verified) error {
	id := token.identity()
	if id.Session == "" {
		return nil
	}
	id.ID = ""
	if over, err := v.lookUp(ctx, id); err != nil || over {
		return err
	}
	v.audit(ctx, slog.LevelWarn, "refresh token reused", blacklist.Session, id)
	_, err := v.revoke(ctx, blacklist.OfSession(id, token.verifier.sessionEntryEnd()))
	return err
}
