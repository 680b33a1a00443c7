package codegen

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/oapi-codegen/runtime/types"

	"github.com/oapi-guard/oapi-guard/client"
	api "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/client"
	keyed "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/client-keys"
	only "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/client-only"
)

// sent is a request that a generated client sent, and its credentials.
type sent struct{ path, authorization, cookie, csrf, partner, word, query string }

// recorder is a server that records the requests.
func recorder(t *testing.T, answer string) (*httptest.Server, func() sent) {
	t.Helper()
	var last sent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		last = sent{r.URL.Path, h.Get("Authorization"), h.Get("Cookie"), h.Get("X-CSRF-Token"), h.Get("X-Partner"), h.Get("X-Word"), r.URL.RawQuery}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return server, func() sent { s := last; last = sent{}; return s }
}

// TestClientSends calls every operation of a generated client and checks what credentials it sends.
func TestClientSends(t *testing.T) {
	const csrfToken = "e30.eyJjc3JmIjoicHJvb2YifQ.x" // its claim csrf is proof
	server, last := recorder(t, `{}`)
	c, err := api.NewGuardedClient(server.URL+"/base", api.GuardedClientCredentials{
		Basic: client.Basic("ann", "secret"), CookieKey: client.Secret("cookie-key"), Machine: client.Certificate(), Operator: client.Secret("operator"),
		Partner: client.Secret("partner"), IdentityToken: client.Secret("identity"), QueryKey: client.Secret("query-key"),
		Signed: client.Secret("a=1, b=2"), Word: client.Secret("word"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetBearer(t.Context()); !errors.Is(err, client.ErrLoggedOut) || last() != (sent{}) {
		t.Errorf("before the log-in: error %v", err)
	}
	if err := c.Tokens.SetTokens(t.Context(), client.Tokens{AccessToken: csrfToken, RefreshToken: "refresh"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		call func(ctx context.Context, editors ...api.RequestEditorFn) (*http.Response, error)
		want sent
	}{
		{name: "a public operation", call: c.Login, want: sent{path: "/login"}},
		{name: "a public operation without an operationId", call: c.GetPublic, want: sent{path: "/public"}},
		{name: "the refresh token", call: c.Logout, want: sent{path: "/logout", authorization: "Bearer refresh"}},
		{name: "the refresh, called by hand", call: c.Refresh, want: sent{path: "/refresh", authorization: "Bearer refresh"}},
		{name: "the access token", call: c.GetBearer, want: sent{path: "/bearer", authorization: "Bearer " + csrfToken}},
		{name: "the access token in a cookie", call: c.PostCookie, want: sent{path: "/cookie", cookie: "access_token=" + csrfToken, csrf: "proof"}},
		{name: "a key in a header", call: c.GetHeader, want: sent{path: "/header", partner: "partner"}},
		{name: "a key behind a word", call: c.GetWord, want: sent{path: "/word", word: "Key word"}},
		{name: "a key in the query", want: sent{path: "/query", query: "limit=3&key=query-key"},
			call: func(ctx context.Context, editors ...api.RequestEditorFn) (*http.Response, error) {
				limit := 3
				return c.GetQuery(ctx, &api.GetQueryParams{Limit: &limit}, editors...)
			}},
		{name: "a key in a cookie", call: c.GetCookieKey, want: sent{path: "/cookie-key", cookie: "key=cookie-key"}},
		{name: "basic", call: c.GetBasic, want: sent{path: "/basic", authorization: "Basic YW5uOnNlY3JldA=="}},
		{name: "an opaque token", call: c.GetOpaque, want: sent{path: "/opaque", authorization: "Bearer operator"}},
		{name: "another http scheme", call: c.GetCustom, want: sent{path: "/custom", authorization: "Signed a=1, b=2"}},
		{name: "a certificate", call: c.GetCertificate, want: sent{path: "/certificate"}},
		{name: "a token of a provider", call: c.GetProvider, want: sent{path: "/provider", authorization: "Bearer identity"}},
		{name: "the first of alternatives", call: c.GetAlternatives, want: sent{path: "/alternatives", partner: "partner"}},
		{name: "an optional token", call: c.GetOptional, want: sent{path: "/optional", authorization: "Bearer " + csrfToken}},
		{name: "two credentials", call: c.GetBoth, want: sent{path: "/both", authorization: "Bearer " + csrfToken, partner: "partner"}},
		{name: "parameters and a body", want: sent{path: "/things/a b/00000000-0000-0000-0000-000000000000", authorization: "Bearer " + csrfToken},
			call: func(ctx context.Context, editors ...api.RequestEditorFn) (*http.Response, error) {
				return c.PutThing(ctx, "a b", types.UUID{}, nil, api.PutThingJSONRequestBody{Name: "x"}, editors...)
			}},
		{name: "parameters and a stream", want: sent{path: "/things/a/00000000-0000-0000-0000-000000000000", authorization: "Bearer " + csrfToken},
			call: func(ctx context.Context, editors ...api.RequestEditorFn) (*http.Response, error) {
				return c.PutThingWithBody(ctx, "a", types.UUID{}, nil, "application/octet-stream", strings.NewReader("x"), editors...)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edited := false
			response, err := tt.call(t.Context(), func(context.Context, *http.Request) error { edited = true; return nil })
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			tt.want.path = "/base" + tt.want.path
			if got := last(); got != tt.want || !edited {
				t.Errorf("sent %+v, want %+v (the request editor ran: %v)", got, tt.want, edited)
			}
		})
	}
}

// TestClientOfWrongCredentials checks that a name and a password for a key are refused at once.
func TestClientOfWrongCredentials(t *testing.T) {
	if _, err := keyed.NewGuardedClient("https://api.example.com", keyed.GuardedClientCredentials{Key: client.Basic("a", "b")}); err == nil {
		t.Error("a name and a password are no key")
	}
	if _, err := api.NewGuardedClient("https://api.example.com", api.GuardedClientCredentials{Basic: client.Secret("a")}); err == nil {
		t.Error("a key is no name and password")
	}
}

// TestClientAlone checks a client of a package without a server: the log-in and the refresh.
func TestClientAlone(t *testing.T) {
	server, last := recorder(t, `{"access_token":"new"}`)
	c, err := only.NewGuardedClient(server.URL, only.GuardedClientCredentials{})
	if err != nil {
		t.Fatal(err)
	}
	login, err := c.LoginWithResponse(t.Context(), only.LoginJSONRequestBody{})
	if err != nil || login.JSON200 == nil {
		t.Fatalf("log-in: %v, %v", login, err)
	}
	if err := c.Tokens.LogIn(t.Context(), login.Body); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetThingWithResponse(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if got, want := last(), (sent{path: "/a/x", authorization: "Bearer new"}); got != want {
		t.Errorf("sent %+v, want %+v", got, want)
	}
}

// TestClientFilesVet vets the packages that have no server.
func TestClientFilesVet(t *testing.T) {
	if out, err := goTool(t, nil, "vet", "./testdata/client-only", "./testdata/client-keys"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestClientBesideExistingPackage checks client.gen.go for packages that another oapi-codegen generated.
func TestClientBesideExistingPackage(t *testing.T) {
	for _, tt := range []struct {
		name, config, of string
		want             string
	}{
		{name: "with a server", of: "client", config: "spec: spec.yaml\nguard-only: true\nclient: {refresh: refresh}\n"},
		{name: "a client alone", of: "client-only", config: "spec: spec.yaml\nguard-only: true\nserver: none\nclient: {refresh: POST /refresh}\n"},
		{name: "no client", of: "sessions", config: "spec: spec.yaml\nguard-only: true\nclient: true\n",
			want: "the generated code has no ClientInterface, which client.gen.go needs; say client: true under generate in the configuration of your oapi-codegen, and generate it again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := "testdata/" + tt.of
			config, err := ReadConfig(dir+"/oapi-guard.yaml", []byte(tt.config))
			if err != nil {
				t.Fatal(err)
			}
			if config.Existing, err = ReadPackage(dir); err != nil {
				t.Fatal(err)
			}
			result, err := Generate(config, testVersion)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(dir + "/" + ClientFile)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(result.Files[ClientFile]); got != string(want) || result.Files[APIFile] != nil {
				t.Errorf("%s differs, or %v was generated:\n%s", ClientFile, keys(result.Files), difference(string(want), got))
			}
		})
	}
}
