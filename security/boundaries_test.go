package security

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// TestSessionEntryCoversTokensOfFastClock revokes a session whose token was issued by a clock that
// is ahead by the leeway. The entry lasts until no clock accepts the token.
func TestSessionEntryCoversTokensOfFastClock(t *testing.T) {
	f := newFixture(t)
	issued := f.clock.Now().Add(DefaultLeeway)
	expires := issued.Add(DefaultMaxLifetime)
	text := compactHS256(goodHeader, payloadWith("iat", numericDate(issued), "exp", numericDate(expires)))
	if err := f.validator.RevokeSession(t.Context(), f.token(t, text, accessToken)); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(expires.Add(DefaultLeeway).Sub(f.clock.Now()) - time.Millisecond)
	if err := f.accepted(text, accessToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("in the last millisecond of the token: %v, want %v", err, ErrTokenRevoked)
	}
	f.clock.Advance(time.Millisecond)
	if err := f.accepted(text, accessToken); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("after the end of the token: %v, want %v", err, ErrTokenExpired)
	}
}

// slowList is a blacklist that a revocation reaches after a delay.
type slowList struct {
	blacklist.Blacklist
	clock *clock
	delay time.Duration
}

func (l *slowList) Revoke(ctx context.Context, r blacklist.Revocation) (bool, error) {
	l.clock.Advance(l.delay)
	return l.Blacklist.Revoke(ctx, r)
}

// TestTokenEntryIsInForceOnArrival revokes and consumes tokens in their last millisecond. They
// expire on the way to the blacklist, which refuses entries of the past.
func TestTokenEntryIsInForceOnArrival(t *testing.T) {
	for _, tt := range []struct {
		name string
		call func(v *Validator, token AnyToken) error
	}{
		{"revoke", func(v *Validator, token AnyToken) error { return v.Revoke(context.Background(), token) }},
		{"consume", func(v *Validator, token AnyToken) error { return v.Consume(context.Background(), token) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			slow := &slowList{Blacklist: f.list, clock: f.clock, delay: 900 * time.Millisecond}
			validator := must(NewValidator(f.verifier, slow))(t)
			_, access, _ := f.login(t)
			f.clock.Advance(DefaultAccessLifetime + DefaultLeeway - fraction - time.Millisecond)
			if err := tt.call(validator, access); err != nil {
				t.Error(err)
			}
			if f.list.Writes != 1 {
				t.Errorf("%d writes, want 1", f.list.Writes)
			}
		})
	}
}

// TestLongestLifetimeHasNoLeeway verifies tokens around the longest lifetime. The leeway is for
// clocks, and a lifetime is a difference of two times of one clock.
func TestLongestLifetimeHasNoLeeway(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		name     string
		lifetime time.Duration
		want     error
	}{
		{"the longest", DefaultMaxLifetime, nil},
		{"a millisecond longer", DefaultMaxLifetime + time.Millisecond, ErrInvalidToken},
		{"longer by the leeway", DefaultMaxLifetime + DefaultLeeway, ErrInvalidToken},
	} {
		now := f.clock.Now()
		text := compactHS256(goodHeader, payloadWith("iat", numericDate(now), "exp", numericDate(now.Add(tt.lifetime))))
		if err := f.accepted(text, accessToken); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestOnlyAccessTokensAreFresh issues tokens with WithFresh.
func TestOnlyAccessTokensAreFresh(t *testing.T) {
	f := newFixture(t)
	_, access, refresh := f.login(t, WithFresh())
	if !access.Fresh() || refresh.Fresh() {
		t.Errorf("in a pair: access token fresh %v, want true; refresh token fresh %v, want false", access.Fresh(), refresh.Fresh())
	}
	single := must(f.issuer.IssueRefreshToken(t.Context(), "alice", nil, WithFresh()))(t)
	if f.token(t, single.Text(), refreshToken).Fresh() {
		t.Error("a single refresh token is fresh")
	}
	email := NewTokenType[NoClaims]("email")
	other := must(f.issuer.Issue(t.Context(), email, "alice", nil, WithFresh()))(t)
	if f.token(t, other.Text(), email).Fresh() {
		t.Error("a token of another type is fresh")
	}
}

// numericDate returns the time as a NumericDate with milliseconds.
func numericDate(at time.Time) string {
	return fmt.Sprintf("%d.%03d", at.Unix(), at.Nanosecond()/int(time.Millisecond))
}
