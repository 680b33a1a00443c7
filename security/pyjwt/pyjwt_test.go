//go:build ignore

package security

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// pythonSecret signed the sample tokens, which have the header and the payload, member for member, that the Python libraries write.
const pythonSecret = "interop-test-key-0123456789-abcdefghijklmnop"

const (
	sanicAccess  = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoiYWNjZXNzIn0.eyJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsInJvbGUiOiJBRE1JTiIsImZyZXNoIjp0cnVlLCJodHRwczovL2p3dC5pby9zc29fdXNlcl9pZCI6ImFzZGYiLCJodHRwczovL2p3dC5pby91c2VyX2luZm8vbmFtZSI6ImZvbyIsImh0dHBzOi8vand0LmlvL3VzZXJfaW5mby9sZXZlbCI6Mywic2plX3RlbmFudCI6ImFjbWUiLCJqdGkiOiIwZjhmYWQ1YmQ5Y2I0NjlmYTE2NTcwODY3NzI4OTUwZSIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwOTAwfQ._CxsUKDgXzuUKk7y-BRwY57GzzUIZ_TTpbBBqZ7dMjg"
	sanicRefresh = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoicmVmcmVzaCJ9.eyJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsInJvbGUiOiJBRE1JTiIsImh0dHBzOi8vand0LmlvL3Nzb191c2VyX2lkIjoiYXNkZiIsImh0dHBzOi8vand0LmlvL3VzZXJfaW5mby9uYW1lIjoiZm9vIiwiaHR0cHM6Ly9qd3QuaW8vdXNlcl9pbmZvL2xldmVsIjozLCJzamVfLnRlbmFudCI6ImFjbWUiLCJqdGkiOiI3YzllNjY3OTc0MjU0MGRlOTQ0YmUwN2ZjMWY5MGFlNyIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAyNTkyMDAwfQ.46axgHA0qCwiF6Wq8nR_BbvL6YJ7kzk1d7y7GQcdAJQ"
	// With an issuer and an audience of their own, a csrf claim and fresh false.
	sanicIssuer  = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImNsYXNzIjoiYWNjZXNzIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwic3ViIjoidXNlci0xIiwiYXVkIjoiYXBpIiwibmJmIjoxNzAwMDAwMDAwLCJmcmVzaCI6ZmFsc2UsImp0aSI6IjBmOGZhZDViZDljYjQ2OWZhMTY1NzA4Njc3Mjg5NTBlIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDAsImNzcmYiOiJjNTZhNDE4MGFhNzU0MmVjODk0NWQwZTVmMGYzYzBiMSJ9.fBMHGSg-dKDwC95f1TzJLCqf1u4wUSkffYsu37308rU"
	flaskAccess  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJmcmVzaCI6dHJ1ZSwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwZjhmYWQ1Yi1kOWNiLTQ2OWYtYTE2NS03MDg2NzcyODk1MGUiLCJ0eXBlIjoiYWNjZXNzIiwic3ViIjoidXNlci0xIiwibmJmIjoxNzAwMDAwMDAwLCJjc3JmIjoiYzU2YTQxODAtNjVhYS00MmVjLWE5NDUtNWZkMjFkZWMwNTM4IiwiZXhwIjoxNzAwMDAwOTAwLCJyb2xlIjoiYWRtaW4ifQ.Unfj2xQCmbgT-c0rYL01LcdxKxn7Z5arIz5-7Jgmayk"
	flaskRefresh = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJmcmVzaCI6ZmFsc2UsImlhdCI6MTcwMDAwMDAwMCwianRpIjoiN2M5ZTY2NzktNzQyNS00MGRlLTk0NGItZTA3ZmMxZjkwYWU3IiwidHlwZSI6InJlZnJlc2giLCJzdWIiOiJ1c2VyLTEiLCJuYmYiOjE3MDAwMDAwMDAsImNzcmYiOiI5YjJkNmUwYS0xZjdjLTRjNTUtOGQ1ZS0yZjNhNGI1YzZkN2UiLCJleHAiOjE3MDI1OTIwMDB9.MXrD7sU7xS9UdA4aygA-jg7GENjZpqfzRevNleUo5DE"
	// Fresh until 1700000300.25.
	flaskUntil = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJmcmVzaCI6MTcwMDAwMDMwMC4yNSwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiIwZjhmYWQ1Yi1kOWNiLTQ2OWYtYTE2NS03MDg2NzcyODk1MGUiLCJ0eXBlIjoiYWNjZXNzIiwic3ViIjoidXNlci0xIiwibmJmIjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.3LsYJCy6EbzPPleASqV6mju0e8XVx0Ff_GSXMl5SxFE"
)

// withProfile makes the fixture one of the layout, with the secret of the samples.
func (f *fixture) withProfile(t testing.TB, p *Profile, options ...VerifierOption) {
	t.Helper()
	keys := must(NewKeySet(must(NewHMACKey(HS256, []byte(pythonSecret)))(t)))(t)
	f.verifier = must(NewVerifier("https://issuer.example", keys, append(options, WithProfile(p), WithClock(f.clock.Now))...))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	f.issuer = nil
	if !p.foreign {
		f.issuer = must(NewIssuer(f.verifier))(t)
	}
}

// TestPythonTokens verifies tokens of the Python libraries, and refuses them where they do not belong.
func TestPythonTokens(t *testing.T) {
	sanic, flask := SanicJWTExtended("role"), FlaskJWTExtended("role")
	for _, tt := range []struct {
		name    string
		profile *Profile
		text    string
		typ     TokenType
		want    error
	}{
		{"Sanic access", sanic, sanicAccess, accessToken, nil},
		{"Sanic refresh", sanic, sanicRefresh, refreshToken, nil},
		{"Sanic refresh for access", sanic, sanicRefresh, accessToken, ErrWrongTokenType},
		{"Sanic access for refresh", sanic, sanicAccess, refreshToken, ErrWrongTokenType},
		{"Sanic for Flask", flask, sanicAccess, accessToken, ErrWrongTokenType},
		{"Sanic for the default", RFC9068(), sanicAccess, accessToken, ErrInvalidToken},
		{"Sanic with an audience that is not ours", sanic, sanicIssuer, accessToken, ErrInvalidToken},
		{"Flask access", flask, flaskAccess, accessToken, nil},
		{"Flask refresh", flask, flaskRefresh, refreshToken, nil},
		{"Flask refresh for access", flask, flaskRefresh, accessToken, ErrWrongTokenType},
		{"Flask access for refresh", flask, flaskAccess, refreshToken, ErrWrongTokenType},
		{"Flask for Sanic", sanic, flaskAccess, accessToken, ErrWrongTokenType},
		{"Flask, fresh until", flask, flaskUntil, accessToken, nil},
		{"Flask, fresh until, for Sanic", sanic, flaskUntil, accessToken, ErrInvalidToken},
	} {
		f := newFixture(t)
		f.withProfile(t, tt.profile)
		if err := f.accepted(tt.text, tt.typ); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}

	f := newFixture(t)
	f.withProfile(t, sanic)
	typ := NewTokenType[struct {
		Tenant string `json:"sje_tenant"`
	}]("access")
	token := f.token(t, sanicAccess, typ).(Token[struct {
		Tenant string `json:"sje_tenant"`
	}])
	if token.Subject() != "user-1" || token.Role() != "ADMIN" || !token.Fresh() || token.ID() != "0f8fad5bd9cb469fa16570867728950e" || token.Claims().Tenant != "acme" {
		t.Errorf("Sanic's token reads as %s %s %v %s %+v", token.Subject(), token.Role(), token.Fresh(), token.ID(), token.Claims())
	}
	f.withProfile(t, sanic, WithAudience("api"))
	if err := f.accepted(sanicIssuer, accessToken); err != nil {
		t.Errorf("with its audience: %v", err)
	}
	f.withProfile(t, flask)
	fresh := f.token(t, flaskUntil, accessToken).(Token[userClaims])
	f.clock.Advance(300*time.Second + 128*time.Millisecond) // to a millisecond behind the end
	if stale := f.token(t, flaskUntil, accessToken).(Token[userClaims]); !fresh.Fresh() || stale.Fresh() {
		t.Errorf("fresh before its time: %v, after it: %v", fresh.Fresh(), stale.Fresh())
	}
	if token := f.token(t, flaskAccess, accessToken).(Token[userClaims]); token.Role() != "admin" || token.CSRF() == "" || !token.Fresh() {
		t.Errorf("Flask's token reads as %s %s %v", token.Role(), token.CSRF(), token.Fresh())
	}
}

// TestPythonLayout issues in the Python layouts: the same members of the same JSON types, and two that the libraries do not know.
func TestPythonLayout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		profile *Profile
		typ     TokenType
		sample  string
		options []TokenOption
		lacks   string // what the sample has and ours has only on request
	}{
		{"Sanic access", SanicJWTExtended("role"), accessToken, sanicAccess, []TokenOption{WithRoles("ADMIN"), WithFresh()}, "https://jwt.io/sso_user_id https://jwt.io/user_info/name https://jwt.io/user_info/level sje_tenant"},
		{"Sanic refresh", SanicJWTExtended("role"), refreshToken, sanicRefresh, []TokenOption{WithRoles("ADMIN")}, "https://jwt.io/sso_user_id https://jwt.io/user_info/name https://jwt.io/user_info/level sje_.tenant"},
		{"Flask access", FlaskJWTExtended("role"), accessToken, flaskAccess, []TokenOption{WithRoles("admin"), WithFresh(), WithCSRF()}, ""},
		{"Flask refresh", FlaskJWTExtended(""), refreshToken, flaskRefresh, []TokenOption{WithCSRF()}, "fresh"},
	} {
		f := newFixture(t)
		f.withProfile(t, tt.profile)
		text := must(f.issuer.Issue(t.Context(), tt.typ, "user-1", nil, tt.options...))(t).Text()
		theirHeader, theirPayload := members(t, tt.sample)
		ourHeader, ourPayload := members(t, text)
		if fmt.Sprint(ourHeader) != fmt.Sprint(theirHeader) {
			t.Errorf("%s: header %v, theirs %v", tt.name, ourHeader, theirHeader)
		}
		for _, name := range []string{"sid", "auth_time"} {
			if _, ok := ourPayload[name]; !ok {
				t.Errorf("%s: no %s", tt.name, name)
			}
			delete(ourPayload, name)
		}
		for _, name := range strings.Fields(tt.lacks) {
			delete(theirPayload, name)
		}
		for name, their := range theirPayload {
			ours, ok := ourPayload[name]
			if !ok || fmt.Sprintf("%T", ours) != fmt.Sprintf("%T", their) {
				t.Errorf("%s: %s is %v, theirs %v", tt.name, name, ours, their)
			}
			if seconds, ok := ours.(float64); ok && seconds != float64(int64(seconds)) {
				t.Errorf("%s: %s is %v, not whole seconds", tt.name, name, ours)
			}
			delete(ourPayload, name)
		}
		if len(ourPayload) > 0 {
			t.Errorf("%s: members that theirs has not: %v", tt.name, ourPayload)
		}
		if err := f.accepted(text, tt.typ); err != nil {
			t.Errorf("%s: our own is refused: %v", tt.name, err)
		}
	}
	f := newFixture(t)
	f.withProfile(t, FlaskJWTExtended(""))
	for name, err := range map[string]error{
		"two roles":      second(f.issuer.Access(t.Context(), "a", nil, WithRoles("a", "b"))),
		"a role":         second(f.issuer.Access(t.Context(), "a", nil, WithRoles("a"))),
		"a half second":  second(f.issuer.Access(t.Context(), "a", nil, WithLifetime(500*time.Millisecond))),
		"the claim type": second(f.issuer.Access(t.Context(), "a", map[string]string{"type": "refresh"})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f.withProfile(t, SanicJWTExtended("permission"))
	if _, err := f.issuer.Access(t.Context(), "a", map[string]string{"permission": "ADMIN"}); err == nil {
		t.Error("a private claim stands in for the role")
	}
}

// members decodes a token loosely.
func members(t *testing.T, text string) (header, payload map[string]any) {
	t.Helper()
	segments := strings.Split(text, ".")
	for i, into := range []*map[string]any{&header, &payload} {
		if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(segments[i]))(t), into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// TestTakeOver refreshes a token of a Python service: the session gets an id, keeps its beginning, and can be ended.
func TestTakeOver(t *testing.T) {
	f := newFixture(t)
	f.withProfile(t, FlaskJWTExtended("role"))
	old := f.token(t, flaskRefresh, refreshToken)
	if err := f.validator.Consume(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	pair := must(f.issuer.Pair(t.Context(), "user-1", nil, nil, Continue(old)))(t)
	access := f.token(t, pair.Access.Text(), accessToken).(Token[userClaims])
	if access.Session() == "" || access.AuthTime().Unix() != 1700000000 || pair.Refresh.ExpiresAt().Unix() != 1702592000 {
		t.Errorf("session %q since %s until %s", access.Session(), access.AuthTime(), pair.Refresh.ExpiresAt())
	}
	if err := f.accepted(flaskRefresh, refreshToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("the consumed token: %v", err)
	}
	if err := f.validator.RevokeSession(t.Context(), access); err != nil {
		t.Fatal(err)
	}
	if err := f.accepted(pair.Refresh.Text(), refreshToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("after the log-out: %v", err)
	}
}

// TestIdentityProvider reads tokens as identity providers lay them out.
func TestIdentityProvider(t *testing.T) {
	keycloak := must(IdentityProvider(WithTypeClaim("typ", "Bearer"), WithRolesAt("realm_access.roles")))(t)
	byHeader := must(IdentityProvider(WithTypeHeader("AT+JWT", "application/JWT")))(t)
	cognito := must(IdentityProvider(WithTypeClaim("token_use", "access"), WithoutTokenIDs()))(t)
	anything := must(IdentityProvider(WithUnsafeAnyType()))(t)
	const header = `{"alg":"HS256","kid":"k1","typ":"JWT"}`
	for _, tt := range []struct {
		name    string
		profile *Profile
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
		keys := must(f.verifier.keys.current())(t)
		f.verifier = must(NewVerifier(testIssuer, keys, WithProfile(tt.profile), WithAudience(testIssuer), WithClock(f.clock.Now)))(t)
		f.validator = must(NewValidator(f.verifier, f.list))(t)
		token, err := f.validate(t.Context(), tt.text, accessToken)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			continue
		}
		if err == nil {
			if roles := token.token().(Token[userClaims]).Roles(); fmt.Sprint(roles) != tt.roles {
				t.Errorf("%s: roles %v, want %s", tt.name, roles, tt.roles)
			}
		}
		if _, err := NewIssuer(f.verifier); err == nil {
			t.Errorf("%s: an issuer of somebody else's tokens", tt.name)
		}
	}
	key := must(NewKeySet(must(NewHMACKey(HS256, testSecret))(t)))(t)
	for name, err := range map[string]error{
		"no type":                        second(IdentityProvider(WithRolesAt("roles"))),
		"two places":                     second(IdentityProvider(WithTypeHeader("jwt"), WithTypeClaim("typ", "x"))),
		"no values":                      second(IdentityProvider(WithTypeHeader())),
		"no claim":                       second(IdentityProvider(WithTypeClaim("", "x"))),
		"an odd path":                    second(IdentityProvider(WithUnsafeAnyType(), WithRolesAt("a..b"))),
		"a nil option":                   second(IdentityProvider(nil)),
		"no profile":                     second(NewVerifier(testIssuer, key, WithProfile(nil))),
		"a zero profile":                 second(NewVerifier(testIssuer, key, WithProfile(&Profile{}))),
		"any type and no audience of it": second(NewVerifier(testIssuer, key, WithProfile(anything))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
