package keys_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testIssuer = sectest.Issuer

var (
	testSecret   = sectest.Secret
	errSecretive = sectest.ErrSecretive
	newClock     = sectest.NewClock
	compactHS256 = sectest.CompactHS256
	payloadWith  = sectest.PayloadWith
	checkProblem = sectest.CheckProblem
	accessToken  = apptest.AccessToken
)

type clock = sectest.Clock

func must[T any](value T, err error) func(testing.TB) T { return sectest.Must(value, err) }

func must2[A, B any](a A, b B, err error) func(testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

func second[T any](_ T, err error) error { return err }

// verify verifies a text and returns the error.
func verify(t testing.TB, v *security.Verifier, text string) error {
	t.Helper()
	return second(v.Verify(t.Context(), accessToken, text))
}
