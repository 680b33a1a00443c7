package security_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// wire returns the header and the payload of a token as any JSON reader sees them.
func wire(t *testing.T, text string) (header, claims map[string]any) {
	t.Helper()
	for i, into := range []*map[string]any{&header, &claims} {
		content := sectest.Must(base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[i]))(t)
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// TestIssuedTimesAreWholeSeconds issues tokens with a clock between two seconds. Verifiers of others
// refuse fractions, or take the token for one of the future. The start of the session stays exact.
func TestIssuedTimesAreWholeSeconds(t *testing.T) {
	app := apptest.New(t)
	pair := sectest.Must(app.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil, security.WithNotBefore(app.Clock.Now())))(t)
	for name, text := range map[string]string{"access": pair.Access.Text(), "refresh": pair.Refresh.Text()} {
		_, claims := wire(t, text)
		now := float64(app.Clock.Now().UnixMilli()) / 1000
		for _, claim := range []string{"iat", "nbf", "exp", "auth_time"} {
			at, ok := claims[claim].(float64)
			if !ok || at != float64(int64(at)) {
				t.Errorf("%s: %s is %v, want whole seconds", name, claim, claims[claim])
			}
			if claim != "exp" && at > now {
				t.Errorf("%s: %s is %v, after now", name, claim, at)
			}
		}
		if start := claims["session_start"]; start != float64(app.Clock.Now().UnixMilli()) {
			t.Errorf("%s: session_start is %v, want milliseconds", name, start)
		}
	}
	// golang-jwt without leeway accepts it in the very moment of issue.
	_, err := jwt.Parse(pair.Access.Text(), func(*jwt.Token) (any, error) { return sectest.Secret, nil },
		jwt.WithTimeFunc(app.Clock.Now), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	if err != nil {
		t.Errorf("golang-jwt: %v", err)
	}
}

// TestRefreshTokenIsNoAccessToken has a verifier of somebody else, which checks the audience and not
// the type: it must not take a refresh token for an access token, by its roles or scopes neither.
func TestRefreshTokenIsNoAccessToken(t *testing.T) {
	for name, audience := range map[string][]string{"the default audience": nil, "an audience": {"https://api.example"}, "the issuer as audience": {sectest.Issuer}} {
		app := apptest.New(t)
		var options []security.VerifierOption
		if audience != nil {
			options = append(options, security.WithAudience(audience...))
		}
		app.UseLayout(t, security.RFC9068(), options...)
		pair := sectest.Must(app.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil, security.WithRoles("ADMIN"), security.WithScopes("write")))(t)
		other := sectest.Must(app.Issuer.Issue(t.Context(), security.NewTokenType[security.NoClaims]("invite"), "alice", nil))(t)
		_, access := wire(t, pair.Access.Text())
		for typ, text := range map[string]string{"refresh": pair.Refresh.Text(), "invite": other.Text()} {
			_, claims := wire(t, text)
			if fmt.Sprint(claims["aud"]) == fmt.Sprint(access["aud"]) || claims["roles"] != nil || claims["scope"] != nil {
				t.Errorf("%s, %s token: aud %v, roles %v, scope %v", name, typ, claims["aud"], claims["roles"], claims["scope"])
			}
			_, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return sectest.Secret, nil },
				jwt.WithTimeFunc(app.Clock.Now), jwt.WithAudience(fmt.Sprint(access["aud"])))
			if err == nil {
				t.Errorf("%s: golang-jwt takes a %s token for an access token", name, typ)
			}
		}
		if err := app.Refuses(t, pair.Refresh.Text(), apptest.RefreshToken); err != nil {
			t.Errorf("%s: the refresh token itself: %v", name, err)
		}
	}
	app := apptest.New(t)
	for name, option := range map[string]security.TokenOption{"scopes": security.WithScopes("write"), "roles": security.WithRoles("ADMIN")} {
		if _, err := app.Issuer.IssueRefreshToken(t.Context(), "alice", nil, option); err == nil {
			t.Errorf("a refresh token with %s was issued", name)
		}
		issuer := sectest.Must(security.NewIssuer(app.Verifier, security.WithTokenDefaults(option)))(t)
		if _, err := issuer.IssueRefreshToken(t.Context(), "alice", nil); err == nil {
			t.Errorf("a refresh token with %s of the issuer was issued", name)
		}
		pair := sectest.Must(issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
		if _, claims := wire(t, pair.Refresh.Text()); claims["roles"] != nil || claims["scope"] != nil {
			t.Errorf("%s of the issuer: the refresh token of a pair has roles %v, scope %v", name, claims["roles"], claims["scope"])
		}
	}
	if _, err := security.NewVerifier(sectest.Issuer, app.Keys, security.WithAudience(sectest.Issuer+"#refresh")); err == nil {
		t.Error("an access token can have the audience of refresh tokens")
	}
}

// TestPlainJWT has verifiers of others that know no typ but JWT.
func TestPlainJWT(t *testing.T) {
	app := apptest.New(t)
	app.UseLayout(t, security.PlainJWT())
	pair := sectest.Must(app.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
	header, _ := wire(t, pair.Access.Text())
	if header["typ"] != "JWT" {
		t.Errorf("typ %v", header["typ"])
	}
	for name, refused := range map[string]error{
		"access":                app.Refuses(t, pair.Access.Text(), apptest.AccessToken),
		"refresh":               app.Refuses(t, pair.Refresh.Text(), apptest.RefreshToken),
		"access of the default": app.Refuses(t, sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith()), apptest.AccessToken),
	} {
		if refused != nil {
			t.Errorf("%s: %v", name, refused)
		}
	}
	for name, refused := range map[string]error{
		"access as refresh": app.Refuses(t, pair.Access.Text(), apptest.RefreshToken),
		"refresh as access": app.Refuses(t, pair.Refresh.Text(), apptest.AccessToken),
	} {
		if refused == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestHeadersAndClaimsOfTheApplication sets, leaves out and reads headers and claims.
func TestHeadersAndClaimsOfTheApplication(t *testing.T) {
	app := apptest.New(t)
	issuer := sectest.Must(security.NewIssuer(app.Verifier, security.WithTokenDefaults(security.WithClientID("web"), security.WithoutNotBefore())))(t)
	text := sectest.Must(issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithHeader("tenant", map[string]int{"id": 7})))(t).Text()
	header, claims := wire(t, text)
	if _, ok := claims["nbf"]; ok || claims["client_id"] != "web" || fmt.Sprint(header["tenant"]) != "map[id:7]" {
		t.Errorf("header %v, claims %v", header, claims)
	}
	token := app.Token(t, text, apptest.AccessToken).(security.Token[security.NoClaims])
	if got := token.Header(); got["alg"] != "HS256" || got["kid"] != "k1" || fmt.Sprint(got["tenant"]) != "map[id:7]" || !token.NotBefore().IsZero() {
		t.Errorf("read: header %v, nbf %s", got, token.NotBefore())
	}
	again := sectest.Must(issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithClientID("cli"), security.WithNotBefore(app.Clock.Now())))(t)
	if _, claims := wire(t, again.Text()); claims["client_id"] != "cli" || claims["nbf"] == nil {
		t.Errorf("the options of a call do not come after the defaults: %v", claims)
	}
	for _, name := range []string{"alg", "kid", "typ", "CRIT", "jwk", "x5t#S256", "b64", "class", ""} {
		if _, err := issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithHeader(name, "x")); err == nil {
			t.Errorf("the header %q was set", name)
		}
	}
}

// TestTokenText forwards a token. Its text is there only where the application asked for it, and
// nothing prints it.
func TestTokenText(t *testing.T) {
	app := apptest.New(t)
	text := sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	if got := app.Token(t, text, apptest.AccessToken).(security.Token[security.NoClaims]).Text(); got != "" {
		t.Errorf("text %q without the option", got)
	}
	app.UseLayout(t, security.RFC9068(), security.WithTokenText())
	for range 3 { // verified, and from the cache
		token := app.Token(t, text, apptest.AccessToken).(security.Token[security.NoClaims])
		if token.Text() != text {
			t.Errorf("text %q", token.Text())
		}
		type holder struct{ Token any }
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if printed := fmt.Sprintf(verb, holder{token}); strings.Contains(printed, text[:40]) {
				t.Errorf("%s prints the token", verb)
			}
		}
	}
}

// TestNeverExpiringRefreshToken continues a session that has no end, long after sessions usually end.
func TestNeverExpiringRefreshToken(t *testing.T) {
	app := apptest.New(t)
	app.UseLayout(t, security.RFC9068(), security.WithNeverExpiring())
	text := sectest.Must(app.Issuer.IssueRefreshToken(t.Context(), "alice", nil, security.WithoutExpiry()))(t).Text()
	app.Clock.Advance(400 * 24 * time.Hour)
	refresh := app.Token(t, text, apptest.RefreshToken)
	access, err := app.Issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithSession(refresh))
	if err != nil || access.ExpiresIn() != security.DefaultAccessLifetime {
		t.Errorf("after 400 days: %s, %v", access.ExpiresIn(), err)
	}
}

// TestRevocationCoversTheTokenShown has an issuer whose clock is ahead: the token that was shown is
// revoked too.
func TestRevocationCoversTheTokenShown(t *testing.T) {
	app := apptest.New(t)
	text := sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithSessionStart(app.Clock.Now().Add(20*time.Second))))(t).Text()
	token := app.Token(t, text, apptest.AccessToken)
	cutOff, err := app.Validator.RevokeSubjectOf(t.Context(), token)
	if err != nil || cutOff.Before(app.Clock.Now().Add(20*time.Second).Truncate(time.Millisecond)) {
		t.Errorf("cut-off %s, %v", cutOff, err)
	}
	if err := app.Refuses(t, text, apptest.AccessToken); err == nil {
		t.Error("the token that was shown still passes")
	}
}

// TestRetention forgets the revocation of a session only when the longest session is over, also
// where the verifier sees short tokens only.
func TestRetention(t *testing.T) {
	app := apptest.New(t)
	app.UseLayout(t, security.RFC9068(), security.WithMaxLifetime(time.Hour))
	access := func(start time.Time) string {
		return sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("iat", fmt.Sprint(app.Clock.Now().Unix()),
			"exp", fmt.Sprint(app.Clock.Now().Unix()+600), "auth_time", fmt.Sprint(start.Unix()), "jti", fmt.Sprintf(`"%d"`, app.Clock.Now().Unix())))
	}
	begun := app.Clock.Now()
	if err := app.Validator.RevokeSession(t.Context(), app.Token(t, access(begun), apptest.AccessToken)); err != nil {
		t.Fatal(err)
	}
	app.Clock.Advance(29 * 24 * time.Hour)
	if err := app.Refuses(t, access(begun), apptest.AccessToken); err == nil {
		t.Error("a session of 30 days is refreshed after its revocation was forgotten")
	}
	if _, err := security.NewVerifier(sectest.Issuer, app.Keys, security.WithRetention(time.Hour)); err == nil {
		t.Error("a retention below the longest lifetime")
	}
}

// TestNamesThatDecide reads a claim that decides over a token as a role or a type: it would then not
// be checked.
func TestNamesThatDecide(t *testing.T) {
	app := apptest.New(t)
	for _, name := range []string{"exp", "iss", "aud", "nbf", "sub", "jti", "sid", "scope", "fresh", "csrf"} {
		for what, option := range map[string]security.LayoutOption{"role": security.WithRolesAt(name), "type": security.WithTypeClaim(name, "x")} {
			options := []security.LayoutOption{option}
			if what == "role" {
				options = append(options, security.WithTypeHeader("jwt"))
			}
			if _, err := security.IdentityProvider(options...); err == nil {
				t.Errorf("%s as the claim of the %s", name, what)
			}
			if _, err := security.NewVerifier(sectest.Issuer, app.Keys, security.WithLayout(pyjwt.Flask(name))); err == nil {
				t.Errorf("%s as the claim of the role in a layout of package pyjwt", name)
			}
		}
	}
	other := sectest.Must(security.NewVerifier("https://idp.example", app.Keys))(t)
	renamed := sectest.Must(security.NewVerifier(sectest.Issuer, app.Keys, security.WithName("mine")))(t)
	if _, err := security.NewValidator(renamed, app.List, security.WithVerifier(other)); err == nil {
		t.Error("the verifier of a provider has the name of the application's")
	}
	if got := sectest.Must(security.NewValidator(renamed, app.List))(t).Verifier(""); got != renamed {
		t.Error("the verifier of the application is not its own after a change of its name")
	}
}

// TestValidatorVerify decides over texts that did not come with a request.
func TestValidatorVerify(t *testing.T) {
	hooked := 0
	app := apptest.New(t, security.WithHook("access", func(context.Context, security.Token[security.NoClaims]) (any, error) { hooked++; return nil, nil }))
	pair := sectest.Must(app.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
	token, err := app.Validator.Verify(t.Context(), apptest.AccessToken, pair.Access.Text())
	if err != nil || token.Subject() != "alice" || hooked != 1 {
		t.Fatalf("%v, %v, the hook ran %d times", token, err, hooked)
	}
	if _, err := app.Validator.Verify(t.Context(), apptest.AccessToken, pair.Refresh.Text()); !errors.Is(err, security.ErrWrongTokenType) {
		t.Errorf("a refresh token: %v", err)
	}
	if _, err := app.Validator.Verify(t.Context(), apptest.AccessToken.OfVerifier("nobody"), pair.Access.Text()); err == nil {
		t.Error("a verifier that is not there")
	}
	if err := app.Validator.RevokeSession(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Validator.Verify(t.Context(), apptest.AccessToken, pair.Access.Text()); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("a revoked token: %v", err)
	}
	app.List.Fail(sectest.ErrSecretive, nil)
	if _, err := app.Validator.Verify(t.Context(), apptest.AccessToken, pair.Access.Text()); !errors.Is(err, security.ErrUnavailable) {
		t.Errorf("the blacklist is down: %v", err)
	}
}

// TestRefusedIdentity tells whose token was refused, as far as its signature was verified.
func TestRefusedIdentity(t *testing.T) {
	app := apptest.New(t)
	text := sectest.Must(app.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	app.Clock.Advance(time.Hour)
	_, err := app.Verifier.Verify(t.Context(), apptest.AccessToken, text)
	if id, ok := security.RefusedIdentity(err); !ok || id.Subject != "alice" || id.Issuer != sectest.Issuer || !errors.Is(err, security.ErrTokenExpired) {
		t.Errorf("an expired token: %+v, %t, %v", id, ok, err)
	}
	_, err = app.Verifier.Verify(t.Context(), apptest.AccessToken, text[:len(text)-4]+"AAAA")
	if id, ok := security.RefusedIdentity(err); ok || security.Reason(err) != "the signature" {
		t.Errorf("a forged token: %+v, reason %q", id, security.Reason(err))
	}
}

// TestPairWithoutNotBefore leaves nbf out of both tokens of a pair.
func TestPairWithoutNotBefore(t *testing.T) {
	app := apptest.New(t)
	issuer := sectest.Must(security.NewIssuer(app.Verifier, security.WithTokenDefaults(security.WithoutNotBefore())))(t)
	pair := sectest.Must(issuer.IssueTokenPair(t.Context(), "alice", nil, nil))(t)
	for name, text := range map[string]string{"access": pair.Access.Text(), "refresh": pair.Refresh.Text()} {
		if _, claims := wire(t, text); claims["nbf"] != nil {
			t.Errorf("the %s token has nbf", name)
		}
	}
}
