package providers

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/oapi-guard/oapi-guard/security"
)

// CognitoAccess verifies access tokens of a user pool of Amazon Cognito. poolID is such as
// "eu-west-1_AbCdEfGhI", and clientID the app client.
//
//   - Issuer: https://cognito-idp.REGION.amazonaws.com/POOL. Keys: ISSUER/.well-known/jwks.json,
//     RS256.
//   - Type: token_use is "access". The header has no typ.
//   - Client: client_id. There is no audience.
//   - Subject: a UUID.
//   - Roles: cognito:groups. Scopes: scope.
//   - Ids: jti, and origin_jti, which is the session. Both are there only if the revocation of
//     tokens is switched on for the client, as it is for new ones.
//   - Lifetime: 1 hour, 5 minutes to 1 day.
//
// A token that Cognito has revoked still has a good signature: only this application's blacklist
// refuses it here. Without origin_jti neither a token nor a session can be revoked by itself.
//
// Source: docs.aws.amazon.com "Revoking tokens"; awslabs/aws-jwt-verify src/cognito-verifier.ts.
func CognitoAccess(ctx context.Context, poolID, clientID string, options ...Option) (*Provider, error) {
	return cognito(ctx, poolID, clientID, "access", []security.LayoutOption{security.WithClientFrom("client_id", clientID)}, nil, options)
}

// CognitoID verifies ID tokens of a user pool of Amazon Cognito. token_use is "id" and the audience
// is the app client. The rest is as for [CognitoAccess].
func CognitoID(ctx context.Context, poolID, clientID string, options ...Option) (*Provider, error) {
	return cognito(ctx, poolID, clientID, "id", nil, []security.VerifierOption{security.WithAudience(clientID)}, options)
}

var cognitoPool = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+_[0-9A-Za-z]+$`)

func cognito(ctx context.Context, poolID, clientID, use string, layout []security.LayoutOption, verifier []security.VerifierOption, options []Option) (*Provider, error) {
	err := checkID("the app client of Cognito", clientID, "1example23456789")
	if !cognitoPool.MatchString(poolID) {
		err = errors.New(`providers: the user pool of Cognito is like "eu-west-1_AbCdEfGhI"`)
	}
	if err != nil {
		return nil, err
	}
	region, _, _ := strings.Cut(poolID, "_")
	issuer := "https://cognito-idp." + region + ".amazonaws.com/" + poolID
	return Open(ctx, Config{
		Name: "cognito", Issuer: issuer, KeySetURL: issuer + "/.well-known/jwks.json",
		Layout: append(layout, security.WithTypeClaim("token_use", use), security.WithRolesAt("cognito:groups"), security.WithoutTokenIDs()),
		// Several verifiers of one pool have the same issuer, and so the same entries on the blacklist.
		Verifier: verifier, SessionClaim: "origin_jti",
	}, options...)
}

const (
	entraHost     = "https://login.microsoftonline.com/"
	entraTemplate = entraHost + "{tenantid}/v2.0"
)

// Entra verifies v2.0 access tokens of one tenant of Microsoft Entra ID. tenantID is the GUID of
// the tenant, and audience the client ID of the API, a GUID too. The manifest of the API must set
// accessTokenAcceptedVersion (requestedAccessTokenVersion in newer manifests) to 2: otherwise it
// gets v1.0 tokens of another issuer, which are refused.
//
//   - Issuer: https://login.microsoftonline.com/TENANT/v2.0. Keys:
//     https://login.microsoftonline.com/TENANT/discovery/v2.0/keys, RS256. A key that names an
//     issuer serves that issuer alone. An API with custom claims may have keys of its own: use
//     [WithKeySetURL] with ?appid=CLIENT.
//   - Type: ver is "2.0", and an access token has azp, the client. The header typ is JWT for ID
//     tokens too. An ID token has nonce, at_hash or c_hash in most flows. A client and its API may
//     share one registration and so the audience: azp then tells the types apart, which no ID token
//     has by default.
//   - Subject: sub, different for each API. For the id that all APIs of the tenant see, use
//     WithLayoutOptions(security.WithSubjectFrom("oid")).
//   - Roles: roles. Scopes: scp, only for users. Groups are GUIDs in groups; of more than 200
//     groups only a link is in the token, and they are then no roles here.
//   - Ids: uti in place of jti. There is no session.
//   - Lifetime: 60 to 90 minutes at random, up to 28 hours with continuous access evaluation. iat
//     is the time of the log-in.
//
// Each token can be revoked by itself; a session cannot. Tokens for Microsoft Graph and other APIs
// of Microsoft cannot be verified by anybody else.
//
// Source: MicrosoftDocs/entra-docs docs/identity-platform/access-tokens.md,
// access-token-claims-reference.md and id-token-claims-reference.md.
func Entra(ctx context.Context, tenantID, audience string, options ...Option) (*Provider, error) {
	if err := checkGUID("the tenant of Entra", tenantID); err != nil {
		return nil, err
	}
	return entra(ctx, audience, entraHost+tenantID+"/v2.0", entraHost+tenantID+"/discovery/v2.0/keys", nil, options)
}

// EntraTenants is [Entra] for many tenants. allow decides whether the application serves the tenant
// of a token, whose claim tid is a GUID in lower case; security.TenantList is one for a fixed list.
// Never allow all tenants if anybody can make one. An error of allow is answered 503.
//
//   - Issuer: the template https://login.microsoftonline.com/{tenantid}/v2.0, filled in with tid.
//   - Keys: https://login.microsoftonline.com/common/discovery/v2.0/keys. The keys of personal
//     accounts name the issuer of those, and serve no other tenant.
//   - A revocation is for the tenant of the token; the revocation of all sessions is for all
//     tenants.
func EntraTenants(ctx context.Context, audience string, allow func(ctx context.Context, tenantID string) (bool, error), options ...Option) (*Provider, error) {
	if allow == nil {
		return nil, errors.New("providers: EntraTenants needs a function; see security.TenantList")
	}
	served := func(ctx context.Context, tenantID string) (bool, error) {
		if !isGUID(tenantID) {
			return false, nil
		}
		return allow(ctx, tenantID)
	}
	return entra(ctx, audience, entraTemplate, entraHost+"common/discovery/v2.0/keys",
		[]security.VerifierOption{security.WithTenants("tid", served)}, options)
}

func entra(ctx context.Context, audience, issuer, keySetURL string, verifier []security.VerifierOption, options []Option) (*Provider, error) {
	if err := checkGUID("the audience of v2.0 tokens, the client ID of the API,", audience); err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "entra", Issuer: issuer, KeySetURL: keySetURL,
		Layout:     []security.LayoutOption{security.WithTypeClaim("ver", "2.0"), security.WithoutTokenIDs()},
		Verifier:   append(verifier, security.WithAudience(audience)),
		TypeClaims: []string{"azp"}, OtherTypeClaims: idTokenClaims(),
		IDClaim: "uti",
	}, options...)
}

// Google verifies ID tokens of Google. clientID is the client, such as
// "123-abc.apps.googleusercontent.com", or the audience that a service account asked for. The
// access tokens of Google are opaque.
//
//   - Issuer: https://accounts.google.com. A few clients get accounts.google.com without the
//     scheme: see [WithIssuer]. Keys: https://www.googleapis.com/oauth2/v3/certs, RS256.
//   - Audience: the client. azp can be another client of the same project, such as an Android app.
//   - Type: an ID token is the only kind of token that has this audience, besides security events,
//     which are refused.
//   - Subject: never used again. The email address can change.
//   - Members of one organization alone: WithClaim("hd", "example.com").
//   - Roles, scopes: none.
//   - Ids: none.
//   - Lifetime: 1 hour.
//
// Not revocable by itself: every token. Its subject is.
//
// Source: developers.google.com/identity/openid-connect/reference; the header typ is from an
// example of others and not checked where it is absent.
func Google(ctx context.Context, clientID string, options ...Option) (*Provider, error) {
	if err := checkAudience(clientID); err != nil {
		return nil, errors.New(`providers: the client of Google is like "123-abc.apps.googleusercontent.com"`)
	}
	return Open(ctx, Config{
		Name: "google", Issuer: "https://accounts.google.com", KeySetURL: "https://www.googleapis.com/oauth2/v3/certs",
		Layout:   []security.LayoutOption{security.WithTypeHeader("", "JWT"), security.WithoutTokenIDs()},
		Verifier: []security.VerifierOption{security.WithAudience(clientID)},
	}, options...)
}

// Firebase verifies ID tokens of Firebase Authentication, which clients send to an API. projectID
// is such as "example-project-1a2b".
//
//   - Issuer: https://securetoken.google.com/PROJECT. Keys:
//     https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com,
//     RS256.
//   - Audience: the project.
//   - Type: an ID token has auth_time. Session cookies have another issuer and other keys, and
//     custom tokens another audience; both are refused.
//   - Subject: the user id, 1 to 128 characters. With several tenants of Identity Platform the
//     claim firebase.tenant names the tenant: check it.
//   - Roles: custom claims at the top level; name the claim with
//     WithLayoutOptions(security.WithRolesAt("roles")), which is the default. There are no scopes.
//   - Ids: none.
//   - Lifetime: 1 hour.
//
// Not revocable by itself: every token. Its subject is: the cut-off is compared with auth_time, as
// the library of Firebase does.
//
// Source: firebase-admin-go auth/token_verifier.go; firebase.google.com/docs, DecodedIdToken.
func Firebase(ctx context.Context, projectID string, options ...Option) (*Provider, error) {
	if err := checkID("the project of Firebase", projectID, "example-project-1a2b"); err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "firebase", Issuer: "https://securetoken.google.com/" + projectID,
		KeySetURL:  "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
		Layout:     []security.LayoutOption{security.WithTypeHeader("", "JWT"), security.WithoutTokenIDs()},
		Verifier:   []security.VerifierOption{security.WithAudience(projectID)},
		TypeClaims: []string{"auth_time"},
	}, options...)
}
