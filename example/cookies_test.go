package main

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// browser stores cookies and sends them.
type browser struct {
	*app
	client *http.Client
}

func newBrowser(t *testing.T, a *app) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{a, &http.Client{Jar: jar}}
}

// cookie returns the value of a cookie of the browser, or "".
func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// send sends a request with headers given as "Name: value".
func (b *browser) send(method, path, body string, headers ...string) int {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	w.Body.Close()
	if (len(w.Header.Values("Set-Cookie")) > 0 || w.StatusCode == 401 || w.StatusCode == 403) && w.Header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("%s %s responds %d with Cache-Control %q", method, path, w.StatusCode, w.Header.Get("Cache-Control"))
	}
	return w.StatusCode
}

// TestBrowser goes through the life of a session in cookies.
func TestBrowser(t *testing.T) {
	b := newBrowser(t, newApp(t))
	expect := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	const email = `{"email":"a@b.example"}`
	csrf := func(name string) string { return "X-CSRF-Token: " + b.cookie("csrf_"+name) }

	expect("before the log-in", b.send("GET", "/protected", ""), 401)
	expect("log-in from another site", b.send("POST", "/login", `{"username":"alice","password":"wonderland","cookies":true}`, "Sec-Fetch-Site: cross-site"), 403)
	expect("log-in", b.send("POST", "/login", `{"username":"alice","password":"wonderland","cookies":true}`), 204)
	expect("safe", b.send("GET", "/protected", ""), 200)
	expect("unsafe", b.send("PUT", "/email", email, csrf("access_token")), 204)
	expect("unsafe without csrf", b.send("PUT", "/email", email), 403)
	expect("unsafe with the csrf of the other token of the session", b.send("PUT", "/email", email, csrf("refresh_token")), 204)
	expect("unsafe with another csrf", b.send("PUT", "/email", email, csrf("refresh_token")+"x"), 403)
	expect("from another site", b.send("PUT", "/email", email, csrf("access_token"), "Sec-Fetch-Site: cross-site"), 403)
	expect("a bad header beside the cookie", b.send("GET", "/protected", "", "Authorization: Bearer bad"), 401)
	expect("an operation that takes no cookie", b.send("GET", "/admin/users", ""), 401)

	before := b.cookie("access_token")
	expect("refresh without csrf", b.send("POST", "/refresh", ""), 403)
	expect("refresh", b.send("POST", "/refresh", "", csrf("refresh_token")), 204)
	if b.cookie("access_token") == before || b.cookie("access_token") == "" {
		t.Error("the refresh set no new cookie")
	}
	expect("not fresh", b.send("PUT", "/email", email, csrf("access_token")), 401)
	expect("after the refresh", b.send("GET", "/protected", ""), 200)

	last := b.cookie("access_token")
	expect("log-out without csrf", b.send("POST", "/logout", ""), 403)
	expect("log-out", b.send("POST", "/logout", "", csrf("refresh_token")), 204)
	if b.cookie("access_token")+b.cookie("refresh_token")+b.cookie("csrf_access_token") != "" {
		t.Error("the log-out left cookies")
	}
	expect("after the log-out", b.send("GET", "/protected", ""), 401)
	expect("the old cookie", b.send("GET", "/protected", "", "Cookie: access_token="+last), 401)
}

// TestSameCookieTwice sends cookies as a browser does that has one with a former path or domain.
func TestSameCookieTwice(t *testing.T) {
	a := newApp(t)
	const credentials = `{"username":"alice","password":"wonderland","cookies":true}`
	logIn := func() *browser {
		t.Helper()
		b := newBrowser(t, a)
		if status := b.send("POST", "/login", credentials); status != 204 {
			t.Fatalf("log-in: %d", status)
		}
		return b
	}
	other := logIn()
	b := logIn()
	old := b.cookie("access_token")
	csrf := func(name string) string { return "X-CSRF-Token: " + b.cookie("csrf_"+name) }
	if status := b.send("POST", "/refresh", "", csrf("refresh_token")); status != 204 {
		t.Fatalf("refresh: %d", status)
	}
	for _, tt := range []struct {
		name, method, path, cookie, csrf string
		want                             int
	}{
		{name: "a former token of the session", method: "GET", path: "/protected", cookie: "access_token=" + old, want: 200},
		{name: "a damaged one", method: "GET", path: "/protected", cookie: "access_token=damaged", want: 200},
		{name: "one of another session", method: "GET", path: "/protected", cookie: "access_token=" + other.cookie("access_token"), want: 401},
		{name: "log-out", method: "POST", path: "/logout", cookie: "refresh_token=damaged", csrf: csrf("refresh_token"), want: 204},
		{name: "after the log-out", method: "GET", path: "/protected", cookie: "access_token=" + old, want: 401},
	} {
		headers := []string{"Cookie: " + tt.cookie}
		if tt.csrf != "" {
			headers = append(headers, tt.csrf)
		}
		if status := b.send(tt.method, tt.path, "", headers...); status != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, status, tt.want)
		}
	}
}

// TestWebSocketHandshake asks for an upgrade with a cookie: the origin decides, because a page
// cannot send the claim csrf.
func TestWebSocketHandshake(t *testing.T) {
	b := newBrowser(t, newApp(t))
	if status := b.send("POST", "/login", `{"username":"alice","password":"wonderland","cookies":true}`); status != 204 {
		t.Fatalf("log-in: %d", status)
	}
	for _, tt := range []struct {
		name, origin string
		want         int
	}{
		{name: "a page of the service", origin: b.url, want: 200}, // by a handler that does not upgrade
		{name: "a page of another origin", origin: "https://evil.example", want: 403},
	} {
		if status := b.send("GET", "/protected", "", "Connection: Upgrade", "Upgrade: websocket", "Origin: "+tt.origin); status != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, status, tt.want)
		}
	}
}
