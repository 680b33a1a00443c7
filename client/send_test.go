package client

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// jwtWith returns a JWT with the claims, which nobody verifies here.
func jwtWith(claims string) string {
	return "h." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s"
}

func TestPlacesOfCredentials(t *testing.T) {
	csrfToken := jwtWith(`{"csrf":"proof"}`)
	key := func(name string, in Location, parameter, prefix string) *Scheme {
		return &Scheme{Name: name, Kind: KindKey, In: in, Parameter: parameter, Prefix: prefix}
	}
	cookie := &Scheme{Name: "cookie", Kind: KindAccessToken, In: InCookie, Parameter: "access_token", JWT: true}
	one, two := key("one", InHeader, "X-One", ""), key("two", InHeader, "X-Two", "")
	basic := &Scheme{Name: "basic", Kind: KindBasic}
	certificate := &Scheme{Name: "machine", Kind: KindCertificate}
	word, query, keyCookie := key("word", InHeader, "X-Word", "Key"), key("query", InQuery, "key", ""), key("keyCookie", InCookie, "key", "")
	for _, tt := range []struct {
		name        string
		method      string
		credentials map[*Scheme]Credential
		operation   [][]*Scheme
		query       string
		header      http.Header
		wantHeader  http.Header
		wantQuery   string
		want        error
	}{
		{name: "a public operation", credentials: map[*Scheme]Credential{one: Secret("1")}},
		{name: "bearer", operation: [][]*Scheme{{accessScheme}}, credentials: map[*Scheme]Credential{accessScheme: Secret("a.b")},
			wantHeader: http.Header{"Authorization": {"Bearer a.b"}}},
		{name: "a key in a header", operation: [][]*Scheme{{one}}, credentials: map[*Scheme]Credential{one: Secret("a b")},
			wantHeader: http.Header{"X-One": {"a b"}}},
		{name: "a key behind a word", operation: [][]*Scheme{{word}}, credentials: map[*Scheme]Credential{word: Secret("k")},
			wantHeader: http.Header{"X-Word": {"Key k"}}},
		{name: "a key in the query", operation: [][]*Scheme{{query}}, credentials: map[*Scheme]Credential{query: Secret("k&=ü")}, query: "b=2&a=1",
			wantQuery: "b=2&a=1&key=k%26%3D%C3%BC"},
		{name: "a key in a cookie", operation: [][]*Scheme{{keyCookie}}, credentials: map[*Scheme]Credential{keyCookie: Secret("k")},
			header: http.Header{"Cookie": {"other=1"}}, wantHeader: http.Header{"Cookie": {"other=1; key=k"}}},
		{name: "basic", operation: [][]*Scheme{{basic}}, credentials: map[*Scheme]Credential{basic: Basic("ann", "pass:ü")},
			wantHeader: http.Header{"Authorization": {"Basic YW5uOnBhc3M6w7w="}}},
		{name: "a certificate", operation: [][]*Scheme{{certificate}}, credentials: map[*Scheme]Credential{certificate: Certificate()}},
		{name: "a cookie, reading", operation: [][]*Scheme{{cookie}}, credentials: map[*Scheme]Credential{cookie: Secret(csrfToken)},
			wantHeader: http.Header{"Cookie": {"access_token=" + csrfToken}}},
		{name: "a cookie, changing", method: "POST", operation: [][]*Scheme{{cookie}}, credentials: map[*Scheme]Credential{cookie: Secret(csrfToken)},
			wantHeader: http.Header{"Cookie": {"access_token=" + csrfToken}, "X-Csrf-Token": {"proof"}}},
		{name: "the first alternative that is held", operation: [][]*Scheme{{one}, {two}, {basic}}, credentials: map[*Scheme]Credential{two: Secret("2"), basic: Basic("a", "b")},
			wantHeader: http.Header{"X-Two": {"2"}}},
		{name: "all of an alternative", operation: [][]*Scheme{{one, two}, {basic}}, credentials: map[*Scheme]Credential{two: Secret("2"), basic: Basic("a", "b")},
			wantHeader: http.Header{"Authorization": {"Basic YTpi"}}},
		{name: "both of an alternative", operation: [][]*Scheme{{one, two}}, credentials: map[*Scheme]Credential{one: Secret("1"), two: Secret("2")},
			wantHeader: http.Header{"X-One": {"1"}, "X-Two": {"2"}}},
		{name: "a credential rather than nobody", operation: [][]*Scheme{{}, {one}}, credentials: map[*Scheme]Credential{one: Secret("1")},
			wantHeader: http.Header{"X-One": {"1"}}},
		{name: "nobody", operation: [][]*Scheme{{}, {one}}},
		{name: "no session, and another alternative", operation: [][]*Scheme{{accessScheme}, {one}}, credentials: map[*Scheme]Credential{one: Secret("1")},
			wantHeader: http.Header{"X-One": {"1"}}},
		{name: "nothing is held", operation: [][]*Scheme{{one}, {two, basic}}, want: ErrNoCredential},
		{name: "no session", operation: [][]*Scheme{{accessScheme}}, want: ErrLoggedOut},
		{name: "an empty secret", operation: [][]*Scheme{{one}}, credentials: map[*Scheme]Credential{one: Secret("")}, want: ErrNoCredential},
		{name: "a secret with a line break", operation: [][]*Scheme{{one}}, credentials: map[*Scheme]Credential{one: Secret("a\r\nX-Evil: 1")}, want: errCredentialText},
		{name: "a secret that would be two cookies", operation: [][]*Scheme{{keyCookie}}, credentials: map[*Scheme]Credential{keyCookie: Secret("a; b=c")}, want: errCredentialText},
		{name: "the caller's header stays", operation: [][]*Scheme{{accessScheme}}, credentials: map[*Scheme]Credential{accessScheme: Secret("a")},
			header: http.Header{"Authorization": {"Bearer mine"}}, wantHeader: http.Header{"Authorization": {"Bearer mine"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got *http.Request
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
			defer server.Close()
			c := newClient(t, server.URL, Config{Credentials: tt.credentials})
			method := tt.method
			if method == "" {
				method = "GET"
			}
			r := request(t, method, server.URL+"/?"+tt.query, &Operation{ID: "op", Alternatives: tt.operation}, nil)
			for name, values := range tt.header {
				r.Header[name] = values
			}
			before := r.Clone(t.Context())
			response, err := c.Do(r)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err != nil {
				if got != nil {
					t.Error("a request was sent")
				}
				return
			}
			_ = response.Body.Close()
			for _, name := range []string{"Authorization", "Cookie", "X-One", "X-Two", "X-Word", "X-Csrf-Token", "X-Evil"} {
				if strings.Join(got.Header[name], "|") != strings.Join(tt.wantHeader[name], "|") {
					t.Errorf("%s is %q, want %q", name, got.Header[name], tt.wantHeader[name])
				}
			}
			if want := tt.wantQuery; want != "" && got.URL.RawQuery != want || want == "" && got.URL.RawQuery != tt.query {
				t.Errorf("the query is %q, want %q", got.URL.RawQuery, want)
			}
			if response.Request.Header.Get("Authorization") != before.Header.Get("Authorization") || response.Request.URL.String() != before.URL.String() {
				t.Error("the request of the response has the credentials")
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	query := &Scheme{Name: "query", Kind: KindKey, In: InQuery, Parameter: "key"}
	cookie := &Scheme{Name: "cookie", Kind: KindKey, In: InCookie, Parameter: "session"}
	all := &Operation{ID: "all", Alternatives: [][]*Scheme{{accessScheme, keyScheme, query, cookie}}}
	for _, tt := range []struct {
		name string
		// hosts are those that the redirects lead to: "home" or "away".
		hosts []string
		// sent says for each hop whether it has the credentials.
		sent []bool
	}{
		{name: "to the same host", hosts: []string{"home"}, sent: []bool{true, true}},
		{name: "to another host", hosts: []string{"away"}, sent: []bool{true, false}},
		{name: "to another host and back", hosts: []string{"away", "home"}, sent: []bool{true, false, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent []bool
			var urls map[string]string
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				complete := r.Header.Get("Authorization") == "Bearer secret-token" && r.Header.Get("X-API-Key") == "secret-key" &&
					r.URL.Query().Get("key") == "secret-query" && r.Header.Get("Cookie") == "session=secret-cookie"
				var text bytes.Buffer
				_ = r.Write(&text)
				if !complete && strings.Contains(text.String(), "secret") {
					t.Errorf("hop %d has a secret:\n%s", len(sent), text.String())
				}
				hop := len(sent)
				sent = append(sent, complete)
				if hop < len(tt.hosts) {
					http.Redirect(w, r, urls[tt.hosts[hop]]+"/hop", http.StatusTemporaryRedirect)
				}
			})
			// Both are 127.0.0.1, where net/http passes the header Authorization on.
			home, away := httptest.NewServer(handler), httptest.NewServer(handler)
			defer home.Close()
			defer away.Close()
			urls = map[string]string{"home": home.URL, "away": away.URL}
			c := newClient(t, home.URL, Config{Credentials: map[*Scheme]Credential{
				accessScheme: Secret("secret-token"), keyScheme: Secret("secret-key"), query: Secret("secret-query"), cookie: Secret("secret-cookie"),
			}})
			mustStatus(t, c, request(t, "POST", home.URL+"/", all, strings.NewReader("body")), 200)
			if len(sent) != len(tt.sent) {
				t.Fatalf("%d hops, want %d", len(sent), len(tt.sent))
			}
			for i := range sent {
				if sent[i] != tt.sent[i] {
					t.Errorf("hop %d has the credentials: %v, want %v", i, sent[i], tt.sent[i])
				}
			}
		})
	}
}

// TestUploadRefusedInTheMiddle checks that an upload that the server refuses while it goes on is not
// sent again.
func TestUploadRefusedInTheMiddle(t *testing.T) {
	a := newAuthority(t)
	c := newClient(t, a.URL, Config{})
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	a.revoke()
	var received, requests atomic.Int64
	refused := make(chan struct{})
	resource := a.handler
	a.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/upload" {
			resource.ServeHTTP(w, r)
			return
		}
		requests.Add(1)
		n, err := io.CopyN(io.Discard, r.Body, 1<<10)
		if err != nil {
			t.Error(err)
		}
		received.Add(n)
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		_ = http.NewResponseController(w).Flush()
		close(refused)
	})
	// The rest of the body is there only when the server has refused it.
	body, writer := io.Pipe()
	go func() {
		_, _ = writer.Write(bytes.Repeat([]byte("x"), 1<<10))
		<-refused
		_, err := writer.Write([]byte("the rest"))
		_ = writer.CloseWithError(err)
	}()
	_, err := status(t, c, request(t, "PUT", a.URL+"/upload", secured, body))
	if !errors.Is(err, ErrBodyNotRepeatable) {
		t.Errorf("error %v, want ErrBodyNotRepeatable", err)
	}
	_ = body.Close()
	if requests.Load() != 1 || received.Load() != 1<<10 {
		t.Errorf("%d requests with %d bytes, want one with 1024", requests.Load(), received.Load())
	}
	// The token was refreshed, so that a new upload is accepted at once.
	mustStatus(t, c, request(t, "PUT", a.URL+"/", secured, strings.NewReader("again")), 200)
	if refreshes, _ := a.count(); refreshes != 1 {
		t.Errorf("%d refreshes, want 1", refreshes)
	}
}

func TestServers(t *testing.T) {
	for _, tt := range []struct {
		server  string
		options []Option
		fails   bool
	}{
		{server: "https://api.example.com"},
		{server: "https://api.example.com/v1"},
		{server: "http://127.0.0.1:8080"},
		{server: "http://[::1]:8080"},
		{server: "http://localhost:8080"},
		{server: "http://api.localhost"},
		{server: "http://api.example.com", options: []Option{WithPlainHTTP()}},
		{server: "http://api.example.com", fails: true},
		{server: "http://127.0.0.1.example.com", fails: true},
		{server: "http://10.0.0.1", fails: true},
		{server: "https://user:secret@api.example.com", fails: true},
		{server: "https://api.example.com?key=secret", fails: true},
		{server: "ftp://api.example.com", fails: true},
		{server: "api.example.com", fails: true},
		{server: "://secret", fails: true},
		{server: "", fails: true},
	} {
		_, err := New(tt.server, Config{}, tt.options...)
		if (err != nil) != tt.fails {
			t.Errorf("%q: error %v", tt.server, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats a secret: %v", tt.server, err)
		}
	}
}

// TestCookiesOfTheHTTPClient checks that a cookie of the jar is not sent twice.
func TestCookiesOfTheHTTPClient(t *testing.T) {
	var cookies []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { cookies = r.Header["Cookie"] }))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(at, []*http.Cookie{{Name: "session", Value: "of-the-jar"}})
	scheme := &Scheme{Name: "session", Kind: KindKey, In: InCookie, Parameter: "session"}
	c, err := New(server.URL, Config{Credentials: map[*Scheme]Credential{scheme: Secret("of-the-client")}},
		WithHTTPClient(&http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}))
	if err != nil {
		t.Fatal(err)
	}
	mustStatus(t, c, request(t, "GET", server.URL, &Operation{ID: "op", Alternatives: [][]*Scheme{{scheme}}}, nil), 200)
	if len(cookies) != 1 || cookies[0] != "session=of-the-jar" {
		t.Errorf("the cookies are %q", cookies)
	}
}

// TestRefreshBelowAPath checks the refresh of a server whose URL has a path, and whose refresh also
// requires a key.
func TestRefreshBelowAPath(t *testing.T) {
	a, now := newAuthority(t), newClock()
	keys := []string{}
	inner := a.handler
	a.handler = http.StripPrefix("/base/v1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refresh" {
			keys = append(keys, r.Header.Get("X-API-Key"))
		}
		inner.ServeHTTP(w, r)
	}))
	operation := &Operation{ID: "refresh", Alternatives: [][]*Scheme{{refreshScheme, keyScheme}}}
	for _, server := range []string{a.URL + "/base/v1", a.URL + "/base/v1/"} {
		c := newClient(t, server, Config{
			Credentials: map[*Scheme]Credential{keyScheme: Secret("partner")},
			Refresh:     &RefreshOperation{operation, http.MethodPost, "/refresh"},
		}, WithClock(now.now))
		if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
			t.Fatal(err)
		}
		now.advance(time.Hour)
		mustStatus(t, c, request(t, "GET", a.URL+"/base/v1/x", secured, nil), 200)
	}
	if strings.Join(keys, ",") != "partner,partner" {
		t.Errorf("the refreshes had the keys %q", keys)
	}
	without := newClient(t, a.URL+"/base/v1", Config{Refresh: &RefreshOperation{operation, http.MethodPost, "/refresh"}}, WithClock(now.now))
	if err := without.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	now.advance(time.Hour)
	if _, err := without.Tokens().Tokens(t.Context()); !errors.Is(err, ErrNoCredential) || errors.Is(err, ErrLoggedOut) {
		t.Errorf("without the key: error %v", err)
	}
}
