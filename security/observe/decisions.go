package observe

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Decisions returns an option for a policy that counts the decisions of its guards, in the counter
// oapiguard.guard.decisions, and records how long they took, in the histogram
// oapiguard.guard.decision.duration. A request that is served costs no allocation.
func Decisions(provider metric.MeterProvider) (guard.Option, error) {
	if provider == nil {
		return nil, errors.New("observe: Decisions needs a meter provider")
	}
	meter := provider.Meter(scope)
	counter, err1 := meter.Int64Counter("oapiguard.guard.decisions", metric.WithUnit("{decision}"),
		metric.WithDescription("Number of decisions over requests, by operation, outcome and reason."))
	duration, err2 := meter.Float64Histogram("oapiguard.guard.decision.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of decisions over requests."), buckets)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	d := &decisions{counter: counter, duration: duration, refused: map[refusedKey][]metric.AddOption{}}
	return guard.WithDecisionObserver(d.observe), nil
}

// buckets range from a token that is cached to a look-up that reaches its timeout.
var buckets = metric.WithExplicitBucketBoundaries(1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4,
	1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5)

// decisions records decisions. Attribute sets are made once, and slices of options too, because the
// call of a variadic method would allocate one each time.
type decisions struct {
	counter  metric.Int64Counter
	duration metric.Float64Histogram
	// operations has the options of each operation, by its address: *guard.Operation to
	// *operationOptions.
	operations sync.Map

	mu      sync.RWMutex
	refused map[refusedKey][]metric.AddOption
}

// operationOptions are the options of one operation.
type operationOptions struct {
	served                                   []metric.AddOption
	servedTime, refusedTime, unavailableTime []metric.RecordOption
}

type refusedKey struct {
	operation *guard.Operation
	status    int
	reason    string
}

// maxRefused bounds the attribute sets of refused requests. Reasons are constants, so that there are
// fewer, unless an application makes reasons of its requests.
const maxRefused = 10_000

// otherReason is the reason of what maxRefused leaves out.
const otherReason = "other"

func (d *decisions) observe(ctx context.Context, o guard.Observation) {
	options := d.optionsOf(o.Operation)
	add, record := options.served, options.servedTime
	if o.Status != 0 {
		add, record = d.optionsOfRefused(o), options.refusedTime
		if o.Status >= 500 {
			record = options.unavailableTime
		}
	}
	d.counter.Add(ctx, 1, add...)
	d.duration.Record(ctx, o.Duration.Seconds(), record...)
}

func (d *decisions) optionsOf(operation *guard.Operation) *operationOptions {
	if known, ok := d.operations.Load(operation); ok {
		return known.(*operationOptions)
	}
	withOutcome := func(outcome string) []metric.RecordOption {
		return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(keyOperation.String(idOf(operation)), keyOutcome.String(outcome)))}
	}
	known, _ := d.operations.LoadOrStore(operation, &operationOptions{
		served: []metric.AddOption{metric.WithAttributeSet(
			attribute.NewSet(keyOperation.String(idOf(operation)), keyOutcome.String(outcomeServed)))},
		servedTime: withOutcome(outcomeServed), refusedTime: withOutcome(outcomeRefused), unavailableTime: withOutcome(outcomeError),
	})
	return known.(*operationOptions)
}

func (d *decisions) optionsOfRefused(o guard.Observation) []metric.AddOption {
	key := refusedKey{o.Operation, o.Status, o.Reason}
	d.mu.RLock()
	known, full := d.refused[key], len(d.refused) >= maxRefused
	d.mu.RUnlock()
	if known != nil {
		return known
	}
	if full {
		key.reason = otherReason
	}
	known = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(keyOperation.String(idOf(key.operation)),
		keyOutcome.String(outcomeOf(key.status)), keyReason.String(key.reason), keyStatus.Int(key.status)))}
	if full {
		return known
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused[key] = known
	return known
}

func idOf(operation *guard.Operation) string {
	if operation == nil {
		return ""
	}
	return operation.ID
}
