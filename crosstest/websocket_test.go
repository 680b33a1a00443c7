package crosstest

import (
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
)

// TestHandshakeByCookie asks for a WebSocket with a token in a cookie, as browsers do: without the
// CSRF header. The origin of the page decides, on every router.
func TestHandshakeByCookie(t *testing.T) {
	f := newFixture(t)
	cookie := "Cookie: access_token=" + f.token(accessType, "carol", security.WithCSRF()).Text()
	bearer := "Authorization: " + f.bearer(accessType, "alice")
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{})
		other := strings.Replace(c.url, "127.0.0.1", "127.0.0.2", 1)
		for _, tt := range []struct {
			name       string
			credential string
			fields     []string
			status     int
		}{
			{name: "the same origin", credential: cookie, fields: []string{"Origin: " + c.url}, status: 200},
			{name: "the same origin, by the browser's word", credential: cookie, fields: []string{"Origin: " + c.url, "Sec-Fetch-Site: same-origin"}, status: 200},
			{name: "no browser", credential: cookie, status: 200},
			{name: "another origin", credential: cookie, fields: []string{"Origin: https://evil.example"}, status: 403},
			{name: "another host with the same port", credential: cookie, fields: []string{"Origin: " + other}, status: 403},
			{name: "another site, by the browser's word", credential: cookie, fields: []string{"Sec-Fetch-Site: cross-site"}, status: 403},
			{name: "no origin of the page", credential: cookie, fields: []string{"Origin: null"}, status: 403},
			{name: "another origin, a token that a script adds", credential: bearer, fields: []string{"Origin: https://evil.example"}, status: 200},
		} {
			fields := append([]string{tt.credential, "Connection: Upgrade", "Upgrade: websocket"}, tt.fields...)
			if got := c.send("GET /anywhere", "", fields...); got.status != tt.status || (got.seen.Operation != "") != (tt.status == 200) {
				t.Errorf("%s: status %d, want %d: %s", tt.name, got.status, tt.status, got.body)
			}
		}
	})
}
