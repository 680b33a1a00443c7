package security

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// Layout is how an issuer writes its tokens: where a token tells its type, and what its claims are
// called. [RFC9068] is the default. [IdentityProvider] describes the tokens of somebody else, and
// package pyjwt has those of the Python libraries. Only this module implements a layout.
type Layout interface{ payload.Layout }

// WithLayout sets the layout of the verifier's tokens, and of the tokens that an [Issuer] with the
// verifier writes; [RFC9068] by default. A layout that does not tell token types apart, see
// [WithUnsafeAnyType], needs [WithAudience].
func WithLayout(layout Layout) VerifierOption {
	return func(v *Verifier) error {
		if isNil(layout) {
			return errors.New("security: WithLayout needs a layout")
		}
		v.layout = layout
		return nil
	}
}

// RFC9068 is the default layout. The header typ is "at+jwt" for access tokens (RFC 9068, section
// 2.1). "rt+jwt" for refresh tokens and "x-NAME+jwt" for other types are private to this package.
func RFC9068() Layout { return payload.RFC9068{} }

// providerLayout is the layout of an identity provider.
type providerLayout struct {
	// accepts reports whether a token is of the wanted type. It is nil until an option sets it.
	accepts func(header jose.Header, c *payload.Claims) bool
	// typeClaim is the claim with the type, or "".
	typeClaim string
	// roles is the path to the claim with the roles.
	roles    []string
	optional payload.Optional
}

// LayoutOption describes the tokens of an identity provider.
type LayoutOption func(*providerLayout) error

// IdentityProvider is the layout of tokens that somebody else issues. It needs one of
// [WithTypeHeader], [WithTypeClaim] and [WithUnsafeAnyType]. Scopes are read from scope or scp. If
// a token has both and they differ, it is refused.
func IdentityProvider(options ...LayoutOption) (Layout, error) {
	l := &providerLayout{roles: []string{"roles"}}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(l); err != nil {
			return nil, err
		}
	}
	if l.accepts == nil {
		return nil, errors.New("security: a layout must tell where the type is: WithTypeHeader, WithTypeClaim or WithUnsafeAnyType")
	}
	return l, nil
}

// WithTypeHeader accepts tokens whose header typ is one of the values. It compares without case and
// without the prefix "application/".
func WithTypeHeader(values ...string) LayoutOption {
	return func(l *providerLayout) error {
		var types []string
		for _, value := range values {
			types = append(types, jose.MediaType(value))
		}
		return l.setType("", values, func(header jose.Header, _ *payload.Claims) bool {
			return slices.Contains(types, header.Type)
		})
	}
}

// WithTypeClaim accepts tokens in which a claim, such as token_use or typ, has one of the values.
func WithTypeClaim(claim string, values ...string) LayoutOption {
	return func(l *providerLayout) error {
		if claim == "" {
			return errors.New("security: WithTypeClaim needs the name of a claim")
		}
		return l.setType(claim, values, func(_ jose.Header, c *payload.Claims) bool {
			return slices.Contains(values, c.Type)
		})
	}
}

// WithUnsafeAnyType accepts tokens that do not tell their type. Every other token that the provider
// signs for the same audience, such as an ID token, is then accepted as an access token too.
func WithUnsafeAnyType() LayoutOption {
	return func(l *providerLayout) error {
		l.optional.Type = true
		return l.setType("", []string{"any"}, func(jose.Header, *payload.Claims) bool { return true })
	}
}

func (l *providerLayout) setType(claim string, values []string, accepts func(jose.Header, *payload.Claims) bool) error {
	if l.accepts != nil {
		return errors.New("security: a layout reads the type in one place")
	}
	if len(values) == 0 || slices.Contains(values, "") {
		return errors.New("security: a layout needs the values of the type")
	}
	l.typeClaim, l.accepts = claim, accepts
	return nil
}

// WithRolesAt sets the path to the roles, with dots, such as realm_access.roles. The default is
// roles.
func WithRolesAt(path string) LayoutOption {
	return func(l *providerLayout) error {
		l.roles = strings.Split(path, ".")
		if slices.Contains(l.roles, "") {
			return errors.New("security: a path of roles is like realm_access.roles")
		}
		return nil
	}
}

// WithoutTokenIDs accepts tokens without jti. Such a token cannot be revoked by itself; its subject
// can, with [Validator.RevokeSubjectOf].
func WithoutTokenIDs() LayoutOption {
	return func(l *providerLayout) error { l.optional.ID = true; return nil }
}

// Name implements payload.Layout.
func (l *providerLayout) Name() string { return "an identity provider" }

// Optional implements payload.Layout.
func (l *providerLayout) Optional() payload.Optional { return l.optional }

// ClaimNames implements payload.Layout.
func (l *providerLayout) ClaimNames() []string {
	if l.typeClaim == "" {
		return l.roles
	}
	return append(slices.Clone(l.roles), l.typeClaim)
}

// Accepts implements payload.Layout.
func (l *providerLayout) Accepts(header jose.Header, c *payload.Claims, _ payload.Type) bool {
	return l.accepts(header, c)
}

// Decode implements payload.Layout.
func (l *providerLayout) Decode(text []byte, names payload.Names, wantPrivate bool) (*payload.Claims, error) {
	return payload.Decode(text, names, wantPrivate, func(d *payload.Decoder, name []byte, value jsontext.Value) (known bool, err error) {
		switch string(name) {
		case l.roles[0]:
			d.Roles = d.RolesAt(value, l.roles[1:]...)
		case l.typeClaim:
			d.Type, err = d.String(value)
		default:
			return false, nil
		}
		return true, err
	})
}
