package guard

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// readyPart is a part with a fixed answer.
type readyPart struct{ err error }

func (p readyPart) Ready(context.Context) error { return p.err }

func TestReadyHandler(t *testing.T) {
	f := newFixture(t)
	down := must(security.NewValidator(f.verifier, downList{}))(t)
	for _, tt := range []struct {
		name   string
		parts  []Readiness
		status int
		body   string
		reason string // that is logged
	}{
		{name: "ready", parts: []Readiness{f.validator, readyPart{}}, status: 200, body: "ready\n"},
		{name: "the blacklist is down", parts: []Readiness{down, readyPart{}}, status: 503, body: "not ready\n", reason: "the blacklist is not ready"},
		{name: "the second part is not ready", parts: []Readiness{f.validator, readyPart{errSecretive}}, status: 503, body: "not ready\n", reason: "a part did not answer"},
		{name: "a zero validator", parts: []Readiness{&security.Validator{}}, status: 503, body: "not ready\n", reason: "a part did not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			now := time.Unix(1_700_000_000, 0)
			handler := newReadyHandler(slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now }, tt.parts)
			for range 3 {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
				if w.Code != tt.status || w.Body.String() != tt.body || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("status %d, %q, %v", w.Code, w.Body, w.Header())
				}
			}
			lines := strings.Count(log.String(), "\n")
			if tt.reason == "" && lines != 0 || tt.reason != "" && (lines != 1 || !strings.Contains(log.String(), tt.reason)) {
				t.Errorf("logged %q", log.String())
			}
			if strings.Contains(log.String(), errSecretive.Error()) {
				t.Errorf("the log has the cause: %s", log.String())
			}
			now = now.Add(time.Second)
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if tt.reason != "" && !strings.Contains(log.String(), "suppressed=2") {
				t.Errorf("logged %q", log.String())
			}
		})
	}
}

// TestReadyHandlerLogsNoProberThatIsGone has a request that is cancelled.
func TestReadyHandlerLogsNoProberThatIsGone(t *testing.T) {
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	handler := must(ReadyHandler(slog.New(slog.NewTextHandler(&log, nil)), readyPart{ctx.Err()}))(t)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil))
	if w.Code != 503 || log.Len() != 0 {
		t.Errorf("status %d, logged %q", w.Code, log.String())
	}
}

func TestReadyHandlerErrors(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	var none *security.Validator
	for name, err := range map[string]error{
		"no logger":       second(ReadyHandler(nil, readyPart{})),
		"no part":         second(ReadyHandler(logger)),
		"a nil part":      second(ReadyHandler(logger, nil)),
		"a nil validator": second(ReadyHandler(logger, none)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// downList does not answer.
type downList struct{ blacklist.None }

func (downList) IsRevoked(context.Context, blacklist.Identity) (bool, error) {
	return false, errSecretive
}
func (downList) Ping(context.Context) error { return errSecretive }
