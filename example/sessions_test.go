package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/store/boltstore"
)

// onStores runs a test with the example on each store.
func onStores(t *testing.T, test func(t *testing.T, a *app)) {
	t.Run("memory", func(t *testing.T) { test(t, newApp(t)) })
	t.Run("bolt", func(t *testing.T) { test(t, newAppOn(t, openTestStore(t, ""), nil)) })
	t.Run("sqlite", func(t *testing.T) {
		test(t, newAppOn(t, openTestStore(t, "sqlite:"+filepath.Join(t.TempDir(), "100% of? it.db")), nil))
	})
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.Shared(t)
		test(t, newAppOn(t, openTestStore(t, server.DSN(pgtest.User, server.NewDatabase(t))), nil))
	})
	t.Run("redis", func(t *testing.T) {
		redis := redistest.Start(t)
		test(t, newAppOn(t, openTestStore(t, "redis://"+redis.Addr()), nil))
	})
}

// testClock is the clock of an application and of its store.
type testClock struct {
	start  time.Time
	offset atomic.Int64
}

func (c *testClock) now() time.Time          { return c.start.Add(time.Duration(c.offset.Load())) }
func (c *testClock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// onClocks runs a test with the example on each store whose clock is that of the process.
func onClocks(t *testing.T, test func(t *testing.T, a *app, clock *testClock)) {
	run := func(name string, open func(t *testing.T, clock *testClock) *store) {
		t.Run(name, func(t *testing.T) {
			clock := &testClock{start: time.Now()}
			test(t, newAppOn(t, open(t, clock), nil, security.WithClock(clock.now)), clock)
		})
	}
	run("memory", func(t *testing.T, clock *testClock) *store {
		list, err := blacklist.NewMemory(blacklist.WithClock(clock.now))
		if err != nil {
			t.Fatal(err)
		}
		sessions, err := session.NewMemory(session.WithMemoryClock(clock.now))
		if err != nil {
			t.Fatal(err)
		}
		return &store{Blacklist: list, sessions: sessions, closers: []io.Closer{sessions, list}}
	})
	run("bolt", func(t *testing.T, clock *testClock) *store {
		both, err := boltstore.Open(filepath.Join(t.TempDir(), "store.db"), boltstore.WithClock(clock.now))
		if err != nil {
			t.Fatal(err)
		}
		return &store{Blacklist: both, sessions: both, closers: []io.Closer{both}}
	})
}

// listed is a session as the API lists it.
type listed struct {
	ID        string    `json:"id"`
	Device    string    `json:"device"`
	UserAgent string    `json:"user_agent"`
	Address   string    `json:"address"`
	Began     time.Time `json:"began"`
	LastSeen  time.Time `json:"last_seen"`
	ExpiresAt time.Time `json:"expires_at"`
	Current   bool      `json:"current"`
}

type listedPage struct {
	Sessions []listed `json:"sessions"`
	Next     string   `json:"next"`
}

func (a answer) page(t *testing.T) listedPage {
	t.Helper()
	var p listedPage
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil || a.status != 200 || p.Sessions == nil || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("no page: %d %s (%v)", a.status, a.body, err)
	}
	return p
}

// loginFrom logs alice in with the name of a device and a User-Agent.
func (a *app) loginFrom(device, userAgent string) pair {
	a.t.Helper()
	r, err := http.NewRequest("POST", a.url+"/login", strings.NewReader(fmt.Sprintf(`{"username":"alice","password":"wonderland","device":%q}`, device)))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	return a.do(r).pair(a.t)
}

func (a *app) works(p pair) {
	a.t.Helper()
	a.call("GET", "/protected", p.Access, "").want(a.t, 200, "")
}

// over checks that no token of the pair is accepted.
func (a *app) over(p pair) {
	a.t.Helper()
	a.call("GET", "/protected", p.Access, "").want(a.t, 401, `error="invalid_token"`)
	a.call("POST", "/refresh", p.Refresh, "").want(a.t, 401, `error="invalid_token"`)
}

// lasts checks when a session begins and ends whose log-in ran between before and after. It begins
// when the log-in does. A store that was empty refuses all that began before it, so there it begins
// a second later. It lasts from the end of the log-in on, in whole seconds.
func lasts(t *testing.T, got listed, lifetime time.Duration, before, after time.Time) {
	t.Helper()
	if got.Began.Before(before.Truncate(time.Millisecond)) || got.Began.After(after.Add(time.Second)) || got.LastSeen.IsZero() ||
		got.ExpiresAt.Before(before.Add(lifetime).Truncate(time.Second)) || got.ExpiresAt.After(after.Add(lifetime)) {
		t.Errorf("a log-in between %s and %s began a session of %s: %+v", before, after, lifetime, got)
	}
}

func TestListSessions(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		before := time.Now()
		phone := a.loginFrom("phone", "Browser/1")
		laptop := a.loginFrom("laptop", "Browser/2")
		after := time.Now()
		a.login("admin", "rabbit-hole")
		page := a.call("GET", "/sessions", phone.Access, "").page(t)
		if len(page.Sessions) != 2 || page.Next != "" {
			t.Fatalf("%+v", page)
		}
		for _, got := range page.Sessions {
			device, userAgent := "phone", "Browser/1"
			if got.ID == payload(t, laptop.Access)["sid"] {
				device, userAgent = "laptop", "Browser/2"
			}
			if got.Device != device || got.UserAgent != userAgent || got.Address != "127.0.0.1" || got.Current != (device == "phone") {
				t.Errorf("%+v", got)
			}
			lasts(t, got, sessionLifetime, before, after)
		}
		a.call("GET", "/sessions", "", "").want(t, 401, "Bearer")
		a.call("GET", "/sessions", phone.Refresh, "").want(t, 401, "invalid_token")
		for name, position := range map[string]string{"made up": "nonsense", "too long": strings.Repeat("x", 300)} {
			if got := a.call("GET", "/sessions?position="+position, phone.Access, ""); got.status != 400 {
				t.Errorf("a position that is %s: %d %s", name, got.status, got.body)
			}
		}

		// A refresh keeps the name of the device.
		a.call("POST", "/refresh", phone.Refresh, "").pair(t)
		for _, got := range a.call("GET", "/sessions", phone.Access, "").page(t).Sessions {
			if got.Current && (got.Device != "phone" || got.UserAgent != "Go-http-client/1.1") {
				t.Errorf("after the refresh: %+v", got)
			}
		}
	})
}

func TestSessionsArePaged(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		const sessions = 105
		var last pair
		for range sessions {
			last = a.login("alice", "wonderland")
		}
		first := a.call("GET", "/sessions", last.Access, "").page(t)
		if first.Next == "" {
			t.Fatalf("%d sessions on the first page, and no other page", len(first.Sessions))
		}
		second := a.call("GET", "/sessions?position="+url.QueryEscape(first.Next), last.Access, "").page(t)
		seen, current := map[string]bool{}, 0
		for _, got := range append(first.Sessions, second.Sessions...) {
			seen[got.ID] = true
			if got.Current {
				current++
			}
		}
		if len(seen) != sessions || current != 1 || second.Next != "" {
			t.Errorf("%d sessions on two pages, %d current, next %q", len(seen), current, second.Next)
		}
	})
}

func TestRememberMe(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		before := time.Now()
		p := a.call("POST", "/login", "", `{"username":"alice","password":"wonderland","remember_me":true}`).pair(t)
		lasts(t, a.call("GET", "/sessions", p.Access, "").page(t).Sessions[0], rememberedLifetime, before, time.Now())
	})
}

func TestEndASession(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		phone, laptop, admin := a.login("alice", "wonderland"), a.login("alice", "wonderland"), a.login("admin", "rabbit-hole")
		id := payload(t, laptop.Access)["sid"].(string)
		for name, path := range map[string]string{
			"unknown": "/sessions/nonsense", "of another user": "/sessions/" + payload(t, admin.Access)["sid"].(string),
			"too long": "/sessions/" + strings.Repeat("x", 5000), "not UTF-8": "/sessions/%ff",
		} {
			if got := a.call("DELETE", path, phone.Access, ""); got.status != 404 || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
		a.works(admin)
		a.works(laptop)
		a.call("DELETE", "/sessions/"+id, phone.Access, "").want(t, 204, "")
		a.over(laptop)
		a.works(phone)
		a.call("DELETE", "/sessions/"+id, phone.Access, "").want(t, 204, "") // again
		if page := a.call("GET", "/sessions", phone.Access, "").page(t); len(page.Sessions) != 1 {
			t.Errorf("%+v", page)
		}
		a.call("DELETE", "/sessions/"+payload(t, phone.Access)["sid"].(string), phone.Access, "").want(t, 204, "")
		a.over(phone)
	})
}

func TestEndOtherSessions(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		phone, laptop, admin := a.login("alice", "wonderland"), a.login("alice", "wonderland"), a.login("admin", "rabbit-hole")
		a.call("DELETE", "/sessions", phone.Access, "").want(t, 204, "")
		a.works(phone)
		a.works(admin)
		a.over(laptop)
		next := a.call("POST", "/refresh", phone.Refresh, "").pair(t)
		a.works(next)
		a.works(a.login("alice", "wonderland"))
		a.call("POST", "/logout", next.Refresh, "").want(t, 204, "")
		a.over(next)
		a.call("DELETE", "/sessions", next.Access, "").want(t, 401, "invalid_token")
	})
}

func TestChangePassword(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		phone, laptop, admin := a.login("alice", "wonderland"), a.login("alice", "wonderland"), a.login("admin", "rabbit-hole")
		change := func(current, next string) answer {
			t.Helper()
			return a.call("PUT", "/password", phone.Access, fmt.Sprintf(`{"current_password":%q,"new_password":%q}`, current, next))
		}
		for _, tt := range []struct {
			name, current, next string
			want                int
		}{
			{name: "a wrong password", current: "x", next: "through-the-glass", want: 403},
			{name: "a short password", current: "wonderland", next: "glass", want: 400},
			{name: "a long password", current: "wonderland", next: strings.Repeat("x", 73), want: 400},
			{name: "a NUL", current: "wonderland", next: "through\u0000glass", want: 400},
		} {
			if got := change(tt.current, tt.next); got.status != tt.want {
				t.Errorf("%s: %d %s", tt.name, got.status, got.body)
			}
		}
		a.works(laptop)
		change("wonderland", "through-the-glass").want(t, 204, "")
		a.works(phone)
		a.works(admin)
		a.over(laptop)
		a.works(a.call("POST", "/refresh", phone.Refresh, "").pair(t))
		if got := a.call("POST", "/login", "", `{"username":"alice","password":"wonderland"}`); got.status != 401 {
			t.Errorf("a log-in with the former password: %d", got.status)
		}
		a.works(a.login("alice", "through-the-glass"))
	})
}

// TestPasswordChangeDuringLogin changes the password while a log-in with the former one is checked: it
// begins no session.
func TestPasswordChangeDuringLogin(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		phone := a.login("alice", "wonderland")
		// The places for comparisons are taken, so that both wait.
		for range cap(a.accounts.hashing) {
			a.accounts.hashing <- struct{}{}
		}
		opened := make(chan struct{})
		a.accounts.limiter.now = func() time.Time { // called after the attempt is opened
			select {
			case <-opened:
			default:
				close(opened)
			}
			return time.Now()
		}
		late := make(chan answer)
		go func() { late <- a.call("POST", "/login", "", `{"username":"alice","password":"wonderland"}`) }()
		<-opened
		// What a change of the password does after the new hash is stored.
		a.call("DELETE", "/sessions", phone.Access, "").want(t, 204, "")
		for range cap(a.accounts.hashing) {
			<-a.accounts.hashing
		}
		got := <-late
		if got.status != 401 || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("the late log-in: %d %s", got.status, got.body)
		}
		a.works(phone)
	})
}

// TestTabsRefreshAtOnce sends one refresh token from many clients at once: all get the same refresh
// token, and the session lives.
func TestTabsRefreshAtOnce(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		p := a.login("alice", "wonderland")
		for range 3 {
			answers := make([]answer, 8)
			var group sync.WaitGroup
			for i := range answers {
				group.Go(func() { answers[i] = a.call("POST", "/refresh", p.Refresh, "") })
			}
			group.Wait()
			refresh := map[string]bool{}
			for _, got := range answers {
				next := got.pair(t)
				refresh[next.Refresh] = true
				a.works(next)
				p = next
			}
			if len(refresh) != 1 {
				t.Fatalf("%d refresh tokens", len(refresh))
			}
		}
	})
}

// TestReuseAfterTheGrace uses a refresh token again: within the grace it is repeated, later the
// session ends.
func TestReuseAfterTheGrace(t *testing.T) {
	onClocks(t, func(t *testing.T, a *app, clock *testClock) {
		first := a.login("alice", "wonderland")
		second := a.call("POST", "/refresh", first.Refresh, "").pair(t)
		clock.advance(session.DefaultGrace)
		if again := a.call("POST", "/refresh", first.Refresh, "").pair(t); again.Refresh != second.Refresh {
			t.Error("within the grace the refresh token is another one")
		}
		a.works(second)
		clock.advance(time.Second)
		a.call("POST", "/refresh", first.Refresh, "").want(t, 401, `error="invalid_token"`)
		a.over(second)
	})
}

// TestTwoBackEndsTheSession uses the refresh token before the last one, within the grace.
func TestTwoBackEndsTheSession(t *testing.T) {
	onStores(t, func(t *testing.T, a *app) {
		first := a.login("alice", "wonderland")
		second := a.call("POST", "/refresh", first.Refresh, "").pair(t)
		third := a.call("POST", "/refresh", second.Refresh, "").pair(t)
		a.call("POST", "/refresh", first.Refresh, "").want(t, 401, `error="invalid_token"`)
		a.over(third)
	})
}

// TestReadyAsksTheSessions closes the sessions under the service, while its blacklist works.
func TestReadyAsksTheSessions(t *testing.T) {
	store := openTestStore(t, "memory:")
	a := newAppOn(t, store, nil)
	a.call("GET", "/readyz", "", "").want(t, 200, "")
	if err := store.closers[0].Close(); err != nil {
		t.Fatal(err)
	}
	a.call("GET", "/readyz", "", "").want(t, 503, "")
	if got := a.call("POST", "/login", "", `{"username":"alice","password":"wonderland"}`); got.status != 503 {
		t.Errorf("a log-in without sessions: %d %s", got.status, got.body)
	}
}

// TestBrowserSessions uses the operations of sessions with cookies.
func TestBrowserSessions(t *testing.T) {
	b := newBrowser(t, newApp(t))
	if status := b.send("POST", "/login", `{"username":"alice","password":"wonderland","cookies":true,"device":"browser"}`); status != 204 {
		t.Fatalf("log-in: %d", status)
	}
	app := b.login("alice", "wonderland")
	csrf := "X-CSRF-Token: " + b.cookie("csrf_access_token")
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		want                     int
	}{
		{name: "list", method: "GET", path: "/sessions", want: 200},
		{name: "end the others, without csrf", method: "DELETE", path: "/sessions", want: 403},
		{name: "end the others", method: "DELETE", path: "/sessions", headers: []string{csrf}, want: 204},
		{name: "end an unknown one", method: "DELETE", path: "/sessions/x", headers: []string{csrf}, want: 404},
		{name: "refresh", method: "POST", path: "/refresh", headers: []string{"X-CSRF-Token: " + b.cookie("csrf_refresh_token")}, want: 204},
		{name: "after the refresh, with the csrf of before", method: "DELETE", path: "/sessions", headers: []string{csrf}, want: 204},
	} {
		if got := b.send(tt.method, tt.path, tt.body, tt.headers...); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	b.over(app)
	if payload(t, app.Access)["csrf"] != nil {
		t.Error("a token in the body has the claim csrf")
	}
}

// TestGeneratedManagerNeedsALoader: a nil function is an error and no panic at the first log-in.
func TestGeneratedManagerNeedsALoader(t *testing.T) {
	store := openTestStore(t, "memory:")
	defer store.Close()
	key, err := keys.NewHMAC(keys.HS256, []byte(strings.Repeat("k!", 16)))
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := security.New(issuerName, set, store)
	if err != nil {
		t.Fatal(err)
	}
	if sessions, err := gen.NewGuardedSessions(authority, store.sessions, nil); err == nil || sessions != nil {
		t.Errorf("%v, %v", sessions, err)
	}
}
