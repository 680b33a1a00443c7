// Package observe records metrics of a blacklist through the OpenTelemetry API. Use [Wrap] to see
// how many look-ups and revocations there are, how long they take, and how many fail. The package
// depends on the API only; the application chooses the SDK and the exporter.
//
// The scope of the instruments is the path of this package:
//
//	oapiguard.blacklist.checks           counter of look-ups
//	oapiguard.blacklist.check.duration   histogram in seconds
//	    oapiguard.outcome: revoked, not_revoked or error
//
//	oapiguard.blacklist.revocations      counter of revocations
//	oapiguard.blacklist.revoke.duration  histogram in seconds
//	    oapiguard.revocation.kind: token, session, subject or issuer
//	    oapiguard.outcome: recorded, in_force_before or error
//
// No metric contains an id of a token, a session or a subject.
package observe

import (
	"context"
	"errors"
	"io"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

const scope = "github.com/oapi-guard/oapi-guard/blacklist/observe"

const (
	keyOutcome = attribute.Key("oapiguard.outcome")
	keyKind    = attribute.Key("oapiguard.revocation.kind")
)

// Wrap returns a blacklist that passes all calls to list and records them with a meter of the
// provider. It returns the same results and errors. The result is a blacklist.Wrapper, so nothing that
// list implements besides is hidden; readiness is not recorded. Close closes list if it is an
// io.Closer. Wrap returns an error if an argument is nil.
func Wrap(list blacklist.Blacklist, provider metric.MeterProvider) (blacklist.Blacklist, error) {
	if list == nil || provider == nil {
		return nil, errors.New("observe: Wrap needs a blacklist and a meter provider; use one of package noop to record nothing")
	}
	meter := provider.Meter(scope)
	checks, err1 := meter.Int64Counter("oapiguard.blacklist.checks", metric.WithUnit("{check}"),
		metric.WithDescription("Number of look-ups."))
	checkTime, err2 := meter.Float64Histogram("oapiguard.blacklist.check.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of look-ups."), buckets)
	revocations, err3 := meter.Int64Counter("oapiguard.blacklist.revocations", metric.WithUnit("{revocation}"),
		metric.WithDescription("Number of revocations."))
	revokeTime, err4 := meter.Float64Histogram("oapiguard.blacklist.revoke.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of revocations."), buckets)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	o := observed{list: list, checks: checks, checkTime: checkTime, revocations: revocations, revokeTime: revokeTime}
	if locator, ok := list.(blacklist.Locator); ok {
		return &observedLocator{o, locator}, nil
	}
	return &o, nil
}

// buckets range from a look-up in memory to one that reaches its timeout.
var buckets = metric.WithExplicitBucketBoundaries(1e-6, 1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5)

type observed struct {
	list                  blacklist.Blacklist
	checks, revocations   metric.Int64Counter
	checkTime, revokeTime metric.Float64Histogram
}

// The attribute sets of look-ups are made once, because every request records one.
var (
	checkRevoked    = outcome("revoked")
	checkNotRevoked = outcome("not_revoked")
	checkError      = outcome("error")
)

func outcome(value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(keyOutcome.String(value)))
}

func (o *observed) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	start := time.Now()
	revoked, err := o.list.IsRevoked(ctx, id)
	return o.checked(ctx, start, revoked, err)
}

// checked records a look-up and returns its result.
func (o *observed) checked(ctx context.Context, start time.Time, revoked bool, err error) (bool, error) {
	attributes := checkNotRevoked
	switch {
	case err != nil:
		attributes = checkError
	case revoked:
		attributes = checkRevoked
	}
	o.checks.Add(ctx, 1, attributes)
	o.checkTime.Record(ctx, time.Since(start).Seconds(), attributes)
	return revoked, err
}

func (o *observed) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	start := time.Now()
	before, err := o.list.Revoke(ctx, r)
	outcome := "recorded"
	switch {
	case err != nil:
		outcome = "error"
	case before:
		outcome = "in_force_before"
	}
	attributes := metric.WithAttributes(keyKind.String(r.Kind.String()), keyOutcome.String(outcome))
	o.revocations.Add(ctx, 1, attributes)
	o.revokeTime.Record(ctx, time.Since(start).Seconds(), attributes)
	return before, err
}

// observedLocator is for a list that finds the entries of a token again.
type observedLocator struct {
	observed
	locator blacklist.Locator
}

func (o *observedLocator) Locate(id blacklist.Identity) *blacklist.Located {
	located := o.locator.Locate(id)
	located.Owner = o
	return located
}

func (o *observedLocator) IsRevokedAt(ctx context.Context, located *blacklist.Located) (bool, error) {
	start := time.Now()
	revoked, err := o.locator.IsRevokedAt(ctx, located)
	return o.checked(ctx, start, revoked, err)
}

// Unwrap implements blacklist.Wrapper.
func (o *observed) Unwrap() blacklist.Blacklist { return o.list }

// Close closes the wrapped blacklist if it is an io.Closer.
func (o *observed) Close() error {
	if closer, ok := o.list.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
