package cookies

import (
	"net/http"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

func second[T any](_ T, err error) error { return err }

func newIssuer(t *testing.T) *security.Issuer {
	t.Helper()
	key := sectest.Must(keys.NewHMAC(keys.HS256, sectest.Secret))(t)
	set := sectest.Must(keys.NewSet(key))(t)
	return sectest.Must(security.New(sectest.Issuer, set, blacklist.None{}, security.WithClock(sectest.NewClock().Now)))(t).Issuer
}

// TestTokenCookie writes the cookies of tokens and clears them.
func TestTokenCookie(t *testing.T) {
	issuer := newIssuer(t)
	token := sectest.Must(issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithCSRF()))(t)
	set := sectest.Must(sectest.Must(New("__Host-access", "csrf_access"))(t).Set(token))(t)
	if want := "__Host-access=" + token.Text() + "; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Strict"; set[0].String() != want {
		t.Errorf("cookie %s, want %s", set[0], want)
	}
	if want := "csrf_access=" + token.CSRF() + "; Path=/; Max-Age=900; Secure; SameSite=Strict"; set[1].String() != want {
		t.Errorf("cookie %s, want %s", set[1], want)
	}
	jar := sectest.Must(New("access", "csrf_access", WithPath("/refresh"), WithDomain("example.com"),
		WithSameSite(http.SameSiteLaxMode), WithSessionCookies(), WithoutSecure()))(t)
	set = sectest.Must(jar.Set(token))(t)
	if want := "access=" + token.Text() + "; Path=/refresh; Domain=example.com; HttpOnly; SameSite=Lax"; set[0].String() != want {
		t.Errorf("cookie %s, want %s", set[0], want)
	}
	for i, want := range []string{"access=; Path=/refresh; Domain=example.com; Max-Age=0; HttpOnly; SameSite=Lax", "csrf_access=; Path=/; Domain=example.com; Max-Age=0; SameSite=Lax"} {
		if got := jar.Clear()[i].String(); got != want {
			t.Errorf("cookie %s, want %s", got, want)
		}
	}

	plain := sectest.Must(issuer.IssueAccessToken(t.Context(), "alice", nil))(t)
	long := sectest.Must(issuer.IssueAccessToken(t.Context(), strings.Repeat("a", 4000), nil, security.WithCSRF()))(t)
	for name, err := range map[string]error{
		"a token without csrf":                 second(jar.Set(plain)),
		"no token":                             second(jar.Set(security.IssuedToken{})),
		"a cookie longer than browsers accept": second(jar.Set(long)),
		"no cookie name":                       second(New("", "csrf")),
		"a name with a space":                  second(New("a b", "csrf")),
		"one name for both":                    second(New("a", "a")),
		"__Host- with a domain":                second(New("__Host-a", "csrf", WithDomain("example.com"))),
		"__Host- with a path":                  second(New("__Host-a", "csrf", WithPath("/x"))),
		"__host- without Secure":               second(New("__host-a", "csrf", WithoutSecure())),
		"__Secure- without Secure":             second(New("__Secure-a", "csrf", WithoutSecure())),
		"SameSite=None without Secure":         second(New("a", "csrf", WithSameSite(http.SameSiteNoneMode), WithoutSecure())),
		"no SameSite":                          second(New("a", "csrf", WithSameSite(http.SameSiteDefaultMode))),
		"a path with a line break":             second(New("a", "csrf", WithPath("/\r\nX: y"))),
		"a relative path":                      second(New("a", "csrf", WithPath("x"))),
		"a domain with a semicolon":            second(New("a", "csrf", WithDomain("a;b"))),
		"a nil option":                         second(New("a", "csrf", nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
