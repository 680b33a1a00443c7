//go:build ignore

package security

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// TestCutOffOutlivesItsSessions has cut-offs ahead of now: the entry lasts as long as the last session that it covers.
func TestCutOffOutlivesItsSessions(t *testing.T) {
	for name, cut := range map[string]func(f *fixture) error{
		"with a clock skew": func(f *fixture) error { return second(f.validator.RevokeSubject(context.Background(), "alice")) },
		"said so": func(f *fixture) error {
			return second(f.validator.RevokeIssuedBefore(context.Background(), f.clock.Now().Add(5*time.Minute)))
		},
	} {
		f := newFixture(t, WithClockSkew(5*time.Minute))
		if err := cut(f); err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(5*time.Minute - time.Second)
		text := must(f.issuer.Refresh(t.Context(), "alice", nil))(t).Text()
		for _, d := range []time.Duration{0, DefaultSessionLifetime + DefaultLeeway - time.Millisecond} {
			f.clock.Advance(d)
			if err := f.accepted(text, refreshToken); !errors.Is(err, ErrTokenRevoked) {
				t.Errorf("%s, after %s: %v", name, d, err)
			}
		}
	}
}

// TestPythonReuse uses a token of a Python service twice: what it was refreshed into ends, although it had no session.
func TestPythonReuse(t *testing.T) {
	f := newFixture(t)
	f.withProfile(t, FlaskJWTExtended("role"))
	old := f.token(t, flaskRefresh, refreshToken)
	if err := f.validator.Consume(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	thief := must(f.issuer.Pair(t.Context(), "user-1", nil, nil, Continue(old)))(t)
	if err := f.accepted(flaskRefresh, refreshToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("the second use: %v", err)
	}
	for text, typ := range map[string]TokenType{thief.Access.Text(): accessToken, thief.Refresh.Text(): refreshToken} {
		if err := f.accepted(text, typ); !errors.Is(err, ErrTokenRevoked) {
			t.Errorf("%s token after the reuse: %v", typ.Name(), err)
		}
	}
	cutOff := must(f.validator.RevokeSubject(t.Context(), "user-1"))(t)
	again := must(f.issuer.Access(t.Context(), "user-1", nil, WithSessionStart(cutOff.Add(time.Millisecond))))(t)
	if err := f.accepted(again.Text(), accessToken); err != nil {
		t.Errorf("a log-in begun after the cut-off, in whole seconds: %v", err)
	}
}

// TestRevokeOtherVerifiers revokes tokens of an identity provider that have neither id nor session.
func TestRevokeOtherVerifiers(t *testing.T) {
	for name, revoke := range map[string]func(v *Validator, token AnyToken) error{
		"all": func(v *Validator, _ AnyToken) error { return second(v.RevokeAll(context.Background())) },
		"subject": func(v *Validator, token AnyToken) error {
			return second(v.RevokeSubjectOf(context.Background(), token))
		},
	} {
		f := newFixture(t)
		profile := must(IdentityProvider(WithTypeHeader("at+jwt"), WithoutTokenIDs()))(t)
		provider := must(NewVerifier("https://idp.example", f.verifier.keys, WithName("idp"), WithProfile(profile), WithClock(f.clock.Now)))(t)
		f.validator = must(NewValidator(f.verifier, f.list, WithVerifier(provider)))(t)
		text := compactHS256(goodHeader, payloadWith("iss", `"https://idp.example"`, "aud", `"https://idp.example"`, "jti", "", "sid", ""))
		handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{{Name: "idp", Token: accessToken, Verifier: "idp"}}}})
		if w := get(handler, bearer(text)); w.Code != 200 {
			t.Fatalf("status %d", w.Code)
		}
		if err := revoke(f.validator, saw.token); err != nil {
			t.Fatal(err)
		}
		if w := get(handler, bearer(text)); w.Code != 401 {
			t.Errorf("%s: status %d after the revocation", name, w.Code)
		}
	}
}

// TestFieldsPrintRedacted has secrets in fields that fmt prints without asking for methods.
func TestFieldsPrintRedacted(t *testing.T) {
	f := newFixture(t)
	pair, _, _ := f.login(t, WithCSRF())
	key := *must(NewHMACKey(HS256, testSecret))(t)
	value := struct {
		pair TokenPair
		key  Key
	}{pair, key}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
	for _, text := range append(printed(value), log.String()) {
		for _, secret := range []string{pair.Access.Text()[:30], pair.Access.CSRF(), "0123456789abcdef", "48 49 50", "30313233"} {
			if strings.Contains(text, secret) {
				t.Fatalf("printed %q: %.300s", secret, text)
			}
		}
	}
}

// TestNobodysRole has roles claims that name nobody: they pass neither rule.
func TestNobodysRole(t *testing.T) {
	f := newFixture(t)
	for _, roles := range []string{`""`, `[]`, `[""]`, `"a\u0000"`, `null`, `7`} {
		for _, rules := range []Rules{{DenyRoles: []string{"BANNED"}}, {AllowRoles: []string{""}}} {
			handler, _ := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}, Rules: rules})
			if w := get(handler, bearer(compactHS256(goodHeader, payloadWith("roles", roles)))); w.Code != 403 {
				t.Errorf("roles %s, %+v: status %d", roles, rules, w.Code)
			}
		}
	}
}

// TestMisuse has what a program could get wrong: each is an error, and nothing panics.
func TestMisuse(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	type userToken struct{ Token[userClaims] }
	var anonymous *userToken
	var noMemory *blacklist.Memory
	never := must(NewVerifier(testIssuer, f.verifier.keys, WithClock(f.clock.Now), WithNeverExpiring(), WithPublicNamespace("https://claims.example/")))(t)
	own := must(NewValidator(never, f.list))(t)
	issuer := must(NewIssuer(never))(t)
	f.validator = own
	session := f.token(t, must(issuer.Refresh(ctx, "alice", nil))(t).Text(), refreshToken)
	deep := any(1)
	for range 40 {
		deep = []any{deep}
	}
	typo := must(NewValidator(f.verifier, f.list, WithHook("acess", func(context.Context, Token[userClaims]) (any, error) { return nil, nil })))(t)
	for name, err := range map[string]error{
		"the token of an anonymous caller":       own.RevokeSession(ctx, anonymous),
		"continuing it":                          second(issuer.Access(ctx, "a", nil, Continue(anonymous))),
		"an issuer of a zero verifier":           second(NewIssuer(&Verifier{})),
		"a validator of a zero verifier":         second(NewValidator(&Verifier{}, f.list)),
		"a zero verifier beside it":              second(NewValidator(f.verifier, f.list, WithVerifier(&Verifier{}))),
		"a nil blacklist with a type":            second(NewValidator(f.verifier, noMemory)),
		"a zero issuer":                          second((&Issuer{}).Access(ctx, "a", nil)),
		"a zero validator, all":                  second((&Validator{}).RevokeAll(ctx)),
		"a zero validator, subject":              second((&Validator{}).RevokeSubject(ctx, "a")),
		"a hook that no operation runs":          second(NewGuards(typo, nil, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}})),
		"a type that is no text":                 second(IdentityProvider(WithTypeClaim("token_use", ""))),
		"a header type that is none":             second(IdentityProvider(WithTypeHeader(""))),
		"roles among the public claims":          second(NewVerifier(testIssuer, f.verifier.keys, WithProfile(FlaskJWTExtended("https://claims.example/role")), WithPublicNamespace("https://claims.example/"))),
		"public claims nested too deeply":        second(issuer.Access(ctx, "a", nil, WithPublicClaims(map[string]any{"x": deep}))),
		"a token that would outlive its session": second(issuer.Access(ctx, "alice", nil, Continue(session), WithoutExpiry())),
		"18 a symmetric key for encryption in a published set": second(ParsePublicJWKS([]byte(`{"keys":[{"kty":"oct","k":"MDEy","use":"enc"},` +
			`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, validator := range []*Validator{nil, {}, own} {
		w := httptest.NewRecorder()
		validator.WriteResponseError(w, httptest.NewRequest(http.MethodGet, "/", nil), fmt.Errorf("x: %w", &Error{}))
		if w.Code != 500 {
			t.Errorf("an error of no meaning: %d", w.Code)
		}
	}
	if answer := must(SanicErrors("msg"))(t)(ctx, Failure{Err: ErrInvalidToken}); answer.Status != 422 || answer.Header.Get("Content-Type") == "" {
		t.Errorf("the preset without an answer to change: %+v", answer)
	}
}
