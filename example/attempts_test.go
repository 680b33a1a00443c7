package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// limitedApp is the example with a clock of the test, behind a proxy on loopback.
type limitedApp struct {
	*app
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func newLimitedApp(t *testing.T, proxies string) *limitedApp {
	t.Helper()
	trusted, err := parseProxies(proxies)
	if err != nil {
		t.Fatal(err)
	}
	l := &limitedApp{app: newAppBehind(t, trusted), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	l.accounts.limiter.now = func() time.Time {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.now
	}
	l.accounts.limiter.wait = func(_ context.Context, d time.Duration) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waits = append(l.waits, d)
		return nil
	}
	return l
}

func (l *limitedApp) advance(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

// waited returns how often a log-in was slowed.
func (l *limitedApp) waited() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waits)
}

// from logs in with X-Forwarded-For.
func (l *limitedApp) from(forwarded, user, password string) answer {
	l.t.Helper()
	r, err := http.NewRequest("POST", l.url+"/login", strings.NewReader(fmt.Sprintf(`{"username":%q,"password":%q}`, user, password)))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", forwarded)
	return l.do(r)
}

// exhaust fails as often as the limit of a pair allows.
func (l *limitedApp) exhaust(forwarded, user string) {
	l.t.Helper()
	for i := range pairFailures {
		if got := l.from(forwarded, user, "wrong"); got.status != 401 {
			l.t.Fatalf("failure %d of %s from %s: %d %s", i+1, user, forwarded, got.status, got.body)
		}
	}
}

// wantTooMany checks a response 429, and that its Retry-After is true.
func (l *limitedApp) wantTooMany(got answer) time.Duration {
	l.t.Helper()
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	if got.status != 429 || err != nil || seconds < 1 || got.header.Get("Cache-Control") != "no-store" ||
		got.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(got.body, `"status":429`) {
		l.t.Fatalf("%d %v: %s", got.status, got.header, got.body)
	}
	return time.Duration(seconds) * time.Second
}

func TestFailedLoginsOfAccountAndAddressAreLimited(t *testing.T) {
	l := newLimitedApp(t, "127.0.0.0/8")
	l.exhaust("192.0.2.1", "alice")
	after := l.wantTooMany(l.from("192.0.2.1", "alice", "wonderland"))
	if after != pairInterval {
		t.Errorf("Retry-After %v, want %v", after, pairInterval)
	}
	if got := l.from("192.0.2.2", "alice", "wonderland"); got.status != 200 {
		t.Errorf("another address: %d %s", got.status, got.body)
	}
	if got := l.from("192.0.2.1", "admin", "rabbit-hole"); got.status != 200 {
		t.Errorf("another account: %d %s", got.status, got.body)
	}
	l.advance(after - time.Second)
	if again := l.wantTooMany(l.from("192.0.2.1", "alice", "wonderland")); again != time.Second {
		t.Errorf("a second before: Retry-After %v", again)
	}
	l.advance(time.Second)
	if got := l.from("192.0.2.1", "alice", "wonderland"); got.status != 200 {
		t.Errorf("after the time of Retry-After: %d %s", got.status, got.body)
	}
	if got := l.from("192.0.2.1", "alice", "wrong"); got.status != 401 {
		t.Errorf("a failure after that: %d", got.status)
	}
	l.wantTooMany(l.from("192.0.2.1", "alice", "wrong"))
}

func TestUnknownAccountsAreLimitedToo(t *testing.T) {
	l := newLimitedApp(t, "127.0.0.0/8")
	l.exhaust("192.0.2.1", "nobody")
	l.wantTooMany(l.from("192.0.2.1", "nobody", "wrong"))
}

func TestLoginsThatSucceedAreNotLimited(t *testing.T) {
	l := newLimitedApp(t, "127.0.0.0/8")
	var group sync.WaitGroup
	for range 3 * pairFailures {
		group.Go(func() {
			if got := l.from("192.0.2.1", "alice", "wonderland"); got.status != 200 {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	group.Wait()
}

// TestGuessesAtOnceAreLimited sends all guesses before the first one is answered.
func TestGuessesAtOnceAreLimited(t *testing.T) {
	l := newLimitedApp(t, "127.0.0.0/8")
	var group sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 3 * pairFailures {
		group.Go(func() {
			got := l.from("192.0.2.1", "alice", "wrong")
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
		})
	}
	group.Wait()
	if statuses[401] != pairFailures || statuses[429] != 2*pairFailures {
		t.Errorf("responses by status: %v", statuses)
	}
}

// TestStrangersLockNobodyOut lets the log-ins of many addresses to one account fail: the user of it
// is slowed and gets in, and other accounts are not even slowed.
func TestStrangersLockNobodyOut(t *testing.T) {
	l := newLimitedApp(t, "127.0.0.0/8")
	for i := range accountFailures / pairFailures {
		l.exhaust(fmt.Sprintf("198.51.100.%d", i+1), "alice")
	}
	if l.waited() != 0 {
		t.Fatalf("%d log-ins were slowed below the limit", l.waited())
	}
	if got := l.from("192.0.2.1", "alice", "wonderland"); got.status != 200 || l.waited() != 1 {
		t.Errorf("the user: %d, %d slowed: %s", got.status, l.waited(), got.body)
	}
	if got := l.from("192.0.2.1", "admin", "rabbit-hole"); got.status != 200 || l.waited() != 1 {
		t.Errorf("another user: %d, %d slowed: %s", got.status, l.waited(), got.body)
	}
	l.advance(accountInterval)
	if got := l.from("192.0.2.1", "alice", "wonderland"); got.status != 200 || l.waited() != 1 {
		t.Errorf("later: %d, %d slowed: %s", got.status, l.waited(), got.body)
	}
}

// TestPasswordOfBasicIsLimited: the scheme basic checks the same passwords, and shares the limit.
func TestPasswordOfBasicIsLimited(t *testing.T) {
	l := newLimitedApp(t, "127.0.0.0/8")
	endSessions := func(password string) answer {
		t.Helper()
		r, err := http.NewRequest("DELETE", l.url+"/admin/users/nobody/sessions", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("admin", password)
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		return l.do(r)
	}
	for range pairFailures {
		endSessions("wrong").want(t, 401, "Bearer")
	}
	l.wantTooMany(endSessions("rabbit-hole"))
	l.wantTooMany(l.from("192.0.2.1", "admin", "rabbit-hole"))
	l.advance(pairInterval)
	endSessions("rabbit-hole").want(t, 204, "")
}

// TestAddressesThatCountAsOne logs in with headers that a client can choose.
func TestAddressesThatCountAsOne(t *testing.T) {
	for _, tt := range []struct {
		name, proxies, first, second string
		limited                      bool
	}{
		{name: "made up, without a proxy", first: "192.0.2.1", second: "192.0.2.2", limited: true},
		{name: "made up, through a proxy", proxies: "127.0.0.0/8", first: "203.0.113.1, 192.0.2.1", second: "203.0.113.2, 192.0.2.1", limited: true},
		{name: "made up like a proxy", proxies: "127.0.0.0/8", first: "127.0.0.1, 192.0.2.1", second: "127.0.0.2, 192.0.2.1", limited: true},
		{name: "through two proxies", proxies: "127.0.0.1, 10.0.0.0/8", first: "192.0.2.1, 10.1.2.3", second: "192.0.2.2, 10.1.2.3"},
		{name: "one network of IPv6", proxies: "127.0.0.0/8", first: "2001:db8:0:1::1", second: "2001:db8:0:1:ffff::2", limited: true},
		{name: "two networks of IPv6", proxies: "127.0.0.0/8", first: "2001:db8:0:1::1", second: "2001:db8:0:2::1"},
		{name: "IPv4 in IPv6", proxies: "127.0.0.0/8", first: "192.0.2.1", second: "::ffff:192.0.2.1", limited: true},
		{name: "two addresses of IPv4 in IPv6", proxies: "127.0.0.0/8", first: "::ffff:192.0.2.1", second: "::ffff:192.0.2.2"},
		{name: "ports", proxies: "127.0.0.0/8", first: "192.0.2.1:1000", second: "192.0.2.1:2000", limited: true},
		{name: "no address", proxies: "127.0.0.0/8", first: "192.0.2.1, unknown", second: "192.0.2.2, unknown", limited: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimitedApp(t, tt.proxies)
			l.exhaust(tt.first, "alice")
			if got := l.from(tt.second, "alice", "wrong"); (got.status == 429) != tt.limited {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// TestLimiterIsBounded fails for far more accounts than the limiter remembers.
func TestLimiterIsBounded(t *testing.T) {
	const size = 50
	limiter, err := newLoginLimiter(size)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 * size {
		attempt, err := limiter.begin(t.Context(), fmt.Sprint("user", i), netip.MustParsePrefix("192.0.2.1/32"))
		if err != nil {
			t.Fatal(err)
		}
		attempt.fail()
		attempt.end()
	}
	if pairs, accounts := limiter.pairs.EstimatedSize(), limiter.accounts.EstimatedSize(); pairs > size || accounts > size {
		t.Errorf("%d pairs and %d accounts, want at most %d", pairs, accounts, size)
	}
}

// TestLimiterEndsWithTheRequest: a log-in waits for the one before it, or for its delay, until its
// context ends, and does not block those that follow.
func TestLimiterEndsWithTheRequest(t *testing.T) {
	limiter, err := newLoginLimiter(10)
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParsePrefix("192.0.2.1/32")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	first, err := limiter.begin(t.Context(), "alice", client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := limiter.begin(ended, "alice", client); err != security.ErrUnavailable {
		t.Errorf("behind another log-in: %v", err)
	}
	first.account.ReserveN(limiter.now(), accountFailures)
	first.end()
	if _, err := limiter.begin(ended, "alice", client); err != security.ErrUnavailable {
		t.Errorf("during the delay: %v", err)
	}
	limiter.wait = func(context.Context, time.Duration) error { return nil }
	if next, err := limiter.begin(t.Context(), "alice", client); err != nil {
		t.Errorf("the next one: %v", err)
	} else {
		next.end()
	}
}
