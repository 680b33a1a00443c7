package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
)

// eventInterval is the time between two events.
const eventInterval = time.Second

// StreamEvents needs no code for its end: the document has watch: true, so the context of the request
// ends when the token expires or is revoked.
func (s *service) StreamEvents(ctx context.Context, _ gen.AccessToken, _ gen.StreamEventsRequestObject) (gen.StreamEventsResponseObject, error) {
	return eventStream{ctx}, nil
}

// eventStream writes events until its context ends.
type eventStream struct{ ctx context.Context }

// VisitStreamEventsResponse implements gen.StreamEventsResponseObject.
func (s eventStream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	controller := http.NewResponseController(w)
	ticker := time.NewTicker(eventInterval)
	defer ticker.Stop()
	for n := 1; ; n++ {
		// The stream lasts longer than the server lets a response take, but no event does.
		if err := controller.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: tick\ndata: %d\n\n", n); err != nil {
			return nil // the client is gone
		}
		if err := controller.Flush(); err != nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			_, _ = fmt.Fprintf(w, "event: end\ndata: %s\n\n", reasonOf(context.Cause(s.ctx)))
			return nil
		}
	}
}

// reasonOf returns why a stream ended, in words for the client.
func reasonOf(cause error) string {
	var refused *security.Error
	if errors.As(cause, &refused) {
		return refused.Detail()
	}
	return "The request ended."
}
