package pyjwt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

// pythonToken signs a token as golang-jwt writes it: without kid. A nil claim is left out.
func pythonToken(t testing.TB, header, claims map[string]any) string {
	t.Helper()
	token := jwt.New(jwt.SigningMethodHS256)
	for name, value := range header {
		token.Header[name] = value
	}
	all := jwt.MapClaims{
		"sub": "user-1", "jti": "0f8fad5b-d9cb-469f-a165-70867728950e", "iat": 1700000000, "nbf": 1700000000, "exp": 1700000900, "type": "access", "fresh": false,
	}
	for name, value := range claims {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	token.Claims = all
	return must(token.SignedString([]byte(pythonSecret)))(t)
}

// TestSecretRotation replaces the secret of each layout. No token of these layouts has a kid, so
// every secret of the set is tried: nobody is logged out until the old secret is taken out.
func TestSecretRotation(t *testing.T) {
	oldKey := must(keys.NewHMAC(keys.HS256, []byte(pythonSecret)))(t)
	newKey := must(keys.NewHMAC(keys.HS256, []byte("another-test-key-0123456789-abcdefghijklmnop")))(t)
	set := func(all ...*keys.Key) *keys.Set { return must(keys.NewSet(all...))(t) }
	for _, layout := range []struct {
		name            string
		layout          security.Layout
		access, refresh string
	}{
		{name: "Flask", layout: pyjwt.Flask("role"), access: flaskAccess, refresh: flaskRefresh},
		{name: "Sanic", layout: pyjwt.Sanic("role"), access: sanicAccess, refresh: sanicRefresh},
	} {
		rotation := must(keys.NewRotation(set(oldKey)))(t)
		app := apptest.NewWith(t, rotation)
		app.UseLayout(t, layout.layout)
		fromHere := must(app.Issuer.IssueAccessToken(t.Context(), "user-1", nil))(t).Text()
		for _, step := range []struct {
			name           string
			set            *keys.Set
			oldGood, inNew bool
		}{
			{name: "the old secret", set: set(oldKey), oldGood: true},
			{name: "the new secret behind it", set: set(oldKey, newKey), oldGood: true},
			{name: "the new secret in front", set: set(newKey, oldKey), oldGood: true, inNew: true},
			{name: "the new secret alone", set: set(newKey), inNew: true},
		} {
			if err := rotation.Replace(step.set); err != nil {
				t.Fatal(err)
			}
			for what, text := range map[string]string{"an access token of Python": layout.access, "an access token of this issuer": fromHere} {
				if err := app.Refuses(t, text, apptest.AccessToken); (err == nil) != step.oldGood || err != nil && !errors.Is(err, security.ErrInvalidToken) {
					t.Errorf("%s, %s: %s: %v", layout.name, step.name, what, err)
				}
			}
			if err := app.Refuses(t, layout.refresh, apptest.RefreshToken); (err == nil) != step.oldGood {
				t.Errorf("%s, %s: a refresh token: %v", layout.name, step.name, err)
			}
			issued := must(app.Issuer.IssueAccessToken(t.Context(), "user-1", nil))(t).Text()
			if err := app.Refuses(t, issued, apptest.AccessToken); err != nil {
				t.Errorf("%s, %s: a new token: %v", layout.name, step.name, err)
			}
			newApp := apptest.NewWith(t, set(newKey))
			newApp.UseLayout(t, layout.layout)
			if err := newApp.Refuses(t, issued, apptest.AccessToken); (err == nil) != step.inNew {
				t.Errorf("%s, %s: a new token with the new secret alone: %v", layout.name, step.name, err)
			}
		}
	}
}

// TestTriedSecretsAreBounded has more secrets than are tried for one token.
func TestTriedSecretsAreBounded(t *testing.T) {
	for count, want := range map[int]error{8: nil, 9: security.ErrInvalidToken} {
		var all []*keys.Key
		for i := range count - 1 {
			all = append(all, must(keys.NewHMAC(keys.HS256, fmt.Appendf(nil, "secret number %d of the application", i)))(t))
		}
		all = append(all, must(keys.NewHMAC(keys.HS256, []byte(pythonSecret)))(t))
		app := apptest.NewWith(t, must(keys.NewSet(all...))(t))
		app.UseLayout(t, pyjwt.Flask("role"))
		if err := app.Refuses(t, flaskAccess, apptest.AccessToken); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%d secrets: %v, want %v", count, err, want)
		}
	}
}

// TestAudienceAndIssuer has tokens with and without aud and iss, in each layout.
func TestAudienceAndIssuer(t *testing.T) {
	audience := []security.VerifierOption{security.WithAudience("api", "api-2")}
	for _, tt := range []struct {
		name     string
		options  []pyjwt.Option
		verifier []security.VerifierOption
		claims   map[string]any
		issued   any // the iss of an issued token
		refused  bool
	}{
		{name: "neither set nor there"},
		{name: "no audience set, the issuer as aud", claims: map[string]any{"aud": sectest.Issuer}},
		{name: "no audience set, another aud", claims: map[string]any{"aud": "api"}, refused: true},
		{name: "no issuer set, this iss", claims: map[string]any{"iss": sectest.Issuer}},
		{name: "no issuer set, another iss", claims: map[string]any{"iss": "https://other.example"}, refused: true},
		{name: "the audience", verifier: audience, claims: map[string]any{"aud": "api"}},
		{name: "one of the audiences", verifier: audience, claims: map[string]any{"aud": []string{"x", "api-2"}}},
		{name: "no aud", verifier: audience, refused: true},
		{name: "another aud", verifier: audience, claims: map[string]any{"aud": "x"}, refused: true},
		{name: "the issuer as aud, though an audience is set", verifier: audience, claims: map[string]any{"aud": sectest.Issuer}, refused: true},
		{name: "an empty list of aud", verifier: audience, claims: map[string]any{"aud": []string{}}, refused: true},
		{name: "optional, no aud", options: []pyjwt.Option{pyjwt.WithAudienceOptional()}, verifier: audience},
		{name: "optional, the audience", options: []pyjwt.Option{pyjwt.WithAudienceOptional()}, verifier: audience, claims: map[string]any{"aud": "api"}},
		{name: "optional, another aud", options: []pyjwt.Option{pyjwt.WithAudienceOptional()}, verifier: audience, claims: map[string]any{"aud": "x"}, refused: true},
		{name: "the issuer", options: []pyjwt.Option{pyjwt.WithIssuerClaim()}, issued: sectest.Issuer, claims: map[string]any{"iss": sectest.Issuer}},
		{name: "no iss", options: []pyjwt.Option{pyjwt.WithIssuerClaim()}, issued: sectest.Issuer, refused: true},
		{name: "another iss", options: []pyjwt.Option{pyjwt.WithIssuerClaim()}, issued: sectest.Issuer, claims: map[string]any{"iss": "x"}, refused: true},
		{name: "a nil option", options: []pyjwt.Option{nil}},
	} {
		text := pythonToken(t, map[string]any{"class": "access"}, tt.claims)
		for library, layout := range map[string]security.Layout{"Flask": pyjwt.Flask("", tt.options...), "Sanic": pyjwt.Sanic("", tt.options...)} {
			app := newApp(t, layout, tt.verifier...)
			if err := app.Refuses(t, text, apptest.AccessToken); (err != nil) != tt.refused || err != nil && !errors.Is(err, security.ErrInvalidToken) {
				t.Errorf("%s, %s: %v, want refused: %v", library, tt.name, err, tt.refused)
			}
			pair := must(app.Issuer.IssueTokenPair(t.Context(), "user-1", nil, nil))(t)
			for typ, text := range map[security.TokenType]string{apptest.AccessToken: pair.Access.Text(), apptest.RefreshToken: pair.Refresh.Text()} {
				_, content := members(t, text)
				if _, hasAudience := content["aud"]; hasAudience != (tt.verifier != nil) {
					t.Errorf("%s, %s: an issued %s token has aud %v", library, tt.name, typ.Name(), content["aud"])
				}
				if content["iss"] != tt.issued {
					t.Errorf("%s, %s: an issued %s token has iss %v, want %v", library, tt.name, typ.Name(), content["iss"], tt.issued)
				}
				if err := app.Refuses(t, text, typ); err != nil {
					t.Errorf("%s, %s: an issued %s token: %v", library, tt.name, typ.Name(), err)
				}
			}
		}
	}
}

// TestRolesAsList writes several roles, and reads both forms with and without the option.
func TestRolesAsList(t *testing.T) {
	for library, layouts := range map[string][2]security.Layout{
		"Flask": {pyjwt.Flask("roles"), pyjwt.Flask("roles", pyjwt.WithRolesAsList())},
		"Sanic": {pyjwt.Sanic("roles"), pyjwt.Sanic("roles", pyjwt.WithRolesAsList())},
	} {
		for i, layout := range layouts {
			app := newApp(t, layout)
			for _, tt := range []struct {
				name  string
				value any
				want  string
			}{
				{name: "a string", value: "admin", want: "[admin]"},
				{name: "a list", value: []string{"admin", "editor"}, want: "[admin editor]"},
				{name: "an empty list", value: []string{}, want: "[]"},
				{name: "no role", want: "[]"},
				{name: "a number", value: 7, want: "[]"},
			} {
				text := pythonToken(t, map[string]any{"class": "access"}, map[string]any{"roles": tt.value})
				if got := fmt.Sprint(app.Token(t, text, apptest.AccessToken).Roles()); got != tt.want {
					t.Errorf("%s, option %d, %s: roles %s, want %s", library, i, tt.name, got, tt.want)
				}
			}
		}
		app := newApp(t, layouts[1])
		for _, tt := range []struct {
			name  string
			roles []string
			want  string
		}{
			{name: "two roles", roles: []string{"admin", "editor"}, want: "[admin editor]"},
			{name: "one role", roles: []string{"admin"}, want: "[admin]"},
			{name: "no role", want: "<nil>"},
		} {
			text := must(app.Issuer.IssueAccessToken(t.Context(), "user-1", nil, security.WithRoles(tt.roles...)))(t).Text()
			if _, content := members(t, text); fmt.Sprint(content["roles"]) != tt.want {
				t.Errorf("%s, %s: roles %v, want %s", library, tt.name, content["roles"], tt.want)
			}
			if got := app.Token(t, text, apptest.AccessToken).Roles(); fmt.Sprint(got) != fmt.Sprint(tt.roles) {
				t.Errorf("%s, %s: reads roles %v", library, tt.name, got)
			}
		}
	}
}

// TestIdentityClaim has the subject in another claim than sub.
func TestIdentityClaim(t *testing.T) {
	identity := pyjwt.WithIdentityClaim("identity")
	for library, layout := range map[string]security.Layout{"Flask": pyjwt.Flask("role", identity), "Sanic": pyjwt.Sanic("role", identity)} {
		app := newApp(t, layout)
		for _, tt := range []struct {
			name    string
			claims  map[string]any
			subject string // "" if the token is refused
		}{
			{name: "text", claims: map[string]any{"sub": nil, "identity": "user-7"}, subject: "user-7"},
			{name: "an integer", claims: map[string]any{"sub": nil, "identity": 7}, subject: "7"},
			{name: "beside another sub", claims: map[string]any{"identity": "user-7"}, subject: "user-7"},
			{name: "beside a sub of another type", claims: map[string]any{"sub": 8, "identity": "user-7"}, subject: "user-7"},
			{name: "sub alone"},
			{name: "a fraction", claims: map[string]any{"identity": 7.5}},
			{name: "an object", claims: map[string]any{"identity": map[string]any{"id": 7}}},
			{name: "empty", claims: map[string]any{"identity": ""}},
			{name: "true", claims: map[string]any{"identity": true}},
		} {
			token, err := app.Verifier.Verify(t.Context(), apptest.AccessToken, pythonToken(t, map[string]any{"class": "access"}, tt.claims))
			switch {
			case (err == nil) != (tt.subject != ""), err != nil && !errors.Is(err, security.ErrInvalidToken):
				t.Errorf("%s, %s: %v", library, tt.name, err)
			case err == nil && (token.Subject() != tt.subject || token.Identity().Subject != tt.subject):
				t.Errorf("%s, %s: subject %q, identity %+v", library, tt.name, token.Subject(), token.Identity())
			}
		}
		text := must(app.Issuer.IssueAccessToken(t.Context(), "user-7", nil))(t).Text()
		_, content := members(t, text)
		if _, ok := content["sub"]; ok || content["identity"] != "user-7" || app.Token(t, text, apptest.AccessToken).Subject() != "user-7" {
			t.Errorf("%s: issued %v", library, content)
		}
		if _, err := app.Issuer.IssueAccessToken(t.Context(), "user-7", map[string]string{"identity": "user-8"}); err == nil {
			t.Errorf("%s: a private claim replaces the identity", library)
		}
	}
	set := must(keys.NewSet(must(keys.NewHMAC(keys.HS256, []byte(pythonSecret)))(t)))(t)
	for _, name := range []string{"", "exp", "nbf", "iat", "iss", "aud", "jti", "sid", "auth_time", "fresh", "session_start"} {
		if _, err := security.NewVerifier(sectest.Issuer, set, security.WithLayout(pyjwt.Flask("role", pyjwt.WithIdentityClaim(name)))); err == nil {
			t.Errorf("%q is the claim with the subject", name)
		}
	}
	for name, tt := range map[string]struct {
		layout security.Layout
		good   bool
	}{
		"Flask: the claim of the role":    {layout: pyjwt.Flask("who", pyjwt.WithIdentityClaim("who"))},
		"Sanic: the claim of the role":    {layout: pyjwt.Sanic("who", pyjwt.WithIdentityClaim("who"))},
		"Flask: the claim of the type":    {layout: pyjwt.Flask("role", pyjwt.WithIdentityClaim("type"))},
		"Flask: the type as the role":     {layout: pyjwt.Flask("type")},
		"Flask: different claims":         {layout: pyjwt.Flask("role", pyjwt.WithIdentityClaim("who")), good: true},
		"Flask: no role, another subject": {layout: pyjwt.Flask("", pyjwt.WithIdentityClaim("who")), good: true},
		"Sanic: different claims":         {layout: pyjwt.Sanic("role", pyjwt.WithIdentityClaim("who")), good: true},
	} {
		if _, err := security.NewVerifier(sectest.Issuer, set, security.WithLayout(tt.layout)); (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTokenIDs has the ids of issued tokens. Sanic-JWT-Extended refuses an id that is no UUID.
func TestTokenIDs(t *testing.T) {
	const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
	for _, tt := range []struct {
		name    string
		layout  security.Layout
		options []security.TokenOption
		refused bool
	}{
		{name: "Flask", layout: pyjwt.Flask("")},
		{name: "Sanic", layout: pyjwt.Sanic("")},
		{name: "Flask, an id that is a UUID", layout: pyjwt.Flask(""), options: []security.TokenOption{security.WithID(id)}},
		{name: "Sanic, an id that is a UUID", layout: pyjwt.Sanic(""), options: []security.TokenOption{security.WithID(id)}},
		{name: "Sanic, a UUID without dashes", layout: pyjwt.Sanic(""), options: []security.TokenOption{security.WithID(strings.ReplaceAll(id, "-", ""))}},
		{name: "Sanic, an id that is no UUID", layout: pyjwt.Sanic(""), options: []security.TokenOption{security.WithID("order-7")}, refused: true},
	} {
		app := newApp(t, tt.layout)
		seen := map[string]bool{}
		for range 2 {
			token, err := app.Issuer.IssueAccessToken(t.Context(), "user-1", nil, tt.options...)
			if (err != nil) != tt.refused {
				t.Errorf("%s: %v", tt.name, err)
			}
			if err != nil {
				continue
			}
			_, content := members(t, token.Text())
			if _, err := uuid.Parse(token.ID()); err != nil || content["jti"] != token.ID() {
				t.Errorf("%s: id %q, jti %v", tt.name, token.ID(), content["jti"])
			}
			if seen[token.ID()] && tt.options == nil {
				t.Errorf("%s: the same id twice", tt.name)
			}
			seen[token.ID()] = true
		}
	}
}

// TestRevokeSessionOfPythonTokens ends sessions by tokens that have no sid. Nobody knows the session
// of an access token, which is an error and not a log-out that did nothing.
func TestRevokeSessionOfPythonTokens(t *testing.T) {
	for _, tt := range []struct {
		name    string
		layout  security.Layout
		text    string
		typ     security.TokenType
		refused bool
	}{
		{name: "Flask access", layout: pyjwt.Flask("role"), text: flaskAccess, typ: apptest.AccessToken, refused: true},
		{name: "Sanic access", layout: pyjwt.Sanic("role"), text: sanicAccess, typ: apptest.AccessToken, refused: true},
		{name: "Flask refresh", layout: pyjwt.Flask("role"), text: flaskRefresh, typ: apptest.RefreshToken},
		{name: "Sanic refresh", layout: pyjwt.Sanic("role"), text: sanicRefresh, typ: apptest.RefreshToken},
	} {
		app := newApp(t, tt.layout)
		token := app.Token(t, tt.text, tt.typ)
		err := app.Validator.RevokeSession(t.Context(), token)
		if (err != nil) != tt.refused || err != nil && !errors.Is(err, blacklist.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, err := app.Issuer.IssueAccessToken(t.Context(), "user-1", nil, security.WithSession(token)); (err != nil) != tt.refused {
			t.Errorf("%s: a session is continued: %v", tt.name, err)
		}
		if tt.refused {
			// The token itself and the sessions of its subject can be revoked.
			if err := errors.Join(app.Validator.Revoke(t.Context(), token), second(app.Validator.RevokeSubjectOf(t.Context(), token))); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if err := app.Refuses(t, tt.text, tt.typ); !errors.Is(err, security.ErrTokenRevoked) {
			t.Errorf("%s: after the revocation: %v", tt.name, err)
		}
	}
}

// TestFlaskErrors checks the statuses and bodies of Flask-JWT-Extended.
func TestFlaskErrors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		status  int
		message string // "" where the response stays
	}{
		{name: "no token", err: security.ErrNoCredentials, status: 401, message: "Missing Authorization Header"},
		{name: "malformed", err: security.ErrMalformedRequest, status: 422, message: "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'"},
		{name: "invalid", err: security.ErrInvalidToken, status: 422, message: "Signature verification failed"},
		{name: "not yet valid", err: security.ErrTokenNotYetValid, status: 422, message: "The token is not yet valid (nbf)"},
		{name: "expired", err: security.ErrTokenExpired, status: 401, message: "Token has expired"},
		{name: "wrong type", err: security.ErrWrongTokenType, status: 422, message: "Only non-refresh tokens are allowed"},
		{name: "revoked", err: security.ErrTokenRevoked, status: 401, message: "Token has been revoked"},
		{name: "not fresh", err: security.ErrFreshTokenRequired, status: 401, message: "Fresh token required"},
		{name: "CSRF", err: security.ErrCSRF, status: 401, message: "CSRF double submit tokens do not match"},
		{name: "a role", err: security.ErrAccessDenied, status: 403, message: "You are not allowed to access here"},
		{name: "a reason", err: security.ErrInvalidToken.Because("the signature", sectest.ErrSecretive), status: 422, message: "Signature verification failed"},
		{name: "unavailable", err: security.ErrUnavailable, status: 503},
		{name: "another origin", err: security.ErrCrossOrigin, status: 403},
		{name: "an error of the handler", err: sectest.ErrSecretive, status: 500},
	} {
		handle := must(pyjwt.FlaskErrors("error"))(t)
		standard := guard.Response{Status: tt.status, Header: map[string][]string{"Www-Authenticate": {"Bearer"}}, Body: []byte("standard")}
		response := handle(context.Background(), guard.Failure{Err: tt.err, Response: standard})
		if response.Status != tt.status || response.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: status %d, want %d, header %v", tt.name, response.Status, tt.status, response.Header)
		}
		if tt.message == "" {
			if string(response.Body) != "standard" {
				t.Errorf("%s: body %s", tt.name, response.Body)
			}
			continue
		}
		if len(standard.Header) != 1 {
			t.Errorf("%s: the header of the failure was changed", tt.name)
		}
		checkMessage(t, tt.name, response.Body, "error", tt.message)
		if response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: header %v", tt.name, response.Header)
		}
	}
	if _, err := pyjwt.FlaskErrors(""); err == nil {
		t.Error("no key for the message: no error")
	}
}

// checkMessage checks that a body is an object with one message.
func checkMessage(t *testing.T, name string, text []byte, key, message string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal(text, &body); err != nil || len(body) != 1 || body[key] != message {
		t.Errorf("%s: body %s, want %s: %s (%v)", name, text, key, message, err)
	}
}

// TestFlaskErrorsOfRequests sends requests to a guarded operation.
func TestFlaskErrorsOfRequests(t *testing.T) {
	app := newApp(t, pyjwt.Flask("role"))
	calls := 0
	handler := app.Serve(t, &guard.Operation{
		ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}}, Rules: guard.Rules{AllowRoles: []string{"owner"}},
	}, &calls, guard.WithErrorHandler(must(pyjwt.FlaskErrors("msg"))(t)))
	for _, tt := range []struct {
		name          string
		authorization []string
		status        int
		message       string
	}{
		{name: "no token", status: 401, message: "Missing Authorization Header"},
		{name: "malformed", authorization: []string{"Bearer"}, status: 422, message: "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'"},
		{name: "no JWT", authorization: []string{"Bearer x"}, status: 422, message: "Signature verification failed"},
		{name: "a refresh token", authorization: []string{"Bearer " + flaskRefresh}, status: 422, message: "Only non-refresh tokens are allowed"},
		{
			name: "expired", authorization: []string{"Bearer " + pythonToken(t, nil, map[string]any{"iat": 1699990000, "nbf": 1699990000, "exp": 1699990900})},
			status: 401, message: "Token has expired",
		},
		{name: "another role", authorization: []string{"Bearer " + flaskAccess}, status: 403, message: "You are not allowed to access here"},
	} {
		w := apptest.Get(handler, tt.authorization...)
		if w.Code != tt.status || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: status %d, want %d, header %v", tt.name, w.Code, tt.status, w.Header())
		}
		checkMessage(t, tt.name, w.Body.Bytes(), "msg", tt.message)
	}
	if calls != 0 {
		t.Errorf("the handler ran %d times", calls)
	}
}
