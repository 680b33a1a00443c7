package replica_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/observe"
)

// collected are metrics by name and attribute, such as "replica.status/full", without the prefix
// oapiguard. A histogram has the number of its values.
type collected map[string]float64

func (f *fixture) collect(reader *sdkmetric.ManualReader) (values collected, units map[string]string, all string) {
	f.Helper()
	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(f.Context(), &metrics); err != nil {
		f.Fatal(err)
	}
	values, units = collected{}, map[string]string{}
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			name := strings.TrimPrefix(m.Name, "oapiguard.")
			units[name] = m.Unit
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				addPoints(values, name, data.DataPoints)
			case metricdata.Gauge[float64]:
				addPoints(values, name, data.DataPoints)
			case metricdata.Histogram[float64]:
				values[name] = float64(data.DataPoints[0].Count)
			default:
				f.Errorf("%s is a %T", name, data)
			}
		}
	}
	return values, units, fmt.Sprintf("%+v", metrics)
}

func addPoints[N int64 | float64](values collected, name string, points []metricdata.DataPoint[N]) {
	for _, point := range points {
		key := name
		for _, a := range point.Attributes.ToSlice() {
			key += "/" + a.Value.Emit()
		}
		values[key] = float64(point.Value)
	}
}

// want compares the values whose names are given.
func (c collected) want(f *fixture, when string, want collected) {
	f.Helper()
	for name, value := range want {
		if got, ok := c[name]; !ok || got != value {
			f.Errorf("%s: %s is %g, want %g", when, name, got, value)
		}
	}
}

// TestMetricsOfAReplica reads the metrics back from the memory of the SDK: before the first
// snapshot, while the copy is fresh, and after the store became silent.
func TestMetricsOfAReplica(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		reader := sdkmetric.NewManualReader()
		stop, err := observe.Replica(f.r, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		if err != nil {
			f.Fatal(err)
		}
		id := blacklist.Identity{Issuer: "https://issuer.example", ID: "marked-id", Subject: "marked-subject"}
		for i := range 3 {
			id.ID = fmt.Sprint("marked-id", i)
			if _, err := f.store.Revoke(f.Context(), blacklist.OfToken(id, time.Now().Add(time.Hour))); err != nil {
				f.Fatal(err)
			}
		}
		time.Sleep(bound / 2) // of the bubble: the copy reads meanwhile
		values, units, all := f.collect(reader)
		values.want(f, "fresh", collected{
			"replica.bound": bound.Seconds(), "replica.size": float64(f.r.Stats().Entries),
			"replica.status/fresh": 1, "replica.status/loading": 0, "replica.status/stale": 0, "replica.status/full": 0,
			"replica.delay": 3, "replica.snapshots/first": 1, "replica.snapshots/gap": 0, "replica.snapshots/room": 0,
			"replica.failures/read": 0, "replica.failures/snapshot": 0, "replica.lookups/asked": 0, "replica.lookups/refused": 0,
		})
		if age := values["replica.age"]; age < 0 || age > bound.Seconds() || f.r.Stats().Entries < 3 {
			f.Errorf("age %g, %d entries", age, f.r.Stats().Entries)
		}
		if want := map[string]string{
			"replica.age": "s", "replica.bound": "s", "replica.delay": "s", "replica.snapshot.duration": "s",
			"replica.size": "{entry}", "replica.status": "1", "replica.snapshots": "{snapshot}",
			"replica.failures": "{failure}", "replica.lookups": "{lookup}",
		}; !maps.Equal(units, want) {
			f.Errorf("units %v, want %v", units, want)
		}
		for _, secret := range []string{"marked-", "issuer.example"} {
			if strings.Contains(all, secret) {
				f.Errorf("%s is exported", secret)
			}
		}

		f.store.SetFollowError(errAway)
		f.store.SetDown(errAway)
		f.store.Trim()
		time.Sleep(3 * bound)
		if _, err := f.r.IsRevoked(f.Context(), blacklist.Identity{Issuer: id.Issuer, ID: "another", Subject: "bob", SessionStart: time.Now()}); err == nil {
			f.Error("a copy that is too old answered")
		}
		values, _, _ = f.collect(reader)
		values.want(f, "stale", collected{"replica.status/stale": 1, "replica.status/fresh": 0, "replica.lookups/asked": 1})
		if values["replica.age"] <= bound.Seconds() || values["replica.failures/read"]+values["replica.failures/snapshot"] == 0 {
			f.Errorf("stale: %v", values)
		}

		if err := stop(); err != nil {
			f.Error(err)
		}
		values, _, _ = f.collect(reader)
		if _, ok := values["replica.age"]; ok {
			f.Error("a stopped recording continues")
		}
	})
}

// TestMetricsBeforeTheFirstSnapshot has a store that does not answer. There is no age.
func TestMetricsBeforeTheFirstSnapshot(t *testing.T) {
	f := newFixture(t, nil)
	away := newFixture(t, nil)
	away.store.SetFollowError(errAway)
	copied := away.another()
	reader := sdkmetric.NewManualReader()
	if _, err := observe.Replica(copied, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))); err != nil {
		f.Fatal(err)
	}
	values, _, _ := f.collect(reader)
	values.want(f, "loading", collected{"replica.status/loading": 1, "replica.status/fresh": 0})
	if _, ok := values["replica.age"]; ok {
		f.Errorf("an age of no copy: %v", slices.Collect(maps.Keys(values)))
	}
}

// TestDelaysStop ends the calls for delays.
func TestDelaysStop(t *testing.T) {
	inBubble(t, nil, func(f *fixture) {
		var delays []time.Duration
		stop := f.r.OnDelay(func(delay time.Duration) { delays = append(delays, delay) })
		revoke := func(id string) {
			t.Helper()
			r := blacklist.OfToken(blacklist.Identity{Issuer: "https://issuer.example", ID: id, Subject: "alice"}, time.Now().Add(time.Hour))
			if _, err := f.store.Revoke(f.Context(), r); err != nil {
				f.Fatal(err)
			}
			time.Sleep(bound)
		}
		revoke("one")
		stop()
		revoke("two")
		if len(delays) != 1 || delays[0] < 0 || delays[0] > bound {
			f.Errorf("delays %v", delays)
		}
	})
}

func TestMetricsNeedAReplica(t *testing.T) {
	f := newFixture(t, nil)
	if _, err := observe.Replica(nil, noop.NewMeterProvider()); err == nil {
		f.Error("no error without a replica")
	}
	if _, err := observe.Replica(f.r, nil); err == nil {
		f.Error("no error without a provider")
	}
}
