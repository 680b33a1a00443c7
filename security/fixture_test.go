package security

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// userClaims are the private claims of the access tokens of these tests.
type userClaims struct {
	Name string `json:"name,omitempty"`
	Team *struct {
		ID int `json:"id"`
	} `json:"team,omitempty"`
}

var (
	accessToken  = NewTokenType[userClaims]("access")
	refreshToken = NewTokenType[NoClaims]("refresh")
)

const (
	testIssuer = sectest.Issuer
	goodHeader = sectest.GoodHeader
)

var (
	testSecret   = sectest.Secret
	errSecretive = sectest.ErrSecretive
	newClock     = sectest.NewClock
	compactHS256 = sectest.CompactHS256
	signHS256    = sectest.SignHS256
	payloadWith  = sectest.PayloadWith
)

// fraction is how far the clock of the tests begins behind a whole second. The times of a token are
// whole seconds, so that a token ends this much before its lifetime is over.
const fraction = 123 * time.Millisecond

type clock = sectest.Clock

func must[T any](value T, err error) func(testing.TB) T { return sectest.Must(value, err) }

// fixture is an application: one issuer and one validator over a blacklist in memory.
type fixture struct {
	clock     *clock
	verifier  *Verifier
	issuer    *Issuer
	validator *Validator
	list      *sectest.FaultyList
}

func newFixture(t testing.TB, options ...Option) *fixture {
	t.Helper()
	f := &fixture{clock: newClock()}
	key := must(keys.NewHMAC(keys.HS256, testSecret, keys.WithID("k1")))(t)
	memory := must(blacklist.NewMemory(blacklist.WithClock(f.clock.Now), blacklist.WithLogger(slog.New(slog.DiscardHandler))))(t)
	t.Cleanup(func() { _ = memory.Close() })
	f.list = &sectest.FaultyList{Blacklist: memory}
	authority := must(New(testIssuer, must(keys.NewSet(key))(t), f.list, append(options, WithClock(f.clock.Now))...))(t)
	f.verifier, f.issuer, f.validator = authority.Verifier, authority.Issuer, authority.Validator
	return f
}

// validate makes the decision of a guard of an operation without rules.
func (f *fixture) validate(ctx context.Context, text string, typ TokenType) (AnyToken, error) {
	token, err := f.validator.Verifier(typ.Verifier()).Verify(ctx, typ, text)
	if err != nil {
		return nil, err
	}
	if err := f.validator.CheckRevoked(ctx, token); err != nil {
		return nil, err
	}
	_, err = f.validator.RunHook(ctx, token)
	return token, err
}

// token verifies a text and returns the token.
func (f *fixture) token(t testing.TB, text string, typ TokenType) AnyToken {
	t.Helper()
	return must(f.verifier.Verify(t.Context(), typ, text))(t)
}

// isKnown reports whether an error is one of the sentinels.
func isKnown(err error) bool {
	var e *Error
	return errors.As(err, &e)
}
