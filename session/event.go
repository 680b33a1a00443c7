package session

import (
	"context"
	"errors"
)

// Event is what happened to a session, for metrics.
type Event string

// The events of sessions.
const (
	// Began is a log-in.
	Began Event = "began"
	// Rotated is a refresh that yielded a new refresh token.
	Rotated Event = "rotated"
	// Repeated is a refresh that yielded the same tokens again, within the grace.
	Repeated Event = "repeated"
	// ReuseFound is a refresh token that was used again after the grace. Its session ends too.
	ReuseFound Event = "reused"
	// Ended is a session that this manager ended. Sessions that expire, and those that only a
	// cut-off of the blacklist ends, do not count.
	Ended Event = "ended"
	// Owed is a revocation of an ended session that could not be written to the blacklist. The
	// manager tries again in the background. Each try that fails counts.
	Owed Event = "owed"
)

// WithObserver sets a function that is called for each event, with the number of sessions. It gets
// nothing about the sessions. It must be fast and safe for concurrent use. Package observe has one
// for OpenTelemetry.
func WithObserver(observer func(ctx context.Context, event Event, sessions int)) Option {
	return func(m *Manager) error {
		m.observer = observer
		if observer == nil {
			return errors.New("session: WithObserver needs a function")
		}
		return nil
	}
}

// observe calls the observer.
func (m *Manager) observe(ctx context.Context, event Event, sessions int) {
	if m.observer != nil && sessions > 0 {
		m.observer(ctx, event, sessions)
	}
}
