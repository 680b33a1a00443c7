// Package browser_test runs the reference service for a real browser: two tabs share the cookies and
// refresh at the same time.
package browser_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// browsers are the names of Chromium on PATH. CHROMIUM names another one.
var browsers = []string{"chromium", "chromium-browser", "chromium-headless-shell", "headless_shell", "google-chrome", "google-chrome-stable"}

// findBrowser returns the path of Chromium, or skips the test.
func findBrowser(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path
	}
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium on PATH: apt-get install chromium, or set CHROMIUM to its path")
	return ""
}

// startService builds and starts the reference service. It returns its address.
func startService(t *testing.T, store string) *url.URL {
	t.Helper()
	service, _ := startWithConsole(t, store)
	return service
}

// startWithConsole builds and starts the reference service. It returns its address and that of its
// developer console.
func startWithConsole(t *testing.T, store string) (service, console *url.URL) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "example")
	build := exec.Command("go", "build", "-o", program, "./example")
	build.Dir = "../.." // in the module of the service, which has the drivers of its stores
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "ADDR=127.0.0.1:0", "CONSOLE_ADDR=127.0.0.1:0", "DATA_DIR="+t.TempDir(), "STORE="+store)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	for console == nil && lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "Serving the reference API on "); ok {
			service = parseURL(t, address)
		}
		if address, ok := strings.CutPrefix(lines.Text(), "Developer console: "); ok {
			console = parseURL(t, address)
		}
	}
	if service == nil || console == nil {
		t.Fatal("the service does not print its addresses")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return service, console
}

func parseURL(t *testing.T, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// proxy is in front of the service. It lets refreshes of several tabs begin together, and can cut a
// connection after the service has answered.
type proxy struct {
	*httptest.Server
	mu sync.Mutex
	// together is how many refreshes wait for each other, or 0.
	together int
	waiting  []chan struct{}
	// tokens are the refresh tokens that came since the last call of begin.
	tokens []string
	// cut says that the reply of the next refresh is lost.
	cut bool
}

func newProxy(t *testing.T, service *url.URL) *proxy {
	p := &proxy{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(service)
		r.Out.Host = r.In.Host // the origin of the pages
	}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refresh" && p.arrive(r) {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler) // the reply is lost
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// begin says what happens to the next refreshes.
func (p *proxy) begin(together int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.together, p.cut, p.tokens = together, cut, nil
}

// arrive waits for the other refreshes. It reports whether the reply is lost.
func (p *proxy) arrive(r *http.Request) (cut bool) {
	p.mu.Lock()
	if cookie, err := r.Cookie("refresh_token"); err == nil {
		p.tokens = append(p.tokens, cookie.Value)
	}
	cut, p.cut = p.cut, false
	wait := make(chan struct{})
	if p.waiting = append(p.waiting, wait); len(p.waiting) >= p.together {
		for _, other := range p.waiting {
			close(other)
		}
		p.waiting = nil
	}
	p.mu.Unlock()
	select {
	case <-wait:
	case <-r.Context().Done():
	}
	return cut
}

// differentTokens returns how many refreshes came, and how many different tokens they had.
func (p *proxy) differentTokens() (refreshes, tokens int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	different := map[string]bool{}
	for _, token := range p.tokens {
		different[token] = true
	}
	return len(p.tokens), len(different)
}

// tab is a tab of the browser.
type tab struct {
	ctx context.Context
	t   *testing.T
}

// openTabs opens tabs that share their cookies, on pages of the service.
func openTabs(t *testing.T, page string, n int) []tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(findBrowser(t)), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	tabs := make([]tab, n)
	for i := range tabs {
		tabCtx, cancel := chromedp.NewContext(ctx)
		t.Cleanup(cancel)
		if i == 0 {
			ctx = tabCtx // the tabs after it belong to its browser
		}
		if err := chromedp.Do(tabCtx, chromedp.Navigate(page)); err != nil {
			t.Fatal(err)
		}
		tabs[i] = tab{tabCtx, t}
	}
	return tabs
}

// send sends a request from the page, with the claim csrf from the cookies. It returns the status, or 0
// if there was no response.
func (b tab) send(method, path, body string) int {
	b.t.Helper()
	script := fmt.Sprintf(`(async () => {
		const csrf = name => (document.cookie.split("; ").find(c => c.startsWith(name + "=")) || "=").split("=")[1];
		const init = {method: %q, headers: {"X-CSRF-Token": csrf(%[2]q === "/refresh" || %[2]q === "/logout" ? "csrf_refresh_token" : "csrf_access_token")}};
		if (%[3]q) { init.body = %[3]q; init.headers["Content-Type"] = "application/json"; }
		try { return (await fetch(%[2]q, init)).status } catch { return 0 }
	})()`, method, path, body)
	status, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Error(err)
	}
	return status
}

// atOnce sends the request from all tabs at the same time.
func atOnce(tabs []tab, method, path string) []int {
	statuses := make([]int, len(tabs))
	var group sync.WaitGroup
	for i, b := range tabs {
		group.Go(func() { statuses[i] = b.send(method, path, "") })
	}
	group.Wait()
	return statuses
}

func (b tab) want(what string, got, want int) {
	b.t.Helper()
	if got != want {
		b.t.Fatalf("%s: %d, want %d", what, got, want)
	}
}

// TestTwoTabs refreshes in two tabs with the same cookies at the same time, for several cycles.
func TestTwoTabs(t *testing.T) {
	findBrowser(t)
	for _, store := range []string{"memory:", ""} {
		t.Run("store "+store, func(t *testing.T) {
			p := newProxy(t, startService(t, store))
			tabs := openTabs(t, p.URL+"/readyz", 2)
			one, other := tabs[0], tabs[1]
			one.want("log-in", one.send("POST", "/login", `{"username":"alice","password":"wonderland","cookies":true}`), 204)
			other.want("the other tab", other.send("GET", "/protected", ""), 200)
			for cycle := range 10 {
				p.begin(2, false)
				for i, status := range atOnce(tabs, "POST", "/refresh") {
					one.want(fmt.Sprintf("refresh %d of tab %d", cycle, i), status, 204)
				}
				if refreshes, tokens := p.differentTokens(); refreshes != 2 || tokens != 1 {
					t.Fatalf("%d refreshes with %d tokens, want 2 with the same one", refreshes, tokens)
				}
				for i, status := range atOnce(tabs, "GET", "/protected") {
					one.want(fmt.Sprintf("request %d of tab %d", cycle, i), status, 200)
				}
			}
			other.want("log-out", other.send("POST", "/logout", ""), 204)
			one.want("after the log-out", one.send("GET", "/protected", ""), 401)
		})
	}
}

// TestLostReply cuts the connection of a refresh after the service has answered. The page, or Chromium
// by itself, sends the same refresh token again.
func TestLostReply(t *testing.T) {
	findBrowser(t)
	p := newProxy(t, startService(t, "memory:"))
	page := openTabs(t, p.URL+"/readyz", 1)[0]
	page.want("log-in", page.send("POST", "/login", `{"username":"alice","password":"wonderland","cookies":true}`), 204)
	for range 5 {
		p.begin(0, true)
		status := page.send("POST", "/refresh", "")
		if status == 0 {
			status = page.send("POST", "/refresh", "")
		}
		page.want("the refresh after the one whose reply is lost", status, 204)
		if refreshes, tokens := p.differentTokens(); refreshes != 2 || tokens != 1 {
			t.Fatalf("%d refreshes with %d tokens, want 2 with the same one", refreshes, tokens)
		}
		page.want("after it", page.send("GET", "/protected", ""), 200)
	}
}
