package security

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestConstructorsRefuse calls constructors with values that are not valid. Each returns an error.
func TestConstructorsRefuse(t *testing.T) {
	key := must(keys.NewHMAC(keys.HS256, testSecret))(t)
	set := must(keys.NewSet(key))(t)
	verifier := must(NewVerifier(testIssuer, set))(t)
	for name, err := range map[string]error{
		"an empty HMAC key":              second(keys.NewHMAC(keys.HS256, nil)),
		"an HMAC key below the hash":     second(keys.NewHMAC(keys.HS256, testSecret[:31])),
		"HS512 with 32 bytes":            second(keys.NewHMAC(keys.HS512, testSecret)),
		"EdDSA as HMAC":                  second(keys.NewHMAC(keys.EdDSA, testSecret)),
		"a short Ed25519 key":            second(keys.NewEd25519(make(ed25519.PrivateKey, 10))),
		"a short Ed25519 public key":     second(keys.NewEd25519Public(make(ed25519.PublicKey, 10))),
		"an empty key id":                second(keys.NewHMAC(keys.HS256, testSecret, keys.WithID(""))),
		"an empty key set":               second(keys.NewSet()),
		"a nil key":                      second(keys.NewSet(nil)),
		"a zero key":                     second(keys.NewSet(&keys.Key{})),
		"two keys of one id":             second(keys.NewSet(key, key)),
		"no issuer":                      second(NewVerifier("", set)),
		"no keys":                        second(NewVerifier(testIssuer, nil)),
		"a leeway of an hour":            second(NewVerifier(testIssuer, set, WithLeeway(time.Hour))),
		"a negative leeway":              second(NewVerifier(testIssuer, set, WithLeeway(-1))),
		"an empty audience":              second(NewVerifier(testIssuer, set, WithAudience(""))),
		"no audience":                    second(NewVerifier(testIssuer, set, WithAudience())),
		"no lifetime":                    second(NewVerifier(testIssuer, set, WithMaxLifetime(0))),
		"tiny tokens":                    second(NewVerifier(testIssuer, set, WithMaxTokenSize(3))),
		"no logger":                      second(NewVerifier(testIssuer, set, WithLogger(nil))),
		"no clock":                       second(NewVerifier(testIssuer, set, WithClock(nil))),
		"a nil verifier option":          second(NewVerifier(testIssuer, set, nil)),
		"no verifier":                    second(NewIssuer(nil)),
		"a lifetime beyond the longest":  second(NewIssuer(verifier, WithAccessLifetime(31*24*time.Hour))),
		"a session beyond the longest":   second(NewIssuer(verifier, WithSessionLifetime(31*24*time.Hour))),
		"a negative lifetime":            second(NewIssuer(verifier, WithAccessLifetime(-1))),
		"a nil default of tokens":        second(NewIssuer(verifier, WithTokenDefaults(WithClientID("web"), nil))),
		"a default id of tokens":         second(NewIssuer(verifier, WithTokenDefaults(WithID("one")))),
		"a default role that is empty":   second(NewIssuer(verifier, WithTokenDefaults(WithRoles("")))),
		"a default header alg":           second(NewIssuer(verifier, WithTokenDefaults(WithHeader("alg", "none")))),
		"a validator without a verifier": second(NewValidator(nil, &sectest.FaultyList{})),
		"a validator without blacklist":  second(NewValidator(verifier, nil)),
		"a negative time-out":            second(NewValidator(verifier, &sectest.FaultyList{}, WithLookupTimeout(-1))),
		"no time-out to revoke":          second(NewValidator(verifier, &sectest.FaultyList{}, WithRevocationTimeout(0))),
		"a skew of an hour":              second(NewValidator(verifier, &sectest.FaultyList{}, WithClockSkew(time.Hour))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }
