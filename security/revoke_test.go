package security

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// login issues a pair and returns the verified tokens.
func (f *fixture) login(t testing.TB, options ...TokenOption) (pair TokenPair, access, refresh AnyToken) {
	t.Helper()
	pair = must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil, options...))(t)
	return pair, f.token(t, pair.Access.Text(), accessToken), f.token(t, pair.Refresh.Text(), refreshToken)
}

// accepted validates a text and returns the error, or nil if it is accepted.
func (f *fixture) accepted(text string, typ TokenType) error {
	_, err := f.validate(context.Background(), text, typ)
	return err
}

// TestRevocations checks for each kind of revocation which tokens it covers.
func TestRevocations(t *testing.T) {
	for _, tt := range []struct {
		name   string
		revoke func(f *fixture, access, refresh AnyToken) error
		// These report what is revoked afterwards: the tokens of the log-in, those of another
		// log-in of the subject, those of another subject, and those of a log-in after the
		// revocation.
		access, refresh, device, other, later bool
	}{
		{
			name: "token",
			revoke: func(f *fixture, access, _ AnyToken) error {
				return f.validator.Revoke(context.Background(), access)
			},
			access: true,
		},
		{
			name: "session by the refresh token",
			revoke: func(f *fixture, _, refresh AnyToken) error {
				return f.validator.RevokeSession(context.Background(), refresh)
			},
			access: true, refresh: true,
		},
		{
			name: "session by the access token",
			revoke: func(f *fixture, access, _ AnyToken) error {
				return f.validator.RevokeSession(context.Background(), access)
			},
			access: true, refresh: true,
		},
		{
			name: "subject",
			revoke: func(f *fixture, _, _ AnyToken) error {
				return second(f.validator.RevokeSubject(context.Background(), "alice"))
			},
			access: true, refresh: true, device: true,
		},
		{
			name: "subject, before the log-in",
			revoke: func(f *fixture, access, _ AnyToken) error {
				return second(f.validator.RevokeSubjectBefore(context.Background(), "alice", f.clock.Now().Add(-time.Millisecond)))
			},
		},
		{
			name: "everybody",
			revoke: func(f *fixture, _, _ AnyToken) error {
				return second(f.validator.RevokeAll(context.Background()))
			},
			access: true, refresh: true, device: true, other: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			pair, access, refresh := f.login(t)
			device := must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
			other := must(f.issuer.IssueTokenPair(t.Context(), "bob", nil, nil))(t)
			if err := tt.revoke(f, access, refresh); err != nil {
				t.Fatal(err)
			}
			f.clock.Advance(time.Millisecond)
			later := must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
			for _, c := range []struct {
				name string
				text string
				typ  TokenType
				want bool
			}{
				{name: "access", text: pair.Access.Text(), typ: accessToken, want: tt.access},
				{name: "another log-in of the subject", text: device.Access.Text(), typ: accessToken, want: tt.device},
				{name: "another subject", text: other.Access.Text(), typ: accessToken, want: tt.other},
				{name: "a later log-in", text: later.Access.Text(), typ: accessToken, want: tt.later},
				{name: "refresh", text: pair.Refresh.Text(), typ: refreshToken, want: tt.refresh},
			} {
				err := f.accepted(c.text, c.typ)
				if errors.Is(err, ErrTokenRevoked) != c.want || (err != nil) != c.want {
					t.Errorf("%s: %v; want revoked: %v", c.name, err, c.want)
				}
			}
		})
	}
}

// TestRefresh consumes refresh tokens. The second use of one ends the session, live access tokens
// included.
func TestRefresh(t *testing.T) {
	f := newFixture(t)
	pair, _, refresh := f.login(t, WithFresh())
	otherSession := must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)

	f.clock.Advance(time.Minute)
	if err := f.validator.Consume(t.Context(), refresh); err != nil {
		t.Fatal(err)
	}
	next := must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil, WithSession(refresh)))(t)
	if err := errors.Join(f.accepted(next.Access.Text(), accessToken), f.accepted(next.Refresh.Text(), refreshToken), f.accepted(pair.Access.Text(), accessToken)); err != nil {
		t.Fatalf("after the refresh: %v", err)
	}
	// The consumed token is presented again.
	if err := f.accepted(pair.Refresh.Text(), refreshToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("the consumed token: %v", err)
	}
	for name, text := range map[string]string{"old access": pair.Access.Text(), "new access": next.Access.Text()} {
		if err := f.accepted(text, accessToken); !errors.Is(err, ErrTokenRevoked) {
			t.Errorf("%s token after the reuse: %v", name, err)
		}
	}
	if err := f.accepted(next.Refresh.Text(), refreshToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("new refresh token after the reuse: %v", err)
	}
	if err := f.accepted(otherSession.Access.Text(), accessToken); err != nil {
		t.Errorf("another session of the subject: %v", err)
	}
	// Presenting it again and again writes nothing more.
	writes := f.list.Writes
	for range 5 {
		_ = f.accepted(pair.Refresh.Text(), refreshToken)
	}
	if f.list.Writes != writes {
		t.Errorf("%d writes for presenting a revoked token again, want none", f.list.Writes-writes)
	}
}

// TestConcurrentRefresh consumes one refresh token from many goroutines. Exactly one succeeds, and
// the session ends, because the token was used twice.
func TestConcurrentRefresh(t *testing.T) {
	for range 20 {
		f := newFixture(t)
		pair, _, refresh := f.login(t)
		var won, lost atomic.Int32
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				switch err := f.validator.Consume(context.Background(), refresh); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrTokenRevoked):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 || lost.Load() != 7 {
			t.Fatalf("%d succeeded, %d failed; want 1 and 7", won.Load(), lost.Load())
		}
		if err := f.accepted(pair.Access.Text(), accessToken); !errors.Is(err, ErrTokenRevoked) {
			t.Fatalf("the session did not end: %v", err)
		}
	}
}

// TestRefreshDoesNotProlongSession refreshes again and again. The session ends at the time that its
// log-in set.
func TestRefreshDoesNotProlongSession(t *testing.T) {
	f := newFixture(t)
	pair, _, refresh := f.login(t)
	end := pair.Refresh.ExpiresAt()
	start := f.clock.Now().Truncate(time.Second).UTC()
	for range 29 {
		f.clock.Advance(24 * time.Hour)
		next := must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil, WithSession(refresh)))(t)
		if got := next.Refresh.ExpiresAt(); !got.Equal(end) {
			t.Fatalf("the session ends %s, want %s", got, end)
		}
		token := f.token(t, next.Refresh.Text(), refreshToken).(Token[NoClaims])
		if token.AuthTime() != start || token.Fresh() {
			t.Fatalf("auth time %s, fresh %v; want the auth time of the log-in and not fresh", token.AuthTime(), token.Fresh())
		}
		refresh = token
	}
	f.clock.Advance(24*time.Hour - 5*time.Minute)
	last := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithSession(refresh)))(t)
	if last.ExpiresIn() != 5*time.Minute || !last.ExpiresAt().Equal(end) {
		t.Errorf("the last access token lives %s, beyond its session", last.ExpiresIn())
	}
	f.clock.Advance(5 * time.Minute)
	if _, err := f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithSession(refresh)); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("after the end of the session: %v", err)
	}
}

// TestSessionKeepsItsEnd refreshes a session with an issuer whose sessions last longer, as after a
// change of configuration.
func TestSessionKeepsItsEnd(t *testing.T) {
	f := newFixture(t)
	f.issuer = must(NewIssuer(f.verifier, WithSessionLifetime(time.Hour)))(t)
	pair, _, refresh := f.login(t)
	longer := must(NewIssuer(f.verifier))(t)
	next := must(longer.IssueTokenPair(t.Context(), "alice", nil, nil, WithSession(refresh)))(t)
	if !next.Refresh.ExpiresAt().Equal(pair.Refresh.ExpiresAt()) {
		t.Errorf("the session ended %s and now ends %s", pair.Refresh.ExpiresAt(), next.Refresh.ExpiresAt())
	}
}

// TestRevocationOutlivesTokens checks that an entry is in force as long as any clock accepts the
// token.
func TestRevocationOutlivesTokens(t *testing.T) {
	f := newFixture(t)
	pair, access, _ := f.login(t)
	if err := f.validator.Revoke(t.Context(), access); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(DefaultAccessLifetime + DefaultLeeway - fraction - time.Millisecond)
	if err := f.accepted(pair.Access.Text(), accessToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("in the last millisecond of the leeway: %v", err)
	}
	f.clock.Advance(time.Millisecond)
	if err := f.accepted(pair.Access.Text(), accessToken); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("after the leeway: %v", err)
	}
}

// TestRevokeTokenThatExpiredDuringRequest revokes and consumes tokens that expired during the
// request.
func TestRevokeTokenThatExpiredDuringRequest(t *testing.T) {
	f := newFixture(t)
	_, access, refresh := f.login(t)
	f.clock.Advance(DefaultSessionLifetime + DefaultLeeway)
	if err := f.validator.Revoke(t.Context(), access); err != nil {
		t.Errorf("revoking: %v", err)
	}
	if err := f.validator.Consume(t.Context(), refresh); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("consuming: %v", err)
	}
	if f.list.Writes != 0 {
		t.Errorf("%d writes, want none", f.list.Writes)
	}
}

// TestCutOffIncludesItsMillisecond checks that a log-in in the millisecond of the cut-off is
// revoked, and that one a millisecond later is not.
func TestCutOffIncludesItsMillisecond(t *testing.T) {
	f := newFixture(t, WithClockSkew(2*time.Second))
	same, _, _ := f.login(t)
	cutOff := must(f.validator.RevokeSubject(t.Context(), "alice"))(t)
	if want := f.clock.Now().Add(2 * time.Second).Truncate(time.Millisecond); !cutOff.Equal(want) {
		t.Errorf("cut-off %s, want %s", cutOff, want)
	}
	if err := f.accepted(same.Access.Text(), accessToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("a log-in in the same millisecond: %v", err)
	}
	after := must(f.issuer.IssueTokenPair(t.Context(), "alice", nil, nil, WithSessionStart(cutOff.Add(time.Millisecond))))(t)
	if err := f.accepted(after.Access.Text(), accessToken); err != nil {
		t.Errorf("a log-in of the same request, begun after the cut-off: %v", err)
	}
}

// TestRevokeFails checks that a revocation that was not recorded is an error, with the cause behind
// errors.Is and not in the text.
func TestRevokeFails(t *testing.T) {
	f := newFixture(t)
	_, access, refresh := f.login(t)
	f.list.Fail(nil, errSecretive)
	ctx := t.Context()
	for name, err := range map[string]error{
		"token":   f.validator.Revoke(ctx, access),
		"session": f.validator.RevokeSession(ctx, refresh),
		"consume": f.validator.Consume(ctx, refresh),
		"subject": second(f.validator.RevokeSubject(ctx, "alice")),
		"all":     second(f.validator.RevokeAll(ctx)),
	} {
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errSecretive) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRevokeIgnoresCancellation checks that a client that hangs up is logged out.
func TestRevokeIgnoresCancellation(t *testing.T) {
	f := newFixture(t)
	pair, _, refresh := f.login(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.validator.RevokeSession(ctx, refresh); err != nil {
		t.Fatal(err)
	}
	if err := f.accepted(pair.Access.Text(), accessToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("after the log-out of a client that hung up: %v", err)
	}
}

func TestTokensThatCannotBeRevoked(t *testing.T) {
	f, other := newFixture(t), newFixture(t)
	_, ofOther, _ := other.login(t)
	noSession := f.token(t, compactHS256(goodHeader, payloadWith("sid", "")), accessToken)
	ctx := t.Context()
	for name, err := range map[string]error{
		"nil":                                           f.validator.Revoke(ctx, nil),
		"the zero token":                                f.validator.Revoke(ctx, Token[NoClaims]{}),
		"the zero token's session":                      f.validator.RevokeSession(ctx, Token[userClaims]{}),
		"the zero token to consume":                     f.validator.Consume(ctx, Token[NoClaims]{}),
		"a token of another verifier":                   f.validator.Revoke(ctx, ofOther),
		"the session of a token without one":            f.validator.RevokeSession(ctx, noSession),
		"the empty subject":                             second(f.validator.RevokeSubject(ctx, "")),
		"continuing the zero token":                     second(f.issuer.IssueAccessToken(ctx, "alice", nil, WithSession(Token[NoClaims]{}))),
		"continuing the session of a token without one": second(f.issuer.IssueAccessToken(ctx, "alice", nil, WithSession(noSession))),
		"continuing the session of another verifier":    second(f.issuer.IssueAccessToken(ctx, "alice", nil, WithSession(ofOther))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := f.validator.RevokeSession(ctx, noSession); !errors.Is(err, blacklist.ErrInvalid) {
		t.Errorf("the session of a token without one: %v", err)
	}
}
