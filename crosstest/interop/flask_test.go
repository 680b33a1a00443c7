package interop

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
)

var (
	accessToken  = security.NewTokenType[security.NoClaims]("access")
	refreshToken = security.NewTokenType[security.NoClaims]("refresh")
)

const (
	flaskSecret = "the first secret of both services, at least 64 bytes for every HMAC"
	newSecret   = "the second secret of both services, at least 64 bytes for every HMAC"
)

// settings are those of a Flask service.
type settings map[string]any

// with returns the settings with others added.
func (s settings) with(more settings) settings {
	all := maps.Clone(s)
	maps.Copy(all, more)
	return all
}

var (
	plain        = settings{"JWT_SECRET_KEY": flaskSecret}
	withAudience = plain.with(settings{"JWT_ENCODE_AUDIENCE": audience, "JWT_DECODE_AUDIENCE": audience})
	withCookies  = plain.with(settings{"JWT_TOKEN_LOCATION": []string{"cookies"}})
)

// flask is a service with Flask-JWT-Extended.
type flask struct{ *program }

func startFlask(t *testing.T) flask {
	t.Helper()
	p, err := python("flask_service.py", "python3-python-flask-jwt-extended").start(t)
	if err != nil {
		skip(t, err)
	}
	t.Logf("Flask-JWT-Extended %s", p.version)
	return flask{p}
}

// flaskToken is a token that the Flask service issues.
type flaskToken struct {
	Op     string         `json:"op"`
	Config settings       `json:"config"`
	Type   string         `json:"type"`
	ID     any            `json:"identity"`
	Fresh  any            `json:"fresh,omitempty"`
	Claims map[string]any `json:"claims,omitempty"`
}

func (f flask) issue(t *testing.T, token flaskToken) string {
	t.Helper()
	token.Op = "issue"
	if token.ID == nil {
		token.ID = subject
	}
	var response struct{ Token string }
	if err := f.ask(token, &response); err != nil {
		t.Fatal(err)
	}
	return response.Token
}

// flaskRequest is a request to the Flask service.
type flaskRequest struct {
	Op      string            `json:"op"`
	Config  settings          `json:"config"`
	Path    string            `json:"path"`
	Token   string            `json:"token"`
	Method  string            `json:"method,omitempty"`
	Cookie  string            `json:"cookie,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

type flaskResponse struct {
	Status int
	Body   struct {
		Msg      string
		Identity any
		Claims   map[string]any
	}
}

func (f flask) send(t *testing.T, r flaskRequest) flaskResponse {
	t.Helper()
	r.Op = "send"
	var response flaskResponse
	if err := f.ask(r, &response); err != nil {
		t.Fatal(err)
	}
	return response
}

func hmacKey(t *testing.T, secret string) *keys.Key {
	t.Helper()
	return must(keys.NewHMAC(keys.HS256, []byte(secret)))(t)
}

// newAuthority makes a Go service with the layout and the key of the Flask service.
func newAuthority(t *testing.T, layout security.Layout, options ...security.Option) *security.Authority {
	t.Helper()
	set := must(keys.NewSet(hmacKey(t, flaskSecret)))(t)
	return must(security.New(issuer, set, blacklist.None{}, append(options, security.WithLayout(layout))...))(t)
}

// flaskRow is a token of the Flask service, and what the Go service decides.
type flaskRow struct {
	name   string
	layout security.Layout
	// options of the Go service, and the token with the settings of the Flask service.
	options []security.Option
	token   flaskToken
	// typ is the token type that the Go service expects, an access token by default.
	typ   security.TokenType
	want  error
	fresh bool
	roles []string
}

// TestFlaskTokensHere verifies tokens that Flask-JWT-Extended issues.
func TestFlaskTokensHere(t *testing.T) {
	here := []security.Option{security.WithAudience(audience)}
	later := []security.Option{security.WithClock(func() time.Time { return time.Now().Add(time.Hour) })}
	checkFlaskTokens(t, []flaskRow{
		{name: "Flask: access", token: flaskToken{Config: plain, Type: "access"}},
		{name: "Flask: fresh", token: flaskToken{Config: plain, Type: "access", Fresh: true}, fresh: true},
		{name: "Flask: fresh for a minute", token: flaskToken{Config: plain, Type: "access", Fresh: 60}, fresh: true},
		{name: "Flask: refresh", token: flaskToken{Config: plain, Type: "refresh"}, typ: refreshToken},
		{name: "Flask: refresh for access", token: flaskToken{Config: plain, Type: "refresh"}, want: security.ErrWrongTokenType},
		{name: "Flask: access for refresh", token: flaskToken{Config: plain, Type: "access"}, typ: refreshToken, want: security.ErrWrongTokenType},
		{name: "Flask: other secret", token: flaskToken{Config: settings{"JWT_SECRET_KEY": newSecret}, Type: "access"}, want: security.ErrInvalidToken},
		{name: "Flask: expired", options: later, token: flaskToken{Config: plain, Type: "access"}, want: security.ErrTokenExpired},
		{name: "Flask: one role", token: flaskToken{Config: plain, Type: "access", Claims: map[string]any{"role": "admin"}}, roles: []string{"admin"}},
		{name: "Flask: roles as a list", token: flaskToken{Config: plain, Type: "access", Claims: map[string]any{"role": []string{"admin", "editor"}}}, roles: []string{"admin", "editor"}},
		{name: "Flask: audience on both sides", options: here, token: flaskToken{Config: withAudience, Type: "access"}},
		{name: "Flask: audience of another", options: here, token: flaskToken{Config: plain.with(settings{"JWT_ENCODE_AUDIENCE": "https://other.example.com"}), Type: "access"}, want: security.ErrInvalidToken},
		{name: "Flask: no audience though one is set here", options: here, token: flaskToken{Config: plain, Type: "access"}, want: security.ErrInvalidToken},
		{name: "Flask: issuer of both", token: flaskToken{Config: plain.with(settings{"JWT_ENCODE_ISSUER": issuer}), Type: "access"}},
		{name: "Flask: other issuer", token: flaskToken{Config: plain.with(settings{"JWT_ENCODE_ISSUER": "https://other.example"}), Type: "access"}, want: security.ErrInvalidToken},
	})
}

func checkFlaskTokens(t *testing.T, rows []flaskRow) {
	t.Helper()
	service := startFlask(t)
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			if tt.layout == nil {
				tt.layout = pyjwt.Flask("role")
			}
			if tt.typ == nil {
				tt.typ = accessToken
			}
			authority := newAuthority(t, tt.layout, tt.options...)
			token, err := authority.Verifier.Verify(t.Context(), tt.typ, service.issue(t, tt.token))
			if problem := tt.check(token, err); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// check returns what is wrong with the decision, or "".
func (r flaskRow) check(token security.AnyToken, err error) string {
	switch {
	case r.want != nil || err != nil:
		if !errors.Is(err, r.want) {
			return fmt.Sprintf("the error is %v, not %v", err, r.want)
		}
	case token.Subject() != subject:
		return fmt.Sprintf("the subject is %q", token.Subject())
	case token.Fresh() != r.fresh:
		return fmt.Sprintf("fresh is %t", token.Fresh())
	case !slices.Equal(token.Roles(), r.roles):
		return fmt.Sprintf("the roles are %q", token.Roles())
	}
	return ""
}

// issuedRow is a token of the Go service, and what the Flask service responds.
type issuedRow struct {
	name    string
	layout  security.Layout
	options []security.Option
	refresh bool
	token   []security.TokenOption
	config  settings
	path    string
	status  int
	// claims are those that the Flask service must see.
	claims map[string]any
}

// TestTokensInFlask has Flask-JWT-Extended verify tokens that are issued here.
func TestTokensInFlask(t *testing.T) {
	here := []security.Option{security.WithAudience(audience)}
	checkIssuedTokens(t, []issuedRow{
		{name: "in Flask: access", config: plain, path: "/access", status: 200, claims: map[string]any{"type": "access", "fresh": false}},
		{name: "in Flask: refresh", config: plain, refresh: true, path: "/refresh", status: 200, claims: map[string]any{"type": "refresh"}},
		{name: "in Flask: refresh for access", config: plain, refresh: true, path: "/access", status: 422},
		{name: "in Flask: access for refresh", config: plain, path: "/refresh", status: 422},
		{name: "in Flask: fresh", config: plain, token: []security.TokenOption{security.WithFresh()}, path: "/fresh", status: 200},
		{name: "in Flask: not fresh", config: plain, path: "/fresh", status: 401},
		{name: "in Flask: one role", config: plain, token: []security.TokenOption{security.WithRoles("admin")}, path: "/access", status: 200, claims: map[string]any{"role": "admin"}},
		{name: "in Flask: other secret", config: settings{"JWT_SECRET_KEY": newSecret}, path: "/access", status: 422},
		{name: "in Flask: audience on both sides", options: here, config: withAudience, path: "/access", status: 200, claims: map[string]any{"aud": audience}},
		{name: "in Flask: audience of another", options: []security.Option{security.WithAudience("https://other.example.com")}, config: withAudience, path: "/access", status: 422},
		{name: "in Flask: audience only here", options: here, config: plain, path: "/access", status: 200},
	})
}

func checkIssuedTokens(t *testing.T, rows []issuedRow) {
	t.Helper()
	service := startFlask(t)
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			if tt.layout == nil {
				tt.layout = pyjwt.Flask("role")
			}
			issue := newAuthority(t, tt.layout, tt.options...).Issuer.IssueAccessToken
			if tt.refresh {
				issue = newAuthority(t, tt.layout, tt.options...).Issuer.IssueRefreshToken
			}
			token := must(issue(t.Context(), subject, nil, tt.token...))(t)
			response := service.send(t, flaskRequest{Config: tt.config, Path: tt.path, Token: token.Text()})
			if problem := tt.check(response); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// check returns what is wrong with the response, or "".
func (r issuedRow) check(response flaskResponse) string {
	if response.Status != r.status {
		return fmt.Sprintf("the status is %d, not %d: %s", response.Status, r.status, response.Body.Msg)
	}
	if r.status == http.StatusOK && response.Body.Identity != subject {
		return fmt.Sprintf("the identity is %v", response.Body.Identity)
	}
	for name, want := range r.claims {
		if got := response.Body.Claims[name]; !reflect.DeepEqual(got, want) {
			return fmt.Sprintf("the claim %s is %v, not %v", name, got, want)
		}
	}
	return ""
}

// TestFlaskCookies sends tokens in cookies to both services. A request that changes something
// repeats the claim csrf in a header.
func TestFlaskCookies(t *testing.T) {
	service := startFlask(t)
	authority := newAuthority(t, pyjwt.Flask(""))
	issued := must(authority.Issuer.IssueAccessToken(t.Context(), subject, nil, security.WithCSRF()))(t)
	cookieScheme := &guard.Scheme{Name: "accessCookie", Token: accessToken, In: guard.InCookie, Parameter: "access_token_cookie"}
	operation := &guard.Operation{ID: "change", Method: http.MethodPost, Path: "/access", Requirement: guard.Requirement{{cookieScheme}}}
	guards := must(guard.NewGuards(must(guard.New(authority.Validator))(t), nil, operation))(t)
	handler := guards.HandlerFunc(operation, func(http.ResponseWriter, *http.Request) {})

	text := service.issue(t, flaskToken{Config: withCookies, Type: "access"})
	csrf := must(authority.Verifier.Verify(t.Context(), accessToken, text))(t).CSRF()
	for _, tt := range []struct {
		name               string
		flaskCSRF, ourCSRF string
		flaskStatus        int
		ourStatus          int
	}{
		{name: "the right value", ourCSRF: csrf, flaskCSRF: issued.CSRF(), ourStatus: 200, flaskStatus: 200},
		{name: "no value", ourStatus: 403, flaskStatus: 401},
		{name: "the value of another token", ourCSRF: issued.CSRF(), flaskCSRF: csrf, ourStatus: 403, flaskStatus: 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			headers := map[string]string{}
			if tt.flaskCSRF != "" {
				headers["X-CSRF-TOKEN"] = tt.flaskCSRF
			}
			response := service.send(t, flaskRequest{
				Config: withCookies, Path: "/access", Method: http.MethodPost,
				Token: issued.Text(), Cookie: "access_token_cookie", Headers: headers,
			})
			if response.Status != tt.flaskStatus {
				t.Errorf("Flask-JWT-Extended responds %d to our token, not %d: %s", response.Status, tt.flaskStatus, response.Body.Msg)
			}
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/access", nil)
			request.AddCookie(&http.Cookie{Name: "access_token_cookie", Value: text})
			request.Header.Set("Sec-Fetch-Site", "same-origin")
			if tt.ourCSRF != "" {
				request.Header.Set("X-CSRF-TOKEN", tt.ourCSRF)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != tt.ourStatus {
				t.Errorf("the guard responds %d to the token of Flask-JWT-Extended, not %d: %s", recorder.Code, tt.ourStatus, recorder.Body)
			}
		})
	}
}

// TestFlaskAlgorithms sends tokens both ways in each algorithm.
func TestFlaskAlgorithms(t *testing.T) {
	service := startFlask(t)
	for _, algorithm := range algorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			m := newMaterial(t, algorithm)
			authority := must(security.New(issuer, must(keys.NewSet(m.key))(t), blacklist.None{}, security.WithLayout(pyjwt.Flask(""))))(t)
			config := settings{"JWT_ALGORITHM": algorithm, "JWT_SECRET_KEY": string(m.secret), "JWT_PUBLIC_KEY": m.pem, "JWT_PRIVATE_KEY": m.privatePEM}
			token := must(authority.Issuer.IssueAccessToken(t.Context(), subject, nil))(t)
			if response := service.send(t, flaskRequest{Config: config, Path: "/access", Token: token.Text()}); response.Status != http.StatusOK {
				t.Errorf("Flask-JWT-Extended responds %d: %s", response.Status, response.Body.Msg)
			}
			text := service.issue(t, flaskToken{Config: config, Type: "access"})
			if _, err := authority.Verifier.Verify(t.Context(), accessToken, text); err != nil {
				t.Errorf("a token of Flask-JWT-Extended: %v", err)
			}
		})
	}
}

// TestFlaskRotation takes both services from one secret to another. The Flask service knows one
// secret at a time. Nobody is logged out in a step of ours.
func TestFlaskRotation(t *testing.T) {
	service := startFlask(t)
	older, newer := hmacKey(t, flaskSecret), hmacKey(t, newSecret)
	newPlain := settings{"JWT_SECRET_KEY": newSecret}
	rotation := must(keys.NewRotation(must(keys.NewSet(older))(t)))(t)
	authority := must(security.New(issuer, rotation, blacklist.None{}, security.WithLayout(pyjwt.Flask(""))))(t)
	ofOlder := map[string]string{
		"the Flask service": service.issue(t, flaskToken{Config: plain, Type: "access"}),
		"the service in Go": must(authority.Issuer.IssueAccessToken(t.Context(), subject, nil))(t).Text(),
	}
	ofNewer := map[string]string{"the Flask service": service.issue(t, flaskToken{Config: newPlain, Type: "access"})}
	for _, tt := range []struct {
		name                       string
		set                        []*keys.Key
		acceptsOlder, acceptsNewer bool
		// signs has the settings of the Flask service that accepts new tokens of the step.
		signs settings
	}{
		{name: "Flask rotation: one key", set: []*keys.Key{older}, acceptsOlder: true, signs: plain},
		{name: "Flask rotation: new key behind", set: []*keys.Key{older, newer}, acceptsOlder: true, acceptsNewer: true, signs: plain},
		{name: "Flask rotation: new key in front", set: []*keys.Key{newer, older}, acceptsOlder: true, acceptsNewer: true, signs: newPlain},
		{name: "Flask rotation: old key removed", set: []*keys.Key{newer}, acceptsNewer: true, signs: newPlain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := rotation.Replace(must(keys.NewSet(tt.set...))(t)); err != nil {
				t.Fatal(err)
			}
			issued := must(authority.Issuer.IssueAccessToken(t.Context(), subject, nil))(t).Text()
			problem := accepts(t, authority, map[string]string{"a new token": issued}, true)
			problem += accepts(t, authority, ofOlder, tt.acceptsOlder)
			problem += accepts(t, authority, ofNewer, tt.acceptsNewer)
			if response := service.send(t, flaskRequest{Config: tt.signs, Path: "/access", Token: issued}); response.Status != http.StatusOK {
				problem += fmt.Sprintf("Flask-JWT-Extended responds %d to a new token. ", response.Status)
			}
			if problem != "" {
				t.Error(problem)
			}
		})
	}
}

// accepts returns which tokens the service decides wrongly about, or "".
func accepts(t *testing.T, authority *security.Authority, tokens map[string]string, want bool) string {
	t.Helper()
	problem := ""
	for of, text := range tokens {
		if _, err := authority.Verifier.Verify(t.Context(), accessToken, text); (err == nil) != want {
			problem += fmt.Sprintf("The token of %s: %v. ", of, err)
		}
	}
	return problem
}
