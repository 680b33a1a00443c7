// Package observe counts what happens to sessions, through the OpenTelemetry API. It imports no SDK;
// without one it does nothing. The scope of the instrument is the path of this package:
//
//	oapiguard.session.events   counter of events of sessions
//	    oapiguard.session.event  began, rotated, repeated, reused, ended or owed; see session.Event
//
// The metric contains no id and no subject.
package observe

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/oapi-guard/oapi-guard/session"
)

const keyEvent = attribute.Key("oapiguard.session.event")

// Sessions returns an option for a manager that counts the events of its sessions. Events that have
// not happened count 0 from the start, so that a rate is right at the first one.
func Sessions(provider metric.MeterProvider) (session.Option, error) {
	if provider == nil {
		return nil, errors.New("observe: Sessions needs a meter provider")
	}
	counter, err := provider.Meter("github.com/oapi-guard/oapi-guard/session/observe").Int64Counter("oapiguard.session.events",
		metric.WithUnit("{event}"), metric.WithDescription("Number of events of sessions, by event."))
	if err != nil {
		return nil, err
	}
	options := map[session.Event][]metric.AddOption{}
	for _, event := range []session.Event{session.Began, session.Rotated, session.Repeated, session.ReuseFound, session.Ended, session.Owed} {
		options[event] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(keyEvent.String(string(event))))}
		counter.Add(context.Background(), 0, options[event]...)
	}
	return session.WithObserver(func(ctx context.Context, event session.Event, sessions int) {
		counter.Add(ctx, int64(sessions), options[event]...)
	}), nil
}
