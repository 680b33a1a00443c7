package keys_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// slowProvider answers each fetch after a while. Its time is that of the test's bubble.
type slowProvider struct {
	after  time.Duration
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (p *slowProvider) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(p.after):
		return &http.Response{StatusCode: p.status, Body: io.NopCloser(bytes.NewReader([]byte(p.body))), Request: r}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// newSlowRemote returns the remote set of a provider that has the key one. The next fetch may begin.
func newSlowRemote(t *testing.T, p *slowProvider) *keys.Remote {
	t.Helper()
	p.status, p.body = 200, publicSet(t, "one")
	remote := must(keys.NewRemote(t.Context(), "https://idp.example/keys", keys.WithHTTPClient(&http.Client{Transport: p})))(t)
	time.Sleep(keys.DefaultMinRefetchInterval) // the time of the bubble
	return remote
}

// TestUnknownKeyWaitsForTheFetch has a provider that is slow. A token of an unknown key waits for the
// fetch, but for at most two seconds.
func TestUnknownKeyWaitsForTheFetch(t *testing.T) {
	unknown := keys.Header{Algorithm: keys.ES256, KeyID: "two", HasKeyID: true}
	for _, tt := range []struct {
		name   string
		after  time.Duration
		status int
		ids    []string
		cancel time.Duration // when the request ends; 0 is never
		waited time.Duration
		want   error
	}{
		{name: "at once", status: 200, ids: []string{"one", "two"}},
		{name: "after a second", after: time.Second, status: 200, ids: []string{"one", "two"}, waited: time.Second},
		{name: "just in time", after: 2*time.Second - 1, status: 200, ids: []string{"one", "two"}, waited: 2*time.Second - 1},
		{name: "too late", after: 2*time.Second + 1, status: 200, ids: []string{"one", "two"}, waited: 2 * time.Second, want: keys.ErrUnavailable},
		{name: "never", after: time.Hour, status: 200, ids: []string{"one", "two"}, waited: 2 * time.Second, want: keys.ErrUnavailable},
		{name: "the provider does not know it", after: time.Second, status: 200, ids: []string{"one"}, waited: time.Second, want: keys.ErrUnknownKey},
		{name: "the provider fails", after: time.Second, status: 500, waited: time.Second, want: keys.ErrUnavailable},
		{
			name: "the request ends", after: time.Second, status: 200, ids: []string{"one", "two"}, cancel: time.Second / 2,
			waited: time.Second / 2, want: keys.ErrUnavailable,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &slowProvider{}
				remote := newSlowRemote(t, p)
				defer func() { _ = remote.Close() }()
				p.after, p.status, p.body = tt.after, tt.status, publicSet(t, tt.ids...)
				ctx := t.Context()
				if tt.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.cancel)
					defer cancel()
				}
				start := time.Now()
				set, err := remote.VerificationKeys(ctx, unknown)
				if err == nil {
					_, err = set.Candidates(unknown)
				}
				if waited := time.Since(start); !errors.Is(err, tt.want) || waited != tt.waited {
					t.Errorf("%v after %s, want %v after %s", err, waited, tt.want, tt.waited)
				}
				if known, err := remote.VerificationKeys(t.Context(), keys.Header{Algorithm: keys.ES256, KeyID: "one", HasKeyID: true}); known == nil || time.Since(start) != tt.waited {
					t.Errorf("a known key, %s later: %v", time.Since(start), err)
				}
			})
		})
	}
}

// TestWaitingRequestsAreBounded sends many tokens of a new key during a fetch. 256 requests wait and
// get the key. The others are answered 503 at once. The next rotation finds room for as many.
func TestWaitingRequestsAreBounded(t *testing.T) {
	const most, more = 256, 44
	synctest.Test(t, func(t *testing.T) {
		p := &slowProvider{}
		remote := newSlowRemote(t, p)
		defer func() { _ = remote.Close() }()
		p.after = time.Second
		validator := must(security.NewValidator(must(security.NewVerifier(testIssuer, remote))(t), blacklist.None{}))(t)
		operation := &guard.Operation{ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}}}
		guards := must(guard.NewGuards(must(guard.New(validator))(t), nil, operation))(t)
		handler := guards.HandlerFunc(operation, func(http.ResponseWriter, *http.Request) {})
		for _, id := range []string{"two", "three"} {
			p.body = publicSet(t, "one", id)
			set := must(keys.NewSet(must(keys.NewECDSA(testKeys().p256, keys.WithID(id)))(t)))(t)
			issuer := must(security.NewIssuer(must(security.NewVerifier(testIssuer, set))(t)))(t)
			text := must(issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
			start := time.Now()
			var mu sync.Mutex
			answers := map[int]map[time.Duration]int{200: {}, 503: {}} // by status and time
			for range most + more {
				go func() {
					w := apptest.Get(handler, "Bearer "+text)
					mu.Lock()
					defer mu.Unlock()
					answers[w.Code][time.Since(start)]++
					if w.Code == 503 && w.Header().Get("Retry-After") == "" {
						t.Error("503 without Retry-After")
					}
				}()
			}
			synctest.Wait()
			mu.Lock()
			if !maps.Equal(answers[503], map[time.Duration]int{0: more}) || len(answers[200]) != 0 {
				t.Errorf("key %s, at once: %v, want %d times 503", id, answers, more)
			}
			mu.Unlock()
			time.Sleep(time.Second) // the time of the bubble
			synctest.Wait()
			mu.Lock()
			if !maps.Equal(answers[200], map[time.Duration]int{time.Second: most}) || len(answers[503]) != 1 {
				t.Errorf("key %s, after the fetch: %v, want %d times 200", id, answers, most)
			}
			mu.Unlock()
			time.Sleep(keys.DefaultMinRefetchInterval)
		}
	})
}
