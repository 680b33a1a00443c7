package browser_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/crosstest"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// endBound is how long a stream may go on after a revocation: a second, and the rest for a slow
// machine.
const endBound = 4 * time.Second

// TestEventSourceEndsWithItsToken reads a stream with EventSource, on every router. The token is in a
// cookie, because EventSource sends no header. After the revocation the stream ends, the browser
// connects again by itself, is refused, and gives up.
func TestEventSourceEndsWithItsToken(t *testing.T) {
	findBrowser(t)
	authority := newAuthority(t)
	policy, err := guard.New(authority.Validator, guard.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	access := security.NewTokenType[security.NoClaims]("access")
	for _, r := range crosstest.Routers {
		t.Run(r.Name, func(t *testing.T) {
			url, stop, err := r.Start(service.Server{}, policy, crosstest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			issued, err := authority.Issuer.Issue(t.Context(), access, "alice", nil)
			if err != nil {
				t.Fatal(err)
			}
			token, err := authority.Validator.Verify(t.Context(), access, issued.Text())
			if err != nil {
				t.Fatal(err)
			}
			page := openTabs(t, url+"/public", 1)[0]
			page.run(fmt.Sprintf(`new Promise(resolve => {
				document.cookie = "access_token=%s";
				window.ended = new Promise(end => {
					const source = new EventSource("/events");
					let reason = "";
					source.addEventListener("tick", () => resolve(""));
					source.addEventListener("end", event => { reason = event.data });
					source.onerror = () => { if (source.readyState === EventSource.CLOSED) end(reason) };
				});
			})`, issued.Text()))
			if err := authority.Validator.Revoke(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if got, want := page.run(`window.ended`), security.ErrTokenRevoked.Detail(); got != want {
				t.Errorf("the stream ended with %q, want %q", got, want)
			}
			// Chromium waits for some seconds before it connects again.
			if took := time.Since(began); took > endBound+10*time.Second {
				t.Errorf("the browser gave up after %s", took)
			}
		})
	}
}

func newAuthority(t *testing.T) *security.Authority {
	t.Helper()
	key, err := keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := blacklist.NewMemory(blacklist.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := security.New("https://issuer.example", set, list)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// run returns what the script, an expression whose value may be a promise, results in.
func (b tab) run(script string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}
