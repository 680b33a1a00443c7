package providers

import (
	"context"
	"errors"
	"strings"

	"github.com/oapi-guard/oapi-guard/security"
)

// idTokenClaims are claims that only ID tokens have (OpenID Connect Core 1.0, sections 2 and
// 3.3.2.11).
func idTokenClaims(more ...string) []string {
	return append([]string{"nonce", "at_hash", "c_hash"}, more...)
}

// Auth0 verifies access tokens of Auth0. The domain is that of the tenant, such as
// "tenant.eu.auth0.com", or the custom domain that the application logs in at. The audience is the
// identifier of the API; without an audience in its request a client gets an opaque token.
//
//   - Issuer: https://DOMAIN/ with a slash. Keys: ISSUER.well-known/jwks.json, RS256.
//   - Type: the header typ is JWT or, in the RFC 9068 profile, at+jwt. An ID token has JWT too. A
//     token needs azp or client_id, which each access token has, and no nonce, at_hash or c_hash.
//     The audience of an ID token is the client, so never use a client as the audience.
//   - Subject: the user id, or CLIENT@clients for a machine.
//   - Roles: permissions, if role-based access control of the API adds them. Scopes: scope. The
//     roles of Auth0 are in no token; an action can add a claim, for security.WithRolesAt.
//   - Ids: jti in the RFC 9068 profile alone.
//   - Lifetime: 24 hours, at most 30 days.
//
// Not revocable by itself: a token of the Auth0 profile, which has neither jti nor sid.
//
// Source: auth0.com/docs/secure/tokens/access-tokens/access-token-profiles and
// update-access-token-lifetime.
func Auth0(ctx context.Context, domain, audience string, options ...Option) (*Provider, error) {
	if err := errors.Join(checkDomain("the domain of Auth0", domain, "tenant.eu.auth0.com"), checkAudience(audience)); err != nil {
		return nil, err
	}
	issuer := "https://" + domain + "/"
	if audience == issuer+"userinfo" {
		return nil, errors.New("providers: the audience /userinfo is in the access tokens of all APIs of the tenant; use the identifier of the API")
	}
	return Open(ctx, Config{
		Name: "auth0", Issuer: issuer, KeySetURL: issuer + ".well-known/jwks.json",
		Layout:     []security.LayoutOption{security.WithTypeHeader("JWT", "at+jwt"), security.WithRolesAt("permissions"), security.WithoutTokenIDs()},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"azp", "client_id"}, OtherTypeClaims: idTokenClaims(),
	}, options...)
}

// Okta verifies access tokens of a custom authorization server of Okta, such as
// "https://dev-1.okta.com/oauth2/default". Nobody but Okta can verify the tokens of the org server,
// whose issuer has no /oauth2/: its keys are not published.
//
//   - Issuer: the URL. Keys: ISSUER/v1/keys, RS256, rotated about four times a year.
//   - Audience: that of the authorization server, such as "api://default".
//   - Type: an access token has cid, the client; an ID token has none. The header has no typ.
//   - Subject: uid, the id of the user. sub is the login name, which can change and be used again.
//     A token of a machine has no uid and is refused; to accept machines, read sub with
//     WithLayoutOptions(security.WithSubjectFrom("sub")).
//   - Roles: the claim groups, if the authorization server is configured to add it. Scopes: scp, a
//     list.
//   - Ids: jti, which begins with "AT.".
//   - Lifetime: 1 hour, 5 minutes to 24 hours.
//
// Each token can be revoked by itself; a session cannot, because there is no sid.
//
// Source: okta-developer-docs concepts/key-rotation and concepts/auth-servers; support.okta.com for
// lifetimes.
func Okta(ctx context.Context, issuer, audience string, options ...Option) (*Provider, error) {
	const example = "https://dev-1.okta.com/oauth2/default"
	err := checkURL("the issuer of Okta", issuer, example)
	if err == nil && !strings.Contains(issuer, "/oauth2/") {
		err = errors.New("providers: the issuer of Okta is a custom authorization server like " + example + "; the keys of the org server are not published")
	}
	if err := errors.Join(err, checkAudience(audience)); err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "okta", Issuer: issuer, KeySetURL: issuer + "/v1/keys",
		Layout: []security.LayoutOption{
			security.WithTypeHeader("", "JWT", "at+jwt"), security.WithSubjectFrom("uid"), security.WithRolesAt("groups"),
		},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"cid"}, OtherTypeClaims: idTokenClaims(),
	}, options...)
}

// Supabase verifies access tokens of a project of Supabase with asymmetric keys. projectRef is the
// first label of its domain, such as "abcdefghijklmnopqrst". A project with the legacy secret has
// no public keys: give the secret with [WithKeys].
//
//   - Issuer: https://REF.supabase.co/auth/v1. Keys: ISSUER/.well-known/jwks.json, ES256 or RS256.
//   - Audience: "authenticated", for all users of the project. The issuer binds a token to it.
//   - Client: a token with client_id was issued to an OAuth client of another party, and is
//     refused. WithClaim("client_id", ...) accepts the tokens of given clients, and no others.
//   - Type: an access token has session_id; an ID token has another audience and no session_id. The
//     header typ is JWT. The anon and service_role keys have no session_id.
//   - Subject: the UUID of the user. Anonymous users have one too: see the claim is_anonymous.
//   - Roles: role, "authenticated" for a user. Scopes: scope, for OAuth clients.
//   - Ids: session_id is the session. There is no jti.
//   - Lifetime: 1 hour.
//
// Not revocable by itself: every token. Its session is.
//
// Source: supabase/auth internal/tokens/service.go and internal/api/jwks.go.
func Supabase(ctx context.Context, projectRef string, options ...Option) (*Provider, error) {
	err := checkID("the project of Supabase", projectRef, "abcdefghijklmnopqrst")
	if err == nil && strings.ContainsAny(projectRef, ".:@") {
		err = errors.New(`providers: the project of Supabase is the first label of its domain, like "abcdefghijklmnopqrst"; for another domain see WithIssuer`)
	}
	if err != nil {
		return nil, err
	}
	issuer := "https://" + projectRef + ".supabase.co/auth/v1"
	return Open(ctx, Config{
		Name: "supabase", Issuer: issuer, KeySetURL: issuer + "/.well-known/jwks.json",
		Layout:     []security.LayoutOption{security.WithTypeHeader("JWT"), security.WithRolesAt("role"), security.WithoutTokenIDs()},
		Verifier:   []security.VerifierOption{security.WithAudience("authenticated")},
		TypeClaims: []string{"session_id"}, OtherTypeClaims: idTokenClaims(),
		Claims:       []Claim{{Name: "client_id", Optional: true}},
		SessionClaim: "session_id",
	}, options...)
}

// Clerk verifies session tokens of Clerk. The domain is that of the Frontend API, such as
// "clerk.example.com" or "known-cat-1.clerk.accounts.dev". The origin is that of the page that
// signs in, such as "https://app.example.com".
//
//   - Issuer: https://DOMAIN. Keys: ISSUER/.well-known/jwks.json, RS256.
//   - Client: azp is the origin of the page. There is no audience. A token without azp is refused,
//     which Clerk writes if the browser sent no Origin.
//   - Type: the header typ is JWT; OAuth access tokens have at+jwt and are refused. A session token
//     has sid; a token of a JWT template has none and is refused.
//   - Pending sessions (sts is "pending"), in which the user has not done all that is asked, are
//     refused.
//   - Subject: the user id, which begins with "user_".
//   - Roles: o.rol, the role in the active organization. There are no scopes.
//   - Ids: sid, and jti from version 2 on.
//   - Lifetime: 60 seconds.
//
// Clerk itself revokes no token, only sessions. Version 1 tokens cannot be revoked by themselves.
//
// Source: clerk-docs session-tokens.mdx and token-formats.mdx.
func Clerk(ctx context.Context, domain, origin string, options ...Option) (*Provider, error) {
	err := errors.Join(checkDomain("the Frontend API of Clerk", domain, "clerk.example.com"),
		checkURL("the origin of the page", origin, "https://app.example.com"))
	if err != nil {
		return nil, err
	}
	issuer := "https://" + domain
	return Open(ctx, Config{
		Name: "clerk", Issuer: issuer, KeySetURL: issuer + "/.well-known/jwks.json",
		Layout: []security.LayoutOption{
			security.WithTypeHeader("JWT"), security.WithClientFrom("azp", origin), security.WithRolesAt("o", "rol"), security.WithoutTokenIDs(),
		},
		TypeClaims: []string{"sid"}, OtherTypeClaims: idTokenClaims(),
		Claims: []Claim{{Name: "sts", Values: []string{"active"}, Optional: true}},
	}, options...)
}

// WorkOS verifies access tokens of WorkOS AuthKit. clientID is the client of the environment, such
// as "client_123456789".
//
//   - Issuer: https://api.workos.com/user_management/CLIENT. Older environments write
//     https://api.workos.com, with a slash at its end or without, and others their authentication
//     domain: see the claim iss of a token, and [WithIssuer].
//   - Keys: https://api.workos.com/sso/jwks/CLIENT, RS256. They are the keys of this client alone,
//     and bind a token to it.
//   - Audience: none. A token that has aud or client_id must name the client.
//   - Type: an access token has sid. An ID token of Connect cannot be told apart by its header; one
//     with nonce, at_hash or c_hash is refused.
//   - Subject: the user id, which begins with "user_".
//   - Roles: role and roles. Permissions are in permissions; read them as roles with
//     WithLayoutOptions(security.WithRolesAt("permissions")).
//   - Ids: jti and sid.
//   - Lifetime: 5 minutes in the sample.
//
// Each token can be revoked by itself.
//
// Source: workos.com/docs/reference/authkit/session-tokens; workos-node issue 1694.
func WorkOS(ctx context.Context, clientID string, options ...Option) (*Provider, error) {
	if err := checkID("the client of WorkOS", clientID, "client_123456789"); err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "workos", Issuer: "https://api.workos.com/user_management/" + clientID,
		KeySetURL:  "https://api.workos.com/sso/jwks/" + clientID,
		Layout:     []security.LayoutOption{security.WithTypeHeader("", "JWT", "at+jwt"), security.WithRolesAt("roles"), security.WithRolesAt("role")},
		Verifier:   []security.VerifierOption{security.WithAudience(clientID)},
		TypeClaims: []string{"sid"}, OtherTypeClaims: idTokenClaims(),
		Claims:           []Claim{{Name: "client_id", Values: []string{clientID}, Optional: true}},
		AudienceOptional: true,
	}, options...)
}

// Kinde verifies access tokens of Kinde. The domain is such as "example.kinde.com". The audience is
// that of the API, which the client must ask for.
//
//   - Issuer: https://DOMAIN. Keys: ISSUER/.well-known/jwks, RS256.
//   - Type: an access token has scp; an ID token has at_hash, and the client as its audience.
//   - Subject: the user id, which begins with "kp_". A token of a machine has no sub and is
//     refused; to accept machines alone, use WithLayoutOptions(security.WithSubjectFrom("azp")).
//   - Roles: permissions. Scopes: scp, a list.
//   - Ids: jti. A refresh may return the same access token again, so that a revoked one comes back.
//   - Lifetime: 24 hours.
//
// Each token can be revoked by itself; a session cannot, because there is no sid.
//
// Source: docs.kinde.com/build/tokens/about-access-tokens and about-id-tokens.
func Kinde(ctx context.Context, domain, audience string, options ...Option) (*Provider, error) {
	if err := errors.Join(checkDomain("the domain of Kinde", domain, "example.kinde.com"), checkAudience(audience)); err != nil {
		return nil, err
	}
	issuer := "https://" + domain
	return Open(ctx, Config{
		Name: "kinde", Issuer: issuer, KeySetURL: issuer + "/.well-known/jwks",
		Layout:     []security.LayoutOption{security.WithTypeHeader("", "JWT", "at+jwt"), security.WithRolesAt("permissions")},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"scp"}, OtherTypeClaims: idTokenClaims(),
	}, options...)
}
