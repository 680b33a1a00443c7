package console

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

var (
	access  = &guard.Scheme{Name: "access", Token: security.NewTokenType[security.NoClaims]("access")}
	refresh = &guard.Scheme{Name: "refresh", Token: security.NewTokenType[security.NoClaims]("refresh")}
	cookie  = &guard.Scheme{Name: "cookie", Token: security.NewTokenType[security.NoClaims]("access"), In: guard.InCookie, Parameter: "access_token"}
	key     = &guard.Scheme{Name: "key", Kind: guard.KindKey, Parameter: "X-API-Key"}
	basic   = &guard.Scheme{Name: "basic", Kind: guard.KindBasic}
)

// table is the table of operations of a small API.
func table() []guard.Operation {
	return []guard.Operation{
		{ID: "login", Method: "POST", Path: "/login"},
		{ID: "refresh", Method: "POST", Path: "/refresh", Requirement: guard.Requirement{{refresh}}},
		{ID: "list", Method: "GET", Path: "/sessions", Requirement: guard.Requirement{{access}, {cookie}}},
		{ID: "end", Method: "DELETE", Path: "/sessions/{id}", Requirement: guard.Requirement{{access}}},
		{ID: "cookieOnly", Method: "GET", Path: "/page", Requirement: guard.Requirement{{cookie}}},
		{ID: "report", Method: "POST", Path: "/a/{one}/b/{two}", Requirement: guard.Requirement{{access.With("reports"), key}, {basic}, {}},
			Rules: guard.Rules{MaxAge: 15 * time.Minute, AllowRoles: []string{"ADMIN"}}},
	}
}

func newPage(t *testing.T, options ...Option) *Page {
	t.Helper()
	page, err := New(table(), options...)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		table   []guard.Operation
		options []Option
		want    string
	}{
		{"no operations", nil, nil, "no operations"},
		{"an operation without a path", []guard.Operation{{ID: "x", Method: "GET"}}, nil, "no path"},
		{"a nil scheme", []guard.Operation{{ID: "x", Method: "GET", Path: "/", Requirement: guard.Requirement{{nil}}}}, nil, "nil scheme"},
		{"a nil option", table(), []Option{nil}, "nil option"},
		{"an empty title", table(), []Option{WithTitle(" ")}, "empty title"},
		{"a path without a slash at its end", table(), []Option{WithPath("/console")}, "WithPath"},
		{"a path that is not absolute", table(), []Option{WithPath("console/")}, "WithPath"},
		{"a path that is not clean", table(), []Option{WithPath("/a/../console/")}, "WithPath"},
		{"a base path with a slash at its end", table(), []Option{WithBasePath("/v1/")}, "WithBasePath"},
		{"a base path of another origin", table(), []Option{WithBasePath("https://api.example.com")}, "WithBasePath"},
		{"a base path of another host", table(), []Option{WithBasePath("//api.example.com")}, "WithBasePath"},
		{"an unknown log-in", table(), []Option{WithLogIn("logIn")}, "no operation logIn"},
		{"an unknown refresh", table(), []Option{WithRefresh("renew")}, "no operation renew"},
		{"a refresh without a token", table(), []Option{WithRefresh("login")}, "takes no token"},
		{"a log-out with a cookie only", table(), []Option{WithLogOut("cookieOnly")}, "takes no token"},
		{"an unknown revocation", table(), []Option{WithRevoke("x")}, "no operation x"},
		{"an unknown list of sessions", table(), []Option{WithSessions("x", "end")}, "no operation x"},
		{"an unknown end of a session", table(), []Option{WithSessions("list", "x")}, "no operation x"},
		{"the end of a session without an id", table(), []Option{WithSessions("list", "refresh")}, "one parameter"},
		{"a demo user without a log-in", table(), []Option{WithDemoUser("ann", "", 1)}, "needs WithLogIn"},
		{"a demo user without a name", table(), []Option{WithLogIn("login"), WithDemoUser("", "", 1)}, "empty name"},
		{"a demo user twice", table(), []Option{WithLogIn("login"), WithDemoUser("ann", "", 1), WithDemoUser("ann", "", 2)}, "twice"},
		{"a demo user whose body is not JSON", table(), []Option{WithLogIn("login"), WithDemoUser("ann", "", func() {})}, "body of ann"},
		{"a credential of an unknown scheme", table(), []Option{WithCredential("other", "x")}, "scheme other"},
		{"a credential that is a token", table(), []Option{WithCredential("access", "x")}, "scheme access"},
		{"an empty credential", table(), []Option{WithCredential("key", "")}, "no value"},
		{"an example of an unknown operation", table(), []Option{WithExample("x", "", nil)}, "no operation x"},
		{"an example with a question mark", table(), []Option{WithExample("list", "?a=b", nil)}, "query"},
		{"an example with a bad query", table(), []Option{WithExample("list", "a=%", nil)}, "query"},
		{"an example whose body is not JSON", table(), []Option{WithExample("report", "", func() {})}, "body of report"},
		{"no networks", table(), []Option{WithRemoteClients()}, "no networks"},
		{"a network that is not valid", table(), []Option{WithRemoteClients(netip.Prefix{})}, "not valid"},
		{"no hosts", table(), []Option{WithHosts()}, "no names"},
		{"a host with a port", table(), []Option{WithHosts("dev.example.com:8080")}, "without a port"},
		{"every host", table(), []Option{WithHosts("*")}, "host name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page, err := New(tt.table, tt.options...)
			if page != nil || err == nil || !strings.HasPrefix(err.Error(), "console: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestClients asks over HTTP, with the address and the headers of each row.
func TestClients(t *testing.T) {
	ten := netip.MustParsePrefix("10.0.0.0/8")
	for _, tt := range []struct {
		name, remote, host, header string
		options                    []Option
		status                     int
	}{
		{"loopback", "127.0.0.1:5000", "127.0.0.1:8080", "", nil, 200},
		{"another address of loopback", "127.9.9.9:5000", "127.0.0.1:8080", "", nil, 200},
		{"loopback of IPv6", "[::1]:5000", "[::1]:8080", "", nil, 200},
		{"loopback of IPv6 without a port", "[::1]:5000", "[::1]", "", nil, 200},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:5000", "localhost:8080", "", nil, 200},
		{"localhost", "127.0.0.1:5000", "localhost", "", nil, 200},
		{"localhost in capitals", "127.0.0.1:5000", "LOCALHOST:8080", "", nil, 200},
		{"a remote client", "192.0.2.1:5000", "127.0.0.1:8080", "", nil, 403},
		{"a remote client of a private network", "10.1.2.3:5000", "127.0.0.1:8080", "", nil, 403},
		{"a remote client of IPv6", "[2001:db8::1]:5000", "[::1]:8080", "", nil, 403},
		{"no address", "", "localhost", "", nil, 403},
		{"a Unix socket", "@", "localhost", "", nil, 403},
		{"an address without a port", "127.0.0.1", "localhost", "", nil, 403},
		{"DNS rebinding", "127.0.0.1:5000", "rebind.example.com:8080", "", nil, 403},
		{"a name that begins like localhost", "127.0.0.1:5000", "localhost.example.com", "", nil, 403},
		{"a name that begins like an address", "127.0.0.1:5000", "127.0.0.1.example.com", "", nil, 403},
		{"an address that is not loopback", "127.0.0.1:5000", "192.0.2.1:8080", "", nil, 403},
		{"every address", "127.0.0.1:5000", "0.0.0.0:8080", "", nil, 403},
		{"no host", "127.0.0.1:5000", "", "", nil, 403},
		{"half of an address", "127.0.0.1:5000", "[::1", "", nil, 403},
		{"a proxy that forwards", "127.0.0.1:5000", "localhost", "X-Forwarded-For", nil, 403},
		{"a proxy of RFC 7239", "127.0.0.1:5000", "localhost", "Forwarded", nil, 403},
		{"a proxy with Via", "127.0.0.1:5000", "localhost", "Via", nil, 403},
		{"an allowed network", "10.1.2.3:5000", "localhost", "", []Option{WithRemoteClients(ten)}, 200},
		{"an allowed network of IPv4 in IPv6", "[::ffff:10.1.2.3]:5000", "localhost", "", []Option{WithRemoteClients(ten)}, 200},
		{"loopback beside an allowed network", "127.0.0.1:5000", "localhost", "", []Option{WithRemoteClients(ten)}, 200},
		{"outside of the allowed network", "192.0.2.1:5000", "localhost", "", []Option{WithRemoteClients(ten)}, 403},
		{"an allowed network under another name", "10.1.2.3:5000", "dev.example.com", "", []Option{WithRemoteClients(ten)}, 403},
		{"an allowed network through a proxy", "10.1.2.3:5000", "localhost", "X-Real-Ip", []Option{WithRemoteClients(ten)}, 403},
		{"an allowed name", "127.0.0.1:5000", "Dev.example.com:8080", "", []Option{WithHosts("dev.Example.com")}, 200},
		{"an allowed name of a remote client", "192.0.2.1:5000", "dev.example.com", "", []Option{WithHosts("dev.example.com")}, 403},
		{"an allowed address", "127.0.0.1:5000", "[2001:db8::1]:8080", "", []Option{WithHosts("2001:db8::1")}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			page := newPage(t, tt.options...)
			for name := range page.files {
				r := httptest.NewRequest("GET", DefaultPath+name, nil)
				r.RemoteAddr, r.Host = tt.remote, tt.host
				if tt.header != "" {
					r.Header.Set(tt.header, "192.0.2.9")
				}
				w := httptest.NewRecorder()
				page.ServeHTTP(w, r)
				if w.Code != tt.status {
					t.Errorf("%s: status %d, want %d", name, w.Code, tt.status)
				}
				if w.Code != 200 && strings.Contains(w.Body.String(), "operations") {
					t.Errorf("%s: the refusal has the operations", name)
				}
			}
		})
	}
}

// TestHeaders asks a real server.
func TestHeaders(t *testing.T) {
	mux := http.NewServeMux()
	page := newPage(t)
	mux.Handle(page.Path(), page)
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, tt := range []struct {
		method, path string
		status       int
		contentType  string
	}{
		{"GET", "/console/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/console/", 200, "text/html; charset=utf-8"},
		{"GET", "/console/index.html", 200, "text/html; charset=utf-8"},
		{"GET", "/console/main.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/console/page.css", 200, "text/css; charset=utf-8"},
		{"GET", "/console/icon.svg", 200, "image/svg+xml"},
		{"GET", "/console/config.json", 200, "application/json"},
		{"GET", "/console/other.js", 404, "text/plain; charset=utf-8"},
		{"GET", "/console/console.go", 404, "text/plain; charset=utf-8"},
		{"POST", "/console/", 405, "text/plain; charset=utf-8"},
		{"OPTIONS", "/console/config.json", 405, "text/plain; charset=utf-8"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			r, err := http.NewRequest(tt.method, server.URL+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", "https://other.example.com")
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Body.Close()
			body, err := io.ReadAll(w.Body)
			if err != nil || w.StatusCode != tt.status || w.Header.Get("Content-Type") != tt.contentType || (tt.method == "HEAD") != (len(body) == 0) {
				t.Errorf("%d, %q, %d bytes, %v", w.StatusCode, w.Header.Get("Content-Type"), len(body), err)
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
				"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
				"Set-Cookie": "", "Access-Control-Allow-Origin": "",
			} {
				if got := w.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			csp := strings.Split(w.Header.Get("Content-Security-Policy"), "; ")
			for _, directive := range []string{
				"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
				"frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
			} {
				if !slices.Contains(csp, directive) {
					t.Errorf("the policy lacks %s", directive)
				}
			}
			if strings.Contains(strings.Join(csp, ""), "unsafe") {
				t.Errorf("the policy is %q", csp)
			}
		})
	}
}

// TestAssets checks that files refer only to files that exist, and never to another origin.
func TestAssets(t *testing.T) {
	page := newPage(t)
	reference := regexp.MustCompile(`(?:src|href)="([^"]*)"|from "([^"]*)"|import\("([^"]*)"|url\(([^)]*)\)|fetch\("([^"]*)"`)
	used := map[string]bool{"index.html": true}
	for name, file := range page.files {
		if name == "config.json" {
			continue
		}
		for _, match := range reference.FindAllStringSubmatch(string(file), -1) {
			target := strings.Join(match[1:], "")
			if strings.HasPrefix(target, "#") {
				if !strings.Contains(string(page.files["index.html"]), `id="`+target[1:]+`"`) {
					t.Errorf("%s: no element has the id %s", name, target)
				}
				continue
			}
			target = path.Clean(target)
			if _, ok := page.files[target]; !ok {
				t.Errorf("%s refers to %s, which does not exist", name, target)
			}
			used[target] = true
		}
		text := strings.ReplaceAll(string(file), `"http://www.w3.org/2000/svg"`, "") // a name, which nothing loads
		for _, forbidden := range []string{
			"http:", "https:", `"//`, "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
			"localStorage", "sessionStorage", "indexedDB", "document.cookie", `credentials: "include"`, `credentials: "same-origin"`, "style=", "onclick=",
		} {
			if strings.Contains(text, forbidden) {
				t.Errorf("%s contains %s", name, forbidden)
			}
		}
	}
	for name := range page.files {
		if !used[name] {
			t.Errorf("nothing refers to %s", name)
		}
	}
	if len(used) < 10 {
		t.Errorf("%d files, want at least 10", len(used))
	}
	html := string(page.files["index.html"])
	if inline := regexp.MustCompile(`<style|<script(?:[^>]*)>[^<]`).FindString(html); inline != "" {
		t.Errorf("inline: %s", inline)
	}
}

// TestElements checks that the scripts look up only ids that the page has.
func TestElements(t *testing.T) {
	page := newPage(t)
	found := 0
	for name, file := range page.files {
		if path.Ext(name) != ".js" {
			continue
		}
		for _, match := range regexp.MustCompile(`\$\("([^"]*)"\)`).FindAllStringSubmatch(string(file), -1) {
			found++
			if !strings.Contains(string(page.files["index.html"]), `id="`+match[1]+`"`) {
				t.Errorf("%s: no element has the id %s", name, match[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("%d ids found, want at least 20", found)
	}
}

func TestConfig(t *testing.T) {
	page := newPage(t, WithTitle("</script><b>"), WithBasePath("/v1"), WithLogIn("login"), WithRefresh("refresh"), WithSessions("list", "end"),
		WithDemoUser("ann", "ADMIN", map[string]string{"name": "ann"}), WithCredential("basic", "ann:secret"), WithExample("report", "a=b", []int{1}))
	if text := string(page.files["config.json"]); strings.ContainsAny(text, "<>") {
		t.Errorf("the configuration contains HTML: %s", text)
	}
	var c config
	if err := json.Unmarshal(page.files["config.json"], &c); err != nil {
		t.Fatal(err)
	}
	if c.BasePath != "/v1" || c.LogIn != "login" || c.Refresh != "refresh" || c.ListSessions != "list" || c.EndSession != "end" ||
		c.Users[0].Name != "ann" || string(c.Users[0].Body) != `{"name":"ann"}` || c.Credentials["basic"] != "ann:secret" {
		t.Errorf("%+v", c)
	}
	report := c.Operations[5]
	if !slices.Equal(report.Parameters, []string{"one", "two"}) || report.Rules.MaxAge != 900 || report.Example.Query != "a=b" || report.Example.Body != "[\n  1\n]" {
		t.Errorf("%+v", report)
	}
	if len(report.Alternatives) != 3 || len(report.Alternatives[2]) != 0 || !slices.Equal(report.Alternatives[0][0].Scopes, []string{"reports"}) {
		t.Errorf("%+v", report.Alternatives)
	}
}

// TestPlaces compares the place of each credential with where the guard looks for it.
func TestPlaces(t *testing.T) {
	token := access.Token
	for _, tt := range []struct {
		name string
		from guard.Scheme
		want scheme
	}{
		{"a token", guard.Scheme{Token: token}, scheme{Kind: kindToken, In: "header", Parameter: "Authorization", Prefix: "Bearer", Token: "access"}},
		{"a token behind another word", guard.Scheme{Token: token, Prefix: "Token"}, scheme{Kind: kindToken, In: "header", Parameter: "Authorization", Prefix: "Token", Token: "access"}},
		{"a token in another header", guard.Scheme{Token: token, Parameter: "X-Token"}, scheme{Kind: kindToken, In: "header", Parameter: "X-Token", Token: "access"}},
		{"a token in the named header", guard.Scheme{Token: token, Parameter: "authorization"}, scheme{Kind: kindToken, In: "header", Parameter: "authorization", Prefix: "Bearer", Token: "access"}},
		{"a token in the query", guard.Scheme{Token: token, In: guard.InQuery, Parameter: "t"}, scheme{Kind: kindToken, In: "query", Parameter: "t", Token: "access"}},
		{"a token in a cookie", guard.Scheme{Token: token, In: guard.InCookie, Parameter: "t"}, scheme{Kind: kindToken, In: "cookie", Parameter: "t", Token: "access"}},
		{"a password", guard.Scheme{Kind: guard.KindBasic}, scheme{Kind: kindBasic, In: "header", Parameter: "Authorization", Prefix: "Basic"}},
		{"an opaque token", guard.Scheme{Kind: guard.KindKey}, scheme{Kind: kindKey, In: "header", Parameter: "Authorization", Prefix: "Bearer"}},
		{"a key in a header", guard.Scheme{Kind: guard.KindKey, Parameter: "X-API-Key"}, scheme{Kind: kindKey, In: "header", Parameter: "X-API-Key"}},
		{"a key in Authorization", guard.Scheme{Kind: guard.KindKey, Parameter: "Authorization"}, scheme{Kind: kindKey, In: "header", Parameter: "Authorization"}},
		{"another auth scheme", guard.Scheme{Kind: guard.KindKey, Prefix: "Digest"}, scheme{Kind: kindKey, In: "header", Parameter: "Authorization", Prefix: "Digest"}},
		{"a certificate", guard.Scheme{Kind: guard.KindCertificate}, scheme{Kind: kindCertificate, In: "connection"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := schemeOf(&tt.from)
			if got.Kind != tt.want.Kind || got.In != tt.want.In || got.Parameter != tt.want.Parameter || got.Prefix != tt.want.Prefix || got.Token != tt.want.Token {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestPaths mounts the page under another path.
func TestPaths(t *testing.T) {
	page := newPage(t, WithPath("/dev/tools/"))
	for target, want := range map[string]int{"/dev/tools/": 200, "/dev/tools/main.js": 200, "/console/": 404, "/dev/tools": 404, "/": 404} {
		r := httptest.NewRequest("GET", "http://localhost"+target, nil)
		r.RemoteAddr = "127.0.0.1:5000"
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", target, w.Code, want)
		}
	}
}
