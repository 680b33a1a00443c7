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

// TestNetHTTPMiddleware checks the authentication function in oapi-codegen's own middleware for net/http, in front of handlers that stand behind
// no guard. Of the reference API these are the operations that the function takes: those whose security is not optional.
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
	pair, err := issuer.IssueTokenPair(t.Context(), "alice", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithFresh())
	if err != nil {
		t.Fatal(err)
	}
	adminToken, err := issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithFresh(), security.WithRoles("ADMIN"))
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
		{"public", "POST /login", "", `{"username":"a","password":"b"}`, 200, "nobody"},
		{"public, with a bad body", "POST /login", "", `{"username":"hunter2"}`, 400, "/password"},
		{"a token", "GET /protected", access, "", 200, "access alice "},
		{"no token", "GET /protected", "", "", 401, "needs credentials"},
		{"a bad token", "GET /protected", "Bearer hunter2", "", 401, "not valid"},
		{"another type", "POST /logout", access, "", 401, "wrong type"},
		{"the right type", "POST /logout", refresh, "", 200, "refresh alice "},
		{"a rule of x-guard", "PUT /email", old, `{"email":"a@b"}`, 401, "more recent"},
		{"that rule kept", "PUT /email", access, `{"email":"a@b"}`, 200, `access alice {"email":"a@b"}`},
		{"a bad body", "PUT /email", access, `{"email":"hunter2` + strings.Repeat("2", 300) + `"}`, 400, "maxLength"},
		{"a role", "GET /admin/users", access, "", 403, "do not allow"},
		{"a path parameter", "DELETE /admin/users/" + strings.Repeat("u", 65) + "/sessions", admin, "", 400, "maxLength"},
		{"a key", "GET /reports", "key good", "", 200, "partner"},
		{"a bad key", "GET /reports", "key hunter2", "", 401, "not valid"},
		{"a token without the scope", "GET /reports", access, "", 403, "do not allow"},
		{"one of two credentials", "POST /reports", access, `{}`, 401, "needs credentials"},
		{"no such path", "GET /hunter2", access, "", 404, "description"},
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
