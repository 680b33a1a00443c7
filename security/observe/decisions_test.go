package observe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/observe"
)

// decisionRow is a request to the operation getOrder, and what is exported about it.
type decisionRow struct {
	name          string
	authorization []string
	down          bool // the blacklist
	status        int
	counted       string // the attributes of the counter
	timed         string // those of the histogram
	span          string // those of the span
}

// decisionApp is an application whose operation needs the role owner.
type decisionApp struct {
	*apptest.App
	operation *guard.Operation
	rows      []decisionRow
}

func newDecisionApp(t testing.TB) *decisionApp {
	app := &decisionApp{App: apptest.New(t), operation: &guard.Operation{
		ID: "getOrder", Requirement: guard.Requirement{{apptest.AccessScheme}}, Rules: guard.Rules{AllowRoles: []string{"owner"}},
	}}
	bearer := func(role string) string {
		return "Bearer " + sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "marked-subject", nil, security.WithRoles(role)))(t).Text()
	}
	owner := bearer("owner")
	expired := "Bearer " + sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("sub", `"marked-subject"`, "exp", "1699999000", "iat", "1699998000"))
	served := "oapiguard.operation=getOrder,oapiguard.outcome=served"
	refused := func(status int, reason string) string {
		return fmt.Sprintf("http.response.status_code=%d,oapiguard.operation=getOrder,oapiguard.outcome=refused,oapiguard.reason=%s", status, reason)
	}
	refusedTime := "oapiguard.operation=getOrder,oapiguard.outcome=refused"
	span := func(outcome, rest string) string {
		return "oapiguard.operation=getOrder,oapiguard.outcome=" + outcome + rest
	}
	app.rows = []decisionRow{
		{
			name: "a new token", authorization: []string{owner}, status: 200, counted: served, timed: served,
			span: "oapiguard.blacklist.duration," + span("served", ",oapiguard.scheme=access,oapiguard.token.cached=false"),
		},
		{
			name: "a cached token", authorization: []string{owner}, status: 200, counted: served, timed: served,
			span: "oapiguard.blacklist.duration," + span("served", ",oapiguard.scheme=access,oapiguard.token.cached=true"),
		},
		{
			name: "no token", status: 401, counted: refused(401, "This operation needs credentials."), timed: refusedTime,
			span: span("refused", ",oapiguard.reason=This operation needs credentials."),
		},
		{
			name: "a forged token", authorization: []string{owner[:len(owner)-4] + "AAAA"}, status: 401, counted: refused(401, "the signature"),
			timed: refusedTime, span: span("refused", ",oapiguard.reason=the signature,oapiguard.scheme=access,oapiguard.token.cached=false"),
		},
		{
			name: "expired", authorization: []string{expired}, status: 401, counted: refused(401, "The token has expired."), timed: refusedTime,
			span: span("refused", ",oapiguard.reason=The token has expired.,oapiguard.scheme=access,oapiguard.token.cached=false"),
		},
		{
			name: "another role", authorization: []string{bearer("guest")}, status: 403, counted: refused(403, "The credentials do not allow this."),
			timed: refusedTime, span: "oapiguard.blacklist.duration," + span("refused", ",oapiguard.reason=The credentials do not allow this.,oapiguard.scheme=access,oapiguard.token.cached=false"),
		},
		{
			name: "the blacklist is down", authorization: []string{owner}, down: true, status: 503,
			counted: "http.response.status_code=503,oapiguard.operation=getOrder,oapiguard.outcome=error,oapiguard.reason=the blacklist did not answer",
			timed:   "oapiguard.operation=getOrder,oapiguard.outcome=error",
			span:    "oapiguard.blacklist.duration," + span("error", ",oapiguard.reason=the blacklist did not answer,oapiguard.scheme=access,oapiguard.token.cached=true"),
		},
	}
	return app
}

// encode writes attributes as key=value, sorted by key; those with a duration without the value.
func encode(set attribute.Set) string {
	var all []string
	for _, a := range set.ToSlice() {
		if a.Value.Type() == attribute.FLOAT64 {
			all = append(all, string(a.Key))
		} else {
			all = append(all, fmt.Sprintf("%s=%s", a.Key, a.Value.Emit()))
		}
	}
	return strings.Join(all, ",")
}

// exported are the values of the counter, and the numbers of the histogram, by attributes.
func exported(t *testing.T, reader *sdkmetric.ManualReader) (counts, times map[string]int64, all string) {
	t.Helper()
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	counts, times = map[string]int64{}, map[string]int64{}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			if m.Name != "oapiguard.guard.decisions" || m.Unit != "{decision}" {
				t.Errorf("counter %s in %s", m.Name, m.Unit)
			}
			for _, point := range data.DataPoints {
				counts[encode(point.Attributes)] += point.Value
			}
		case metricdata.Histogram[float64]:
			if m.Name != "oapiguard.guard.decision.duration" || m.Unit != "s" {
				t.Errorf("histogram %s in %s", m.Name, m.Unit)
			}
			for _, point := range data.DataPoints {
				times[encode(point.Attributes)] += int64(point.Count)
				if point.Sum <= 0 || point.Sum > 60 {
					t.Errorf("%s: %g seconds in all", encode(point.Attributes), point.Sum)
				}
			}
		default:
			t.Errorf("%s is a %T", m.Name, data)
		}
	}
	return counts, times, fmt.Sprintf("%+v", metrics)
}

// TestDecisionsAndSpans sends requests, and reads metrics and spans back from the memory of the SDK.
// Nothing of the requests is in them.
func TestDecisionsAndSpans(t *testing.T) {
	app := newDecisionApp(t)
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	option := sectest.Must(observe.Decisions(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))(t)
	calls := 0
	handler := app.Serve(t, app.operation, &calls, option, observe.SpanAttributes())
	wantCounts, wantTimes := map[string]int64{}, map[string]int64{}
	for _, tt := range app.rows {
		app.List.Fail(nil, nil)
		if tt.down {
			app.List.Fail(sectest.ErrSecretive, nil)
		}
		ctx, span := tracer.Start(t.Context(), "GET /orders/{id}")
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders/marked-order", nil)
		r.RemoteAddr = "198.51.100.77:4711"
		for _, value := range tt.authorization {
			r.Header.Add("Authorization", value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		span.End()
		if w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.status)
		}
		ended := spans.Ended()
		if got := encode(attribute.NewSet(ended[len(ended)-1].Attributes()...)); got != tt.span {
			t.Errorf("%s: span %s, want %s", tt.name, got, tt.span)
		}
		wantCounts[tt.counted]++
		wantTimes[tt.timed]++
	}
	counts, times, all := exported(t, reader)
	if !maps.Equal(counts, wantCounts) {
		t.Errorf("counts %v, want %v", counts, wantCounts)
	}
	if !maps.Equal(times, wantTimes) {
		t.Errorf("times %v, want %v", times, wantTimes)
	}
	for _, span := range spans.Ended() {
		all += fmt.Sprintf("%+v %+v", span.Attributes(), span.Events())
	}
	for _, secret := range []string{"marked-", "eyJ", "198.51.100", "hunter2", sectest.Issuer, "Bearer"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is exported", secret)
		}
	}
}

// TestSpanThatIsNotRecorded has a request without a span.
func TestSpanThatIsNotRecorded(t *testing.T) {
	app := newDecisionApp(t)
	calls := 0
	if w := apptest.Get(app.Serve(t, app.operation, &calls, observe.SpanAttributes()), app.rows[0].authorization...); w.Code != 200 || calls != 1 {
		t.Errorf("status %d, %d calls", w.Code, calls)
	}
}

// TestReasonsAreBounded has an application that makes reasons of its requests.
func TestReasonsAreBounded(t *testing.T) {
	app := apptest.New(t)
	reader := sdkmetric.NewManualReader()
	option := sectest.Must(observe.Decisions(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(0))))(t)
	policy := sectest.Must(guard.New(app.Validator, option))(t)
	operation := &guard.Operation{ID: "op", Requirement: guard.Requirement{{{Name: "key", Kind: guard.KindKey, In: guard.InHeader, Parameter: "X-API-Key"}}}}
	n := 0
	authenticators := guard.Authenticators{"key": guard.AuthenticateKey(func(context.Context, string) (*guard.Caller[guard.Principal], error) {
		n++
		return nil, security.ErrInvalidCredentials.Because(fmt.Sprint("reason ", n), nil)
	})}
	handler := sectest.Must(guard.NewGuards(policy, authenticators, operation))(t).HandlerFunc(operation, nil)
	const requests = 10_100
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-API-Key", "x")
	for range requests {
		handler(httptest.NewRecorder(), r)
	}
	counts, _, _ := exported(t, reader)
	other := "http.response.status_code=401,oapiguard.operation=op,oapiguard.outcome=refused,oapiguard.reason=other"
	if len(counts) != 10_001 || counts[other] != requests-10_000 {
		t.Errorf("%d sets of attributes, %d others", len(counts), counts[other])
	}
}

// TestDecisionsErrors has no meter provider, and one that cannot make a counter.
func TestDecisionsErrors(t *testing.T) {
	broken := errors.New("no counter")
	if option, err := observe.Decisions(nil); err == nil || option != nil {
		t.Error("no error without a provider")
	}
	if option, err := observe.Decisions(&meter{fail: broken}); !errors.Is(err, broken) || option != nil {
		t.Error(err)
	}
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// warm is a request with a cached token, on a handler with the options.
func (app *decisionApp) warm(t testing.TB, options ...guard.Option) func() {
	calls := 0
	handler := app.Serve(t, app.operation, &calls, options...)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", app.rows[0].authorization[0])
	w := discard{http.Header{}}
	return func() { handler.ServeHTTP(w, r) }
}

// decisionOptions are the options whose cost is measured.
func decisionOptions(t testing.TB) map[string][]guard.Option {
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	metrics := sectest.Must(observe.Decisions(provider))(t)
	return map[string][]guard.Option{
		"off": nil, "metrics": {metrics}, "metrics and spans": {metrics, observe.SpanAttributes()},
	}
}

// TestDecisionsAllocateNothing counts the allocations of a request with a cached token: as many with
// metrics as without.
func TestDecisionsAllocateNothing(t *testing.T) {
	app, allocations := newDecisionApp(t), map[string]float64{}
	for name, options := range decisionOptions(t) {
		send := app.warm(t, options...)
		send()
		allocations[name] = testing.AllocsPerRun(200, send)
	}
	for name, n := range allocations {
		if n != allocations["off"] {
			t.Errorf("%s: %g allocations, %g without", name, n, allocations["off"])
		}
	}
}

// BenchmarkDecisions compares a request with a cached token with and without metrics, with the
// SDK.
func BenchmarkDecisions(b *testing.B) {
	app := newDecisionApp(b)
	all := decisionOptions(b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			send := app.warm(b, all[name]...)
			for b.Loop() {
				send()
			}
		})
	}
}
