package security_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
)

// TestRevocationOutlivesShortTokensOfProvider has a provider whose access tokens are short and whose
// sessions are long. A session that was revoked stays so, whatever tokens it is refreshed into.
func TestRevocationOutlivesShortTokensOfProvider(t *testing.T) {
	for name, revoke := range map[string]func(*security.Validator, security.AnyToken) error{
		"session": func(v *security.Validator, token security.AnyToken) error {
			return v.RevokeSession(context.Background(), token)
		},
		"subject": func(v *security.Validator, token security.AnyToken) error {
			return second(v.RevokeSubjectOf(context.Background(), token))
		},
	} {
		app := provider(t, nil, security.WithMaxLifetime(15*time.Minute))
		begun := fmt.Sprint(app.Clock.Now().Unix())
		text := func() string {
			now := app.Clock.Now().Unix()
			return sectest.CompactHS256(plainHeader, sectest.PayloadWith("auth_time", begun, "sid", `"s1"`,
				"iat", fmt.Sprint(now), "nbf", "", "exp", fmt.Sprint(now+900), "jti", fmt.Sprintf(`"%d"`, now)))
		}
		if err := revoke(app.Validator, app.Token(t, text(), apptest.AccessToken)); err != nil {
			t.Fatal(err)
		}
		for _, later := range []time.Duration{10 * time.Minute, 17 * time.Minute, 24 * time.Hour, 28 * 24 * time.Hour} {
			app.Clock.Advance(later)
			if err := app.Refuses(t, text(), apptest.AccessToken); !errors.Is(err, security.ErrTokenRevoked) {
				t.Errorf("%s, refreshed %s later: %v", name, later, err)
			}
		}
	}
}

// TestLogOutAtAnotherService has two services of one issuer and one blacklist. One accepts only short
// tokens. A log-out there ends the session for the service that issues too.
func TestLogOutAtAnotherService(t *testing.T) {
	app := apptest.New(t)
	resource := sectest.Must(security.NewVerifier(sectest.Issuer, app.Keys, security.WithClock(app.Clock.Now), security.WithMaxLifetime(15*time.Minute)))(t)
	there := sectest.Must(security.NewValidator(resource, app.List))(t)
	pair := sectest.Must(app.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
	token := sectest.Must(there.Verify(t.Context(), apptest.AccessToken, pair.Access.Text()))(t)
	if err := there.RevokeSession(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{0, 17 * time.Minute, 29 * 24 * time.Hour} {
		app.Clock.Advance(later)
		if err := app.Refuses(t, pair.Refresh.Text(), apptest.RefreshToken); !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("the refresh token, %s later: %v", later, err)
		}
	}
}

// TestRevokeSubjectOfProviderWhoseClockIsAhead has a provider whose clock is ahead within the leeway.
// The token that was shown is revoked, by its iat or by its auth_time.
func TestRevokeSubjectOfProviderWhoseClockIsAhead(t *testing.T) {
	for name, claims := range map[string][]string{
		"iat":                     {"iat", "1700000005", "nbf", "1700000005", "auth_time", ""},
		"iat with a fraction":     {"iat", "1700000005.987", "nbf", "", "auth_time", ""},
		"auth_time":               {"iat", "1700000005", "nbf", "", "auth_time", "1700000005"},
		"auth_time ahead of iat":  {"auth_time", "1700000020"},
		"auth_time long ago":      {"auth_time", "1600000000"},
		"auth_time of the second": {"auth_time", "1700000000"},
	} {
		app := provider(t, nil)
		text := sectest.CompactHS256(plainHeader, sectest.PayloadWith(claims...))
		token := app.Token(t, text, apptest.AccessToken)
		if _, err := app.Validator.RevokeSubjectOf(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := app.Refuses(t, text, apptest.AccessToken); !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
