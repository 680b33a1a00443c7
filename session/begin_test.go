package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/session"
)

// staleList is a replica whose copy lacks what others have revoked.
type staleList struct{ blacklist.Blacklist }

func (staleList) IsRevoked(context.Context, blacklist.Identity) (bool, error) { return false, nil }

func (l staleList) IsRevokedNow(ctx context.Context, id blacklist.Identity) (bool, error) {
	return l.Blacklist.IsRevoked(ctx, id)
}

// A machine whose clock is ahead has cut off the sessions of the subject, and the replica of this one
// does not know it yet.
func TestLogInAfterACutOffThatTheReplicaLacks(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 123e6, time.UTC)
	clock := func() time.Time { return now }
	key := must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))
	list := must(blacklist.NewMemory(blacklist.WithClock(clock)))
	authority := must(security.New("https://issuer.example", must(keys.NewSet(key)), staleList{list}, security.WithClock(clock)))
	sessions := must(session.New(authority, must(session.NewMemory(session.WithMemoryClock(clock))),
		func(context.Context, session.Info) (session.Grant, error) { return session.Grant{}, nil }))
	t.Cleanup(func() { _ = sessions.Close() })
	must(authority.Validator.RevokeSubjectBefore(t.Context(), "alice", now.Add(time.Second)))
	pair := must(must(sessions.Open(t.Context(), "alice")).Begin(t.Context(), session.Login{}))
	token := must(authority.Validator.Verify(t.Context(), accessType, pair.Access.Text()))
	if err := authority.Validator.CheckRevokedNow(t.Context(), token); err != nil {
		t.Errorf("the access token, when the replica has the cut-off: %v", err)
	}
}

// A cut-off may be ahead of the clock by the leeway. A log-in in the same millisecond works.
func TestLogInAtTheCutOff(t *testing.T) {
	for _, tt := range []struct {
		name          string
		leeway, ahead time.Duration
		want          error
	}{
		{name: "no leeway"},
		{name: "no leeway, cut-off ahead", ahead: time.Millisecond, want: security.ErrUnavailable},
		{name: "cut-off ahead by the leeway", leeway: time.Second, ahead: time.Second},
		{name: "cut-off ahead by more", leeway: time.Second, ahead: time.Second + time.Millisecond, want: security.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Date(2030, 1, 1, 12, 0, 0, 123e6, time.UTC)
			clock := func() time.Time { return now }
			key := must(keys.NewHMAC(keys.HS256, []byte("0123456789abcdef0123456789abcdef")))
			authority := must(security.New("https://issuer.example", must(keys.NewSet(key)), must(blacklist.NewMemory(blacklist.WithClock(clock))),
				security.WithClock(clock), security.WithLeeway(tt.leeway)))
			sessions := must(session.New(authority, must(session.NewMemory(session.WithMemoryClock(clock))),
				func(context.Context, session.Info) (session.Grant, error) { return session.Grant{}, nil }))
			t.Cleanup(func() { _ = sessions.Close() })
			must(authority.Validator.RevokeSubjectBefore(t.Context(), "alice", now.Add(tt.ahead)))
			attempt, err := sessions.Open(t.Context(), "alice")
			if !errors.Is(err, tt.want) {
				t.Fatalf("Open returned the error %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				return
			}
			pair := must(attempt.Begin(t.Context(), session.Login{}))
			if _, err := authority.Validator.Verify(t.Context(), accessType, pair.Access.Text()); err != nil {
				t.Errorf("the access token: %v", err)
			}
		})
	}
}
