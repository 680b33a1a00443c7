// Package observe counts the requests that guards refuse, through the OpenTelemetry metrics API. It
// imports no SDK: without one it does nothing.
package observe

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Refusals returns an option for a policy that counts each request that was not served, in the
// counter oapiguard.requests.refused with the attributes operation, status and reason. The reasons
// are fixed texts, so that their number is bounded. No attribute has anything of the request.
func Refusals(provider metric.MeterProvider) (guard.Option, error) {
	if provider == nil {
		return nil, errors.New("observe: Refusals needs a meter provider")
	}
	meter := provider.Meter("github.com/oapi-guard/oapi-guard/security/observe")
	counter, err := meter.Int64Counter("oapiguard.requests.refused",
		metric.WithDescription("Requests that were not served, by operation, status and reason."), metric.WithUnit("{request}"))
	if err != nil {
		return nil, err
	}
	return guard.WithObserver(func(ctx context.Context, refusal guard.Refusal) {
		counter.Add(ctx, 1, metric.WithAttributes(
			attribute.String("operation", refusal.Operation), attribute.Int("status", refusal.Status), attribute.String("reason", refusal.Reason)))
	}), nil
}
