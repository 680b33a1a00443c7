package securitytest

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/session"
)

// DefaultIssuer is the issuer of a fixture without [WithIssuer].
const DefaultIssuer = "https://issuer.example"

// Fixture is an application's security for one test: everything is in memory and has the clock of
// the fixture.
type Fixture struct {
	// Authority has the verifier, the issuer and the validator.
	*security.Authority
	// Clock is the clock of all parts. It begins at the present, in whole seconds.
	Clock *Clock
	// Keys sign and verify the tokens of the authority.
	Keys keys.SigningSource
	// Blacklist is the blacklist of the validator.
	Blacklist *blacklist.Memory
	// Sessions is a store for session.New.
	Sessions *session.Memory

	t testing.TB
	// issuers are those of all verifiers, by name; "" is that of the authority.
	issuers map[string]*security.Issuer
	// sources are their keys.
	sources map[string]keys.SigningSource
	// claims are the default private claims, by the name of the token type.
	claims map[string]any
}

// Option changes a fixture.
type Option func(*config)

type config struct {
	issuer    string
	keys      keys.SigningSource
	start     time.Time
	authority []security.Option
	verifiers []otherVerifier
	claims    map[string]any
}

type otherVerifier struct {
	name, issuer string
	options      []security.VerifierOption
}

// WithIssuer sets the name of the application, as security.New takes it. The default is
// [DefaultIssuer].
func WithIssuer(name string) Option { return func(c *config) { c.issuer = name } }

// WithAuthority adds the options that the application gives to security.New, such as its audience
// and its layout. The clock stays that of the fixture.
func WithAuthority(options ...security.Option) Option {
	return func(c *config) { c.authority = append(c.authority, options...) }
}

// WithKeys sets the keys. The default is a new Ed25519 key.
func WithKeys(source keys.SigningSource) Option { return func(c *config) { c.keys = source } }

// WithStart sets where the clock begins.
func WithStart(at time.Time) Option { return func(c *config) { c.start = at } }

// WithVerifier adds a verifier that the document names, for tokens that an identity provider issues
// to the application. The fixture takes the place of the provider: it has its keys, and issues its
// tokens in the layout of the options, that of RFC 9068 by default.
func WithVerifier(name, issuer string, options ...security.VerifierOption) Option {
	return func(c *config) { c.verifiers = append(c.verifiers, otherVerifier{name, issuer, options}) }
}

// WithClaims sets the private claims of every token of the type that a test issues without
// [Claims], also those of [Fixture.Matrix]. typeName is a name such as "access".
func WithClaims(typeName string, claims any) Option {
	return func(c *config) { c.claims[typeName] = claims }
}

// New makes a fixture. It fails the test if an option does not hold.
func New(t testing.TB, options ...Option) *Fixture {
	t.Helper()
	c := config{issuer: DefaultIssuer, start: time.Now().Truncate(time.Second), claims: map[string]any{}}
	for _, option := range options {
		option(&c)
	}
	f, err := newFixture(t, &c)
	if err != nil {
		t.Fatalf("securitytest: %v", err)
	}
	return f
}

func newFixture(t testing.TB, c *config) (*Fixture, error) {
	f := &Fixture{Clock: &Clock{now: c.start}, Keys: c.keys, t: t, issuers: map[string]*security.Issuer{}, sources: map[string]keys.SigningSource{}, claims: c.claims}
	var err error
	if f.Keys == nil {
		if f.Keys, err = newKeys(); err != nil {
			return nil, err
		}
	}
	if f.Blacklist, err = blacklist.NewMemory(blacklist.WithClock(f.Clock.Now), blacklist.WithLogger(slog.New(slog.DiscardHandler))); err != nil {
		return nil, err
	}
	if f.Sessions, err = session.NewMemory(session.WithMemoryClock(f.Clock.Now)); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = errors.Join(f.Blacklist.Close(), f.Sessions.Close()) })
	all := slices.Clone(c.authority)
	for _, other := range c.verifiers {
		verifier, err := f.addVerifier(other)
		if err != nil {
			return nil, err
		}
		all = append(all, security.WithVerifier(verifier))
	}
	if f.Authority, err = security.New(c.issuer, f.Keys, f.Blacklist, append(all, security.WithClock(f.Clock.Now))...); err != nil {
		return nil, err
	}
	f.issuers[""], f.sources[""] = f.Issuer, f.Keys
	return f, nil
}

// addVerifier makes a verifier with keys of its provider, and the issuer of the provider.
func (f *Fixture) addVerifier(other otherVerifier) (*security.Verifier, error) {
	source, err := newKeys()
	if err != nil {
		return nil, err
	}
	verifier, err := security.NewVerifier(other.issuer, source, slices.Concat(other.options, []security.VerifierOption{security.WithName(other.name), security.WithClock(f.Clock.Now)})...)
	if err != nil {
		return nil, err
	}
	f.sources[other.name] = source
	f.issuers[other.name], err = security.NewIssuer(verifier)
	return verifier, err
}

func newKeys() (*keys.Set, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := keys.NewEd25519(private, keys.WithID("test"))
	if err != nil {
		return nil, err
	}
	return keys.NewSet(key)
}

// issuerOf returns the issuer of the tokens of the type.
func (f *Fixture) issuerOf(typ security.TokenType) (*security.Issuer, error) {
	if typ == nil {
		return nil, errors.New("a nil token type")
	}
	issuer := f.issuers[typ.Verifier()]
	if issuer == nil {
		return nil, fmt.Errorf("the tokens of the type %s belong to the verifier %q; add it with securitytest.WithVerifier", typ.Name(), typ.Verifier())
	}
	return issuer, nil
}
