package securitytest_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
	"github.com/oapi-guard/oapi-guard/security/securitytest"
)

var (
	accessType  = gen.AccessToken{}.TokenType()
	refreshType = gen.RefreshToken{}.TokenType()
	ann         = gen.UserClaims{Name: "Ann"}
)

// recordingT is a testing.TB that records failures.
type recordingT struct {
	testing.TB
	failures []string
}

func (r *recordingT) Helper() {}

func (r *recordingT) Errorf(format string, arguments ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, arguments...))
}

func (r *recordingT) Error(arguments ...any) {
	r.failures = append(r.failures, fmt.Sprint(arguments...))
}

func (r *recordingT) Fatalf(format string, arguments ...any) {
	r.Errorf(format, arguments...)
	runtime.Goexit()
}

// failuresOf returns the failures of a test that is expected to fail.
func failuresOf(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	recorder := &recordingT{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(recorder)
	}()
	<-done
	return strings.Join(recorder.failures, "\n")
}

func TestTypedToken(t *testing.T) {
	token := securitytest.Token[gen.AccessToken](t, "ann", securitytest.Roles("ADMIN"), securitytest.Scopes("reports"), securitytest.Claims(ann), securitytest.Fresh())
	if token.Subject() != "ann" || !token.HasRole("ADMIN") || !token.HasScope("reports") || token.Claims() != ann || !token.Fresh() || token.Type() != "access" {
		t.Errorf("%q %q %q %+v fresh=%t %q", token.Subject(), token.Roles(), token.Scopes(), token.Claims(), token.Fresh(), token.Type())
	}
	if refresh := securitytest.Token[gen.RefreshToken](t, "ann"); refresh.Type() != "refresh" || refresh.Session() == "" {
		t.Errorf("type %q, session %q", refresh.Type(), refresh.Session())
	}
}

func TestTokenOfAFixtureWorksWithItsValidator(t *testing.T) {
	fixture := securitytest.New(t)
	token := securitytest.TokenFrom[gen.RefreshToken](fixture, "ann")
	if err := fixture.Validator.Consume(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := fixture.Validator.CheckRevoked(t.Context(), token); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("after it was consumed: %v", err)
	}
	revoked := securitytest.TokenFrom[gen.AccessToken](fixture, "ann", securitytest.Claims(ann), securitytest.Revoked)
	if err := fixture.Validator.CheckRevoked(t.Context(), revoked); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("a revoked token: %v", err)
	}
	if err := fixture.Validator.Revoke(t.Context(), gen.AccessToken{}); err == nil {
		t.Error("the zero token was revoked")
	}
}

func TestDefects(t *testing.T) {
	refused := []error{
		security.ErrTokenExpired, security.ErrTokenNotYetValid, security.ErrTokenRevoked, security.ErrWrongTokenType, security.ErrInvalidToken,
	}
	for _, typ := range []security.TokenType{accessType, refreshType, security.NewTokenType[security.NoClaims]("invite")} {
		for _, tt := range []struct {
			defect securitytest.Defect
			want   error
		}{
			{securitytest.Expired, security.ErrTokenExpired},
			{securitytest.NotYetValid, security.ErrTokenNotYetValid},
			{securitytest.OtherIssuer, security.ErrInvalidToken},
			{securitytest.OtherAudience, security.ErrInvalidToken},
			{securitytest.WrongType, security.ErrWrongTokenType},
			{securitytest.Revoked, security.ErrTokenRevoked},
			{securitytest.BadSignature, security.ErrInvalidToken},
		} {
			fixture := securitytest.New(t, securitytest.WithClaims("access", ann))
			text := fixture.Text(typ, "ann", tt.defect)
			_, err := fixture.Validator.Verify(t.Context(), typ, text)
			for _, reason := range refused {
				if errors.Is(err, reason) != (reason == tt.want) {
					t.Errorf("%s, %s: %v, want %v", typ.Name(), tt.defect, err, tt.want)
				}
			}
			if _, err := fixture.Validator.Verify(t.Context(), typ, fixture.Text(typ, "ann")); err != nil {
				t.Errorf("%s without a defect, after one that is %s: %v", typ.Name(), tt.defect, err)
			}
		}
	}
}

func TestClockMovesEverything(t *testing.T) {
	fixture := securitytest.New(t, securitytest.WithStart(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	text := fixture.Text(refreshType, "ann", securitytest.AuthenticatedAgo(time.Hour))
	token, err := fixture.Validator.Verify(t.Context(), refreshType, text)
	if err != nil || !token.AuthTime().Equal(time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)) {
		t.Fatal(token, err)
	}
	fixture.Clock.Advance(31 * 24 * time.Hour)
	if _, err := fixture.Validator.Verify(t.Context(), refreshType, text); !errors.Is(err, security.ErrTokenExpired) {
		t.Errorf("after 31 days: %v", err)
	}
}

// TestOptionsOfTheApplication issues tokens with the application's name, audience, keys, verifiers
// and layouts.
func TestOptionsOfTheApplication(t *testing.T) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	key, err := keys.NewHMAC(keys.HS256, secret)
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	partnerType := security.NewTokenType[security.NoClaims]("access").OfVerifier("partner")
	fixture := securitytest.New(t,
		securitytest.WithIssuer("https://api.example"), securitytest.WithKeys(set), securitytest.WithClaims("access", ann),
		securitytest.WithAuthority(security.WithAudience("orders"), security.WithAccessLifetime(time.Minute)),
		securitytest.WithVerifier("partner", "https://partner.example", security.WithAudience("orders")))
	token := securitytest.TokenFrom[gen.AccessToken](fixture, "ann")
	if token.Issuer() != "https://api.example" || token.Audience()[0] != "orders" || token.ExpiresAt().Sub(token.IssuedAt()) != time.Minute {
		t.Error(token.Issuer(), token.Audience(), token.ExpiresAt().Sub(token.IssuedAt()))
	}
	partner, err := fixture.Validator.Verify(t.Context(), partnerType, fixture.Text(partnerType, "ann", securitytest.Claims(ann)))
	if err != nil || partner.Issuer() != "https://partner.example" {
		t.Error(partner, err)
	}
	_ = fixture.Text(partnerType, "ann", securitytest.BadSignature)

	python := securitytest.New(t, securitytest.WithAuthority(security.WithLayout(pyjwt.Flask("role", pyjwt.WithAudienceOptional()))), securitytest.WithClaims("access", ann))
	if token := securitytest.TokenFrom[gen.AccessToken](python, "ann", securitytest.Fresh()); !token.Fresh() {
		t.Error("a fresh token of Flask-JWT-Extended is not fresh")
	}
	_ = python.Text(accessType, "ann", securitytest.WrongType)
}

// TestClaimsOfAProvider issues a token whose claims have names that issuers reserve, as the
// document of an application describes the tokens of its provider.
func TestClaimsOfAProvider(t *testing.T) {
	type claims struct {
		Subject string `json:"sub"`
		Party   string `json:"azp"`
		Plan    string `json:"plan"`
	}
	var checked string
	typ := security.NewTokenType[claims]("access").OfVerifier("partner").WithSchema(func(claims []byte) error {
		checked = string(claims)
		return nil
	})
	fixture := securitytest.New(t, securitytest.WithVerifier("partner", "https://partner.example"))
	for _, defect := range [][]securitytest.TokenOption{nil, {securitytest.Revoked}, {securitytest.WrongType}, {securitytest.OtherIssuer}} {
		text := fixture.Text(typ, "ann", append(defect, securitytest.Claims(claims{"somebody", "web", "gold"}))...)
		token, err := fixture.Validator.Verify(t.Context(), typ, text)
		if accepted := err == nil && token.Subject() == "ann"; accepted != (defect == nil) {
			t.Errorf("%v: %v", defect, err)
		}
	}
	if !strings.Contains(checked, `"plan":"gold"`) {
		t.Errorf("the schema got %s", checked)
	}
}

// TestMistakes checks that a mistake in a test fails it.
func TestMistakes(t *testing.T) {
	unknown := security.NewTokenType[security.NoClaims]("access").OfVerifier("nobody")
	for _, tt := range []struct {
		name, want string
		test       func(testing.TB)
	}{
		{"private claims are missing", "securitytest.Claims", func(t testing.TB) { securitytest.Token[gen.AccessToken](t, "ann") }},
		{"a typed token with a defect", "no verifier makes a token that is \"expired\"", func(t testing.TB) {
			securitytest.Token[gen.RefreshToken](t, "ann", securitytest.Expired)
		}},
		{"a pointer in place of the type", "not a token type", func(t testing.TB) { securitytest.Token[*gen.RefreshToken](t, "ann") }},
		{"two defects", "at most one defect", func(t testing.TB) {
			securitytest.New(t).Text(refreshType, "ann", securitytest.Expired, securitytest.Revoked)
		}},
		{"an unknown defect", "there is no defect", func(t testing.TB) { securitytest.New(t).Text(refreshType, "ann", securitytest.Defect("blue")) }},
		{"a verifier that the fixture does not have", "securitytest.WithVerifier", func(t testing.TB) { securitytest.New(t).Text(unknown, "ann") }},
		{"a defect that the verifier does not mind", "accepts the token nevertheless", func(t testing.TB) {
			fixture := securitytest.New(t, securitytest.WithAuthority(security.WithNeverExpiring()))
			fixture.Text(refreshType, "ann", securitytest.With(security.WithoutExpiry()), securitytest.Expired)
		}},
		{"a defect beside a fault of the test", "refused for another reason", func(t testing.TB) {
			fixture := securitytest.New(t)
			fixture.Text(refreshType, "ann", securitytest.With(security.WithNotBefore(fixture.Clock.Now().Add(time.Hour))), securitytest.Revoked)
		}},
		{"a nil type", "nil token type", func(t testing.TB) { securitytest.New(t).Text(nil, "ann") }},
		{"an option that does not hold", "lifetime", func(t testing.TB) {
			securitytest.New(t, securitytest.WithAuthority(security.WithAccessLifetime(-1)))
		}},
		{"a token that its verifier refuses", "is not accepted", func(t testing.TB) {
			fixture := securitytest.New(t)
			fixture.Text(refreshType, "ann", securitytest.With(security.WithNotBefore(fixture.Clock.Now().Add(time.Hour))))
		}},
	} {
		if got := failuresOf(t, tt.test); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
