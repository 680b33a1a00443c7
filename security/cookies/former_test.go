package cookies

import (
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
)

// TestFormerCookiesAreNotTodays has former attributes that mean today's cookie to a browser. To
// delete that one would log the user out with the response that logs in.
func TestFormerCookiesAreNotTodays(t *testing.T) {
	token := sectest.Must(newIssuer(t).IssueAccessToken(t.Context(), "alice", nil, security.WithCSRF()))(t)
	for _, domain := range []string{".example.com", "Example.COM", "example.com"} {
		jar := sectest.Must(New("access", "csrf", WithDomain("example.com"), WithFormer(WithDomain(domain))))(t)
		if set := sectest.Must(jar.Set(token))(t); len(set) != 2 {
			t.Errorf("former domain %s: deletes %s", domain, set[2])
		}
	}
	for name, former := range map[string]Option{
		"a domain that net/http leaves out": WithFormer(WithDomain("exa mple.com")),
		"a path with a line break":          WithFormer(WithPath("/\r\nX: y")),
		"a relative path":                   WithFormer(WithPath("x")),
	} {
		if _, err := New("access", "csrf", former); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
