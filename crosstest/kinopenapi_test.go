package crosstest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	nethttpmiddleware "github.com/oapi-codegen/nethttp-middleware"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

// TestNetHTTPMiddleware runs the authentication function in the middleware of oapi-codegen for
// net/http, in front of handlers without guards. It uses the operations of the reference API whose
// security is not optional, because the function refuses others.
func TestNetHTTPMiddleware(t *testing.T) {
	key, err := keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := security.NewVerifier("https://issuer.example", set)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := security.NewIssuer(verifier)
	if err != nil {
		t.Fatal(err)
	}
	validator, err := security.NewValidator(verifier, blacklist.None{})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := guard.New(validator)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := issuer.IssueTokenPair(t.Context(), "alice", gen.UserClaims{Name: "Alice"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := issuer.IssueAccessToken(t.Context(), "alice", gen.UserClaims{Name: "Alice"}, security.WithFresh())
	if err != nil {
		t.Fatal(err)
	}
	adminToken, err := issuer.IssueAccessToken(t.Context(), "alice", gen.UserClaims{Name: "Alice"}, security.WithFresh(), security.WithRoles("ADMIN"))
	if err != nil {
		t.Fatal(err)
	}
	admin := "Bearer " + adminToken.Text()
	access, refresh, old := "Bearer "+fresh.Text(), "Bearer "+pair.Refresh.Text(), "Bearer "+pair.Access.Text()

	authenticators := guard.Authenticators{
		"apiKey": guard.AuthenticateKey(func(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
			if key != "good" {
				return nil, fmt.Errorf("no key %s: %w", key, security.ErrInvalidCredentials)
			}
			return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: "partner"}}, nil
		}),
		"basic": guard.AuthenticateBasic(func(context.Context, guard.BasicCredentials) (*guard.Caller[guard.Principal], error) {
			return nil, security.ErrInvalidCredentials
		}),
		"operator": guard.AuthenticateKey(func(context.Context, string) (*guard.Caller[guard.Principal], error) {
			return nil, security.ErrInvalidCredentials
		}),
	}

	document, err := openapi3.NewLoader().LoadFromFile("../api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document.Servers = nil
	var operations []guard.Operation
	for _, o := range gen.GuardedOperations() {
		if !o.Optional() {
			operations = append(operations, o)
		}
	}
	if _, err := kinopenapi.AuthenticationFunc(document, policy, authenticators, gen.GuardedOperations()); err == nil || !strings.Contains(err.Error(), "GET /greeting") {
		t.Errorf("the optional operation: %v", err)
	}
	authenticate, err := kinopenapi.AuthenticationFunc(document, policy, authenticators, operations)
	if err != nil {
		t.Fatal(err)
	}
	check := nethttpmiddleware.OapiRequestValidatorWithOptions(document, &nethttpmiddleware.Options{
		Options: openapi3filter.Options{AuthenticationFunc: authenticate},
		ErrorHandlerWithOpts: func(_ context.Context, err error, w http.ResponseWriter, r *http.Request, _ nethttpmiddleware.ErrorHandlerOpts) {
			kinopenapi.WriteError(w, r, policy, err)
		},
	})
	server := httptest.NewServer(check(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if principal, ok := guard.CallerFromContext[guard.Principal](r.Context()); ok {
			_, _ = io.WriteString(w, principal.Principal.Subject)
			return
		}
		token, ok := guard.FromContext(r.Context())
		if !ok {
			_, _ = io.WriteString(w, "nobody")
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, token.Type()+" "+token.Subject()+" "+string(body))
	})))
	defer server.Close()

	for _, tt := range []struct {
		name, route, authorization, body string
		status                           int
		want                             string
	}{
		{name: "public", route: "POST /login", body: `{"username":"a","password":"b"}`, status: 200, want: "nobody"},
		{name: "public, with a bad body", route: "POST /login", body: `{"username":"hunter2"}`, status: 400, want: "/password"},
		{name: "a token", route: "GET /protected", authorization: access, status: 200, want: "access alice "},
		{name: "no token", route: "GET /protected", status: 401, want: "needs credentials"},
		{name: "a bad token", route: "GET /protected", authorization: "Bearer hunter2", status: 401, want: "not valid"},
		{name: "another type", route: "POST /logout", authorization: access, status: 401, want: "wrong type"},
		{name: "the right type", route: "POST /logout", authorization: refresh, status: 200, want: "refresh alice "},
		{name: "a rule of x-guard", route: "PUT /email", authorization: old, body: `{"email":"a@b"}`, status: 401, want: "more recent"},
		{
			name: "that rule kept", route: "PUT /email", authorization: access, body: `{"email":"a@b"}`, status: 200,
			want: `access alice {"email":"a@b"}`,
		},
		{
			name: "a bad body", route: "PUT /email", authorization: access,
			body: `{"email":"hunter2` + strings.Repeat("2", 300) + `"}`, status: 400, want: "maxLength",
		},
		{name: "a role", route: "GET /admin/users", authorization: access, status: 403, want: "do not allow"},
		{
			name: "a path parameter", route: "DELETE /admin/users/" + strings.Repeat("u", 65) + "/sessions",
			authorization: admin, status: 400, want: "maxLength",
		},
		{name: "a key", route: "GET /reports", authorization: "key good", status: 200, want: "partner"},
		{name: "a bad key", route: "GET /reports", authorization: "key hunter2", status: 401, want: "not valid"},
		{name: "a token without the scope", route: "GET /reports", authorization: access, status: 403, want: "do not allow"},
		{name: "one of two credentials", route: "POST /reports", authorization: access, body: `{}`, status: 401, want: "needs credentials"},
		{name: "no such path", route: "GET /hunter2", authorization: access, status: 404, want: "description"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.route, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			if key, ok := strings.CutPrefix(tt.authorization, "key "); ok {
				r.Header.Set("X-API-Key", key)
			} else if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tt.status || !strings.Contains(string(text), tt.want) || strings.Contains(string(text), "hunter2") {
				t.Errorf("status %d %s, want %d %s", response.StatusCode, text, tt.status, tt.want)
			}
			if tt.status != 200 && (!json.Valid(text) || response.Header.Get("Content-Type") != "application/problem+json") {
				t.Errorf("%v %s", response.Header, text)
			}
			if (response.StatusCode == 401) != (response.Header.Get("WWW-Authenticate") != "") && tt.status != 403 {
				t.Errorf("challenge %q", response.Header.Get("WWW-Authenticate"))
			}
		})
	}
}
