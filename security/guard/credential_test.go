package guard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"github.com/oapi-guard/oapi-guard/security"
)

// keySchemeNamed returns a scheme for keys in the header of its name.
func keySchemeNamed(name string) *Scheme { return &Scheme{Name: name, Kind: KindKey, Parameter: name} }

// send sends a request with the changes to an operation, and returns the response. further names
// schemes of keySchemeNamed that need an authenticator. see is called with the request of the
// handler.
func (f *fixture) send(t *testing.T, o *Operation, see func(r *http.Request), further []string, changes ...change) *httptest.ResponseRecorder {
	t.Helper()
	authenticators := testAuthenticators()
	for _, name := range further {
		authenticators[name] = authenticators["key"]
	}
	handler := must(NewGuards(f.policy, authenticators, o))(t).HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) { see(r) })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	handler(w, r)
	return w
}

// hookValue is what the hook of these tests returns. Authenticators return values of the same type.
var hookValue = Caller[Principal]{Principal: Principal{"of the hook"}}

func newHookedFixture(t *testing.T) (f *fixture, text string) {
	f = newFixture(t, security.WithHook("access", func(context.Context, security.Token[userClaims]) (any, error) { return hookValue, nil }))
	return f, must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
}

// TestFailedAlternativeLeavesNothing has an alternative whose second credential fails, and another
// alternative that is valid. The handler finds only the credentials of that one.
func TestFailedAlternativeLeavesNothing(t *testing.T) {
	f, text := newHookedFixture(t)
	refresh := must(f.issuer.IssueRefreshToken(t.Context(), "bob", nil))(t).Text()
	for _, tt := range []struct {
		name    string
		second  []*Scheme
		schemes []string
		subject string // of the token
		key     bool
	}{
		{name: "a key", second: []*Scheme{keySchemeNamed("good")}, schemes: []string{"good"}, key: true},
		{name: "a token without a hook", second: []*Scheme{refreshSchemeX}, schemes: []string{"refreshX"}, subject: "bob"},
		{name: "both", second: []*Scheme{refreshSchemeX, keySchemeNamed("good")}, schemes: []string{"refreshX", "good"}, subject: "bob", key: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &Operation{ID: "op", Requirement: Requirement{{accessScheme, keySchemeNamed("bad")}, tt.second}}
			w := f.send(t, o, func(r *http.Request) {
				c := must(RequestCredentials(r.Context(), o))(t)
				if !slices.Equal(c.Schemes(), tt.schemes) {
					t.Errorf("schemes %q, want %q", c.Schemes(), tt.schemes)
				}
				if token, ok := FromContext(r.Context()); ok != (tt.subject != "") || ok && token.Subject() != tt.subject {
					t.Errorf("token %v, %t", token, ok)
				}
				if _, ok := TokenOf[userClaims](c, accessToken); ok {
					t.Error("the token of the failed alternative is in the context")
				}
				if value, ok := HookValue[Caller[Principal]](r.Context()); ok {
					t.Errorf("the value of the hook for the failed alternative: %v", value)
				}
				if p, ok := CallerOf[Principal](c); ok != tt.key || ok && p.Principal.Subject != "bob" {
					t.Errorf("principal %v, %t", p, ok)
				}
			}, []string{"good", "bad"}, field("Authorization", bearer(text)), field("bad", "x"), field("good", "bob"), field("X-Refresh", refresh))
			if w.Code != http.StatusOK {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		})
	}
}

// TestHookValueIsNoCaller has a hook and an authenticator that return values of one type. Each
// value is found only by its function.
func TestHookValueIsNoCaller(t *testing.T) {
	f, text := newHookedFixture(t)
	ofToken, ofKey := &Operation{ID: "token", Requirement: Requirement{{accessScheme}}}, &Operation{ID: "key", Requirement: Requirement{{keyScheme}}}
	f.send(t, ofToken, func(r *http.Request) {
		if p, err := RequestCaller[Principal](r.Context(), ofToken); !errors.Is(err, security.ErrUnguarded) {
			t.Errorf("principal %v, error %v", p, err)
		}
		if p, ok := CallerFromContext[Principal](r.Context()); ok {
			t.Errorf("principal %v", p)
		}
		if value, ok := HookValue[Caller[Principal]](r.Context()); !ok || value.Principal != hookValue.Principal {
			t.Errorf("value of the hook: %v, %t", value, ok)
		}
	}, nil, field("Authorization", bearer(text)))
	f = newFixture(t) // without the hook, because the next operation takes no such token
	f.send(t, ofKey, func(r *http.Request) {
		if value, ok := HookValue[any](r.Context()); ok {
			t.Errorf("value of the hook: %v", value)
		}
		if p, err := RequestCaller[Principal](r.Context(), ofKey); err != nil || p.Principal.Subject != "bob" {
			t.Errorf("principal %v, error %v", p, err)
		}
	}, nil, field("X-API-Key", "bob"))
}

// TestAnonymousHasNothing asks for the credentials of an anonymous caller with each function.
func TestAnonymousHasNothing(t *testing.T) {
	f, _ := newHookedFixture(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}, {keyScheme}, {}}}
	ran := false
	f.send(t, o, func(r *http.Request) {
		ran = true
		c := must(RequestCredentials(r.Context(), o))(t)
		_, token := TokenOf[userClaims](c, accessToken, "access")
		_, principal := CallerOf[Principal](c, "key")
		_, any := FromContext(r.Context())
		_, value := HookValue[Caller[Principal]](r.Context())
		if token || principal || any || value || len(c.Schemes()) > 0 || !c.Anonymous() {
			t.Errorf("%t, %t, %t, %t, %q, %t", token, principal, any, value, c.Schemes(), c.Anonymous())
		}
	}, nil)
	if !ran {
		t.Error("anonymous callers are refused")
	}
}

// TestTokensHaveOneSubject has alternatives of several tokens and keys. All tokens must have one
// subject, in every order.
func TestTokensHaveOneSubject(t *testing.T) {
	f := newFixture(t)
	third := &Scheme{Name: "third", Token: accessToken, Parameter: "X-Third"}
	headers := map[rune]string{'a': "Authorization", 'b': "X-Access", 'c': "X-Third"}
	schemes := map[rune]*Scheme{'k': keyScheme, 'a': accessScheme, 'b': accessSchemeX, 'c': third}
	for _, order := range []string{"kab", "akb", "abk", "abc", "kabc", "abkc"} {
		for _, subjects := range []string{"xxx", "xyx", "xxy", "yxx"} {
			var all []*Scheme
			changes := []change{field("X-API-Key", "bob")}
			same := true
			for _, letter := range order {
				all = append(all, schemes[letter])
				if letter == 'k' {
					continue
				}
				subject := subjects[letter-'a' : letter-'a'+1]
				same = same && subject == subjects[:1]
				text := must(f.issuer.IssueAccessToken(t.Context(), subject, nil))(t).Text()
				if letter == 'a' {
					text = bearer(text)
				}
				changes = append(changes, field(headers[letter], text))
			}
			want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[same]
			o := &Operation{ID: "op", Requirement: Requirement{all}}
			if w := f.send(t, o, func(*http.Request) {}, nil, changes...); w.Code != want {
				t.Errorf("%s of the subjects %s: status %d, want %d", order, subjects, w.Code, want)
			}
		}
	}
}

// TestCredentialInQueryMakesResponsePrivate checks that the response to a credential in the query
// must not be stored, in every alternative.
func TestCredentialInQueryMakesResponsePrivate(t *testing.T) {
	f := newFixture(t)
	for i, requirement := range []Requirement{
		{{keyQueryScheme}, {keyScheme}}, {{keyScheme}, {keyQueryScheme}}, {{keyQueryScheme, keyScheme}}, {{keySchemeNamed("third")}, {keyQueryScheme}, {keyScheme}},
	} {
		for _, inQuery := range []bool{true, false} {
			changes, want := []change{field("X-API-Key", "bob")}, ""
			if inQuery {
				changes, want = append(changes, aQuery("key=bob")), privateResponse
			}
			w := f.send(t, &Operation{ID: "op", Requirement: requirement}, func(*http.Request) {}, []string{"third"}, changes...)
			if got := w.Header().Get("Cache-Control"); w.Code == http.StatusOK && got != want {
				t.Errorf("%d: Cache-Control %q, want %q", i, got, want)
			} else if inQuery && w.Code != http.StatusOK {
				t.Errorf("%d: status %d", i, w.Code)
			}
		}
	}
}

// TestPublicBehindGuard mounts a public operation with validation behind the guard of another one.
// The credential of the outer guard stays in the context.
func TestPublicBehindGuard(t *testing.T) {
	f := newFixture(t)
	f.policy.schema = passing{}
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	outer, inner := &Operation{ID: "outer", Requirement: Requirement{{accessScheme}}}, &Operation{ID: "inner"}
	guards := must(NewGuards(f.policy, nil, outer, inner))(t)
	ran := false
	handler := guards.HandlerFunc(outer, guards.HandlerFunc(inner, func(_ http.ResponseWriter, r *http.Request) {
		ran = true
		if token, err := RequestToken[userClaims](r.Context(), outer); err != nil || token.Subject() != "alice" {
			t.Errorf("token %v, error %v", token, err)
		}
	}))
	w := get(handler, bearer(text))
	if !ran {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// passing is a schema validator that accepts everything.
type passing struct{}

func (passing) Knows(*Operation) bool                                       { return true }
func (passing) ValidateRequest(*http.Request, *Operation, PathParams) error { return nil }

// TestKeptContextKeepsNoRequest has a handler that keeps its context. The request, whose header has
// the text of the token, is collected.
func TestKeptContextKeepsNoRequest(t *testing.T) {
	f := newFixture(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	var kept context.Context
	handler := must(NewGuards(f.policy, nil, o))(t).HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) { kept = context.WithoutCancel(r.Context()) })
	serve := func() weak.Pointer[string] {
		text := strings.Clone(bearer(must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()))
		header := &text
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
		r.Header["Authorization"] = []string{*header}
		r.Body = bodyWith{header}
		handler(httptest.NewRecorder(), r)
		return weak.Make(header)
	}
	header := serve()
	runtime.GC()
	runtime.GC()
	if header.Value() != nil {
		t.Error("the context keeps the request")
	}
	if token, err := RequestToken[userClaims](kept, o); err != nil || token.Subject() != "alice" {
		t.Errorf("token %v, error %v", token, err)
	}
}

// bodyWith is a body that refers to a text.
type bodyWith struct{ text *string }

func (bodyWith) Read([]byte) (int, error) { return 0, errors.New("must not be read") }
func (bodyWith) Close() error             { return nil }
