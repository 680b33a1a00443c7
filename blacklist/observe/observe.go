// Package observe counts and times what a blacklist does, through the OpenTelemetry metrics API. It is off unless a blacklist is
// wrapped with [Wrap], and it brings no SDK: which one records, and where to, is the application's choice.
//
// The instruments, of the scope that is the path of this package:
//
//	oapiguard.blacklist.checks           counter, look-ups by outcome: revoked, not_revoked or error
//	oapiguard.blacklist.check.duration   histogram in seconds, by the same outcome
//	oapiguard.blacklist.revocations      counter, by kind (token, session, subject, verifier) and outcome: recorded,
//	                                     in_force_before or error
//	oapiguard.blacklist.revoke.duration  histogram in seconds, by the same kind and outcome
//
// Nothing that identifies a token, a session or a subject is recorded.
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

// Wrap returns the blacklist with its work counted and timed by the provider's meter. The answers are those of the blacklist,
// errors included. Where the blacklist is a blacklist.InProcess the result is one too; closing it, for an io.Closer, closes the
// blacklist.
func Wrap(list blacklist.Blacklist, provider metric.MeterProvider) (blacklist.Blacklist, error) {
	if list == nil || provider == nil {
		return nil, errors.New("observe: Wrap needs a blacklist and a meter provider; a provider of package noop records nothing")
	}
	meter := provider.Meter(scope)
	checks, err1 := meter.Int64Counter("oapiguard.blacklist.checks", metric.WithUnit("{check}"),
		metric.WithDescription("Look-ups in the blacklist."))
	checkTime, err2 := meter.Float64Histogram("oapiguard.blacklist.check.duration", metric.WithUnit("s"),
		metric.WithDescription("How long look-ups took."), buckets)
	revocations, err3 := meter.Int64Counter("oapiguard.blacklist.revocations", metric.WithUnit("{revocation}"),
		metric.WithDescription("Revocations handed to the blacklist."))
	revokeTime, err4 := meter.Float64Histogram("oapiguard.blacklist.revoke.duration", metric.WithUnit("s"),
		metric.WithDescription("How long revocations took."), buckets)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	o := &observed{list: list, checks: checks, checkTime: checkTime, revocations: revocations, revokeTime: revokeTime}
	if _, ok := list.(blacklist.InProcess); ok {
		return inProcess{o}, nil
	}
	return o, nil
}

// buckets reach from a look-up in memory to one that runs into its time-out.
var buckets = metric.WithExplicitBucketBoundaries(1e-6, 1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5)

type observed struct {
	list                  blacklist.Blacklist
	checks, revocations   metric.Int64Counter
	checkTime, revokeTime metric.Float64Histogram
}

type inProcess struct{ *observed }

// InProcess marks that look-ups never wait.
func (inProcess) InProcess() {}

// The attribute sets of look-ups are made once: one is recorded with every request.
var (
	checkRevoked    = outcome("revoked")
	checkNotRevoked = outcome("not_revoked")
	checkError      = outcome("error")
)

func outcome(value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", value)))
}

func (o *observed) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	start := time.Now()
	revoked, err := o.list.IsRevoked(ctx, id)
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
	attributes := metric.WithAttributes(attribute.String("kind", r.Kind.String()), attribute.String("outcome", outcome))
	o.revocations.Add(ctx, 1, attributes)
	o.revokeTime.Record(ctx, time.Since(start).Seconds(), attributes)
	return before, err
}

// Ping asks whether the blacklist can do its work; it is not counted.
func (o *observed) Ping(ctx context.Context) error { return blacklist.Ping(ctx, o.list) }

// Close closes the blacklist where it can be closed.
func (o *observed) Close() error {
	if closer, ok := o.list.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
