package observe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/session/observe"
)

// app keeps sessions of one subject.
type app struct {
	*session.Manager
	t         *testing.T
	authority *security.Authority
	list      *sectest.FaultyList
	clock     *sectest.Clock
	reader    *sdkmetric.ManualReader
}

func newApp(t *testing.T) *app {
	a := &app{t: t, clock: sectest.NewClock(), reader: sdkmetric.NewManualReader()}
	memory := sectest.Must(blacklist.NewMemory(blacklist.WithClock(a.clock.Now)))(t)
	t.Cleanup(func() { _ = memory.Close() })
	a.list = &sectest.FaultyList{Blacklist: memory}
	set := sectest.Must(keys.NewSet(sectest.Must(keys.NewHMAC(keys.HS256, sectest.Secret))(t)))(t)
	a.authority = sectest.Must(security.New(sectest.Issuer, set, a.list, security.WithClock(a.clock.Now)))(t)
	store := sectest.Must(session.NewMemory(session.WithMemoryClock(a.clock.Now)))(t)
	load := func(context.Context, session.Info) (session.Grant, error) { return session.Grant{}, nil }
	option := sectest.Must(observe.Sessions(sdkmetric.NewMeterProvider(sdkmetric.WithReader(a.reader))))(t)
	a.Manager = sectest.Must(session.New(a.authority, store, load, option, session.WithLimit(3, session.EndOldest)))(t)
	t.Cleanup(func() { _ = a.Close(); _ = store.Close() })
	return a
}

func (a *app) logIn() security.TokenPair {
	a.t.Helper()
	attempt := sectest.Must(a.Open(a.t.Context(), "marked-subject"))(a.t)
	return sectest.Must(attempt.Begin(a.t.Context(), session.Login{Device: session.Device{Name: "marked-device", Address: "198.51.100.77"}}))(a.t)
}

func (a *app) token(kind string, issued security.IssuedToken) security.AnyToken {
	a.t.Helper()
	return sectest.Must(a.authority.Verifier.Verify(a.t.Context(), security.NewTokenType[security.NoClaims](kind), issued.Text()))(a.t)
}

func (a *app) refresh(pair security.TokenPair) (security.TokenPair, error) {
	a.t.Helper()
	return a.Refresh(a.t.Context(), a.token("refresh", pair.Refresh), session.Device{})
}

// counted returns the events that are not 0, and everything that is exported.
func (a *app) counted() (map[string]int64, string) {
	a.t.Helper()
	var metrics metricdata.ResourceMetrics
	if err := a.reader.Collect(a.t.Context(), &metrics); err != nil {
		a.t.Fatal(err)
	}
	m := metrics.ScopeMetrics[0].Metrics[0]
	if m.Name != "oapiguard.session.events" || m.Unit != "{event}" {
		a.t.Errorf("metric %s in %s", m.Name, m.Unit)
	}
	counts := map[string]int64{}
	points := m.Data.(metricdata.Sum[int64]).DataPoints
	for _, point := range points {
		event, _ := point.Attributes.Value("oapiguard.session.event")
		if point.Value != 0 {
			counts[event.AsString()] = point.Value
		}
	}
	if len(points) != 6 {
		a.t.Errorf("%d events are exported, want 6", len(points))
	}
	return counts, fmt.Sprintf("%+v", metrics)
}

// TestEvents runs sessions and reads the events back from the memory of the SDK.
func TestEvents(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(*app)
		want map[string]int64
	}{
		{name: "nothing", run: func(*app) {}, want: map[string]int64{}},
		{name: "two log-ins", run: func(a *app) { a.logIn(); a.logIn() }, want: map[string]int64{"began": 2}},
		{
			name: "a refresh", run: func(a *app) { sectest.Must(a.refresh(a.logIn()))(a.t) },
			want: map[string]int64{"began": 1, "rotated": 1},
		},
		{
			name: "a refresh that is repeated", run: func(a *app) {
				pair := a.logIn()
				sectest.Must(a.refresh(pair))(a.t)
				sectest.Must(a.refresh(pair))(a.t)
			},
			want: map[string]int64{"began": 1, "rotated": 1, "repeated": 1},
		},
		{
			name: "a refresh token that is reused", run: func(a *app) {
				pair := a.logIn()
				next := sectest.Must(a.refresh(pair))(a.t)
				a.clock.Advance(time.Minute)
				sectest.Must(a.refresh(next))(a.t)
				for range 2 { // the second finds the session over
					if _, err := a.refresh(pair); !errors.Is(err, security.ErrTokenRevoked) {
						a.t.Error(err)
					}
				}
			},
			want: map[string]int64{"began": 1, "rotated": 2, "reused": 1, "ended": 1},
		},
		{
			name: "a log-out that is repeated", run: func(a *app) {
				pair := a.logIn()
				for range 2 {
					if err := a.End(a.t.Context(), a.token("access", pair.Access)); err != nil {
						a.t.Error(err)
					}
				}
			},
			want: map[string]int64{"began": 1, "ended": 1},
		},
		{
			name: "all but one", run: func(a *app) {
				a.logIn()
				a.logIn()
				if _, err := a.EndOthers(a.t.Context(), a.token("access", a.logIn().Access)); err != nil {
					a.t.Error(err)
				}
			},
			want: map[string]int64{"began": 3, "ended": 2},
		},
		{
			name: "all", run: func(a *app) {
				a.logIn()
				a.logIn()
				if err := a.EndAll(a.t.Context(), "marked-subject"); err != nil {
					a.t.Error(err)
				}
			},
			want: map[string]int64{"began": 2, "ended": 2},
		},
		{
			name: "more than the limit", run: func(a *app) {
				for range 4 {
					a.logIn()
				}
			},
			want: map[string]int64{"began": 4, "ended": 1},
		},
		{
			name: "a blacklist that is down", run: func(a *app) {
				a.logIn()
				pair := a.logIn()
				a.list.Fail(nil, sectest.ErrSecretive)
				if _, err := a.EndOthers(a.t.Context(), a.token("access", pair.Access)); !errors.Is(err, security.ErrUnavailable) {
					a.t.Error(err)
				}
			},
			want: map[string]int64{"began": 2, "ended": 1, "owed": 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t)
			tt.run(a)
			counts, all := a.counted()
			if !maps.Equal(counts, tt.want) {
				t.Errorf("counts %v, want %v", counts, tt.want)
			}
			for _, secret := range []string{"marked-", "eyJ", "198.51.100", sectest.Issuer} {
				if strings.Contains(all, secret) {
					t.Errorf("%s is exported", secret)
				}
			}
		})
	}
}

// brokenProvider cannot make a counter.
type brokenProvider struct{ noop.MeterProvider }

type brokenMeter struct{ noop.Meter }

var errBroken = errors.New("no counter")

func (brokenProvider) Meter(string, ...metric.MeterOption) metric.Meter { return brokenMeter{} }

func (brokenMeter) Int64Counter(string, ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	return nil, errBroken
}

func TestSessionsErrors(t *testing.T) {
	if option, err := observe.Sessions(nil); err == nil || option != nil {
		t.Error("no error without a provider")
	}
	if option, err := observe.Sessions(brokenProvider{}); !errors.Is(err, errBroken) || option != nil {
		t.Error(err)
	}
}
