package guard_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// TestWatchedRequestEndsWithItsToken opens a stream over HTTP and revokes its token.
func TestWatchedRequestEndsWithItsToken(t *testing.T) {
	f := apptest.New(t)
	pair := sectest.Must(f.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
	operation := &guard.Operation{ID: "events", Requirement: guard.Requirement{{apptest.AccessScheme}}, Rules: guard.Rules{Watch: true}}
	guards := sectest.Must(guard.NewGuards(sectest.Must(guard.New(f.Validator))(t), nil, operation))(t)
	ended := make(chan error, 1)
	server := httptest.NewServer(guards.HandlerFunc(operation, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	}))
	defer server.Close()
	request := sectest.Must(http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil))(t)
	request.Header.Set("Authorization", "Bearer "+pair.Access.Text())
	response := sectest.Must(http.DefaultClient.Do(request))(t)
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("status %d", response.StatusCode)
	}
	if err := f.Validator.RevokeSession(t.Context(), f.Token(t, pair.Refresh.Text(), apptest.RefreshToken)); err != nil {
		t.Fatal(err)
	}
	select {
	case cause := <-ended:
		if !errors.Is(cause, security.ErrTokenRevoked) {
			t.Errorf("the context ended with %v", cause)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream did not end")
	}
}
