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

// TestIdentityProvider reads tokens as identity providers lay them out.
func TestIdentityProvider(t *testing.T) {
	keycloak := must(IdentityProvider(WithTypeClaim("typ", "Bearer"), WithRolesAt("realm_access.roles")))(t)
	byHeader := must(IdentityProvider(WithTypeHeader("AT+JWT", "application/JWT")))(t)
	cognito := must(IdentityProvider(WithTypeClaim("token_use", "access"), WithoutTokenIDs()))(t)
	anything := must(IdentityProvider(WithUnsafeAnyType()))(t)
	const header = `{"alg":"HS256","kid":"k1","typ":"JWT"}`
	for _, tt := range []struct {
		name    string
		profile Layout
		text    string
		want    error
		roles   string
	}{
		{"Keycloak", keycloak, compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `{"x":[],"roles":["ADMIN","USER"]}`)), nil, "[ADMIN USER]"},
		{"Keycloak, roles a string", keycloak, compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `{"roles":"ADMIN"}`)), nil, "[ADMIN]"},
		{"Keycloak, roles malformed", keycloak, compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `{"roles":{"ADMIN":true}}`)), nil, "[]"},
		{"Keycloak, path through a list", keycloak, compactHS256(header, payloadWith("typ", `"Bearer"`, "realm_access", `["roles"]`)), nil, "[]"},
		{"Keycloak, roles at the top", keycloak, compactHS256(header, payloadWith("typ", `"Bearer"`, "roles", `["ADMIN"]`)), nil, "[]"},
		{"Keycloak, an ID token", keycloak, compactHS256(header, payloadWith("typ", `"ID"`)), ErrWrongTokenType, ""},
		{"Keycloak, no type", keycloak, compactHS256(header, payloadWith()), ErrWrongTokenType, ""},
		{"Keycloak, the type in the header", keycloak, compactHS256(`{"alg":"HS256","kid":"k1","typ":"Bearer"}`, payloadWith()), ErrWrongTokenType, ""},
		{"by header", byHeader, compactHS256(header, payloadWith("roles", `["ADMIN"]`)), nil, "[ADMIN]"},
		{"by header, the other value", byHeader, compactHS256(goodHeader, payloadWith()), nil, "[]"},
		{"by header, another", byHeader, compactHS256(`{"alg":"HS256","kid":"k1","typ":"id+jwt"}`, payloadWith()), ErrWrongTokenType, ""},
		{"Cognito without jti", cognito, compactHS256(header, payloadWith("token_use", `"access"`, "jti", "")), nil, "[]"},
		{"Cognito, an ID token", cognito, compactHS256(header, payloadWith("token_use", `"id"`)), ErrWrongTokenType, ""},
		{"by header without jti", byHeader, compactHS256(header, payloadWith("jti", "")), ErrInvalidToken, ""},
		{"any type", anything, compactHS256(header, payloadWith()), nil, "[]"},
		{"any type, another audience", anything, compactHS256(header, payloadWith("aud", `"x"`)), ErrInvalidToken, ""},
		{"any type, no audience", anything, compactHS256(header, payloadWith("aud", "")), ErrInvalidToken, ""},
	} {
		f := newFixture(t)
		f.verifier = must(NewVerifier(testIssuer, f.verifier.keys, WithLayout(tt.profile), WithAudience(testIssuer), WithClock(f.clock.Now)))(t)
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
			t.Errorf("%s: an issuer of somebody else's tokens", tt.name)
		}
	}
	key := must(keys.NewSet(must(keys.NewHMAC(keys.HS256, testSecret))(t)))(t)
	for name, err := range map[string]error{
		"no type":                        second(IdentityProvider(WithRolesAt("roles"))),
		"two places":                     second(IdentityProvider(WithTypeHeader("jwt"), WithTypeClaim("typ", "x"))),
		"no values":                      second(IdentityProvider(WithTypeHeader())),
		"no claim":                       second(IdentityProvider(WithTypeClaim("", "x"))),
		"an odd path":                    second(IdentityProvider(WithUnsafeAnyType(), WithRolesAt("a..b"))),
		"a nil option":                   second(IdentityProvider(nil)),
		"no profile":                     second(NewVerifier(testIssuer, key, WithLayout(nil))),
		"a zero profile":                 second(NewVerifier(testIssuer, key, WithLayout((*providerLayout)(nil)))),
		"any type and no audience of it": second(NewVerifier(testIssuer, key, WithLayout(anything))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNeverExpiring is case 83: tokens without exp, only where both sides say so, and revoked for ever.
func TestNeverExpiring(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	if _, err := f.issuer.IssueAccessToken(ctx, "alice", nil, WithoutExpiry()); err == nil {
		t.Error("issued although the verifier takes none")
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
	// Zero is no "never": it is a time that no token may name.
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
	// A claim without the prefix is none of ours, and paths that contradict each other are left out.
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
		"no namespace":              second(plain.issuer.IssueAccessToken(t.Context(), "a", nil, WithPublicClaims(map[string]any{"a": 1}))),
		"a slash":                   issue(map[string]any{"a/b": 1}),
		"an empty name":             issue(map[string]any{"a": map[string]any{"": 1}}),
		"a channel":                 issue(map[string]any{"a": make(chan int)}),
		"not UTF-8":                 issue(map[string]any{"a\xff": 1}),
		"a namespace that is none":  second(NewVerifier(testIssuer, f.verifier.keys, WithPublicNamespace("x"))),
		"a namespace without slash": second(NewVerifier(testIssuer, f.verifier.keys, WithPublicNamespace("https://claims.example"))),
		"an empty prefix":           second(NewVerifier(testIssuer, f.verifier.keys, WithPrivatePrefix(""))),
		"a reserved prefix":         second(NewVerifier(testIssuer, f.verifier.keys, WithPrivatePrefix("sub"))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// With the prefix even a reserved name is a claim of one's own, and stands beside the known one.
	text = must(f.issuer.IssueAccessToken(t.Context(), "alice", map[string]string{"sub": "mallory"}, WithLifetime(time.Minute)))(t).Text()
	if token := f.token(t, text, accessToken); token.Subject() != "alice" {
		t.Errorf("subject %s", token.Subject())
	}
}

// members decodes a token loosely.
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
