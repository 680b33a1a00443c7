package observe

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/oapi-guard/oapi-guard/security/guard"
)

// SpanAttributes returns an option for a policy that adds the decision of its guards to the current
// span of the request, which the instrumentation of the server begins:
//
//	oapiguard.operation           the id of the operation
//	oapiguard.outcome             served, refused or error
//	oapiguard.reason              why the request was not served, a fixed text
//	oapiguard.scheme              the security scheme that was accepted or that refused the request
//	oapiguard.token.cached        whether the cache had the verified token
//	oapiguard.blacklist.duration  how long the blacklist took, in seconds
//
// An attribute without a value is absent. A span that is not recorded costs nothing.
func SpanAttributes() guard.Option { return guard.WithDecisionObserver(annotate) }

func annotate(ctx context.Context, o guard.Observation) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(keyOperation.String(idOf(o.Operation)), keyOutcome.String(outcomeOf(o.Status)))
	if o.Status != 0 {
		span.SetAttributes(keyReason.String(o.Reason))
	}
	if o.Scheme != "" {
		span.SetAttributes(keyScheme.String(o.Scheme))
	}
	if o.TokenTried {
		span.SetAttributes(keyCached.Bool(o.Cached))
	}
	if o.BlacklistAsked {
		span.SetAttributes(keyBlacklist.Float64(o.BlacklistDuration.Seconds()))
	}
}
