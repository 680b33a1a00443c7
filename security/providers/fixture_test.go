package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/providers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var accessToken = security.NewTokenType[security.NoClaims]("access")

// rsaKey makes one RSA key for all tests: making one is slow.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newKey returns a key of the algorithm with the id k1, or without an id for HS256.
func newKey(t testing.TB, algorithm keys.Algorithm) *keys.Key {
	t.Helper()
	switch algorithm {
	case keys.HS256:
		return sectest.Must(keys.NewHMAC(keys.HS256, sectest.Secret))(t)
	case keys.ES256:
		return sectest.Must(keys.NewECDSA(sectest.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), keys.WithID("k1")))(t)
	case keys.ES384:
		return sectest.Must(keys.NewECDSA(sectest.Must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t), keys.WithID("k1")))(t)
	}
	return sectest.Must(keys.NewRSA(keys.RS256, sectest.Must(rsaKey())(t), keys.WithID("k1")))(t)
}

// object is a JOSE header or a payload.
type object map[string]any

// with returns the object with members replaced or added, or removed where the value is nil.
func (o object) with(changes object) object {
	changed := object{}
	maps.Copy(changed, o)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

func segment(t testing.TB, o object) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString(sectest.Must(json.Marshal(o))(t))
}

func compact(t testing.TB, key *keys.Key, header, claims object) string {
	t.Helper()
	signed := segment(t, header) + "." + segment(t, claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sectest.Must(key.Sign(signed))(t))
}

// at returns an instant in seconds.
func at(seconds int64) time.Time { return time.Unix(seconds, 0) }

// now is the time of the clock of the tests in seconds.
const now = 1_700_000_000

// preset is a call of this package with a token as the provider writes it.
type preset struct {
	name      string
	open      func(t testing.TB, source keys.Source, options ...providers.Option) (*providers.Provider, error)
	algorithm keys.Algorithm
	// header has no alg and no kid: they are added.
	header, claims object
	want           accepted
	// variants are changes of the token that the provider also writes.
	variants []object
	defects  []defect
	// lacks are defects that tokens of the provider cannot have, with the reason.
	lacks map[string]string
}

// accepted is what a token of the provider is read as.
type accepted struct {
	verifier      string
	roles, scopes []string
	identity      blacklist.Identity
}

// defect is a change of the token that is refused.
type defect struct {
	name           string
	header, claims object
	options        []providers.Option
	want           error
}

// Names of the defects that each preset is tested with.
const (
	otherAudience = "another audience"
	otherClient   = "another client"
	otherIssuer   = "another issuer"
	anIDToken     = "an ID token for an access token"
	wrongType     = "another type"
	expired       = "expired"
	unsigned      = "no signature"
)

// fixture is an opened preset.
type fixture struct {
	preset
	key       *keys.Key
	clock     *sectest.Clock
	provider  *providers.Provider
	validator *security.Validator
}

func newFixture(t testing.TB, p preset, options ...providers.Option) *fixture {
	t.Helper()
	f := &fixture{preset: p, key: newKey(t, p.algorithm), clock: sectest.NewClock()}
	options = append(slices.Clone(options), providers.WithVerifierOptions(security.WithClock(f.clock.Now)))
	f.provider = sectest.Must(p.open(t, sectest.Must(keys.NewSet(f.key))(t), options...))(t)
	list := sectest.Must(blacklist.NewMemory(blacklist.WithClock(f.clock.Now), blacklist.WithLogger(slog.New(slog.DiscardHandler))))(t)
	t.Cleanup(func() { _ = list.Close() })
	f.validator = sectest.Must(security.NewValidator(f.provider.Verifier, list))(t)
	return f
}

// fullHeader adds alg and kid.
func (f *fixture) fullHeader(changes object) object {
	header := f.header.with(object{"alg": string(f.key.Algorithm()), "kid": "k1"})
	if f.algorithm == keys.HS256 {
		delete(header, "kid")
	}
	return header.with(changes)
}

func (f *fixture) text(t testing.TB, header, claims object) string {
	t.Helper()
	return compact(t, f.key, f.fullHeader(header), f.claims.with(claims))
}

// verify asks the verifier and the blacklist.
func (f *fixture) verify(t testing.TB, text string) (security.AnyToken, error) {
	t.Helper()
	return f.validator.Verify(t.Context(), accessToken, text)
}

// testPresets checks that each preset accepts its tokens, and refuses each defect of them.
func testPresets(t *testing.T, presets []preset) {
	for _, p := range presets {
		t.Run(p.name, func(t *testing.T) {
			testAccepted(t, newFixture(t, p))
			testRevoked(t, newFixture(t, p))
			for _, variant := range p.variants {
				f := newFixture(t, p)
				if _, err := f.verify(t, f.text(t, nil, variant)); err != nil {
					t.Errorf("a good token with %v: %v (%s)", variant, err, security.Reason(err))
				}
			}
			defects := append(slices.Clone(p.defects), defect{name: expired, claims: object{"iat": now - 7200, "nbf": nil, "auth_time": nil, "exp": now - 3600}, want: security.ErrTokenExpired})
			if _, found := p.claims["auth_time"]; found {
				defects[len(defects)-1].claims["auth_time"] = now - 7200
			}
			for _, d := range defects {
				f := newFixture(t, p, d.options...)
				if _, err := f.verify(t, f.text(t, d.header, d.claims)); !errors.Is(err, d.want) {
					t.Errorf("%s: %v (%s), want %v", d.name, err, security.Reason(err), d.want)
				}
			}
			testUnsigned(t, newFixture(t, p))
			for _, name := range []string{otherAudience, otherClient, otherIssuer, anIDToken, wrongType} {
				tested := slices.ContainsFunc(p.defects, func(d defect) bool { return d.name == name })
				if reason, lacks := p.lacks[name]; tested == lacks || lacks && reason == "" {
					t.Errorf("%s: tested %t, lacks %q; want one of both", name, tested, reason)
				}
			}
		})
	}
}

func testAccepted(t *testing.T, f *fixture) {
	t.Helper()
	for range 2 { // the second one is from the cache
		token, err := f.verify(t, f.text(t, nil, nil))
		if err != nil {
			t.Fatalf("a good token: %v (%s)", err, security.Reason(err))
		}
		if got, want := fmt.Sprint(token.Roles(), token.Scopes()), fmt.Sprint(f.want.roles, f.want.scopes); got != want {
			t.Errorf("roles and scopes %s, want %s", got, want)
		}
		if f.want.identity.SessionStart.IsZero() {
			f.want.identity.SessionStart = time.Unix(now, 0)
		}
		got := token.Identity()
		if !got.SessionStart.Equal(f.want.identity.SessionStart) {
			t.Errorf("session start %s, want %s", got.SessionStart, f.want.identity.SessionStart)
		}
		got.SessionStart = f.want.identity.SessionStart
		if got != f.want.identity || token.Subject() != got.Subject {
			t.Errorf("identity %+v, want %+v", got, f.want.identity)
		}
	}
	if got := f.provider.Verifier.Name(); got != f.want.verifier {
		t.Errorf("the verifier is %q, want %q", got, f.want.verifier)
	}
}

// testRevoked revokes the token, its session and its subject, as far as it has them.
func testRevoked(t *testing.T, f *fixture) {
	t.Helper()
	identity := f.want.identity
	kinds := map[string]bool{"token": identity.ID != "", "session": identity.Session != "", "subject": true}
	for kind, can := range kinds {
		f := newFixture(t, f.preset)
		text := f.text(t, nil, nil)
		token, err := f.verify(t, text)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "token":
			err = f.validator.Revoke(t.Context(), token)
		case "session":
			err = f.validator.RevokeSession(t.Context(), token)
		default:
			_, err = f.validator.RevokeSubjectOf(t.Context(), token)
		}
		if (err == nil) != can {
			t.Errorf("revoking the %s: %v, want success %t", kind, err, can)
		}
		if _, err := f.verify(t, text); can && !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("after revoking the %s: %v", kind, err)
		}
	}
}

func testUnsigned(t *testing.T, f *fixture) {
	t.Helper()
	good := f.text(t, nil, nil)
	other := newKey(t, keys.ES256)
	if f.algorithm == keys.HS256 {
		other = sectest.Must(keys.NewHMAC(keys.HS256, []byte("another secret of 32 bytes or so")))(t)
	}
	payload := segment(t, f.claims)
	for name, text := range map[string]string{
		"empty signature":          good[:len(good)-len(lastSegment(good))],
		"alg none":                 segment(t, f.fullHeader(object{"alg": "none"})) + "." + payload + ".",
		"alg none and a signature": segment(t, f.fullHeader(object{"alg": "none"})) + "." + payload + "." + lastSegment(good),
		"another key":              compact(t, other, f.fullHeader(nil), f.claims),
	} {
		if _, err := f.verify(t, text); !errors.Is(err, security.ErrInvalidToken) {
			t.Errorf("%s, %s: %v", unsigned, name, err)
		}
	}
}

func lastSegment(text string) string {
	for i := len(text) - 1; ; i-- {
		if text[i] == '.' {
			return text[i+1:]
		}
	}
}
