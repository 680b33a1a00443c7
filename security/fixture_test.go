package security

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// userClaims are the private claims of the access tokens of these tests.
type userClaims struct {
	Name string `json:"name,omitempty"`
	Team *struct {
		ID int `json:"id"`
	} `json:"team,omitempty"`
}

var (
	accessToken  = NewTokenType[userClaims]("access")
	refreshToken = NewTokenType[NoClaims]("refresh")

	accessScheme  = &Scheme{Name: "access", Token: accessToken}
	refreshScheme = &Scheme{Name: "refresh", Token: refreshToken}
)

const testIssuer = "https://issuer.example"

var testSecret = []byte("0123456789abcdef0123456789abcdef")

// clock is a clock that only moves when told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_700_000_000_123)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is an application: one issuer and one validator over a blacklist in memory.
type fixture struct {
	clock     *clock
	verifier  *Verifier
	issuer    *Issuer
	validator *Validator
	list      *faultyList
}

func newFixture(t testing.TB, options ...ValidatorOption) *fixture {
	t.Helper()
	f := &fixture{clock: newClock()}
	key := must(NewHMACKey(HS256, testSecret, WithKeyID("k1")))(t)
	keys := must(NewKeySet(key))(t)
	f.verifier = must(NewVerifier(testIssuer, keys, WithClock(f.clock.Now)))(t)
	f.issuer = must(NewIssuer(f.verifier))(t)
	memory := must(blacklist.NewMemory(blacklist.WithClock(f.clock.Now), blacklist.WithLogger(slog.New(slog.DiscardHandler))))(t)
	t.Cleanup(func() { _ = memory.Close() })
	f.list = &faultyList{Blacklist: memory}
	f.validator = must(NewValidator(f.verifier, f.list, options...))(t)
	return f
}

// validate decides over the text of a token as the guard of an operation without rules does.
func (f *fixture) validate(ctx context.Context, text string, typ TokenType) (credential, error) {
	guards, err := NewGuards(f.validator, nil, &Operation{ID: "op", Requirement: Requirement{{&Scheme{Name: "scheme", Token: typ}}}})
	if err != nil {
		return nil, err
	}
	for _, g := range guards.guards {
		var own held
		err := g.validate(ctx, httpRequest{httptest.NewRequest(http.MethodGet, "/", nil)}, &g.alternatives[0][0], text, &own)
		return own.token, err
	}
	return nil, ErrUnguarded
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// faultyList fails when told to, and lets a test act between two look-ups.
type faultyList struct {
	blacklist.Blacklist
	mu       sync.Mutex
	lookUp   error
	revoke   error
	lookUps  int
	writes   int
	deadline bool
}

func (l *faultyList) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	l.mu.Lock()
	l.lookUps++
	err := l.lookUp
	_, l.deadline = ctx.Deadline()
	l.mu.Unlock()
	if err != nil {
		return false, err
	}
	return l.Blacklist.IsRevoked(ctx, id)
}

func (l *faultyList) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	l.mu.Lock()
	l.writes++
	err := l.revoke
	l.mu.Unlock()
	if err != nil {
		return false, err
	}
	return l.Blacklist.Revoke(ctx, r)
}

func (l *faultyList) fail(lookUp, revoke error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookUp, l.revoke = lookUp, revoke
}

// compactHS256 signs whatever it is given with the fixture's key.
func compactHS256(header, payload string) string {
	return signHS256(base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)))
}

func signHS256(signed string) string {
	mac := hmac.New(sha256.New, testSecret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const goodHeader = `{"alg":"HS256","kid":"k1","typ":"at+jwt"}`

// payloadWith returns a good payload with members replaced, added, or removed where the value is "". Values are JSON.
func payloadWith(changes ...string) string {
	names := []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid"}
	values := map[string]string{
		"iss": `"` + testIssuer + `"`, "sub": `"alice"`, "aud": `"` + testIssuer + `"`,
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

// serve returns the guarded handler of one operation and what its handler saw.
func (f *fixture) serve(t testing.TB, o *Operation) (http.Handler, *seen) {
	t.Helper()
	guards := must(NewGuards(f.validator, nil, o))(t)
	saw := &seen{}
	return guards.HandlerFunc(o, func(w http.ResponseWriter, r *http.Request) {
		saw.calls++
		saw.token, saw.identified = FromContext(r.Context())
		saw.ctx = r.Context()
	}), saw
}

type seen struct {
	calls      int
	token      AnyToken
	identified bool
	ctx        context.Context
}

// get sends a request with the Authorization headers given.
func get(h http.Handler, authorization ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, value := range authorization {
		r.Header.Add("Authorization", value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var errSecretive = errors.New("dial tcp: redis://user:hunter2@internal.example")
