package cookies

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
)

// deleted returns the name, domain and path of the cookies that a response deletes.
func deleted(cookies []*http.Cookie) []string {
	var all []string
	for _, cookie := range cookies {
		if cookie.MaxAge < 0 {
			parts := strings.Split(cookie.String(), "; ")
			parts = slices.DeleteFunc(parts, func(part string) bool {
				return !strings.HasPrefix(part, "Domain=") && !strings.HasPrefix(part, "Path=") && !strings.HasSuffix(part, "=")
			})
			all = append(all, strings.Join(parts, " "))
		}
	}
	return all
}

// TestFormerCookies changes the path or the domain of the cookies. Set deletes those with the former
// attributes, and never the ones that it sets; Clear deletes all.
func TestFormerCookies(t *testing.T) {
	token := sectest.Must(newIssuer(t).IssueAccessToken(t.Context(), "alice", nil, security.WithCSRF()))(t)
	for _, tt := range []struct {
		name    string
		options []Option
		former  []string // that Set deletes, and Clear too
		today   []string // that only Clear deletes
	}{
		{name: "no former attributes", today: []string{"access= Path=/", "csrf= Path=/"}},
		{name: "the same attributes", options: []Option{WithFormer()}, today: []string{"access= Path=/", "csrf= Path=/"}},
		{name: "another path", options: []Option{WithFormer(WithPath("/old"))}, former: []string{"access= Path=/old"}, today: []string{"access= Path=/", "csrf= Path=/"}},
		{name: "from the root to a path", options: []Option{WithPath("/refresh"), WithFormer()}, former: []string{"access= Path=/"}, today: []string{"access= Path=/refresh", "csrf= Path=/"}},
		{
			name: "from a domain to the host", options: []Option{WithFormer(WithDomain("example.com"))},
			former: []string{"access= Path=/ Domain=example.com", "csrf= Path=/ Domain=example.com"}, today: []string{"access= Path=/", "csrf= Path=/"},
		},
		{
			name: "from the host to a domain", options: []Option{WithDomain("example.com"), WithFormer()},
			former: []string{"access= Path=/", "csrf= Path=/"}, today: []string{"access= Path=/ Domain=example.com", "csrf= Path=/ Domain=example.com"},
		},
		{
			name: "the same domain with a dot in front", options: []Option{WithDomain("example.com"), WithFormer(WithDomain(".example.com"))},
			today: []string{"access= Path=/ Domain=example.com", "csrf= Path=/ Domain=example.com"},
		},
		{
			name: "the same domain in another case", options: []Option{WithDomain("example.com"), WithFormer(WithDomain("Example.COM"))},
			today: []string{"access= Path=/ Domain=example.com", "csrf= Path=/ Domain=example.com"},
		},
		{
			name: "twice", options: []Option{WithPath("/c"), WithFormer(WithPath("/a")), WithFormer(WithPath("/b"))},
			former: []string{"access= Path=/a", "access= Path=/b"}, today: []string{"access= Path=/c", "csrf= Path=/"},
		},
		{
			name: "in front of the path of today", options: []Option{WithFormer(WithPath("/a")), WithPath("/b")},
			former: []string{"access= Path=/a"}, today: []string{"access= Path=/b", "csrf= Path=/"},
		},
	} {
		jar, err := New("access", "csrf", tt.options...)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		set := sectest.Must(jar.Set(token))(t)
		if got := deleted(set); !slices.Equal(got, tt.former) {
			t.Errorf("%s: Set deletes %q, want %q", tt.name, got, tt.former)
		}
		if set[0].Value != token.Text() || set[1].Value != token.CSRF() || len(set) != 2+len(tt.former) {
			t.Errorf("%s: Set returns %v", tt.name, set)
		}
		if got, want := deleted(jar.Clear()), append(tt.today, tt.former...); !slices.Equal(got, want) {
			t.Errorf("%s: Clear deletes %q, want %q", tt.name, got, want)
		}
	}
}

// TestFormerAttributesAreChecked has former attributes that no cookie can have. Without a path a
// browser would take one from the URL, which may be that of today.
func TestFormerAttributesAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		option Option
	}{
		{name: "no path", option: WithFormer(WithPath(""))},
		{name: "a relative path", option: WithFormer(WithPath("old"))},
		{name: "a path with a semicolon", option: WithFormer(WithPath("/a;b"))},
		{name: "a domain with a space", option: WithFormer(WithDomain("a b"))},
		{name: "a domain with a line break", option: WithFormer(WithDomain("a\r\nb"))},
	} {
		if _, err := New("access", "csrf", tt.option); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}
