package guard

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// Readiness is a part of an application that requests need: a [security.Validator], or the manager
// of package session.
type Readiness interface {
	// Ready returns an error while requests would be answered 503.
	Ready(ctx context.Context) error
}

// ReadyHandler returns a handler for a readiness probe: 200 with the text "ready" if all parts are
// ready, otherwise 503 with the text "not ready". The text of no error reaches the client. The
// logger gets a warning with the reason, at most one a second for each reason. It is that of
// [security.Reason], and never the text of a cause. ReadyHandler returns an error without a logger or
// without a part.
func ReadyHandler(logger *slog.Logger, parts ...Readiness) (http.Handler, error) {
	if logger == nil || len(parts) == 0 {
		return nil, errors.New("guard: ReadyHandler needs a logger and a part, such as the validator")
	}
	for _, part := range parts {
		if isNil(part) {
			return nil, errors.New("guard: ReadyHandler needs parts that are not nil")
		}
	}
	return newReadyHandler(logger, time.Now, parts), nil
}

func newReadyHandler(logger *slog.Logger, now func() time.Time, parts []Readiness) *readyHandler {
	return &readyHandler{logger: logger, parts: parts, limiter: &logLimiter{now: now, kinds: map[string]*loggedKind{}}}
}

type readyHandler struct {
	logger  *slog.Logger
	parts   []Readiness
	limiter *logLimiter
}

// ServeHTTP implements http.Handler.
func (h *readyHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	text := "ready\n"
	if err := h.check(r.Context()); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "not ready\n"
	}
	_, _ = io.WriteString(w, text) // the prober may have gone
}

// check asks the parts, and logs the reason of the first that is not ready.
func (h *readyHandler) check(ctx context.Context) error {
	for _, part := range h.parts {
		if err := part.Ready(ctx); err != nil {
			h.log(ctx, err)
			return err
		}
	}
	return nil
}

func (h *readyHandler) log(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the prober has gone, and nothing is known
	}
	reason := security.Reason(err)
	if reason == "" {
		reason = "a part did not answer"
	}
	suppressed, ok := h.limiter.allow(reason)
	if !ok {
		return
	}
	attributes := []slog.Attr{slog.String("reason", reason)}
	if suppressed > 0 {
		attributes = append(attributes, slog.Int("suppressed", suppressed))
	}
	h.logger.LogAttrs(ctx, slog.LevelWarn, "not ready", attributes...)
}
