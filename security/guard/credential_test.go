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

// another returns a scheme of another name for keys in the header of that name.
func another(name string) *Scheme { return &Scheme{Name: name, Kind: KindKey, Parameter: name} }

// send sends a request with the changes to an operation, with authenticators for the keys of further schemes, and returns the answer. see
// looks at what the handler gets.
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

// hookValue is what the hook of these tests returns: of the type that an authenticator returns too.
var hookValue = Caller[Principal]{Principal: Principal{"of the hook"}}

func newHookedFixture(t *testing.T) (f *fixture, text string) {
	f = newFixture(t, security.WithHook("access", func(context.Context, security.Token[userClaims]) (any, error) { return hookValue, nil }))
	return f, must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
}

// TestFailedAlternativeLeavesNothing has an alternative of which a part holds and another does not, and a second one that holds: the handler
// finds the credentials of that one only.
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
		{"a key", []*Scheme{another("good")}, []string{"good"}, "", true},
		{"a token without a hook", []*Scheme{refreshSchemeX}, []string{"refreshX"}, "bob", false},
		{"both", []*Scheme{refreshSchemeX, another("good")}, []string{"refreshX", "good"}, "bob", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &Operation{ID: "op", Requirement: Requirement{{accessScheme, another("bad")}, tt.second}}
			w := f.send(t, o, func(r *http.Request) {
				c := must(RequestCredentials(r.Context(), o))(t)
				if !slices.Equal(c.Schemes(), tt.schemes) {
					t.Errorf("schemes %q, want %q", c.Schemes(), tt.schemes)
				}
				if token, ok := FromContext(r.Context()); ok != (tt.subject != "") || ok && token.Subject() != tt.subject {
					t.Errorf("token %v, %t", token, ok)
				}
				if _, ok := TokenOf[userClaims](c, accessToken); ok {
					t.Error("the token of the alternative that failed")
				}
				if value, ok := HookValue[Caller[Principal]](r.Context()); ok {
					t.Errorf("the hook's value for the alternative that failed: %v", value)
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

// TestHookValueIsNoPrincipal has a hook and an authenticator whose values have one type: each is found by its own function only.
func TestHookValueIsNoPrincipal(t *testing.T) {
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
			t.Errorf("the hook's value: %v, %t", value, ok)
		}
	}, nil, field("Authorization", bearer(text)))
	f = newFixture(t) // without the hook, whose token type the next operation does not take
	f.send(t, ofKey, func(r *http.Request) {
		if value, ok := HookValue[any](r.Context()); ok {
			t.Errorf("the hook's value: %v", value)
		}
		if p, err := RequestCaller[Principal](r.Context(), ofKey); err != nil || p.Principal.Subject != "bob" {
			t.Errorf("principal %v, error %v", p, err)
		}
	}, nil, field("X-API-Key", "bob"))
}

// TestAnonymousHasNothing asks for the credentials of an anonymous caller in every way.
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

// TestOneSubject has alternatives of several tokens and keys: all tokens have to speak for one subject, wherever they stand among keys.
func TestOneSubject(t *testing.T) {
	f := newFixture(t)
	third := &Scheme{Name: "third", Token: accessToken, Parameter: "X-Third"}
	of := map[rune]string{'a': "Authorization", 'b': "X-Access", 'c': "X-Third"}
	schemes := map[rune]*Scheme{'k': keyScheme, 'a': accessScheme, 'b': accessSchemeX, 'c': third}
	for _, order := range []string{"kab", "akb", "abk", "abc", "kabc", "abkc"} {
		for _, subjects := range []string{"xxx", "xyx", "xxy", "yxx"} {
			var all []*Scheme
			changes := []change{field("X-API-Key", "bob")}
			same := true
			for _, part := range order {
				all = append(all, schemes[part])
				if part == 'k' {
					continue
				}
				subject := subjects[part-'a' : part-'a'+1]
				same = same && subject == subjects[:1]
				text := must(f.issuer.IssueAccessToken(t.Context(), subject, nil))(t).Text()
				if part == 'a' {
					text = bearer(text)
				}
				changes = append(changes, field(of[part], text))
			}
			want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[same]
			o := &Operation{ID: "op", Requirement: Requirement{all}}
			if w := f.send(t, o, func(*http.Request) {}, nil, changes...); w.Code != want {
				t.Errorf("%s of the subjects %s: status %d, want %d", order, subjects, w.Code, want)
			}
		}
	}
}

// TestPrivateWhereverTheQueryStands checks that a response to a credential in the query says that nothing may store it, whichever of the
// places it is.
func TestPrivateWhereverTheQueryStands(t *testing.T) {
	f := newFixture(t)
	for i, requirement := range []Requirement{
		{{keyQueryScheme}, {keyScheme}}, {{keyScheme}, {keyQueryScheme}}, {{keyQueryScheme, keyScheme}}, {{another("third")}, {keyQueryScheme}, {keyScheme}},
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

// TestPublicBehindGuard mounts a public operation whose requests are validated behind the guard of another: what that one left is still
// there.
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

// passing validates nothing.
type passing struct{}

func (passing) Knows(*Operation) bool                                       { return true }
func (passing) ValidateRequest(*http.Request, *Operation, PathParams) error { return nil }

// TestKeptContextKeepsNoRequest has a handler that keeps its context for work in the background: the request, whose header has the text of
// the token, goes all the same.
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
		r.Body = holds{header}
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

// holds is a body that holds something else.
type holds struct{ text *string }

func (holds) Read([]byte) (int, error) { return 0, errors.New("not to be read") }
func (holds) Close() error             { return nil }
