package observe

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// Replica records the state of a replica with a meter of the provider:
//
//	oapiguard.replica.age                 gauge in seconds: the age of the copy, once it is ready
//	oapiguard.replica.bound               gauge in seconds: the largest age of a copy that answers
//	oapiguard.replica.size                number of entries in the copy
//	oapiguard.replica.status              1 for the state of the copy, 0 for all others
//	    oapiguard.replica.state             loading, fresh, stale or full
//	oapiguard.replica.delay               histogram in seconds: from the write of a record to its use
//	oapiguard.replica.snapshots           counter of complete snapshots
//	    oapiguard.replica.snapshot.reason   first, gap or room
//	oapiguard.replica.snapshot.duration   gauge in seconds: of the last complete snapshot
//	oapiguard.replica.failures            counter of failures of the feed
//	    oapiguard.replica.step              snapshot or read
//	oapiguard.replica.lookups             counter of look-ups that the copy could not answer
//	    oapiguard.outcome                   asked (the store), or refused (too many asked already)
//
// Two replicas need two providers, because their metrics have the same names. stop ends the
// recording. Replica returns an error if an argument is nil.
func Replica(copied *replica.Replica, provider metric.MeterProvider) (stop func() error, err error) {
	if copied == nil || provider == nil {
		return nil, errors.New("observe: Replica needs a replica and a meter provider")
	}
	meter := provider.Meter(scope)
	delay, err := meter.Float64Histogram("oapiguard.replica.delay", metric.WithUnit("s"), delayBuckets,
		metric.WithDescription("Time from the write of a revocation to its use in this process."))
	if err != nil {
		return nil, err
	}
	instruments, err := newReplicaInstruments(meter)
	if err != nil {
		return nil, err
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		instruments.observe(o, copied.Stats())
		return nil
	}, instruments.all...)
	if err != nil {
		return nil, err
	}
	stopDelays := copied.OnDelay(func(d time.Duration) { delay.Record(context.Background(), d.Seconds()) })
	return func() error {
		stopDelays()
		return registration.Unregister()
	}, nil
}

// delayBuckets are those of replica.DelayBounds, because records have times in milliseconds.
var delayBuckets = metric.WithExplicitBucketBoundaries(seconds(replica.DelayBounds())...)

func seconds(durations []time.Duration) []float64 {
	all := make([]float64, len(durations))
	for i, d := range durations {
		all[i] = d.Seconds()
	}
	return all
}

// replicaInstruments are instruments that are read from the state of the replica.
type replicaInstruments struct {
	age, bound, snapshotTook     metric.Float64ObservableGauge
	entries, status              metric.Int64ObservableUpDownCounter
	snapshots, failures, lookups metric.Int64ObservableCounter
	all                          []metric.Observable
}

func newReplicaInstruments(meter metric.Meter) (*replicaInstruments, error) {
	var i replicaInstruments
	var failed error
	gauge := func(name, description string) metric.Float64ObservableGauge {
		g, err := meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
		i.all, failed = append(i.all, g), errors.Join(failed, err)
		return g
	}
	level := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		c, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		i.all, failed = append(i.all, c), errors.Join(failed, err)
		return c
	}
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		i.all, failed = append(i.all, c), errors.Join(failed, err)
		return c
	}
	i.age = gauge("oapiguard.replica.age", "Age of the copy of the blacklist.")
	i.bound = gauge("oapiguard.replica.bound", "Largest age of a copy that answers.")
	i.snapshotTook = gauge("oapiguard.replica.snapshot.duration", "Duration of the last complete snapshot.")
	i.entries = level("oapiguard.replica.size", "{entry}", "Number of entries in the copy.")
	i.status = level("oapiguard.replica.status", "1", "State of the copy: 1 for the current state, 0 for the others.")
	i.snapshots = counter("oapiguard.replica.snapshots", "{snapshot}", "Number of complete snapshots, by reason.")
	i.failures = counter("oapiguard.replica.failures", "{failure}", "Number of snapshots and reads of the feed that failed.")
	i.lookups = counter("oapiguard.replica.lookups", "{lookup}", "Number of look-ups that the copy could not answer, by what happened.")
	return &i, failed
}

// The states of a copy.
const (
	stateLoading = "loading"
	stateFresh   = "fresh"
	stateStale   = "stale"
	stateFull    = "full"
)

func stateOf(s replica.Stats) string {
	switch {
	case !s.Ready:
		return stateLoading
	case s.Full:
		return stateFull
	case !s.Fresh:
		return stateStale
	}
	return stateFresh
}

// attributesOf returns the option for one attribute.
func attributesOf(key attribute.Key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(key.String(value)))
}

func (i *replicaInstruments) observe(o metric.Observer, s replica.Stats) {
	if s.Ready {
		o.ObserveFloat64(i.age, s.Age.Seconds())
		o.ObserveFloat64(i.snapshotTook, s.SnapshotTook.Seconds())
	}
	o.ObserveFloat64(i.bound, s.Bound.Seconds())
	o.ObserveInt64(i.entries, int64(s.Entries))
	state := stateOf(s)
	for _, one := range []string{stateLoading, stateFresh, stateStale, stateFull} {
		value := int64(0)
		if one == state {
			value = 1
		}
		o.ObserveInt64(i.status, value, attributesOf("oapiguard.replica.state", one))
	}
	for _, reason := range []replica.Reason{replica.First, replica.Gap, replica.Room} {
		o.ObserveInt64(i.snapshots, int64(s.Snapshots[reason]), attributesOf("oapiguard.replica.snapshot.reason", string(reason)))
	}
	o.ObserveInt64(i.failures, int64(s.SnapshotsFailed), attributesOf("oapiguard.replica.step", "snapshot"))
	o.ObserveInt64(i.failures, int64(s.ReadsFailed), attributesOf("oapiguard.replica.step", "read"))
	o.ObserveInt64(i.lookups, int64(s.Asked), attributesOf(keyOutcome, "asked"))
	o.ObserveInt64(i.lookups, int64(s.Refused), attributesOf(keyOutcome, "refused"))
}
