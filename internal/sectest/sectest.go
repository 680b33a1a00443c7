// Package sectest has what the tests of package security and of the packages around it share: a
// clock that moves only when told to, a blacklist that fails when told to, and tokens made by hand.
package sectest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Issuer is the issuer of the tests.
const Issuer = "https://issuer.example"

// Secret is their key, and GoodHeader the header of an access token that it signs.
var Secret = []byte("0123456789abcdef0123456789abcdef")

// GoodHeader is the header of an access token.
const GoodHeader = `{"alg":"HS256","kid":"k1","typ":"at+jwt"}`

// ErrSecretive is an error whose text no client and no log may see.
var ErrSecretive = errors.New("dial tcp: redis://user:hunter2@internal.example")

// Clock is a clock that moves only when told to.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock at 1,700,000,000.123 s.
func NewClock() *Clock { return &Clock{now: time.UnixMilli(1_700_000_000_123)} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Must returns the value, or ends the test.
func Must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// FaultyList is a blacklist that fails when told to and counts its calls.
type FaultyList struct {
	blacklist.Blacklist
	mu               sync.Mutex
	lookUp, revoke   error
	LookUps, Writes  int
	LastHadADeadline bool
}

// IsRevoked implements blacklist.Blacklist.
func (l *FaultyList) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	l.mu.Lock()
	l.LookUps++
	err := l.lookUp
	_, l.LastHadADeadline = ctx.Deadline()
	l.mu.Unlock()
	if err != nil {
		return false, err
	}
	return l.Blacklist.IsRevoked(ctx, id)
}

// Revoke implements blacklist.Blacklist.
func (l *FaultyList) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	l.mu.Lock()
	l.Writes++
	err := l.revoke
	l.mu.Unlock()
	if err != nil {
		return false, err
	}
	return l.Blacklist.Revoke(ctx, r)
}

// Fail sets the errors of look-ups and revocations; nil for none.
func (l *FaultyList) Fail(lookUp, revoke error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookUp, l.revoke = lookUp, revoke
}

// CompactHS256 signs a header and a payload with Secret.
func CompactHS256(header, payload string) string {
	return SignHS256(base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)))
}

// SignHS256 appends the signature to a text.
func SignHS256(signed string) string {
	mac := hmac.New(sha256.New, Secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// PayloadWith returns a good payload with members replaced, added, or removed where the value is
// "". Values are JSON.
func PayloadWith(changes ...string) string {
	names := []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid"}
	values := map[string]string{
		"iss": `"` + Issuer + `"`, "sub": `"alice"`, "aud": `"` + Issuer + `"`,
		"exp": `1700000900.123`, "iat": `1700000000.123`, "jti": `"id1"`, "sid": `"s1"`,
	}
	for i := 0; i < len(changes); i += 2 {
		name := changes[i]
		if _, ok := values[name]; !ok {
			names = append(names, name)
		}
		values[name] = changes[i+1]
	}
	var members []string
	for _, name := range names {
		if values[name] != "" {
			members = append(members, fmt.Sprintf("%q:%s", name, values[name]))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// CheckProblem checks that an answer is a problem of RFC 9457 that nothing caches and that repeats
// nothing secret.
func CheckProblem(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	var problem struct {
		Title, Detail string
		Status        int
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	if problem.Status != w.Code || problem.Title != http.StatusText(w.Code) && w.Code != 413 || problem.Detail == "" {
		t.Errorf("problem %+v with status %d", problem, w.Code)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache control %q", got)
	}
	for _, secret := range []string{"redis", "hunter2", "alice", "garbage", "(", "signature"} {
		if strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), secret) {
			t.Errorf("the answer holds %q: %s %v", secret, w.Body, w.Header())
		}
	}
}
