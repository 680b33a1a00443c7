package guard

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestCookieWithSpaceBesideGoodOne has a cookie of the same name whose value cannot be a token, as any
// other host of the domain can set it. In whatever order the browser sends both, the good one counts.
func TestCookieWithSpaceBesideGoodOne(t *testing.T) {
	f := newFixture(t)
	h, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{{Name: "c", Token: accessToken, In: InCookie, Parameter: "access"}}}})
	good := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	for cookies, want := range map[string]int{
		"access=a b; access=" + good: 200, "access=" + good + "; access=a b": 200, "access=a b": 400, "access=a b; access=c d": 400,
	} {
		saw.identified = false
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", cookies)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || saw.identified != (want == 200) {
			t.Errorf("%.12s...: status %d, want %d", cookies, w.Code, want)
		}
	}
}
