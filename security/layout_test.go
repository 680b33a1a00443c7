package security

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestIdentityProvider reads tokens in the layouts of identity providers.
func TestIdentityProvider(t *testing.T) {
	keycloak := must(IdentityProvider(WithTypeClaim("typ", "Bearer"), WithRolesAt("realm_access", "roles")))(t)
	byHeader := must(IdentityProvider(WithTypeHeader("AT+JWT", "application/JWT")))(t)
	cognito := must(IdentityProvider(WithTypeClaim("token_use", "access"), WithoutTokenIDs()))(t)
	anything := must(IdentityProvider(WithUnsafeAnyType()))(t)
	const header = `{"alg":"HS256","kid":"k1","typ":"JWT"}`
	for _, tt := range []struct {
		name   string
		layout Layout
		text   string
		want   error
		roles  string
	}{
		{
			name: "Keycloak", layout: keycloak,
			text:  compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `{"x":[],"roles":["ADMIN","USER"]}`)),
			roles: "[ADMIN USER]",
		},
		{
			name: "Keycloak, roles a string", layout: keycloak,
			text:  compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `{"roles":"ADMIN"}`)),
			roles: "[ADMIN]",
		},
		{
			name: "Keycloak, roles malformed", layout: keycloak,
			text:  compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `{"roles":{"ADMIN":true}}`)),
			roles: "[]",
		},
		{
			name: "Keycloak, path through a list", layout: keycloak,
			text: compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `["roles"]`)), roles: "[]",
		},
		{
			name: "Keycloak, roles at the top", layout: keycloak,
			text: compactHS256(header, payloadWith("typ", `"Bearer"`, "roles", `["ADMIN"]`)), roles: "[]",
		},
		{name: "Keycloak, ID token", layout: keycloak, text: compactHS256(header, payloadWith("typ", `"ID"`)), want: ErrWrongTokenType},
		{name: "Keycloak, no type", layout: keycloak, text: compactHS256(header, payloadWith()), want: ErrWrongTokenType},
		{
			name: "Keycloak, type in the header", layout: keycloak,
			text: compactHS256(`{"alg":"HS256","kid":"k1","typ":"Bearer"}`, payloadWith()), want: ErrWrongTokenType,
		},
		{name: "by header", layout: byHeader, text: compactHS256(header, payloadWith("roles", `["ADMIN"]`)), roles: "[ADMIN]"},
		{name: "by header, the other value", layout: byHeader, text: compactHS256(goodHeader, payloadWith()), roles: "[]"},
		{
			name: "by header, not one of the values", layout: byHeader,
			text: compactHS256(`{"alg":"HS256","kid":"k1","typ":"id+jwt"}`, payloadWith()), want: ErrWrongTokenType,
		},
		{
			name: "Cognito without jti", layout: cognito,
			text: compactHS256(header, payloadWith("token_use", `"access"`, "jti", "")), roles: "[]",
		},
		{
			name: "Cognito, an ID token", layout: cognito, text: compactHS256(header, payloadWith("token_use", `"id"`)),
			want: ErrWrongTokenType,
		},
		{name: "by header without jti", layout: byHeader, text: compactHS256(header, payloadWith("jti", "")), want: ErrInvalidToken},
		{name: "any type", layout: anything, text: compactHS256(header, payloadWith()), roles: "[]"},
		{
			name: "any type, another audience", layout: anything, text: compactHS256(header, payloadWith("aud", `"x"`)),
			want: ErrInvalidToken,
		},
		{name: "any type, no audience", layout: anything, text: compactHS256(header, payloadWith("aud", "")), want: ErrInvalidToken},
	} {
		f := newFixture(t)
		f.verifier = must(NewVerifier(testIssuer, f.verifier.keys, WithLayout(tt.layout), WithAudience(testIssuer), WithClock(f.clock.Now)))(t)
		f.validator = must(NewValidator(f.verifier, f.list))(t)
		token, err := f.validate(t.Context(), tt.text, accessToken)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			continue
		}
		if err == nil {
			if roles := token.(Token[userClaims]).Roles(); fmt.Sprint(roles) != tt.roles {
				t.Errorf("%s: roles %v, want %s", tt.name, roles, tt.roles)
			}
		}
		if _, err := NewIssuer(f.verifier); err == nil {
			t.Errorf("%s: an issuer of the tokens of an identity provider", tt.name)
		}
	}
	key := must(keys.NewSet(must(keys.NewHMAC(keys.HS256, testSecret))(t)))(t)
	for name, err := range map[string]error{
		"no type":                             second(IdentityProvider(WithRolesAt("roles"))),
		"type in two places":                  second(IdentityProvider(WithTypeHeader("jwt"), WithTypeClaim("typ", "x"))),
		"no value of the type":                second(IdentityProvider(WithTypeHeader())),
		"no name of the type claim":           second(IdentityProvider(WithTypeClaim("", "x"))),
		"empty name in the path of the roles": second(IdentityProvider(WithUnsafeAnyType(), WithRolesAt("a", ""))),
		"nil option":                          second(IdentityProvider(nil)),
		"nil layout":                          second(NewVerifier(testIssuer, key, WithLayout(nil))),
		"typed nil layout":                    second(NewVerifier(testIssuer, key, WithLayout((*providerLayout)(nil)))),
		"any type without an audience":        second(NewVerifier(testIssuer, key, WithLayout(anything))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNeverExpiring issues tokens without exp. Verifier and token must both ask for it, and a
// revocation lasts for ever.
func TestNeverExpiring(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if _, err := f.issuer.IssueAccessToken(ctx, "alice", nil, WithoutExpiry()); err == nil {
		t.Error("issued although the verifier accepts no such token")
	}
	f.verifier = must(NewVerifier(testIssuer, f.verifier.keys, WithClock(f.clock.Now), WithNeverExpiring()))(t)
	f.issuer = must(NewIssuer(f.verifier))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	pair := must(f.issuer.IssueTokenPair(ctx, "alice", nil, nil, WithoutExpiry()))(t)
	other := must(f.issuer.IssueAccessToken(ctx, "alice", nil, WithoutExpiry()))(t)
	if !pair.Access.ExpiresAt().IsZero() || pair.Access.ExpiresIn() != 0 || pair.Refresh.ExpiresAt().IsZero() {
		t.Errorf("access expires %s, refresh %s", pair.Access.ExpiresAt(), pair.Refresh.ExpiresAt())
	}
	f.clock.Advance(10 * 365 * 24 * time.Hour)
	token := f.token(t, pair.Access.Text(), accessToken)
	if err := f.validator.Revoke(ctx, token); err != nil {
		t.Fatal(err)
	}
	if err := f.validator.RevokeSession(ctx, f.token(t, other.Text(), accessToken)); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(50 * 365 * 24 * time.Hour)
	for name, text := range map[string]string{"token": pair.Access.Text(), "session": other.Text()} {
		if err := f.accepted(text, accessToken); !errors.Is(err, ErrTokenRevoked) {
			t.Errorf("a revoked %s, fifty years later: %v", name, err)
		}
	}
	// exp 0 does not mean never.
	if err := f.accepted(compactHS256(goodHeader, payloadWith("exp", "0")), accessToken); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("exp 0: %v", err)
	}
}

// TestPublicAndPrivateClaims writes claims under a namespace and a prefix, and reads them back.
func TestPublicAndPrivateClaims(t *testing.T) {
	f := newFixture(t)
	f.verifier = must(NewVerifier(testIssuer, f.verifier.keys, WithClock(f.clock.Now), WithPublicNamespace("https://claims.example/"), WithPrivatePrefix("app")))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	f.issuer = must(NewIssuer(f.verifier))(t)
	tree := map[string]any{
		"user_id": "asdf", "user": map[string]any{"name": "foo", "level": 3.0, "tags": []any{"a", nil}, "deep": map[string]any{"er": true}}, "empty": map[string]any{},
	}
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", userClaims{Name: "Alice"}, WithPublicClaims(tree)))(t).Text()
	_, content := members(t, text)
	for name, want := range map[string]any{
		"https://claims.example/user_id": "asdf", "https://claims.example/user/level": 3.0, "https://claims.example/user/deep/er": true, "app_name": "Alice",
	} {
		if content[name] != want {
			t.Errorf("%s is %v, want %v", name, content[name], want)
		}
	}
	token := f.token(t, text, accessToken).(Token[userClaims])
	delete(tree, "empty")
	if got, want := fmt.Sprint(token.PublicClaims()), fmt.Sprint(tree); got != want {
		t.Errorf("public claims %s, want %s", got, want)
	}
	token.PublicClaims()["user"].(map[string]any)["name"] = "changed"
	if got := token.PublicClaims()["user"].(map[string]any)["name"]; got != "foo" {
		t.Errorf("a token was changed through its public claims: %v", got)
	}
	if token.Claims().Name != "Alice" {
		t.Errorf("private claims %+v", token.Claims())
	}
	// A claim without the prefix is not read, and paths that contradict each other are left
	// out.
	odd := f.token(t, compactHS256(goodHeader, payloadWith("name", `"Mallory"`, "https://claims.example/a", "1", "https://claims.example/a/b", "2")), accessToken).(Token[userClaims])
	if odd.Claims().Name != "" || fmt.Sprint(odd.PublicClaims()) != "map[a:1]" {
		t.Errorf("reads %+v, %v", odd.Claims(), odd.PublicClaims())
	}
	var zero Token[userClaims]
	if zero.PublicClaims() != nil {
		t.Error("the zero token has public claims")
	}

	plain := newFixture(t)
	issue := func(tree map[string]any) error {
		return second(f.issuer.IssueAccessToken(t.Context(), "a", nil, WithPublicClaims(tree)))
	}
	for name, err := range map[string]error{
		"no namespace":                  second(plain.issuer.IssueAccessToken(t.Context(), "a", nil, WithPublicClaims(map[string]any{"a": 1}))),
		"a slash":                       issue(map[string]any{"a/b": 1}),
		"an empty name":                 issue(map[string]any{"a": map[string]any{"": 1}}),
		"a channel":                     issue(map[string]any{"a": make(chan int)}),
		"not UTF-8":                     issue(map[string]any{"a\xff": 1}),
		"a namespace that is not a URL": second(NewVerifier(testIssuer, f.verifier.keys, WithPublicNamespace("x"))),
		"a namespace without slash":     second(NewVerifier(testIssuer, f.verifier.keys, WithPublicNamespace("https://claims.example"))),
		"an empty prefix":               second(NewVerifier(testIssuer, f.verifier.keys, WithPrivatePrefix(""))),
		"a reserved prefix":             second(NewVerifier(testIssuer, f.verifier.keys, WithPrivatePrefix("sub"))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// With the prefix a private claim may have a reserved name, and does not replace the known
	// one.
	text = must(f.issuer.IssueAccessToken(t.Context(), "alice", map[string]string{"sub": "mallory"}, WithLifetime(time.Minute)))(t).Text()
	if token := f.token(t, text, accessToken); token.Subject() != "alice" {
		t.Errorf("subject %s", token.Subject())
	}
}

// members decodes the header and the payload of a token without checks.
func members(t *testing.T, text string) (header, content map[string]any) {
	t.Helper()
	segments := strings.Split(text, ".")
	for i, into := range []*map[string]any{&header, &content} {
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(segments[i]))(t), into); err != nil {
			t.Fatal(err)
		}
	}
	return header, content
}
