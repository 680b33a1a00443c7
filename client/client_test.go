package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// clock is a clock that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

// authority is a server with access and refresh tokens that are used once each.
type authority struct {
	*httptest.Server
	t *testing.T

	mu        sync.Mutex
	access    string
	refresh   string
	number    int
	refreshes int
	requests  []*http.Request
	bodies    []string
	// onRefresh answers a refresh in place of the authority if it returns true.
	onRefresh func(w http.ResponseWriter, n int) bool
	handler   http.Handler
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /refresh", a.serveRefresh)
	mux.HandleFunc("/", a.serveResource)
	a.handler = mux
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }))
	t.Cleanup(a.Close)
	return a
}

// issue makes new tokens and returns the answer with them. The caller has mu.
func (a *authority) issue() string {
	a.number++
	a.access, a.refresh = fmt.Sprintf("access-secret-%d", a.number), fmt.Sprintf("refresh-secret-%d", a.number)
	return fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":600}`, a.access, a.refresh)
}

func (a *authority) logIn() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return []byte(a.issue())
}

// revoke makes the server refuse the access token.
func (a *authority) revoke() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.access = "nothing"
}

func (a *authority) serveRefresh(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refreshes++
	a.requests = append(a.requests, r)
	if a.onRefresh != nil && a.onRefresh(w, a.refreshes) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+a.refresh {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, a.issue())
}

func (a *authority) serveResource(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	ok := r.Header.Get("Authorization") == "Bearer "+a.access
	a.requests = append(a.requests, r)
	a.mu.Unlock()
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="x", error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bodies = append(a.bodies, string(body))
	_, _ = io.WriteString(w, "ok")
}

// count returns the number of refreshes and of all requests.
func (a *authority) count() (refreshes, requests int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refreshes, len(a.requests)
}

var (
	accessScheme  = &Scheme{Name: "access", Kind: KindAccessToken, Prefix: "Bearer", JWT: true}
	refreshScheme = &Scheme{Name: "refresh", Kind: KindRefreshToken, Prefix: "Bearer", JWT: true}
	keyScheme     = &Scheme{Name: "partner", Kind: KindKey, Parameter: "X-API-Key"}

	secured   = &Operation{ID: "secured", Alternatives: [][]*Scheme{{accessScheme}}}
	refreshOp = &Operation{ID: "refresh", Alternatives: [][]*Scheme{{refreshScheme}}}
)

func newClient(t *testing.T, server string, config Config, options ...Option) *Client {
	t.Helper()
	if config.Refresh == nil {
		config.Refresh = &RefreshOperation{refreshOp, http.MethodPost, "/refresh"}
	}
	// Connections are not kept, so that the check for leaks finds none.
	transport := &http.Transport{DisableKeepAlives: true}
	c, err := New(server, config, append([]Option{WithHTTPClient(&http.Client{Transport: transport})}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// request returns a request of an operation.
func request(t *testing.T, method, url string, operation *Operation, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(WithOperation(t.Context(), operation), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// status sends a request and returns the status.
func status(t *testing.T, c *Client, r *http.Request) (int, error) {
	t.Helper()
	response, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func mustStatus(t *testing.T, c *Client, r *http.Request, want int) {
	t.Helper()
	got, err := status(t, c, r)
	if err != nil || got != want {
		t.Fatalf("status %d, error %v, want %d", got, err, want)
	}
}

func TestManyGoroutinesShareOneRefresh(t *testing.T) {
	a, now := newAuthority(t), newClock()
	c := newClient(t, a.URL, Config{}, WithClock(now.now))
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	now.advance(time.Hour)
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			if got, err := status(t, c, request(t, "GET", a.URL+"/", secured, nil)); err != nil || got != 200 {
				t.Errorf("status %d, error %v", got, err)
			}
		})
	}
	wait.Wait()
	if refreshes, requests := a.count(); refreshes != 1 || requests != 65 {
		t.Errorf("%d refreshes and %d requests, want 1 and 65", refreshes, requests)
	}
}

func TestManyRefusedRequestsShareOneRefresh(t *testing.T) {
	a := newAuthority(t)
	c := newClient(t, a.URL, Config{})
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	a.revoke()
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			if got, err := status(t, c, request(t, "POST", a.URL+"/", secured, strings.NewReader("body"))); err != nil || got != 200 {
				t.Errorf("status %d, error %v", got, err)
			}
		})
	}
	wait.Wait()
	if refreshes, _ := a.count(); refreshes != 1 {
		t.Errorf("%d refreshes, want 1", refreshes)
	}
	for _, body := range a.bodies {
		if body != "body" {
			t.Errorf("the body of a request is %q", body)
		}
	}
	if len(a.bodies) != 64 {
		t.Errorf("%d requests were accepted, want 64", len(a.bodies))
	}
}

func TestWaiterObeysItsContext(t *testing.T) {
	a, now := newAuthority(t), newClock()
	c := newClient(t, a.URL, Config{}, WithClock(now.now))
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	a.onRefresh = func(http.ResponseWriter, int) bool {
		close(arrived)
		<-release
		return false
	}
	now.advance(time.Hour)
	first := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := c.Tokens().Tokens(ctx)
		first <- err
	}()
	<-arrived
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	second := make(chan error)
	go func() {
		_, err := c.Tokens().Tokens(t.Context())
		second <- err
	}()
	close(release)
	if err := <-second; err != nil {
		t.Errorf("the caller that waited: %v", err)
	}
	if refreshes, _ := a.count(); refreshes != 1 {
		t.Errorf("%d refreshes, want 1: the answer of the refresh whose caller left was lost", refreshes)
	}
}

func TestRefreshShortlyBeforeTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name      string
		advance   time.Duration
		refreshes int
	}{
		{name: "long before", advance: 9 * time.Minute, refreshes: 0},
		{name: "shortly before", advance: 10*time.Minute - 29*time.Second, refreshes: 1},
		{name: "after", advance: 11 * time.Minute, refreshes: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, now := newAuthority(t), newClock()
			c := newClient(t, a.URL, Config{}, WithClock(now.now))
			if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
				t.Fatal(err)
			}
			now.advance(tt.advance)
			mustStatus(t, c, request(t, "GET", a.URL+"/", secured, nil), 200)
			if refreshes, _ := a.count(); refreshes != tt.refreshes {
				t.Errorf("%d refreshes, want %d", refreshes, tt.refreshes)
			}
		})
	}
}

func TestRefreshWithoutAnswer(t *testing.T) {
	hijack := func(t *testing.T, w http.ResponseWriter, text string) {
		connection, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = buffer.WriteString(text)
		_ = buffer.Flush()
		_ = connection.Close()
	}
	for _, tt := range []struct {
		name string
		// answer spoils an answer of the server, which has used the refresh token.
		answer    func(t *testing.T, w http.ResponseWriter, text string)
		spoiled   int
		advance   time.Duration
		want      error
		refreshes int
	}{
		{name: "the connection is cut before the answer", spoiled: 1, advance: time.Hour, refreshes: 2,
			answer: func(t *testing.T, w http.ResponseWriter, _ string) { hijack(t, w, "") }},
		{name: "the answer is cut", spoiled: 1, advance: time.Hour, refreshes: 2,
			answer: func(t *testing.T, w http.ResponseWriter, text string) {
				hijack(t, w, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"+text[:20])
			}},
		{name: "503", spoiled: 2, advance: time.Hour, refreshes: 3,
			answer: func(_ *testing.T, w http.ResponseWriter, _ string) { w.WriteHeader(503) }},
		{name: "503 for longer than the client repeats", spoiled: 3, advance: time.Hour, refreshes: 3, want: ErrNoAnswer,
			answer: func(_ *testing.T, w http.ResponseWriter, _ string) { w.WriteHeader(503) }},
		{name: "503 while the access token is valid", spoiled: 3, advance: 10*time.Minute - 20*time.Second, refreshes: 3,
			answer: func(_ *testing.T, w http.ResponseWriter, _ string) { w.WriteHeader(503) }},
		{name: "an unknown path", spoiled: 1, advance: time.Hour, refreshes: 1, want: ErrUnexpectedAnswer,
			answer: func(_ *testing.T, w http.ResponseWriter, _ string) { w.WriteHeader(404) }},
		{name: "a redirect", spoiled: 1, advance: time.Hour, refreshes: 1, want: ErrUnexpectedAnswer,
			answer: func(_ *testing.T, w http.ResponseWriter, _ string) {
				w.Header().Set("Location", "https://elsewhere.example/")
				w.WriteHeader(307)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, now := newAuthority(t), newClock()
			c := newClient(t, a.URL, Config{}, WithClock(now.now))
			if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
				t.Fatal(err)
			}
			sent := a.refresh
			// As in the grace period of a session: the same refresh token yields the same tokens again.
			next := a.issue()
			a.onRefresh = func(w http.ResponseWriter, n int) bool {
				if got := a.requests[len(a.requests)-1].Header.Get("Authorization"); got != "Bearer "+sent {
					t.Errorf("refresh %d has another token than the first", n)
				}
				if n <= tt.spoiled {
					tt.answer(t, w, next)
				} else {
					_, _ = io.WriteString(w, next)
				}
				return true
			}
			now.advance(tt.advance)
			_, err := c.Tokens().Tokens(t.Context())
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if refreshes, _ := a.count(); refreshes != tt.refreshes {
				t.Errorf("%d refreshes, want %d", refreshes, tt.refreshes)
			}
			// The session lives on.
			now.advance(time.Hour)
			if tt.want != nil {
				if _, err := c.Tokens().Tokens(t.Context()); err != nil {
					t.Errorf("the next call: %v", err)
				}
			}
		})
	}
}

func TestRefusedRefreshToken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   error
		ends   bool
	}{
		{name: "401", status: 401, want: ErrLoggedOut, ends: true},
		{name: "400 invalid_grant", status: 400, body: `{"error":"invalid_grant"}`, want: ErrLoggedOut, ends: true},
		{name: "400", status: 400, body: `{"error":"invalid_request"}`, want: ErrUnexpectedAnswer},
		{name: "401 invalid_client", status: 401, body: `{"error":"invalid_client"}`, want: ErrUnexpectedAnswer},
		{name: "403", status: 403, want: ErrUnexpectedAnswer},
		{name: "no tokens", status: 200, body: `{"message":"hello"}`, want: ErrUnexpectedAnswer},
		{name: "no JSON", status: 200, body: `<html>`, want: ErrUnexpectedAnswer},
		{name: "another type of token", status: 200, body: `{"access_token":"a","token_type":"mac"}`, want: ErrUnexpectedAnswer},
		{name: "a token with a line break", status: 200, body: `{"access_token":"a\nb"}`, want: ErrUnexpectedAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, now, keeper := newAuthority(t), newClock(), NewMemoryKeeper()
			c := newClient(t, a.URL, Config{Keeper: keeper}, WithClock(now.now))
			if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
				t.Fatal(err)
			}
			a.onRefresh = func(w http.ResponseWriter, _ int) bool {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
				return true
			}
			now.advance(time.Hour)
			if _, err := status(t, c, request(t, "GET", a.URL+"/", secured, nil)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			data, err := keeper.Load(t.Context())
			if err != nil || (data == nil) != tt.ends {
				t.Errorf("the keeper has %d bytes (%v); the session ends: %v", len(data), err, tt.ends)
			}
			_, before := a.count()
			_, err = status(t, c, request(t, "GET", a.URL+"/", secured, nil))
			if _, after := a.count(); tt.ends && (after != before || !errors.Is(err, ErrLoggedOut) || !errors.Is(err, ErrNoCredential)) {
				t.Errorf("after the end: %d requests more, error %v", after-before, err)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	stream := func() io.Reader { return struct{ io.Reader }{strings.NewReader("body")} }
	for _, tt := range []struct {
		name      string
		body      io.Reader
		getBody   func() (io.ReadCloser, error)
		challenge string
		want      error
		status    int
		requests  int
		refreshes int
	}{
		{name: "no body", status: 200, requests: 2, refreshes: 1},
		{name: "a body in memory", body: strings.NewReader("body"), status: 200, requests: 2, refreshes: 1},
		{name: "a stream", body: stream(), want: ErrBodyNotRepeatable, requests: 1, refreshes: 1},
		{name: "a stream that can be opened again", body: stream(), status: 200, requests: 2, refreshes: 1,
			getBody: func() (io.ReadCloser, error) { return io.NopCloser(stream()), nil }},
		{name: "a stream that cannot be opened again", body: stream(), want: io.ErrClosedPipe, requests: 1, refreshes: 1,
			getBody: func() (io.ReadCloser, error) { return nil, io.ErrClosedPipe }},
		{name: "a log-in that is too old", challenge: `Bearer error="insufficient_user_authentication"`, status: 401, requests: 1},
		{name: "no error code", challenge: `Bearer realm="invalid_token"`, status: 401, requests: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthority(t)
			c := newClient(t, a.URL, Config{})
			if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
				t.Fatal(err)
			}
			a.revoke()
			if tt.challenge != "" {
				a.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					a.requests = append(a.requests, r)
					w.Header().Set("WWW-Authenticate", tt.challenge)
					w.WriteHeader(401)
				})
			}
			r := request(t, "PUT", a.URL+"/", secured, tt.body)
			if tt.getBody != nil {
				if err := RepeatBody(tt.getBody)(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			got, err := status(t, c, r)
			if !errors.Is(err, tt.want) || got != tt.status {
				t.Errorf("status %d, error %v, want %d, %v", got, err, tt.status, tt.want)
			}
			refreshes, requests := a.count()
			if refreshes != tt.refreshes || requests-refreshes != tt.requests {
				t.Errorf("%d refreshes and %d requests, want %d and %d", refreshes, requests-refreshes, tt.refreshes, tt.requests)
			}
		})
	}
}

// TestRefreshTokenThatStays checks a server that returns no refresh token with a refresh, as RFC 6749,
// section 6, allows.
func TestRefreshTokenThatStays(t *testing.T) {
	a, now := newAuthority(t), newClock()
	c := newClient(t, a.URL, Config{}, WithClock(now.now))
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	a.onRefresh = func(w http.ResponseWriter, n int) bool {
		if got := a.requests[len(a.requests)-1].Header.Get("Authorization"); got != "Bearer refresh-secret-1" {
			t.Errorf("refresh %d has another token", n)
		}
		a.access = fmt.Sprint("access-", n)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":60}`, a.access)
		return true
	}
	for range 3 {
		now.advance(time.Hour)
		mustStatus(t, c, request(t, "GET", a.URL+"/", secured, nil), 200)
	}
	if refreshes, _ := a.count(); refreshes != 3 {
		t.Errorf("%d refreshes, want 3", refreshes)
	}
}

// TestLogOutOfAnotherProcess checks that a process notices a log-out and a log-in of another one.
func TestLogOutOfAnotherProcess(t *testing.T) {
	a, now, keeper := newAuthority(t), newClock(), NewMemoryKeeper()
	one := newClient(t, a.URL, Config{Keeper: keeper}, WithClock(now.now))
	two := newClient(t, a.URL, Config{Keeper: keeper}, WithClock(now.now))
	if err := one.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	mustStatus(t, two, request(t, "GET", a.URL+"/", secured, nil), 200)
	if err := one.Tokens().LogOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.revoke()
	if _, err := status(t, two, request(t, "GET", a.URL+"/", secured, nil)); !errors.Is(err, ErrLoggedOut) {
		t.Errorf("error %v, want ErrLoggedOut", err)
	}
	if err := one.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	mustStatus(t, two, request(t, "GET", a.URL+"/", secured, nil), 200)
	if refreshes, _ := a.count(); refreshes != 0 {
		t.Errorf("%d refreshes, want none", refreshes)
	}
}

// TestManyGoroutinesShareOneFailure checks that callers who wait for a refresh do not start another one
// each when it gets no answer.
func TestManyGoroutinesShareOneFailure(t *testing.T) {
	const callers = 64
	a, now := newAuthority(t), newClock()
	c := newClient(t, a.URL, Config{}, WithClock(now.now))
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	var started sync.WaitGroup
	started.Add(callers)
	a.onRefresh = func(w http.ResponseWriter, _ int) bool {
		started.Wait()
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	now.advance(time.Hour)
	var done sync.WaitGroup
	for range callers {
		done.Go(func() {
			started.Done()
			if _, err := c.Tokens().Tokens(t.Context()); !errors.Is(err, ErrNoAnswer) {
				t.Errorf("error %v, want ErrNoAnswer", err)
			}
		})
	}
	done.Wait()
	// One refresh is sent three times. A caller that the scheduler delays may begin a second one.
	if refreshes, _ := a.count(); refreshes > callers {
		t.Errorf("%d requests, want 3", refreshes)
	}
}
