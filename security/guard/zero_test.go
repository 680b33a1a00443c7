package guard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// TestZeroGuardRefuses asks a guard that no constructor made. It knows no requirement, so it refuses
// every request.
func TestZeroGuardRefuses(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, g := range map[string]*Guard{"a zero guard": {}, "a guard of zero guards": new(Guards).Of(&Operation{ID: "op"})} {
		if _, err := g.Authenticate(r); !errors.Is(err, security.ErrUnguarded) {
			t.Errorf("%s authenticates: %v", name, err)
		}
		if d := g.Check(t.Context(), httpRequest{r}); d.Context != nil || d.Response.Status != 500 {
			t.Errorf("%s lets a request pass: %+v", name, d)
		}
		w := httptest.NewRecorder()
		if _, ok := g.HTTP(w, r, httpRequest{r}); ok || w.Code != 500 {
			t.Errorf("%s lets a request pass: %d", name, w.Code)
		}
	}
	w := httptest.NewRecorder()
	(&RefusedError{}).Write(w)
	if w.Code != 500 {
		t.Errorf("a zero response has the status %d", w.Code)
	}
}

// TestHeaderCookieIsNoPlace has the credential in the header Cookie as a whole, which browsers send
// by themselves: it would escape the checks of cookies.
func TestHeaderCookieIsNoPlace(t *testing.T) {
	f := newFixture(t)
	for _, kind := range []Kind{KindJWT, KindKey} {
		s := &Scheme{Name: "s", Kind: kind, Parameter: "cookie"}
		if kind == KindJWT {
			s.Token = accessToken
		}
		authenticators := Authenticators{"s": AuthenticateKey(func(context.Context, string) (*Caller[int], error) { return &Caller[int]{}, nil })}
		if _, err := NewGuards(f.policy, authenticators, &Operation{ID: "op", Requirement: Requirement{{s}}}); err == nil {
			t.Errorf("kind %d: no error", kind)
		}
	}
}
