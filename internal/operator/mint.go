package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Mint says what a token of the developer contains.
type Mint struct {
	Issuer, Subject string
	Audience        []string
	// Type is the type of token, such as "access".
	Type          string
	Roles, Scopes []string
	ClientID      string
	Fresh         bool
	Lifetime      time.Duration
	// Claims are the private claims, or nil.
	Claims map[string]any
}

// MaxMinted is the longest lifetime of a token of the developer.
const MaxMinted = 24 * time.Hour

// Token signs a token. No session belongs to it, so it is for development only.
func (m Mint) Token(ctx context.Context, set *keys.Set) (string, error) {
	switch {
	case m.Issuer == "":
		return "", errors.New("name the issuer with --issuer: the exact claim iss that the service expects")
	case m.Subject == "":
		return "", errors.New("name the subject with --subject")
	case m.Lifetime <= 0 || m.Lifetime > MaxMinted:
		return "", fmt.Errorf("a token of a developer lives for at most %s", about(MaxMinted))
	}
	var options []security.VerifierOption
	if len(m.Audience) > 0 {
		options = append(options, security.WithAudience(m.Audience...))
	}
	verifier, err := security.NewVerifier(m.Issuer, set, options...)
	if err != nil {
		return "", err
	}
	issuer, err := security.NewIssuer(verifier)
	if err != nil {
		return "", err
	}
	var claims any
	if m.Claims != nil {
		claims = m.Claims
	}
	token, err := issuer.Issue(ctx, security.NewTokenType[map[string]any](m.Type), m.Subject, claims, m.options()...)
	if err != nil {
		return "", err
	}
	return token.Text(), nil
}

func (m Mint) options() []security.TokenOption {
	options := []security.TokenOption{security.WithLifetime(m.Lifetime)}
	if len(m.Roles) > 0 {
		options = append(options, security.WithRoles(m.Roles...))
	}
	if len(m.Scopes) > 0 {
		options = append(options, security.WithScopes(m.Scopes...))
	}
	if m.ClientID != "" {
		options = append(options, security.WithClientID(m.ClientID))
	}
	if m.Fresh {
		options = append(options, security.WithFresh())
	}
	return options
}
