package security_test

import (
	"bytes"
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
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

func second[T any](_ T, err error) error { return err }

// TestCutOffOutlivesItsSessions has cut-offs ahead of now: the entry lasts as long as the last session that it covers.
func TestCutOffOutlivesItsSessions(t *testing.T) {
	for name, cut := range map[string]func(f *apptest.App) error{
		"with a clock skew": func(f *apptest.App) error { return second(f.Validator.RevokeSubject(context.Background(), "alice")) },
		"said so": func(f *apptest.App) error {
			return second(f.Validator.RevokeIssuedBefore(context.Background(), f.Clock.Now().Add(5*time.Minute)))
		},
	} {
		f := apptest.New(t, security.WithClockSkew(5*time.Minute))
		if err := cut(f); err != nil {
			t.Fatal(err)
		}
		f.Clock.Advance(5*time.Minute - time.Second)
		text := sectest.Must(f.Issuer.IssueRefreshToken(t.Context(), "alice", nil))(t).Text()
		for _, d := range []time.Duration{0, security.DefaultSessionLifetime + security.DefaultLeeway - time.Millisecond} {
			f.Clock.Advance(d)
			if err := f.Refuses(t, text, apptest.RefreshToken); !errors.Is(err, security.ErrTokenRevoked) {
				t.Errorf("%s, after %s: %v", name, d, err)
			}
		}
	}
}

// TestRevokeOtherVerifiers revokes tokens of an identity provider that have neither id nor session.
func TestRevokeOtherVerifiers(t *testing.T) {
	for name, revoke := range map[string]func(v *security.Validator, token security.AnyToken) error{
		"all": func(v *security.Validator, _ security.AnyToken) error {
			return second(v.RevokeAll(context.Background()))
		},
		"subject": func(v *security.Validator, token security.AnyToken) error {
			return second(v.RevokeSubjectOf(context.Background(), token))
		},
	} {
		f := apptest.New(t)
		profile := sectest.Must(security.IdentityProvider(security.WithTypeHeader("at+jwt"), security.WithoutTokenIDs()))(t)
		provider := sectest.Must(security.NewVerifier("https://idp.example", f.Keys, security.WithName("idp"), security.WithLayout(profile), security.WithClock(f.Clock.Now)))(t)
		f.Validator = sectest.Must(security.NewValidator(f.Verifier, f.List, security.WithVerifier(provider)))(t)
		text := sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("iss", `"https://idp.example"`, "aud", `"https://idp.example"`, "jti", "", "sid", ""))
		token := sectest.Must(provider.Verify(t.Context(), apptest.AccessToken.OfVerifier("idp"), text))(t)
		if err := f.Validator.CheckRevoked(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := revoke(f.Validator, token); err != nil {
			t.Fatal(err)
		}
		if err := f.Validator.CheckRevoked(t.Context(), token); !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("%s: %v after the revocation", name, err)
		}
	}
}

// TestNobodysRole has roles claims that name nobody: they pass neither rule.
func TestNobodysRole(t *testing.T) {
	f := apptest.New(t)
	for _, roles := range []string{`""`, `[]`, `[""]`, `"a\u0000"`, `null`, `7`} {
		for _, rules := range []guard.Rules{{DenyRoles: []string{"BANNED"}}, {AllowRoles: []string{""}}} {
			calls := 0
			handler := f.Serve(t, &guard.Operation{ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}}, Rules: rules}, &calls)
			if w := apptest.Get(handler, "Bearer "+(sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith("roles", roles)))); w.Code != 403 || calls != 0 {
				t.Errorf("roles %s, %+v: status %d", roles, rules, w.Code)
			}
		}
	}
}

// TestMisuse has what a program could get wrong: each is an error, and nothing panics.
func TestMisuse(t *testing.T) {
	f := apptest.New(t)
	ctx := t.Context()
	type userToken struct {
		security.Token[security.NoClaims]
	}
	var anonymous *userToken
	var noMemory *blacklist.Memory
	never := sectest.Must(security.NewVerifier(sectest.Issuer, f.Keys, security.WithClock(f.Clock.Now), security.WithNeverExpiring(), security.WithPublicNamespace("https://claims.example/")))(t)
	own := sectest.Must(security.NewValidator(never, f.List))(t)
	issuer := sectest.Must(security.NewIssuer(never))(t)
	f.Validator = own
	session := f.Token(t, sectest.Must(issuer.IssueRefreshToken(ctx, "alice", nil))(t).Text(), apptest.RefreshToken)
	deep := any(1)
	for range 40 {
		deep = []any{deep}
	}
	typo := sectest.Must(security.NewValidator(f.Verifier, f.List, security.WithHook("acess", func(context.Context, security.Token[security.NoClaims]) (any, error) { return nil, nil })))(t)
	for name, err := range map[string]error{
		"the token of an anonymous caller":       own.RevokeSession(ctx, anonymous),
		"continuing it":                          second(issuer.IssueAccessToken(ctx, "a", nil, security.WithSession(anonymous))),
		"an issuer of a zero verifier":           second(security.NewIssuer(&security.Verifier{})),
		"a validator of a zero verifier":         second(security.NewValidator(&security.Verifier{}, f.List)),
		"a zero verifier beside it":              second(security.NewValidator(f.Verifier, f.List, security.WithVerifier(&security.Verifier{}))),
		"a nil blacklist with a type":            second(security.NewValidator(f.Verifier, noMemory)),
		"a zero issuer":                          second((&security.Issuer{}).IssueAccessToken(ctx, "a", nil)),
		"a zero validator, all":                  second((&security.Validator{}).RevokeAll(ctx)),
		"a zero validator, subject":              second((&security.Validator{}).RevokeSubject(ctx, "a")),
		"a hook that no operation runs":          typo.CheckTypes(apptest.AccessToken),
		"a type that is no text":                 second(security.IdentityProvider(security.WithTypeClaim("token_use", ""))),
		"a header type that is none":             second(security.IdentityProvider(security.WithTypeHeader(""))),
		"roles among the public claims":          second(security.NewVerifier(sectest.Issuer, f.Keys, security.WithLayout(pyjwt.Flask("https://claims.example/role")), security.WithPublicNamespace("https://claims.example/"))),
		"public claims nested too deeply":        second(issuer.IssueAccessToken(ctx, "a", nil, security.WithPublicClaims(map[string]any{"x": deep}))),
		"a token that would outlive its session": second(issuer.IssueAccessToken(ctx, "alice", nil, security.WithSession(session), security.WithoutExpiry())),
		"a symmetric key for encryption in a published set": second(keys.ParsePublicJWKS([]byte(`{"keys":[{"kty":"oct","k":"MDEy","use":"enc"},` +
			`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, policy := range []*guard.Policy{nil, {}, sectest.Must(guard.New(own))(t)} {
		w := httptest.NewRecorder()
		policy.WriteResponseError(w, httptest.NewRequest(http.MethodGet, "/", nil), fmt.Errorf("x: %w", &security.Error{}))
		if w.Code != 500 {
			t.Errorf("an error of no meaning: %d", w.Code)
		}
	}
}

// TestAuditLog checks that revocations are logged, without ids or tokens.
func TestAuditLog(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := apptest.New(t, security.WithLogger(logger))
	ctx := t.Context()
	pair := sectest.Must(f.Issuer.IssueTokenPair(ctx, "alice", nil, nil))(t)
	access, refresh := f.Token(t, pair.Access.Text(), apptest.AccessToken), f.Token(t, pair.Refresh.Text(), apptest.RefreshToken)
	calls := 0
	if _, err := f.Issuer.IssueAccessToken(ctx, "alice", nil, security.WithSession(refresh)); err != nil {
		t.Fatal(err)
	}
	denied := f.Serve(t, &guard.Operation{ID: "denied", Requirement: guard.Requirement{{apptest.AccessScheme}}, Rules: guard.Rules{AllowRoles: []string{"ADMIN"}}}, &calls, guard.WithLogger(logger))
	apptest.Get(denied, "Bearer "+pair.Access.Text())
	apptest.Get(denied)
	if err := errors.Join(f.Validator.Revoke(ctx, access), f.Validator.Consume(ctx, refresh)); err != nil {
		t.Fatal(err)
	}
	_ = f.Refuses(t, pair.Refresh.Text(), apptest.RefreshToken)
	f.List.Fail(sectest.ErrSecretive, sectest.ErrSecretive)
	_ = f.Validator.Revoke(ctx, access)
	handler := f.Serve(t, &guard.Operation{ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}}}, &calls, guard.WithLogger(logger))
	apptest.Get(handler, "Bearer "+pair.Access.Text())
	for _, want := range []string{`msg="session began"`, `msg="session continued"`, `msg="request denied" operation=denied status=403`, "msg=revoked", "kind=token", `msg="refresh token reused"`, "kind=session", `msg="revocation failed"`, `msg="request failed" operation=op status=503`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, &log)
		}
	}
	if n := strings.Count(log.String(), "session began") + strings.Count(log.String(), "request denied"); n != 2 {
		t.Errorf("%d events of a log-in and a denial:\n%s", n, &log)
	}
	for _, secret := range []string{"alice", "hunter2", pair.Access.ID(), pair.Access.Session(), pair.Access.Text()[:20], pair.Refresh.ID()} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, &log)
		}
	}
}
