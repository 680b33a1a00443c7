package crosstest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

var (
	accessType  = security.NewTokenType[security.NoClaims]("access")
	refreshType = security.NewTokenType[security.NoClaims]("refresh")
)

// fixture has an issuer, a validator of its tokens and a policy.
type fixture struct {
	t         *testing.T
	issuer    *security.Issuer
	validator *security.Validator
	policy    *guard.Policy
}

func newFixture(t *testing.T, options ...guard.Option) *fixture {
	t.Helper()
	return newFixtureWith(t, nil, options...)
}

// newFixtureWith returns a fixture whose authority has options.
func newFixtureWith(t *testing.T, authorityOptions []security.Option, options ...guard.Option) *fixture {
	t.Helper()
	key := must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))(t)
	set := must(keys.NewSet(key))(t)
	authority := must(security.New("https://issuer.example", set, must(blacklist.NewMemory())(t), authorityOptions...))(t)
	options = append(options, guard.WithLogger(slog.New(slog.DiscardHandler)))
	return &fixture{t: t, issuer: authority.Issuer, validator: authority.Validator, policy: must(guard.New(authority.Validator, options...))(t)}
}

func (f *fixture) token(kind security.TokenType, subject string, options ...security.TokenOption) security.IssuedToken {
	f.t.Helper()
	return must(f.issuer.Issue(f.t.Context(), kind, subject, nil, options...))(f.t)
}

// bearer returns the value of Authorization for a new token.
func (f *fixture) bearer(kind security.TokenType, subject string, options ...security.TokenOption) string {
	f.t.Helper()
	return "Bearer " + f.token(kind, subject, options...).Text()
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// client sends requests to one router. It shares no connections with other clients.
type client struct {
	t   *testing.T
	url string
	*http.Client
}

// start serves the API on a router until the test ends.
func (f *fixture) start(t *testing.T, r Router, s service.Server, o Options) client {
	t.Helper()
	url, stop, err := r.Start(s, f.policy, o)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, url, stop)
}

// newClient returns a client of a server that stops when the test ends.
func newClient(t *testing.T, url string, stop func()) client {
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
	})
	return client{t, url, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   string
	// seen is what the handler got. It is empty if no handler ran.
	seen service.Seen
}

// send sends a request such as "PUT /items/1" with header fields such as "Accept: text/plain".
func (c client) send(request, body string, fields ...string) answer {
	c.t.Helper()
	a := c.sendPlain(request, body, fields...)
	if a.status == http.StatusOK && !strings.HasPrefix(request, http.MethodHead+" ") {
		if err := json.Unmarshal([]byte(a.body), &a.seen); err != nil {
			c.t.Errorf("%s: %v: %s", request, err, a.body)
		}
	}
	return a
}

// sendPlain is send for an API whose responses do not contain what its handlers got.
func (c client) sendPlain(request, body string, fields ...string) answer {
	c.t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := must(http.NewRequest(method, c.url+target, strings.NewReader(body)))(c.t)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	response := must(c.Do(r))(c.t)
	defer response.Body.Close()
	return answer{response.StatusCode, response.Header, string(must(io.ReadAll(response.Body))(c.t)), service.Seen{}}
}
