package observe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/observe"
)

// meter is a meter that adds up in memory. It replaces an SDK, which would be a large dependency.
type meter struct {
	noop.MeterProvider
	fail error

	mu     sync.Mutex
	counts map[string]int64
}

func (m *meter) Meter(string, ...metric.MeterOption) metric.Meter { return counting{m: m} }

// counting is the meter that the provider returns.
type counting struct {
	noop.Meter
	m *meter
}

func (c counting) Int64Counter(name string, _ ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return counter{name: name, m: c.m}, c.m.fail
}

type counter struct {
	noop.Int64Counter
	name string
	m    *meter
}

func (c counter) Add(_ context.Context, n int64, options ...metric.AddOption) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	set := metric.NewAddConfig(options).Attributes()
	var attributes []string
	for _, a := range set.ToSlice() {
		attributes = append(attributes, fmt.Sprintf("%s=%v", a.Key, a.Value.Emit()))
	}
	c.m.counts[c.name+" "+strings.Join(attributes, ",")] += n
}

// TestRefusals counts each request that is not served, by operation, status and reason. Nothing of
// the request is counted, and no request that is served.
func TestRefusals(t *testing.T) {
	app := apptest.New(t)
	m := &meter{counts: map[string]int64{}}
	option := sectest.Must(observe.Refusals(m))(t)
	calls := 0
	handler := app.Serve(t, &guard.Operation{
		ID: "getOrder", Requirement: guard.Requirement{{apptest.AccessScheme}}, Rules: guard.Rules{AllowRoles: []string{"owner"}},
	}, &calls, option)
	token := func(options ...security.TokenOption) string {
		return "Bearer " + sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice-subject", nil, options...))(t).Text()
	}
	owner, revoked := token(security.WithRoles("owner")), token(security.WithRoles("owner"))
	if err := app.Validator.Revoke(t.Context(), app.Token(t, strings.TrimPrefix(revoked, "Bearer "), apptest.AccessToken)); err != nil {
		t.Fatal(err)
	}
	expired := "Bearer " + sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("exp", "1699999000", "iat", "1699998000"))
	for _, tt := range []struct {
		name          string
		authorization []string
		down          bool
		times, status int
		want          string // the attributes; "" if the request is served
	}{
		{name: "served", authorization: []string{owner}, times: 2, status: http.StatusOK},
		{name: "no token", times: 3, status: 401, want: "http.response.status_code=401,oapiguard.operation=getOrder,oapiguard.reason=This operation needs credentials."},
		{name: "malformed", authorization: []string{"Bearer"}, times: 1, status: 400, want: "http.response.status_code=400,oapiguard.operation=getOrder,oapiguard.reason=an auth scheme without a credential"},
		{name: "a forged token", authorization: []string{owner[:len(owner)-4] + "AAAA"}, times: 2, status: 401, want: "http.response.status_code=401,oapiguard.operation=getOrder,oapiguard.reason=the signature"},
		{name: "expired", authorization: []string{expired}, times: 1, status: 401, want: "http.response.status_code=401,oapiguard.operation=getOrder,oapiguard.reason=The token has expired."},
		{name: "revoked", authorization: []string{revoked}, times: 1, status: 401, want: "http.response.status_code=401,oapiguard.operation=getOrder,oapiguard.reason=The token has been revoked."},
		{name: "another role", authorization: []string{token(security.WithRoles("guest"))}, times: 1, status: 403, want: "http.response.status_code=403,oapiguard.operation=getOrder,oapiguard.reason=The credentials do not allow this."},
		{name: "the blacklist is down", authorization: []string{owner}, down: true, times: 1, status: 503, want: "http.response.status_code=503,oapiguard.operation=getOrder,oapiguard.reason=the blacklist did not answer"},
	} {
		m.counts = map[string]int64{}
		app.List.Fail(nil, nil)
		if tt.down {
			app.List.Fail(sectest.ErrSecretive, nil)
		}
		for range tt.times {
			if w := apptest.Get(handler, tt.authorization...); w.Code != tt.status {
				t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.status)
			}
		}
		want := map[string]int64{}
		if tt.want != "" {
			want["oapiguard.refused.requests "+tt.want] = int64(tt.times)
		}
		if !maps.Equal(m.counts, want) {
			t.Errorf("%s: counts %v, want %v", tt.name, m.counts, want)
		}
		for record := range maps.Keys(m.counts) {
			for _, secret := range []string{"alice-subject", "eyJ", "hunter2", sectest.Issuer} {
				if strings.Contains(record, secret) {
					t.Errorf("%s: %s is counted", tt.name, secret)
				}
			}
		}
	}
	if calls != 2 {
		t.Errorf("the handler ran %d times", calls)
	}
}

// TestRefusalsErrors has no meter provider, and one that cannot make a counter.
func TestRefusalsErrors(t *testing.T) {
	broken := errors.New("no counter")
	for _, tt := range []struct {
		name     string
		provider metric.MeterProvider
		want     error
	}{
		{name: "none"},
		{name: "a broken one", provider: &meter{fail: broken}, want: broken},
	} {
		if option, err := observe.Refusals(tt.provider); err == nil || option != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
