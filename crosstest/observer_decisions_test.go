package crosstest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/observe"
)

// decisions are the observations of guards.
type decisions struct {
	mu   sync.Mutex
	seen []guard.Observation
}

func (d *decisions) observe(_ context.Context, o guard.Observation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, o)
}

// take returns the observations since the last call.
func (d *decisions) take() []guard.Observation {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := d.seen
	d.seen = nil
	return seen
}

// counted returns the values of the counter of decisions, by attributes.
func counted(t *testing.T, reader *sdkmetric.ManualReader) map[string]int64 {
	t.Helper()
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &metrics); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			sum, ok := m.Data.(metricdata.Sum[int64])
			if !ok || m.Name != "oapiguard.guard.decisions" {
				continue
			}
			for _, point := range sum.DataPoints {
				var all []string
				for _, a := range point.Attributes.ToSlice() {
					if a.Key != attribute.Key("oapiguard.reason") {
						all = append(all, a.Value.Emit())
					}
				}
				counts[strings.Join(all, " ")] += point.Value
			}
		}
	}
	return counts
}

// TestEachRequestIsCountedOnce sends requests on every router. Each has one decision: also that of a
// public operation, and of a handler that fails.
func TestEachRequestIsCountedOnce(t *testing.T) {
	reader, seen := sdkmetric.NewManualReader(), &decisions{}
	metrics := must(observe.Decisions(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))(t)
	f := newFixture(t, metrics, observe.SpanAttributes(), guard.WithDecisionObserver(seen.observe))
	alice := f.bearer(accessType, "marked-alice")
	var before map[string]int64
	for _, tt := range []struct {
		name, request, authorization string
		fails                        error // of the handler
		operation, scheme            string
		status                       int    // of the decision
		counted                      string // status of a refusal, operation, outcome
	}{
		{name: "served", request: "GET /me", authorization: alice, operation: "getMe", scheme: "access", counted: "getMe served"},
		{name: "public", request: "GET /public", operation: "getPublic", counted: "getPublic served"},
		{name: "no credentials", request: "GET /me", operation: "getMe", status: 401, counted: "401 getMe refused"},
		{name: "a forged token", request: "GET /me", authorization: alice[:len(alice)-4] + "AAAA", operation: "getMe", scheme: "access", status: 401, counted: "401 getMe refused"},
		{name: "no role", request: "DELETE /items/7", authorization: alice, operation: "deleteItem", scheme: "access", status: 403, counted: "403 deleteItem refused"},
		{name: "a handler that fails", request: "GET /me", authorization: alice, fails: errOfHandler, operation: "getMe", scheme: "access", counted: "getMe served"},
	} {
		eachRouter(t, func(t *testing.T, r Router) {
			c := f.start(t, r, service.Server{Fail: func(string) error { return tt.fails }}, Options{})
			var fields []string
			if tt.authorization != "" {
				fields = append(fields, "Authorization: "+tt.authorization)
			}
			before = counted(t, reader)
			seen.take()
			c.sendPlain(tt.request, "", fields...)
			got := seen.take()
			if len(got) != 1 || got[0].Operation.ID != tt.operation || got[0].Scheme != tt.scheme || got[0].Status != tt.status {
				t.Errorf("%s: observed %+v", tt.name, got)
			}
			after := counted(t, reader)
			var changed []string
			total := int64(0)
			for key, n := range after {
				if n != before[key] {
					changed = append(changed, key)
					total += n - before[key]
				}
			}
			if total != 1 || !slices.Equal(changed, []string{tt.counted}) {
				t.Errorf("%s: %d requests are counted as %v, want one as %s", tt.name, total, changed, tt.counted)
			}
		})
	}
}
