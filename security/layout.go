package security

import (
	"errors"
	"fmt"
	"slices"

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
//
// An access token has the audiences of [WithAudience]. A token of another type has an audience of
// its own, the issuer with "#" and the name of the type, and a refresh token has neither roles nor
// scopes: a verifier that checks only aud, or only scopes, does not accept it as an access token.
func RFC9068() Layout { return payload.RFC9068{} }

// PlainJWT is [RFC9068] with the header typ "JWT" on access tokens, for verifiers of others that
// know no other. The audience alone tells token types apart there.
func PlainJWT() Layout { return payload.RFC9068{Plain: true} }

// providerLayout is the layout of an identity provider.
type providerLayout struct {
	// accepts reports whether a token is of the wanted type. It is nil until an option sets it.
	accepts func(header jose.Header, c *payload.Claims) bool
	// typeClaim is the claim with the type, or "".
	typeClaim string
	// roles are the paths to the roles; all of them count.
	roles [][]string
	// subject is the claim with the subject, or "" for sub.
	subject string
	// client is the claim with the client, or "" if no client is demanded.
	client  string
	demands payload.Demands
}

// LayoutOption describes the tokens of an identity provider.
type LayoutOption func(*providerLayout) error

// IdentityProvider is the layout of tokens that somebody else issues. It needs one of
// [WithTypeHeader], [WithTypeClaim] and [WithUnsafeAnyType]. Package providers has the layouts of
// many providers.
//
// Only the claims that are used must have the right form: iss, sub, aud, exp, nbf, iat, jti, sid and
// auth_time, and those that an option names. Scopes are read from scope or scp, a string or a list;
// if a token has both and they differ, it is refused. Private claims may have any name.
func IdentityProvider(options ...LayoutOption) (Layout, error) {
	l := &providerLayout{demands: payload.Demands{Foreign: true}}
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
	if l.roles == nil {
		l.roles = [][]string{{"roles"}}
	}
	for _, name := range l.ClaimNames() {
		if payload.IsRegistered(name) {
			return nil, fmt.Errorf("security: the claim %q decides over the token; it cannot be read as roles or as the type", name)
		}
	}
	return l, nil
}

// WithTypeHeader accepts tokens whose header typ is one of the values. It compares without case and
// without the prefix "application/". The value "" accepts tokens without typ.
func WithTypeHeader(values ...string) LayoutOption {
	return func(l *providerLayout) error {
		if len(values) == 0 {
			return errors.New("security: WithTypeHeader needs the values of the type")
		}
		var types []string
		for _, value := range values {
			types = append(types, jose.MediaType(value))
		}
		return l.setType("", func(header jose.Header, _ *payload.Claims) bool {
			return slices.Contains(types, header.Type)
		})
	}
}

// WithTypeClaim accepts tokens in which a claim, such as token_use or typ, has one of the values.
func WithTypeClaim(claim string, values ...string) LayoutOption {
	return func(l *providerLayout) error {
		if claim == "" || len(values) == 0 || slices.Contains(values, "") {
			return errors.New("security: WithTypeClaim needs the name of a claim and its values")
		}
		return l.setType(claim, func(_ jose.Header, c *payload.Claims) bool {
			return slices.Contains(values, c.Type)
		})
	}
}

// WithUnsafeAnyType accepts tokens that do not tell their type. Every other token that the provider
// signs for the same audience or client, such as an ID token, is then accepted as an access token
// too.
func WithUnsafeAnyType() LayoutOption {
	return func(l *providerLayout) error {
		l.demands.TypeUnknown = true
		return l.setType("", func(jose.Header, *payload.Claims) bool { return true })
	}
}

func (l *providerLayout) setType(claim string, accepts func(jose.Header, *payload.Claims) bool) error {
	if l.accepts != nil {
		return errors.New("security: a layout reads the type in one place")
	}
	l.typeClaim, l.accepts = claim, accepts
	return nil
}

// WithRolesAt sets where the roles are. The path has one segment for each level, such as
// "realm_access", "roles"; a segment may contain dots and slashes, as the name of a claim that is a
// URL does. With several paths all roles count. The default is the claim roles.
func WithRolesAt(path ...string) LayoutOption {
	return func(l *providerLayout) error {
		if len(path) == 0 || slices.Contains(path, "") {
			return errors.New(`security: WithRolesAt needs a path, such as "realm_access", "roles"`)
		}
		l.roles = append(l.roles, slices.Clone(path))
		return nil
	}
}

// WithSubjectFrom reads the subject from another claim than sub: a string, or an integer as its
// decimal text. A token without it is refused. The subject identifies the user for revocation: it
// must be unique and must not change.
func WithSubjectFrom(claim string) LayoutOption {
	return func(l *providerLayout) error {
		l.subject = claim
		switch {
		case claim == "":
			return errors.New("security: WithSubjectFrom needs the name of a claim")
		case payload.IsRegistered(claim) && claim != "sub" && claim != "client_id":
			return errors.New("security: the claim of the subject is a claim that decides over the token, such as nbf; it cannot be read as something else")
		}
		return nil
	}
}

// WithClientFrom accepts the tokens of the given clients, which the claim names: client_id, azp or
// cid. A token of another client, or without the claim, is refused. The audience is then checked
// only if [WithAudience] sets it: several providers write none.
func WithClientFrom(claim string, clients ...string) LayoutOption {
	return func(l *providerLayout) error {
		if claim == "" || len(clients) == 0 || slices.Contains(clients, "") {
			return errors.New("security: WithClientFrom needs the name of a claim and the clients")
		}
		l.client, l.demands.Clients = claim, slices.Clone(clients)
		return nil
	}
}

// WithoutTokenIDs accepts tokens without jti. Such a token cannot be revoked by itself; its subject
// can, with [Validator.RevokeSubjectOf].
func WithoutTokenIDs() LayoutOption {
	return func(l *providerLayout) error { l.demands.IDOptional = true; return nil }
}

// WithoutKeyIDs is for tokens without kid. Every key of the set with the algorithm of the token is
// tried, at most 8.
func WithoutKeyIDs() LayoutOption {
	return func(l *providerLayout) error { l.demands.KeyIDUnknown = true; return nil }
}

// WithoutIssuerClaim accepts tokens without iss. A token with another iss is still refused. The keys
// must belong to this issuer alone.
func WithoutIssuerClaim() LayoutOption {
	return func(l *providerLayout) error { l.demands.IssuerOptional = true; return nil }
}

// Name implements payload.Layout.
func (l *providerLayout) Name() string { return "an identity provider" }

// Demands implements payload.Layout.
func (l *providerLayout) Demands() payload.Demands { return l.demands }

// Audience implements payload.Layout.
func (l *providerLayout) Audience(configured []string, issuer string, _ payload.Type) payload.Audience {
	switch {
	case configured != nil:
	case l.client != "":
		return payload.Audience{}
	default:
		configured = []string{issuer}
	}
	return payload.Audience{Values: configured, Required: true}
}

// ClaimNames implements payload.Layout.
func (l *providerLayout) ClaimNames() []string {
	var names []string
	for _, path := range l.roles {
		names = append(names, path[0])
	}
	if l.typeClaim != "" {
		names = append(names, l.typeClaim)
	}
	return names
}

// Accepts implements payload.Layout.
func (l *providerLayout) Accepts(header jose.Header, c *payload.Claims, _ payload.Type) bool {
	return l.accepts(header, c)
}

// Decode implements payload.Layout.
func (l *providerLayout) Decode(text []byte, r payload.Reading) (*payload.Claims, error) {
	return payload.DecodeForeign(text, r, func(d *payload.Decoder, name []byte, value jsontext.Value) (known bool, err error) {
		for _, path := range l.roles {
			if string(name) == path[0] {
				d.Roles = append(d.Roles, d.RolesAt(value, path[1:]...)...)
			}
		}
		if l.typeClaim != "" && string(name) == l.typeClaim {
			d.Type, _ = d.String(value) // another JSON type is no type that is accepted
		}
		if l.client != "" && string(name) == l.client {
			d.Client, _ = d.String(value) // another JSON type is no client that is accepted
		}
		switch {
		case l.subject == "":
			return false, nil
		case string(name) == l.subject:
			d.Subject, err = d.Name(value)
			return l.subject == "sub", err // client_id is the client too
		}
		return string(name) == "sub", nil
	})
}
