package cookies_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/cookies"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// A log-in of a browser puts the token into a cookie that no script can read, and its claim csrf
// into one that the scripts of the application read.
func Example() {
	key, err := keys.NewHMAC(keys.HS256, []byte("an example only: 32 bytes or more"))
	if err != nil {
		panic(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		panic(err)
	}
	authority, err := security.New("https://api.example.com", set, blacklist.None{})
	if err != nil {
		panic(err)
	}
	token, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil, security.WithCSRF())
	if err != nil {
		panic(err)
	}
	jar, err := cookies.New("__Host-access", "csrf_access")
	if err != nil {
		panic(err)
	}
	both, err := jar.Set(token)
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	for _, cookie := range both {
		http.SetCookie(w, cookie)
	}
	for _, line := range w.Header()["Set-Cookie"] {
		name, rest, _ := strings.Cut(line, "=")
		_, attributes, _ := strings.Cut(rest, "; ")
		fmt.Println(name, attributes)
	}
	// Output:
	// __Host-access Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Strict
	// csrf_access Path=/; Max-Age=900; Secure; SameSite=Strict
}
