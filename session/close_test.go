package session_test

import (
	"context"
	"sync"
	"testing"

	"github.com/oapi-guard/oapi-guard/session"
)

// A failed refresh is noted by a goroutine. Close ends those that run, and lets no other begin.
func TestCloseDuringFailedRefreshes(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		s := newService(t)
		token := must(s.verify(t, refreshType, s.logIn(t, session.Login{}).Refresh))
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() {
				if _, err := s.Refresh(cancelled, token, session.Device{}); err == nil {
					t.Error("a refresh whose tokens could not be issued returned no error")
				}
			})
		}
		running.Go(func() { _ = s.Close() })
		running.Wait()
	}
}
