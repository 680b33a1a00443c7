package guard

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// TestDifferentSubjects checks that the option accepts tokens of different subjects, and changes
// nothing else.
func TestDifferentSubjects(t *testing.T) {
	f := newFixture(t, WithDifferentSubjects())
	alice, bob := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text(), must(f.issuer.IssueAccessToken(t.Context(), "bob", nil))(t).Text()
	handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme, accessSchemeX}}})
	for text, status := range map[string]int{bob: 200, "x": 401} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", bearer(alice))
		r.Header.Set("X-Access", text)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
	}
	if saw.calls != 1 || saw.token.Subject() != "alice" {
		t.Errorf("%d calls, token %v", saw.calls, saw.token)
	}
}

// TestForwardedCertificate checks that only the function of the application reads a certificate
// from a header, and what its errors mean.
func TestForwardedCertificate(t *testing.T) {
	asked := 0
	f := newFixture(t, WithForwardedCertificate(func(_ context.Context, header func(string) []string) (*x509.Certificate, error) {
		asked++
		switch name := strings.Join(header("x-cert"), ","); name {
		case "":
			return nil, nil
		case "not from the proxy":
			return nil, security.ErrInvalidCredentials
		case "unreadable":
			return nil, errSecretive
		default:
			return &x509.Certificate{Subject: pkix.Name{CommonName: name}}, nil
		}
	}))
	o := &Operation{ID: "op", Requirement: Requirement{{certificateScheme}}}
	guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
	handler := guards.HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		if p, ok := CallerFromContext[Principal](r.Context()); !ok || p.Principal.Subject != "alice" {
			t.Errorf("%+v, %t", p, ok)
		}
	})
	for name, status := range map[string]int{"": 401, "alice": 200, "carol": 401, "not from the proxy": 401, "unreadable": 503} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		aCertificate("alice", true)(r) // the certificate of the proxy, not of the client
		if name != "" {
			r.Header.Set("X-Cert", name)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != status || asked != 1 {
			t.Errorf("%q: status %d, want %d; the function was asked %d times", name, w.Code, status, asked)
		}
		asked = 0
	}
}

// TestWithoutBasicChallenge checks that the challenge Basic is left out, and that the others stay.
func TestWithoutBasicChallenge(t *testing.T) {
	f := newFixture(t, WithoutBasicChallenge())
	o := &Operation{ID: "op", Requirement: Requirement{{basicScheme}, {accessScheme}}}
	guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
	w := get(guards.HandlerFunc(o, nil))
	if got := w.Header().Values("WWW-Authenticate"); w.Code != 401 || len(got) != 1 || got[0] != `Bearer realm="api"` {
		t.Errorf("status %d, challenges %q", w.Code, got)
	}
}

// TestNewGuardsRefusesCredentials has requirements that no guard could enforce. They are errors of
// NewGuards.
func TestNewGuardsRefusesCredentials(t *testing.T) {
	f := newFixture(t)
	wrongKind := testAuthenticators()
	wrongKind["basic"] = wrongKind["key"]
	noFunction := testAuthenticators()
	noFunction["basic"] = AuthenticateBasic[Principal](nil)
	for name, tt := range map[string]struct {
		authenticators Authenticators
		requirement    Requirement
		rules          Rules
	}{
		"no authenticators":                   {nil, Requirement{{basicScheme}}, Rules{}},
		"an authenticator of another scheme":  {Authenticators{"key": testAuthenticators()["key"]}, Requirement{{keyScheme}, {basicScheme}}, Rules{}},
		"an authenticator of another kind":    {wrongKind, Requirement{{basicScheme}}, Rules{}},
		"an authenticator without a function": {noFunction, Requirement{{basicScheme}}, Rules{}},
		"freshness of basic credentials":      {testAuthenticators(), Requirement{{accessScheme}, {basicScheme}}, Rules{Fresh: true}},
		"basic and bearer at once":            {testAuthenticators(), Requirement{{accessScheme, basicScheme}}, Rules{}},
		"two types in one place":              {testAuthenticators(), Requirement{{accessScheme, refreshScheme}}, Rules{}},
		"two keys in one place":               {testAuthenticators(), Requirement{{keyScheme, {Name: "session", Kind: KindKey, Parameter: "x-api-key"}}}, Rules{}},
		"a nil scheme":                        {testAuthenticators(), Requirement{{nil}}, Rules{}},
		"an unknown kind":                     {testAuthenticators(), Requirement{{{Name: "key", Kind: KindCertificate + 1}}}, Rules{}},
		"a token type for a key":              {testAuthenticators(), Requirement{{{Name: "key", Kind: KindKey, Parameter: "X", Token: accessToken}}}, Rules{}},
		"basic in a cookie":                   {testAuthenticators(), Requirement{{{Name: "basic", Kind: KindBasic, In: InCookie, Parameter: "X"}}}, Rules{}},
		"a certificate in a header":           {testAuthenticators(), Requirement{{{Name: "mtls", Kind: KindCertificate, Parameter: "X"}}}, Rules{}},
		"an empty role":                       {testAuthenticators(), Requirement{{keyScheme.WithRoles("")}}, Rules{}},
		"an unknown location":                 {testAuthenticators(), Requirement{{{Name: "key", Kind: KindKey, In: inConnection, Parameter: "X"}}}, Rules{}},
		"a query without a name":              {testAuthenticators(), Requirement{{{Name: "key", Kind: KindKey, In: InQuery}}}, Rules{}},
		"more locations than the limit": {testAuthenticators(), Requirement{{keyScheme}, {keyQueryScheme}, {sessionScheme}, {opaqueScheme}, {digestScheme},
			{certificateScheme}, {accessQueryScheme}, {accessCookieScheme}, {refreshSchemeX}}, Rules{}},
	} {
		if _, err := NewGuards(f.policy, tt.authenticators, &Operation{ID: "op", Requirement: tt.requirement, Rules: tt.rules}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(f.validator, WithForwardedCertificate(nil)); err == nil {
		t.Error("a nil function for certificates: no error")
	}
}

// TestCallerFromContext checks the functions that return a caller from a context.
func TestCallerFromContext(t *testing.T) {
	f := newFixture(t)
	o := &Operation{ID: "op", Requirement: Requirement{{keyScheme}, {}}}
	other := &Operation{ID: "op", Requirement: Requirement{{keyScheme}, {}}}
	guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
	var ctx context.Context
	handler := guards.HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-API-Key", "alice")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if p, err := RequestCaller[Principal](ctx, o); err != nil || p.Principal.Subject != "alice" || p.Scheme() != "key" {
		t.Errorf("%+v, %v", p, err)
	}
	for name, err := range map[string]error{
		"another type":          second(RequestCaller[string](ctx, o)),
		"another operation":     second(RequestCaller[Principal](ctx, other)),
		"no guard":              second(RequestCaller[Principal](t.Context(), o)),
		"a token":               second(RequestToken[security.NoClaims](ctx, o)),
		"credentials elsewhere": second(RequestCredentials(ctx, other)),
	} {
		if !errors.Is(err, security.ErrUnguarded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := FromContext(ctx); ok {
		t.Error("a token although the credential is a key")
	}
	if _, ok := CallerOf[Principal](Credentials{resultOf(ctx)}, "basic"); ok {
		t.Error("the caller of another scheme")
	}
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if _, ok, err := OptionalCaller[Principal](ctx, o); ok || err != nil {
		t.Errorf("anonymous: %t, %v", ok, err)
	}
	if _, err := RequestCaller[Principal](ctx, o); !errors.Is(err, security.ErrUnguarded) {
		t.Errorf("anonymous where a caller is required: %v", err)
	}
	if _, ok := CallerFromContext[Principal](t.Context()); ok {
		t.Error("a caller without a guard")
	}
}
