// Package observe records the decisions of guards through the OpenTelemetry API: as metrics, and as
// attributes of the span of the request. It imports no SDK; without one it does nothing. The scope
// of the instruments is the path of this package:
//
//	oapiguard.guard.decisions          counter of decisions, one for each request that reaches a guard
//	    oapiguard.operation            the id of the operation
//	    oapiguard.outcome              served, refused or error (a status of 500 and above)
//	    oapiguard.reason               why a request was not served, a fixed text
//	    http.response.status_code      of a request that was not served
//	oapiguard.guard.decision.duration  histogram in seconds
//	    oapiguard.operation, oapiguard.outcome
//	oapiguard.refused.requests         counter of requests that were not served, also by their handlers
//	    oapiguard.operation, oapiguard.reason, http.response.status_code
//
// No metric and no attribute contains anything of the request: no id, no token and no address.
package observe

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

const scope = "github.com/oapi-guard/oapi-guard/security/observe"

// The attributes. The status is that of the semantic conventions of HTTP.
const (
	keyOperation = attribute.Key("oapiguard.operation")
	keyOutcome   = attribute.Key("oapiguard.outcome")
	keyReason    = attribute.Key("oapiguard.reason")
	keyScheme    = attribute.Key("oapiguard.scheme")
	keyCached    = attribute.Key("oapiguard.token.cached")
	keyBlacklist = attribute.Key("oapiguard.blacklist.duration")
	keyStatus    = attribute.Key("http.response.status_code")
)

// Outcomes of a decision.
const (
	outcomeServed  = "served"
	outcomeRefused = "refused"
	outcomeError   = "error"
)

func outcomeOf(status int) string {
	switch {
	case status == 0:
		return outcomeServed
	case status >= 500:
		return outcomeError
	}
	return outcomeRefused
}

// Refusals returns an option for a policy that counts each request that was not served, in the
// counter oapiguard.refused.requests: those that a guard refuses, those whose parameters cannot be
// decoded, and those whose handlers return an error. Use [Decisions] to count what guards decide.
func Refusals(provider metric.MeterProvider) (guard.Option, error) {
	if provider == nil {
		return nil, errors.New("observe: Refusals needs a meter provider")
	}
	counter, err := provider.Meter(scope).Int64Counter("oapiguard.refused.requests",
		metric.WithDescription("Number of requests that were not served, by operation, status and reason."), metric.WithUnit("{request}"))
	if err != nil {
		return nil, err
	}
	return guard.WithObserver(func(ctx context.Context, refusal guard.Refusal) {
		counter.Add(ctx, 1, metric.WithAttributes(
			keyOperation.String(refusal.Operation), keyStatus.Int(refusal.Status), keyReason.String(refusal.Reason)))
	}), nil
}
