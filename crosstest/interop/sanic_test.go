package interop

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// sanicToken is what Sanic-JWT-Extended 1.0 reads of a token.
type sanicToken struct {
	Type, Subject, CSRF string
	Fresh               bool
	Roles               []string
	Private             map[string]any
}

// readSanic has the rules by which Sanic-JWT-Extended 1.0 decodes a token. No package of it can be had
// from Debian, so they stand here in our words:
//   - PyJWT 1.x checks the signature, exp, nbf and iat. It cuts times to whole seconds. Nothing checks
//     iss and aud.
//   - The type is the header class, "access" or "refresh".
//   - sub, nbf, iat and jti must be there. The Python class UUID must parse jti. nbf and iat are times.
//   - Of an access token fresh is read. The role, a string or a list, is read from the ACL claim.
//   - Private claims are those with the prefix, without the prefix and its underscore.
func readSanic(text, secret, aclClaim, privatePrefix string, now time.Time) (sanicToken, error) {
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(func() time.Time { return now.Truncate(time.Second) }), jwt.WithIssuedAt())
	if err != nil {
		return sanicToken{}, err
	}
	token := sanicToken{}
	token.Type, _ = parsed.Header["class"].(string)
	if token.Type != "access" && token.Type != "refresh" {
		return token, fmt.Errorf("the header class is %q", token.Type)
	}
	for _, name := range []string{"sub", "nbf", "iat", "jti"} {
		if _, ok := claims[name]; !ok {
			return token, fmt.Errorf("there is no claim %s", name)
		}
	}
	if id, ok := claims["jti"].(string); !ok || !isUUID(id) {
		return token, errors.New("the claim jti is no UUID")
	}
	token.Subject, _ = claims["sub"].(string)
	token.CSRF, _ = claims["csrf"].(string)
	if token.Type == "access" {
		token.Fresh, _ = claims["fresh"].(bool)
	}
	switch role := claims[aclClaim].(type) {
	case string:
		token.Roles = []string{role}
	case []any:
		for _, one := range role {
			token.Roles = append(token.Roles, fmt.Sprint(one))
		}
	}
	token.Private = map[string]any{}
	for name, value := range claims {
		if rest, ok := strings.CutPrefix(name, privatePrefix+"_"); ok && privatePrefix != "" {
			token.Private[rest] = value
		}
	}
	return token, nil
}

// isUUID reports whether the Python class UUID parses the text: 32 hexadecimal digits, after "urn:",
// "uuid:", braces and dashes are taken out.
func isUUID(text string) bool {
	digits := strings.NewReplacer("urn:", "", "uuid:", "", "-", "").Replace(text)
	digits = strings.Trim(digits, "{}")
	if len(digits) != 32 {
		return false
	}
	_, err := uuid.Parse(digits)
	return err == nil
}

// TestTokensInSanic reads tokens that are issued here by the rules of Sanic-JWT-Extended.
func TestTokensInSanic(t *testing.T) {
	private := map[string]any{"plan": "gold"}
	for _, tt := range []struct {
		name    string
		refresh bool
		options []security.TokenOption
		claims  any
		want    sanicToken
	}{
		{name: "Sanic: access", want: sanicToken{Type: "access"}},
		{name: "Sanic: private claims", claims: private, want: sanicToken{Type: "access", Private: private}},
		{name: "Sanic: fresh", options: []security.TokenOption{security.WithFresh()}, want: sanicToken{Type: "access", Fresh: true}},
		{name: "Sanic: refresh", refresh: true, want: sanicToken{Type: "refresh"}},
		{name: "Sanic: one role", options: []security.TokenOption{security.WithRoles("admin")}, want: sanicToken{Type: "access", Roles: []string{"admin"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			authority := newAuthority(t, pyjwt.Sanic("role"), security.WithPrivatePrefix("app"))
			issue := authority.Issuer.IssueAccessToken
			if tt.refresh {
				issue = authority.Issuer.IssueRefreshToken
			}
			text := must(issue(t.Context(), subject, tt.claims, tt.options...))(t).Text()
			tt.want.Subject = subject
			if tt.want.Private == nil {
				tt.want.Private = map[string]any{}
			}
			got, err := readSanic(text, flaskSecret, "role", "app", time.Now())
			problem := ""
			if err != nil {
				problem = err.Error()
			} else if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				problem = fmt.Sprintf("read %v, not %v", got, tt.want)
			}
			if problem != "" {
				t.Error(problem)
			}
		})
	}
}

// TestSanicTokensHere verifies tokens as Sanic-JWT-Extended writes them: jti is a UUID without dashes,
// the times are whole seconds, iss and aud are there where they are set, and the key has no id.
func TestSanicTokensHere(t *testing.T) {
	now := time.Now().Unix()
	claims := func(more map[string]any) map[string]any {
		all := map[string]any{"sub": subject, "jti": strings.ReplaceAll(uuid.NewString(), "-", ""), "iat": now, "nbf": now, "exp": now + 900}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	for _, tt := range []struct {
		name    string
		class   string
		claims  map[string]any
		options []security.Option
		typ     security.TokenType
		want    error
		roles   []string
	}{
		{name: "Sanic: access here", class: "access", claims: claims(nil), typ: accessToken},
		{name: "Sanic: refresh here", class: "refresh", claims: claims(nil), typ: refreshToken},
		{name: "Sanic: refresh for access here", class: "refresh", claims: claims(nil), typ: accessToken, want: security.ErrWrongTokenType},
		{name: "Sanic: one role here", class: "access", claims: claims(map[string]any{"role": "admin"}), typ: accessToken, roles: []string{"admin"}},
		{name: "Sanic: roles as a list here", class: "access", claims: claims(map[string]any{"role": []string{"admin", "editor"}}), typ: accessToken, roles: []string{"admin", "editor"}},
		{name: "Sanic: audience here", class: "access", claims: claims(map[string]any{"aud": audience}), options: []security.Option{security.WithAudience(audience)}, typ: accessToken},
		{name: "Sanic: other audience here", class: "access", claims: claims(map[string]any{"aud": "https://other.example.com"}), options: []security.Option{security.WithAudience(audience)}, typ: accessToken, want: security.ErrInvalidToken},
		{name: "Sanic: other issuer here", class: "access", claims: claims(map[string]any{"iss": "https://other.example"}), typ: accessToken, want: security.ErrInvalidToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			authority := newAuthority(t, pyjwt.Sanic("role"), tt.options...)
			token, err := authority.Verifier.Verify(t.Context(), tt.typ, writeSanic(t, tt.class, tt.claims))
			problem := ""
			if !errors.Is(err, tt.want) {
				problem = fmt.Sprintf("the error is %v, not %v", err, tt.want)
			} else if err == nil && fmt.Sprint(token.Roles()) != fmt.Sprint(tt.roles) {
				problem = fmt.Sprintf("the roles are %q", token.Roles())
			}
			if problem != "" {
				t.Error(problem)
			}
		})
	}
}

// writeSanic signs a token with the header that the library writes.
func writeSanic(t *testing.T, class string, claims map[string]any) string {
	t.Helper()
	header := base64.RawURLEncoding.EncodeToString(must(json.Marshal(map[string]string{"typ": "JWT", "alg": "HS256", "class": class}))(t))
	text := header + "." + base64.RawURLEncoding.EncodeToString(must(json.Marshal(claims))(t))
	signature := must(jwt.SigningMethodHS256.Sign(text, []byte(flaskSecret)))(t)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
