package providers_test

import (
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/providers"
)

// TestWorkloads reads tokens of pods and of jobs.
func TestWorkloads(t *testing.T) {
	const (
		cluster = "https://kubernetes.default.svc.cluster.local"
		github  = "https://token.actions.githubusercontent.com"
	)
	only := func(claim string, values ...string) []providers.Option {
		return []providers.Option{providers.WithClaim(claim, values...)}
	}
	testPresets(t, []preset{
		{
			name: "Kubernetes",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.Kubernetes(t.Context(), cluster, api, append(options, providers.WithKeys(source))...)
			},
			claims: object{
				"aud": []string{api}, "exp": now + 3600, "iat": now, "iss": cluster, "jti": "j1", "nbf": now, "sub": "system:serviceaccount:shop:cart",
				"kubernetes.io": object{"namespace": "shop", "pod": object{"name": "cart-1", "uid": "p1"}, "serviceaccount": object{"name": "cart", "uid": "u1"}},
			},
			want: accepted{
				verifier: "kubernetes",
				identity: blacklist.Identity{Issuer: cluster, ID: "j1", Subject: "system:serviceaccount:shop:cart"},
			},
			variants: []object{{"jti": nil}},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": []string{cluster}}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"sub": "system:serviceaccount:shop:other"}, options: only("sub", "system:serviceaccount:shop:cart"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://kubernetes.other"}, want: security.ErrInvalidToken},
				{name: wrongType, claims: object{"kubernetes.io": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "at+jwt"}, want: security.ErrWrongTokenType},
				{name: "an old token in a secret", claims: object{
					"iss": "kubernetes/serviceaccount", "exp": nil, "kubernetes.io": nil, "kubernetes.io/serviceaccount/namespace": "shop",
				}, want: security.ErrInvalidToken},
				{name: "a default token for a year", claims: object{"exp": now + 365*86400}, want: security.ErrInvalidToken},
			},
			lacks: map[string]string{anIDToken: "a cluster issues none"},
		},
		{
			name: "GitHub Actions",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.GitHubActions(t.Context(), "65", api, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT", "x5t": "x"},
			claims: object{
				"jti": "j1", "sub": "repo:octo-org/octo-repo:environment:prod", "environment": "prod", "aud": api, "ref": "refs/heads/main", "sha": "s",
				"repository": "octo-org/octo-repo", "repository_owner": "octo-org", "repository_id": "74", "repository_owner_id": "65", "run_id": "1",
				"actor": "octocat", "iss": github, "nbf": now - 600, "exp": now + 300, "iat": now,
			},
			want: accepted{
				verifier: "github-actions",
				identity: blacklist.Identity{Issuer: github, ID: "j1", Subject: "repo:octo-org/octo-repo:environment:prod"},
			},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "https://github.com/octo-org"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"repository_owner_id": "66"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"repository_owner_id": nil}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"repository_id": "75"}, options: only("repository_id", "74"), want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"ref": "refs/heads/evil"}, options: only("ref", "refs/heads/main"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": github + "/enterprise"}, want: security.ErrInvalidToken},
				{name: wrongType, claims: object{"repository_id": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": nil}, want: security.ErrWrongTokenType},
			},
			lacks: map[string]string{anIDToken: "the tokens are ID tokens of a job, and there are no others"},
		},
		{
			name: "GitLab CI",
			open: func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error) {
				return providers.GitLabCI(t.Context(), "https://gitlab.com", "72", api, append(options, providers.WithKeys(source))...)
			},
			header: object{"typ": "JWT"},
			claims: object{
				"namespace_id": "72", "namespace_path": "my-group", "project_id": "20", "project_path": "my-group/my-project", "user_id": "1",
				"pipeline_id": "574", "ref": "main", "ref_type": "branch", "ref_protected": "true", "jti": "j1", "iss": "https://gitlab.com",
				"iat": now, "nbf": now - 5, "exp": now + 300, "sub": "project_path:my-group/my-project:ref_type:branch:ref:main", "aud": api,
			},
			want: accepted{
				verifier: "gitlab-ci",
				identity: blacklist.Identity{Issuer: "https://gitlab.com", ID: "j1", Subject: "project_path:my-group/my-project:ref_type:branch:ref:main"},
			},
			defects: []defect{
				{name: otherAudience, claims: object{"aud": "https://vault.example.com"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"namespace_id": "73"}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"namespace_id": nil}, want: security.ErrInvalidToken},
				{name: otherClient, claims: object{"ref_protected": "false"}, options: only("ref_protected", "true"), want: security.ErrInvalidToken},
				{name: otherIssuer, claims: object{"iss": "https://gitlab.example.com"}, want: security.ErrInvalidToken},
				{name: anIDToken, claims: object{"project_id": nil}, want: security.ErrWrongTokenType},
				{name: wrongType, header: object{"typ": "at+jwt"}, want: security.ErrWrongTokenType},
			},
		},
	})
}
