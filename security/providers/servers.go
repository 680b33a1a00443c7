package providers

import (
	"context"
	"errors"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Keycloak verifies access tokens of a realm of Keycloak, such as
// "https://id.example.com/realms/main". The audience is the client that stands for the API.
// Keycloak writes it only with an audience mapper, or if the user has a role of that client: by
// default aud is "account" or absent.
//
//   - Issuer: the URL of the realm. Keys: ISSUER/protocol/openid-connect/certs, RS256.
//   - Type: the claim typ is "Bearer"; an ID token has "ID", a refresh token "Refresh".
//   - Subject: sub, which the client scope "basic" adds since version 25.
//   - Roles: realm_access.roles and resource_access.AUDIENCE.roles; both count. Scopes: scope.
//   - Ids: jti and sid.
//   - Lifetime: 5 minutes.
//
// Each token can be revoked by itself.
//
// Source: keycloak core/src/main/java/org/keycloak/util/TokenUtil.java and
// OIDCConfigAttributes.java; upgrading guide changes-25_0_0.adoc.
func Keycloak(ctx context.Context, realmURL, audience string, options ...Option) (*Provider, error) {
	err := errors.Join(checkURL("the realm of Keycloak", realmURL, "https://id.example.com/realms/main"), checkAudience(audience))
	if err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "keycloak", Issuer: realmURL, KeySetURL: realmURL + "/protocol/openid-connect/certs",
		Layout: []security.LayoutOption{
			security.WithTypeClaim("typ", "Bearer"),
			security.WithRolesAt("realm_access", "roles"), security.WithRolesAt("resource_access", audience, "roles"),
		},
		Verifier: []security.VerifierOption{security.WithAudience(audience)},
	}, options...)
}

// Zitadel verifies access tokens of Zitadel. The domain is that of the instance, such as
// "example.zitadel.cloud". The audience is the id of the project. The application must be set to
// JWT access tokens; by default they are opaque.
//
//   - Issuer: https://DOMAIN. Keys: ISSUER/oauth/v2/keys, RS256, or ES256 and EdDSA if so
//     configured.
//   - Audience: the ids of the project and of its clients, in ID tokens too.
//   - Type: an access token has jti; an ID token has none, and has at_hash or sid. The header typ
//     is JWT for both.
//   - Subject: the id of the user.
//   - Roles: the names in the object urn:zitadel:iam:org:project:roles, if the client asks for
//     them. It does not count in which organization a role was given. There are no scopes.
//   - Ids: jti. A session is only in ID tokens.
//   - Lifetime: 12 hours.
//
// Each token can be revoked by itself; a session cannot.
//
// Source: zitadel internal/api/oidc/token.go, cmd/defaults.yaml and apps/docs claims.mdx.
func Zitadel(ctx context.Context, domain, audience string, options ...Option) (*Provider, error) {
	if err := errors.Join(checkDomain("the domain of Zitadel", domain, "example.zitadel.cloud"), checkAudience(audience)); err != nil {
		return nil, err
	}
	issuer := "https://" + domain
	return Open(ctx, Config{
		Name: "zitadel", Issuer: issuer, KeySetURL: issuer + "/oauth/v2/keys",
		Layout:     []security.LayoutOption{security.WithTypeHeader("JWT")},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"jti"}, OtherTypeClaims: idTokenClaims("sid"),
		RoleNames: "urn:zitadel:iam:org:project:roles",
	}, options...)
}

// Hydra verifies JWT access tokens of Ory Hydra, which are opaque unless its strategy is jwt. The
// issuer is the configured one, exactly, such as "https://id.example.com"; it often ends with a
// slash, and then [WithIssuer] sets that form.
//
//   - Keys: ISSUER/.well-known/jwks.json, RS256.
//   - Audience: a list, empty unless the client asks for one.
//   - Type: an access token has client_id; an ID token has rat, and the client as its audience.
//   - Subject: as the log-in application sets it.
//   - Roles: none; an application can set claims, which are in ext unless they are allowed at the
//     top level. Name their place with security.WithRolesAt. Scopes: scp, a list.
//   - Ids: jti.
//   - Lifetime: 1 hour.
//
// Each token can be revoked by itself; a session cannot.
//
// Source: ory/hydra oauth2/session.go and fosite/token/jwt/claims_jwt.go.
func Hydra(ctx context.Context, issuer, audience string, options ...Option) (*Provider, error) {
	if err := errors.Join(checkURL("the issuer of Hydra", issuer, "https://id.example.com"), checkAudience(audience)); err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "hydra", Issuer: issuer, KeySetURL: issuer + "/.well-known/jwks.json",
		Layout:     []security.LayoutOption{security.WithTypeHeader("JWT"), security.WithRolesAt("ext", "roles")},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"client_id"}, OtherTypeClaims: idTokenClaims("rat"),
	}, options...)
}

// Logto verifies access tokens of Logto for an API resource. The domain is such as
// "example.logto.app". Without a resource in its request a client gets an opaque token.
//
//   - Issuer: https://DOMAIN/oidc. Keys: ISSUER/jwks, ES384 or RS256.
//   - Audience: the resource.
//   - Type: the header typ is at+jwt; an ID token has none.
//   - Subject: the user id, or the client id of a machine.
//   - Roles: none. Scopes: scope.
//   - Ids: jti.
//   - Lifetime: 1 hour.
//
// Each token can be revoked by itself; a session cannot.
//
// Source: logto core/src/oidc/init.ts; node-oidc-provider lib/models/formats/jwt.js.
func Logto(ctx context.Context, domain, resource string, options ...Option) (*Provider, error) {
	if err := errors.Join(checkDomain("the domain of Logto", domain, "example.logto.app"), checkAudience(resource)); err != nil {
		return nil, err
	}
	issuer := "https://" + domain + "/oidc"
	return Open(ctx, Config{
		Name: "logto", Issuer: issuer, KeySetURL: issuer + "/jwks",
		Layout:   []security.LayoutOption{security.WithTypeHeader("at+jwt")},
		Verifier: []security.VerifierOption{security.WithAudience(resource)},
	}, options...)
}

// Duende verifies access tokens of Duende IdentityServer. The issuer is its origin, such as
// "https://id.example.com". The audience is the name of the API resource; without API resources
// tokens have no audience and are refused.
//
//   - Keys: ISSUER/.well-known/openid-configuration/jwks, RS256, rotated each 90 days.
//   - Type: the header typ is at+jwt.
//   - Subject: sub. A token of a machine has none and is refused; to accept machines alone, use
//     WithLayoutOptions(security.WithSubjectFrom("client_id")).
//   - Roles: the claim role, if the API resource asks for it. Scopes: scope, a list.
//   - Ids: jti and sid.
//   - Lifetime: 1 hour.
//
// Each token can be revoked by itself.
//
// Source: DuendeSoftware TokenExtensions.cs and KeyManagementOptions.cs.
func Duende(ctx context.Context, issuer, audience string, options ...Option) (*Provider, error) {
	if err := errors.Join(checkURL("the issuer of IdentityServer", issuer, "https://id.example.com"), checkAudience(audience)); err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "duende", Issuer: issuer, KeySetURL: issuer + "/.well-known/openid-configuration/jwks",
		Layout:   []security.LayoutOption{security.WithTypeHeader("at+jwt"), security.WithRolesAt("role")},
		Verifier: []security.VerifierOption{security.WithAudience(audience)},
	}, options...)
}

// SimpleJWT verifies access tokens of djangorestframework-simplejwt. It has no key set: source has
// the SIGNING_KEY, made with keys.NewHMAC, or the public key of another algorithm. The issuer is
// the setting ISSUER, or a name for these tokens if there is none; the blacklist knows them by it.
// The audience is the setting AUDIENCE, or "" if there is none. Then the keys alone bind a token to
// the application, so no other application may use them.
//
//   - Algorithm: HS256 by default. Tokens have no kid: each key of the algorithm is tried.
//   - Type: token_type is "access"; other tokens have "refresh" and "sliding".
//   - Subject: user_id, a number as its decimal text. There is no sub.
//   - Roles, scopes: none.
//   - Ids: jti. There is no session.
//   - Lifetime: 5 minutes.
//
// Each token can be revoked by itself; a session cannot. The blacklist of simplejwt has only
// refresh and sliding tokens.
//
// Source: djangorestframework-simplejwt rest_framework_simplejwt/tokens.py and settings.py.
func SimpleJWT(source keys.Source, issuer, audience string, options ...Option) (*Provider, error) {
	config := Config{
		Name: "simplejwt", Issuer: issuer,
		Layout: []security.LayoutOption{
			security.WithTypeClaim("token_type", "access"), security.WithSubjectFrom("user_id"),
			security.WithoutKeyIDs(), security.WithoutIssuerClaim(),
		},
		AudienceOptional: audience == "",
	}
	if audience != "" {
		config.Verifier = []security.VerifierOption{security.WithAudience(audience)}
	}
	return Open(context.Background(), config, append([]Option{WithKeys(source)}, options...)...)
}
