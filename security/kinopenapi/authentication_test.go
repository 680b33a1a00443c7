package kinopenapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

var (
	access  = &guard.Scheme{Name: "access", Token: security.NewTokenType[security.NoClaims]("access")}
	refresh = &guard.Scheme{Name: "refresh", Token: security.NewTokenType[security.NoClaims]("refresh")}
	oauth   = &guard.Scheme{Name: "oauth", Token: access.Token}
	key     = &guard.Scheme{Name: "key", Kind: guard.KindKey, Parameter: "X-Key"}
)

// operations are those of testdata/security.yaml.
func operations() []guard.Operation {
	return []guard.Operation{
		{ID: "own", Method: "GET", Path: "/own", Requirement: guard.Requirement{{access}}},
		{ID: "own", Method: "GET", Path: "/alias", Requirement: guard.Requirement{{access}}},
		{ID: "either", Method: "GET", Path: "/either", Requirement: guard.Requirement{{access}, {key}}},
		{ID: "both", Method: "GET", Path: "/both", Requirement: guard.Requirement{{access, key}, {refresh}}},
		{ID: "scoped", Method: "GET", Path: "/scoped", Requirement: guard.Requirement{{oauth.With("write")}}},
		{ID: "public", Method: "GET", Path: "/public"},
		{ID: "addItem", Method: "POST", Path: "/items/{id}", Requirement: guard.Requirement{{access}}},
	}
}

// authenticators take the key "good", and say of "down" that they could not know.
var authenticators = guard.Authenticators{"key": guard.AuthenticateKey(func(_ context.Context, text string) (*guard.Caller[guard.Principal], error) {
	switch text {
	case "good":
		return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: "machine"}}, nil
	case "down":
		return nil, errors.New("dial tcp: secret.internal.example")
	}
	return nil, fmt.Errorf("no such key %s: %w", text, security.ErrInvalidCredentials)
})}

// router is a second router, as those of kin-openapi are.
type router struct{ document *openapi3.T }

func (r router) FindRoute(request *http.Request) (*routers.Route, map[string]string, error) {
	path, params := request.URL.Path, map[string]string{}
	if id, ok := strings.CutPrefix(path, "/items/"); ok {
		path, params["id"] = "/items/{id}", id
	}
	item := r.document.Paths.Value(path)
	if item == nil {
		return nil, nil, routers.ErrPathNotFound
	}
	operation := item.GetOperation(request.Method)
	if operation == nil {
		return nil, nil, routers.ErrMethodNotAllowed
	}
	return &routers.Route{Spec: r.document, Path: path, PathItem: item, Method: request.Method, Operation: operation}, params, nil
}

// validated serves next behind kin-openapi's own middleware with the authentication function.
func (a *application) validated(t testing.TB, document *openapi3.T, authenticate openapi3filter.AuthenticationFunc, multi bool, next http.HandlerFunc) http.Handler {
	t.Helper()
	return openapi3filter.NewValidator(router{document},
		openapi3filter.ValidationOptions(openapi3filter.Options{AuthenticationFunc: authenticate, MultiError: multi}),
		openapi3filter.OnLog(func(context.Context, string, error) {}),
		openapi3filter.OnErr(func(ctx context.Context, w http.ResponseWriter, _ int, _ openapi3filter.ErrCode, err error) {
			kinopenapi.WriteError(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), a.policy, err)
		})).Middleware(next)
}

// TestAuthenticationFunc checks that kin-openapi lets a request pass if and only if the guard of
// the operation does, and that the handler finds the credential.
func TestAuthenticationFunc(t *testing.T) {
	a := newApplication(t)
	token, scoped := "Authorization: Bearer "+a.token(t), "Authorization: Bearer "+a.token(t, security.WithScopes("write"))
	refreshToken := "Authorization: Bearer " + must(a.issuer.IssueRefreshToken(t.Context(), "alice", nil))(t).Text()
	for _, multi := range []bool{false, true} {
		document := load(t, "testdata/security.yaml")
		authenticate := must(kinopenapi.AuthenticationFunc(document, a.policy, authenticators, operations()))(t)
		who := make(chan string, 1)
		server := httptest.NewServer(a.validated(t, document, authenticate, multi, func(w http.ResponseWriter, r *http.Request) {
			found := []string{}
			if token, ok := guard.FromContext(r.Context()); ok {
				found = append(found, token.Type()+" "+token.Subject())
			}
			if principal, ok := guard.CallerFromContext[guard.Principal](r.Context()); ok {
				found = append(found, principal.Scheme()+" "+principal.Principal.Subject)
			}
			if r.Method == http.MethodPost {
				found = append(found, string(must(io.ReadAll(r.Body))(t)))
			}
			who <- strings.Join(found, ", ")
			w.WriteHeader(http.StatusNoContent)
		}))
		defer server.Close()
		for _, tt := range []struct {
			name, route, body string
			header            []string
			status            int
			want              string // who, or a word of the challenge or of the detail
		}{
			{name: "a token", route: "GET /own", header: []string{token}, status: 204, want: "access alice"},
			{name: "a token for the alias", route: "GET /alias", header: []string{token}, status: 204, want: "access alice"},
			{name: "nothing", route: "GET /own", status: 401, want: `Bearer realm="api"`},
			{name: "a bad token", route: "GET /own", header: []string{"Authorization: Bearer secret"}, status: 401, want: "invalid_token"},
			{name: "another type of token", route: "GET /own", header: []string{refreshToken}, status: 401, want: "invalid_token"},
			{name: "the token of one alternative", route: "GET /either", header: []string{token}, status: 204, want: "access alice"},
			{name: "the key of the other", route: "GET /either", header: []string{"X-Key: good"}, status: 204, want: "key machine"},
			{
				name: "a bad token and a good key", route: "GET /either",
				header: []string{"Authorization: Bearer secret", "X-Key: good"}, status: 204, want: "key machine",
			},
			{
				name: "a good token and a bad key", route: "GET /either", header: []string{token, "X-Key: secret"},
				status: 204, want: "access alice",
			},
			{
				name: "a bad token and a bad key", route: "GET /either",
				header: []string{"Authorization: Bearer secret", "X-Key: secret"}, status: 401, want: "invalid_token",
			},
			{name: "a key that nobody could look up", route: "GET /either", header: []string{"X-Key: down"}, status: 503, want: "Try again"},
			{
				name: "the same header twice", route: "GET /either", header: []string{"X-Key: good", "X-Key: good"},
				status: 400, want: "malformed",
			},
			{name: "both", route: "GET /both", header: []string{token, "X-Key: good"}, status: 204, want: "access alice, key machine"},
			{name: "one of both", route: "GET /both", header: []string{token}, status: 401, want: "invalid_token"},
			{name: "the other of both", route: "GET /both", header: []string{"X-Key: good"}, status: 401, want: "realm"},
			{name: "the other alternative", route: "GET /both", header: []string{refreshToken}, status: 204, want: "refresh alice"},
			{name: "a scope", route: "GET /scoped", header: []string{scoped}, status: 204, want: "access alice"},
			{name: "no scope", route: "GET /scoped", header: []string{token}, status: 403, want: "insufficient_scope"},
			{name: "public", route: "GET /public", header: []string{"Authorization: Bearer secret"}, status: 204},
			{name: "a bad parameter", route: "GET /public?n=secret", status: 400, want: "query n type"},
			{
				name: "a body", route: "POST /items/1", body: `{"name":"n"}`, header: []string{token, asJSON}, status: 204,
				want: `access alice, {"name":"n"}`,
			},
			{name: "a bad body", route: "POST /items/1", body: `{}`, header: []string{token, asJSON}, status: 400, want: "body /name required"},
			{
				name: "another media type", route: "POST /items/1", body: `secret`,
				header: []string{token, "Content-Type: text/plain"}, status: 415, want: "body - content",
			},
			{
				name: "a bad token and a bad body", route: "POST /items/secret", body: `{}`, header: []string{asJSON},
				status: 401, want: `Bearer realm="api"`,
			},
			{name: "no such path", route: "GET /secret", status: 404, want: "description"},
			{name: "no such method", route: "PUT /own", status: 405, want: "description"},
		} {
			t.Run(fmt.Sprintf("%s %v", tt.name, multi), func(t *testing.T) {
				method, path, _ := strings.Cut(tt.route, " ")
				response, said := send(t, method, server.URL+path, tt.body, tt.header...)
				got := strings.Join(response.Header.Values("WWW-Authenticate"), " ") + said.Detail
				if len(said.Violations) > 0 {
					got = ""
					for _, v := range said.Violations {
						got += fmt.Sprintf("%s %s %s", v.In, strings.Replace("-"+v.Name, "-/", "/", 1), v.Rule)
					}
					got = strings.ReplaceAll(got, "query -n", "query n")
				}
				if len(who) > 0 {
					got = <-who
					if got != tt.want {
						t.Errorf("the handler finds %q, want %q", got, tt.want)
					}
				}
				if response.StatusCode != tt.status || !strings.Contains(got, tt.want) {
					t.Errorf("status %d %q, want %d %q", response.StatusCode, got, tt.status, tt.want)
				}
			})
		}
	}
}

// countingList counts look-ups.
type countingList struct {
	blacklist.None
	lookUps atomic.Int32
}

func (l *countingList) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	l.lookUps.Add(1)
	return l.None.IsRevoked(ctx, id)
}

// TestOneDecision checks that a guard decides once over a request that kin-openapi checks, and anew
// when it checks the request again.
func TestOneDecision(t *testing.T) {
	signing := must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))(t)
	verifier := must(security.NewVerifier("https://issuer.example", must(keys.NewSet(signing))(t)))(t)
	list := &countingList{}
	validator := must(security.NewValidator(verifier, list))(t)
	a := &application{must(security.NewIssuer(verifier))(t), validator, must(guard.New(validator))(t)}
	document := load(t, "testdata/security.yaml")
	authenticate := must(kinopenapi.AuthenticationFunc(document, a.policy, authenticators, operations()))(t)
	item := document.Paths.Value("/both")
	input := func(r *http.Request) *openapi3filter.RequestValidationInput {
		return &openapi3filter.RequestValidationInput{Request: r, Route: &routers.Route{Spec: document, Path: "/both", PathItem: item, Method: "GET", Operation: item.Get},
			Options: &openapi3filter.Options{AuthenticationFunc: authenticate}}
	}
	r := httptest.NewRequest(http.MethodGet, "/both", nil)
	r.Header.Set("Authorization", "Bearer "+a.token(t))
	r.Header.Set("X-Key", "good")
	if err := openapi3filter.ValidateRequest(t.Context(), input(r)); err != nil || list.lookUps.Load() != 1 {
		t.Errorf("%v, %d look-ups", err, list.lookUps.Load())
	}
	// Whatever it is asked, it says yes to the schemes only by which the request identified.
	for scheme, want := range map[string]bool{"access": true, "key": true, "refresh": false, "": false} {
		if err := authenticate(t.Context(), &openapi3filter.AuthenticationInput{RequestValidationInput: input(r), SecuritySchemeName: scheme}); (err == nil) != want {
			t.Errorf("scheme %q: %v", scheme, err)
		}
	}
	list.lookUps.Store(1)
	r.Header.Del("X-Key")
	if err := openapi3filter.ValidateRequest(t.Context(), input(r)); !errors.Is(err, security.ErrWrongTokenType) {
		t.Errorf("without the key: %v", err)
	}
	r.Header.Set("X-Key", "secret")
	err := openapi3filter.ValidateRequest(t.Context(), input(r))
	if !errors.Is(err, security.ErrInvalidCredentials) || list.lookUps.Load() != 2 {
		t.Errorf("with a bad key: %v, %d look-ups", err, list.lookUps.Load())
	}
	// Middleware prints such errors to clients by default.
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "no such key") {
		t.Errorf("the error says more than it may: %v", err)
	}
}

// TestOptional shows why optional operations are refused, and that their guards are what decides.
func TestOptional(t *testing.T) {
	a := newApplication(t)
	for _, order := range []string{"[{access: []}, {}]", "[{}, {access: []}]"} {
		document := parse(t, "paths:\n  /x:\n    get: {security: "+order+", responses: {'204': {description: done}}}\n"+
			"components: {securitySchemes: {access: {type: http, scheme: bearer}}}\n")
		o := guard.Operation{ID: "x", Method: "GET", Path: "/x", Requirement: guard.Requirement{{}, {access}}}
		if _, err := kinopenapi.AuthenticationFunc(document, a.policy, nil, []guard.Operation{o}); err == nil || !strings.Contains(err.Error(), "GET /x") {
			t.Fatalf("%v", err)
		}
		authenticate := must(kinopenapi.AuthenticationFunc(document, a.policy, nil, []guard.Operation{o}, kinopenapi.BesideGuards()))(t)
		ran := 0
		handler := func(w http.ResponseWriter, r *http.Request) {
			ran++
			if token, ok := guard.FromContext(r.Context()); ok {
				w.Header().Set("X-Subject", token.Subject())
			}
		}
		guarded := must(guard.NewGuards(a.policy, nil, &o))(t).HandlerFunc(&o, handler)
		for _, tt := range []struct {
			next          http.HandlerFunc
			authorization string
			status        int
			subject       string
		}{
			{next: handler, authorization: "Bearer secret", status: 200}, // this is kin-openapi's doing
			{next: guarded, authorization: "Bearer secret", status: 401},
			{next: guarded, authorization: "Bearer " + a.token(t), status: 200, subject: "alice"},
			{next: guarded, status: 200},
		} {
			r := httptest.NewRequest(http.MethodGet, "/x", nil)
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			w := httptest.NewRecorder()
			before := ran
			a.validated(t, document, authenticate, false, tt.next).ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("X-Subject") != tt.subject || (ran > before) != (tt.status == 200) {
				t.Errorf("%s, %.10s: status %d, subject %q", order, tt.authorization, w.Code, w.Header().Get("X-Subject"))
			}
		}
	}
}

// TestNewAuthenticationFunc checks that an application which kin-openapi would guard wrongly does
// not start.
func TestNewAuthenticationFunc(t *testing.T) {
	a := newApplication(t)
	document := load(t, "testdata/security.yaml")
	change := func(f func(o *guard.Operation)) []guard.Operation {
		list := operations()
		f(&list[0])
		return list
	}
	for _, tt := range []struct {
		name       string
		operations []guard.Operation
		options    []kinopenapi.AuthenticationOption
		want       string
	}{
		{name: "right", operations: operations()},
		{name: "a nil option", operations: operations(), options: []kinopenapi.AuthenticationOption{nil}, want: "nil option"},
		{
			name: "another path", operations: change(func(o *guard.Operation) { o.Path = "/other" }),
			want: "GET /other: the document does not have the operation",
		},
		{
			name: "another method", operations: change(func(o *guard.Operation) { o.Method = "PUT" }),
			want: "PUT /own: the document does not have the operation",
		},
		{name: "public", operations: change(func(o *guard.Operation) { o.Requirement = nil }), want: "other security requirements"},
		{
			name:       "another scheme",
			operations: change(func(o *guard.Operation) { o.Requirement = guard.Requirement{{refresh}} }),
			want:       "other security requirements",
		},
		{
			name:       "a scheme more",
			operations: change(func(o *guard.Operation) { o.Requirement = guard.Requirement{{access, key}} }),
			want:       "other security requirements",
		},
		{
			name:       "an alternative more",
			operations: change(func(o *guard.Operation) { o.Requirement = guard.Requirement{{access}, {key}} }),
			want:       "other security requirements",
		},
		{
			name:       "an optional one",
			operations: change(func(o *guard.Operation) { o.Requirement = guard.Requirement{{access}, {}} }),
			want:       "other security requirements",
		},
		{
			name:       "secured where the document is public",
			operations: []guard.Operation{{Method: "GET", Path: "/public", Requirement: guard.Requirement{{access}}}},
			want:       "other security requirements",
		},
		{
			name:       "a nil scheme",
			operations: change(func(o *guard.Operation) { o.Requirement = guard.Requirement{{nil}} }), want: "nil scheme",
		},
		{
			name: "in the query",
			operations: change(func(o *guard.Operation) {
				o.Requirement = guard.Requirement{{&guard.Scheme{Name: "access", Token: access.Token, In: guard.InQuery, Parameter: "t"}}}
			}),
			want: "is in the query",
		},
		{
			name: "in the query, beside guards",
			operations: change(func(o *guard.Operation) {
				o.Requirement = guard.Requirement{{&guard.Scheme{Name: "access", Token: access.Token, In: guard.InQuery, Parameter: "t"}}}
			}),
			options: []kinopenapi.AuthenticationOption{kinopenapi.BesideGuards()},
		},
	} {
		_, err := kinopenapi.AuthenticationFunc(document, a.policy, authenticators, tt.operations, tt.options...)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := kinopenapi.AuthenticationFunc(nil, a.policy, authenticators, operations()); err == nil {
		t.Error("without a document")
	}
	if _, err := kinopenapi.AuthenticationFunc(document, nil, authenticators, operations()); err == nil {
		t.Error("without a policy")
	}
	if _, err := kinopenapi.AuthenticationFunc(document, a.policy, nil, operations()); err == nil {
		t.Error("without an authenticator")
	}
}

// TestUnknownOperation checks that an operation of the document which the function was not made
// with is refused, and so is a question that makes no sense.
func TestUnknownOperation(t *testing.T) {
	var failure guard.Failure
	a := newApplication(t, guard.WithErrorHandler(func(_ context.Context, f guard.Failure) guard.Response { failure = f; return f.Response }))
	document := load(t, "testdata/security.yaml")
	authenticate := must(kinopenapi.AuthenticationFunc(document, a.policy, nil, operations()[:1]))(t)
	handler := a.validated(t, document, authenticate, false, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	r := httptest.NewRequest(http.MethodGet, "/scoped", nil)
	r.Header.Set("Authorization", "Bearer "+a.token(t, security.WithScopes("write")))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != 500 || !errors.Is(failure.Err, security.ErrUnguarded) {
		t.Errorf("status %d %v", w.Code, failure.Err)
	}
	for _, question := range []*openapi3filter.AuthenticationInput{nil, {}, {RequestValidationInput: &openapi3filter.RequestValidationInput{}},
		{RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r}}} {
		if err := authenticate(t.Context(), question); !errors.Is(err, security.ErrUnguarded) {
			t.Errorf("%v", err)
		}
	}
}

// TestWriteError checks the answers to errors of kin-openapi that its middleware does not make by
// itself.
func TestWriteError(t *testing.T) {
	var failures []guard.Failure
	a := newApplication(t, guard.WithErrorHandler(func(_ context.Context, f guard.Failure) guard.Response {
		failures = append(failures, f)
		return f.Response
	}))
	o := guard.Operation{ID: "o", Requirement: guard.Requirement{{access}}}
	_, refused := must(guard.NewGuards(a.policy, nil, &o))(t).Of(&o).Authenticate(httptest.NewRequest(http.MethodGet, "/", nil))
	if len(failures) != 1 || failures[0].Operation == nil {
		t.Fatalf("the guard told of %d failures", len(failures))
	}
	secret := errors.New("secret")
	for _, tt := range []struct {
		name   string
		err    error
		status int
	}{
		{"of a guard", &openapi3filter.SecurityRequirementsError{Errors: []error{secret, refused}}, 401},
		{"of nobody", secret, 500},
		{"no error at all", nil, 500},
		{"of another function", &openapi3filter.SecurityRequirementsError{Errors: []error{secret}}, 500},
		{"of another function, by the rules", &openapi3filter.SecurityRequirementsError{Errors: []error{fmt.Errorf("secret: %w", security.ErrAccessDenied)}}, 403},
		{"without a function", &openapi3filter.SecurityRequirementsError{Errors: []error{openapi3filter.ErrAuthenticationServiceMissing}}, 500},
		{"a long body", &openapi3filter.RequestError{RequestBody: &openapi3.RequestBody{}, Reason: "secret", Err: &http.MaxBytesError{Limit: 1}}, 413},
		{"a body that is not wanted", &openapi3filter.RequestError{Reason: "secret", Err: secret}, 500},
		{"several, one of nobody", openapi3.MultiError{&openapi3filter.RequestError{RequestBody: &openapi3.RequestBody{}}, secret}, 500},
		{"none of several", openapi3.MultiError{}, 500},
		{"a router's, wrapped", fmt.Errorf("secret: %w", routers.ErrPathNotFound), 404},
	} {
		w := httptest.NewRecorder()
		kinopenapi.WriteError(w, httptest.NewRequest(http.MethodGet, "/", nil), a.policy, tt.err)
		if w.Code != tt.status || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		// What the guard has told of already is not told again.
		if tt.status == 401 && (len(failures) != 1 || w.Header().Get("WWW-Authenticate") != `Bearer realm="api"`) {
			t.Errorf("%s: %d failures, %v", tt.name, len(failures), w.Header())
		}
		if last := failures[len(failures)-1]; tt.err != nil && last.Err == nil {
			t.Errorf("%s: a failure without an error", tt.name)
		}
	}
}

// TestAuthenticateConcurrently checks for the race detector that requests share nothing.
func TestAuthenticateConcurrently(t *testing.T) {
	a := newApplication(t)
	document := load(t, "testdata/security.yaml")
	authenticate := must(kinopenapi.AuthenticationFunc(document, a.policy, authenticators, operations()))(t)
	server := httptest.NewServer(a.validated(t, document, authenticate, false, func(w http.ResponseWriter, r *http.Request) {
		token, _ := guard.FromContext(r.Context())
		if token == nil || token.Subject() != r.Header.Get("X-Want") {
			t.Error("the handler finds the token of another request")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		subject := fmt.Sprint("user", i)
		token := must(a.issuer.IssueAccessToken(t.Context(), subject, nil))(t).Text()
		wg.Go(func() {
			for range 10 {
				response, _ := send(t, http.MethodGet, server.URL+"/own", "", "Authorization: Bearer "+token, "X-Want: "+subject)
				if response.StatusCode != 204 {
					t.Errorf("status %d", response.StatusCode)
				}
			}
		})
	}
	wg.Wait()
}
