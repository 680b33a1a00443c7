package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// Events is [Server.Handle] for an operation that answers with a stream of server-sent events: "seen"
// with what the handler got, then "tick" every 20 ms until the context ends, then "end" with the
// reason.
func (s Server) Events(ctx context.Context, operation string, credential, request any) (io.Reader, error) {
	seen, err := s.Handle(ctx, operation, credential, request)
	if err != nil {
		return nil, err
	}
	return &events{ctx: ctx, next: event("seen", seen.Subject), closed: s.Closed}, nil
}

const eventInterval = 20 * time.Millisecond

// events are read by the response of a router, one event with each call.
type events struct {
	ctx    context.Context
	next   string
	ended  bool
	closed func()
}

// Read implements io.Reader.
func (e *events) Read(p []byte) (int, error) {
	if e.next == "" {
		if e.ended {
			return 0, io.EOF
		}
		select {
		case <-time.After(eventInterval):
			e.next = event("tick", "")
		case <-e.ctx.Done():
			e.next, e.ended = event("end", reasonOf(context.Cause(e.ctx))), true
		}
	}
	n := copy(p, e.next)
	e.next = e.next[n:]
	return n, nil
}

// Close implements io.Closer. Routers call it when the response is over.
func (e *events) Close() error {
	if e.closed != nil {
		e.closed()
	}
	return nil
}

func event(name, data string) string { return fmt.Sprintf("event: %s\ndata: %s\n\n", name, data) }

func reasonOf(cause error) string {
	var refused *security.Error
	if errors.As(cause, &refused) {
		return refused.Detail()
	}
	return "the request ended"
}
