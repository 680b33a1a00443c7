package providers

import (
	"context"
	"errors"

	"github.com/oapi-guard/oapi-guard/security"
)

// Kubernetes verifies tokens of service accounts of one cluster, as TokenRequest and projected
// volumes issue them. The issuer is the flag --service-account-issuer of the API server, such as
// "https://kubernetes.default.svc.cluster.local". The audience is the one that the pod asks for. Do
// not use the audience of the API server: every pod has a token for it.
//
//   - Keys: as the OpenID configuration of the issuer says, RS256 or ES256. The API server wants a
//     credential and has a certificate of the cluster: pass a client with
//     WithRemoteOptions(keys.WithHTTPClient(client)). Many clusters have the same issuer: the keys
//     tell them apart.
//   - Type: a token has the object kubernetes.io. The header has no typ. The old tokens in secrets
//     have another issuer and no exp, and are refused.
//   - Subject: system:serviceaccount:NAMESPACE:NAME. WithClaim("sub", ...) accepts given accounts
//     alone. An account that is deleted and made again has the same subject.
//   - Roles, scopes: none.
//   - Ids: jti, in newer versions.
//   - Lifetime: 1 hour, at least 10 minutes. The default tokens for the API server live for up to a
//     year, and are refused by the longest lifetime of 30 days.
//
// Not revocable by itself: a token without jti. Only the TokenReview API of the cluster knows that
// a pod was deleted.
//
// Source: kubernetes pkg/serviceaccount/claims.go and jwt.go.
func Kubernetes(ctx context.Context, issuer, audience string, options ...Option) (*Provider, error) {
	err := errors.Join(checkURL("the issuer of the cluster", issuer, "https://kubernetes.default.svc.cluster.local"), checkAudience(audience))
	if err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "kubernetes", Issuer: issuer,
		Layout:     []security.LayoutOption{security.WithTypeHeader("", "JWT"), security.WithoutTokenIDs()},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"kubernetes.io"},
	}, options...)
}

// GitHubActions verifies the OpenID Connect tokens of workflows on github.com. ownerID is the
// numeric id of the user or the organization that owns the repository: everybody on GitHub can get
// a token for any audience, and a name can be given up and taken by somebody else. The audience is
// the one that the workflow asks for. Narrow it down further with WithClaim("repository_id", ...),
// WithClaim("ref", "refs/heads/main") or WithClaim("environment", ...).
//
//   - Issuer: https://token.actions.githubusercontent.com, which an enterprise can let end with its
//     name. On GitHub Enterprise Server it is https://HOST/_services/token: use [WithIssuer] and
//     [WithKeySetURL]. Keys: ISSUER/.well-known/jwks, RS256.
//   - Type: a token has repository_id. The header typ is JWT.
//   - Subject: repo:OWNER/NAME:... by default. The owner can change what it is made of, and it has
//     numeric ids for repositories made after 2026-07-15, so do not compare it.
//   - Roles, scopes: none.
//   - Ids: jti.
//   - Lifetime: 5 minutes.
//
// Each token can be revoked by itself; a session cannot.
//
// Source: github/docs content/actions/reference/security/oidc.md.
func GitHubActions(ctx context.Context, ownerID, audience string, options ...Option) (*Provider, error) {
	if err := errors.Join(checkNumber("the owner of the repositories", ownerID, "9919"), checkAudience(audience)); err != nil {
		return nil, err
	}
	const issuer = "https://token.actions.githubusercontent.com"
	return Open(ctx, Config{
		Name: "github-actions", Issuer: issuer, KeySetURL: issuer + "/.well-known/jwks",
		Layout:     []security.LayoutOption{security.WithTypeHeader("JWT")},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"repository_id"},
		Claims:     []Claim{{Name: "repository_owner_id", Values: []string{ownerID}}},
	}, options...)
}

// GitLabCI verifies the ID tokens of CI jobs of GitLab. instanceURL is such as
// "https://gitlab.com". namespaceID is the numeric id of the group or user that has the projects:
// everybody on the instance can get a token for any audience. The audience is the one that the job
// sets. Narrow it down further with WithClaim("project_id", ...) or WithClaim("ref_protected",
// "true"): booleans are strings.
//
//   - Issuer: the URL of the instance. Keys: ISSUER/oauth/discovery/keys, RS256.
//   - Type: a token of a job has project_id. The ID tokens of the log-in have the same issuer and
//     keys, and do not.
//   - Subject: project_path:GROUP/PROJECT:... by default. The project can change what it is made
//     of, so do not compare it.
//   - Roles, scopes: none.
//   - Ids: jti.
//   - Lifetime: the time-out of the job, or 5 minutes.
//
// Each token can be revoked by itself; a session cannot.
//
// Source: gitlabhq lib/gitlab/ci/jwt.rb and jwt_v2.rb;
// docs.gitlab.com/ci/secrets/id_token_authentication.
func GitLabCI(ctx context.Context, instanceURL, namespaceID, audience string, options ...Option) (*Provider, error) {
	err := errors.Join(checkURL("the instance of GitLab", instanceURL, "https://gitlab.com"),
		checkNumber("the namespace of the projects", namespaceID, "12885807"), checkAudience(audience))
	if err != nil {
		return nil, err
	}
	return Open(ctx, Config{
		Name: "gitlab-ci", Issuer: instanceURL, KeySetURL: instanceURL + "/oauth/discovery/keys",
		Layout:     []security.LayoutOption{security.WithTypeHeader("", "JWT")},
		Verifier:   []security.VerifierOption{security.WithAudience(audience)},
		TypeClaims: []string{"project_id"},
		Claims:     []Claim{{Name: "namespace_id", Values: []string{namespaceID}}},
	}, options...)
}
