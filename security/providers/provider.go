package providers

import (
	"context"
	"errors"
	"slices"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Provider verifies the tokens of one identity provider. Close it when it is no longer used.
type Provider struct {
	// Verifier accepts the tokens. Give it to security.New with security.WithVerifier, or to
	// security.NewValidator as the first argument if the application issues no tokens.
	Verifier *security.Verifier

	remote *keys.Remote
}

// Close ends the fetching of keys. Afterwards tokens of the provider are answered 503. Close may be
// called again. It does not close the keys of [WithKeys]. It returns nil.
func (p *Provider) Close() error {
	if p == nil || p.remote == nil {
		return nil
	}
	return p.remote.Close()
}

// Config describes the tokens of a provider. The fields with claims refer to the top level of the
// payload.
type Config struct {
	// Name is the name of the verifier, by which a document names it.
	Name string
	// Issuer is the exact value of iss. With security.WithTenants it is a template.
	Issuer string
	// KeySetURL is the address of the JWK set. "" reads the OpenID configuration of the issuer.
	KeySetURL string
	// Layout describes the tokens; see security.IdentityProvider.
	Layout []security.LayoutOption
	// Verifier has the audience, with security.WithAudience, and other options.
	Verifier []security.VerifierOption

	// TypeClaims are claims that only tokens of the wanted type have. A token needs one of them.
	TypeClaims []string
	// OtherTypeClaims are claims that only tokens of another type have, such as nonce and at_hash of
	// ID tokens. A token with one of them is refused.
	OtherTypeClaims []string
	// Claims are values that a token must have.
	Claims []Claim
	// IDClaim is the claim with the id of a token in place of jti, or "".
	IDClaim string
	// SessionClaim is the claim with the session in place of sid, or "".
	SessionClaim string
	// RoleNames is the claim with an object whose names are roles, or "".
	RoleNames string
	// AudienceOptional accepts tokens without aud. The keys, or Claims, must then bind a token to the
	// application. A token with another audience is refused.
	AudienceOptional bool
}

// Claim demands a value of a claim: a string, a number or a boolean, the latter two by their JSON
// text. Any other token is refused with security.ErrInvalidToken.
type Claim struct {
	Name string
	// Values are the accepted values. Without any, a token with the claim is refused.
	Values []string
	// Optional accepts a token without the claim.
	Optional bool
}

// Option changes what a provider accepts and how its keys are fetched.
type Option func(*settings) error

type settings struct {
	config Config
	keys   keys.Source
	remote []keys.RemoteOption
	layout []security.LayoutOption
	verify []security.VerifierOption
}

// WithVerifierOptions passes options to the verifier, after those of the preset: a name, a clock, a
// longest lifetime. security.WithAudience replaces the audience, security.WithLayout all checks of
// the layout.
func WithVerifierOptions(options ...security.VerifierOption) Option {
	return func(s *settings) error { s.verify = append(s.verify, options...); return nil }
}

// WithLayoutOptions passes options to the layout, after those of the preset. security.WithRolesAt
// adds a place of roles. security.WithSubjectFrom and security.WithClientFrom replace the preset's.
func WithLayoutOptions(options ...security.LayoutOption) Option {
	return func(s *settings) error { s.layout = append(s.layout, options...); return nil }
}

// WithRemoteOptions passes options to the remote key set: an HTTP client, or a lazy start.
func WithRemoteOptions(options ...keys.RemoteOption) Option {
	return func(s *settings) error { s.remote = append(s.remote, options...); return nil }
}

// WithKeys verifies with the given keys and fetches none, in tests for example.
func WithKeys(source keys.Source) Option {
	return func(s *settings) error {
		s.keys = source
		if source == nil {
			return errors.New("providers: WithKeys needs keys")
		}
		return nil
	}
}

// WithIssuer replaces the issuer of the preset, for a domain of the customer or another edition of
// the product. It must be the exact value of iss. The address of the keys stays the same; see
// [WithKeySetURL].
func WithIssuer(issuer string) Option {
	return func(s *settings) error {
		s.config.Issuer = issuer
		if issuer == "" {
			return errors.New("providers: WithIssuer needs an issuer")
		}
		return nil
	}
}

// WithKeySetURL replaces the address of the JWK set.
func WithKeySetURL(address string) Option {
	return func(s *settings) error {
		s.config.KeySetURL = address
		if address == "" {
			return errors.New("providers: WithKeySetURL needs a URL")
		}
		return nil
	}
}

// WithClaim demands that a claim has one of the values, and replaces what the preset demands of
// that claim.
func WithClaim(name string, values ...string) Option {
	return func(s *settings) error {
		if name == "" || len(values) == 0 || slices.Contains(values, "") {
			return errors.New("providers: WithClaim needs the name of a claim and its values")
		}
		claims := slices.DeleteFunc(slices.Clone(s.config.Claims), func(c Claim) bool { return c.Name == name })
		s.config.Claims = append(claims, Claim{Name: name, Values: slices.Clone(values)})
		return nil
	}
}

// Open makes the verifier of a provider and fetches its keys. The context bounds the first fetch.
// If that fails, the error wraps keys.ErrUnavailable, unless keys.WithLazyStart is given.
func Open(ctx context.Context, config Config, options ...Option) (*Provider, error) {
	s := settings{config: config}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("providers: a nil option")
		}
		if err := option(&s); err != nil {
			return nil, err
		}
	}
	if s.config.Name == "" || s.config.Issuer == "" {
		return nil, errors.New("providers: a provider needs a name and an issuer")
	}
	layout, err := newLayout(s.config, s.layout)
	if err != nil {
		return nil, err
	}
	p := &Provider{}
	source := s.keys
	if source == nil {
		if p.remote, err = s.fetchKeys(ctx); err != nil {
			return nil, err
		}
		source = p.remote
	}
	verify := []security.VerifierOption{security.WithName(s.config.Name), security.WithLayout(layout)}
	p.Verifier, err = security.NewVerifier(s.config.Issuer, source, slices.Concat(verify, s.config.Verifier, s.verify)...)
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

func (s *settings) fetchKeys(ctx context.Context) (*keys.Remote, error) {
	if s.config.KeySetURL != "" {
		return keys.NewRemote(ctx, s.config.KeySetURL, s.remote...)
	}
	return keys.Discover(ctx, s.config.Issuer, s.remote...)
}
