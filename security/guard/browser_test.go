package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// Schemes of these tables, and requirements with them.
var (
	hostCookieScheme    = &Scheme{Name: "cookie", Token: accessToken, In: InCookie, Parameter: "__Host-access"}
	jwtQueryScheme      = &Scheme{Name: "query", Token: accessToken, In: InQuery, Parameter: "jwt"}
	customHeaderScheme  = &Scheme{Name: "custom", Token: accessToken, In: InHeader, Parameter: "X-Access-Token"}
	wordScheme          = &Scheme{Name: "worded", Token: accessToken, In: InHeader, Parameter: "authorization", Prefix: "Token"}
	refreshCookieScheme = &Scheme{Name: "refreshCookie", Token: refreshToken, In: InCookie, Parameter: "refresh"}

	anyLocation      = Requirement{{accessScheme}, {hostCookieScheme}, {jwtQueryScheme}}
	optionalLocation = Requirement{{}, {accessScheme}, {hostCookieScheme}}
	cookieWithForm   = Requirement{{&Scheme{Name: "forms", Token: accessToken, In: InCookie, Parameter: "__Host-access", CSRFForm: true}}}
)

// browserFixture is an application that trusts https://app.example, with tokens of one subject.
type browserFixture struct {
	*fixture
	// good is the text of an access token, and csrf its claim.
	good, csrf string
	// noCSRF is the text of an access token without the claim csrf.
	noCSRF string
	// other is another access token, and refresh a refresh token. Both have the claim.
	other, refresh security.IssuedToken
}

func newBrowserFixture(t *testing.T) *browserFixture {
	t.Helper()
	f := newFixture(t, WithTrustedOrigins("https://app.example"))
	issued := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithCSRF()))(t)
	return &browserFixture{
		fixture: f, good: issued.Text(), csrf: issued.CSRF(),
		noCSRF:  must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text(),
		other:   must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithCSRF()))(t),
		refresh: must(f.issuer.IssueRefreshToken(t.Context(), "alice", nil, security.WithCSRF()))(t),
	}
}

// browserCase is a request to an operation.
type browserCase struct {
	name        string
	requirement Requirement
	// request is a line with the method and the target, then a line for each header field, then an
	// empty line and the body.
	request string
	status  int
}

// run sends the requests. A handler runs only where the status is 200, and the body is left to it.
func (f *browserFixture) run(t *testing.T, cases []browserCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			handler, saw := f.serve(t, &Operation{ID: "op", Requirement: tt.requirement})
			head, body, _ := strings.Cut(tt.request, "\n\n")
			lines := strings.Split(head, "\n")
			method, target, _ := strings.Cut(lines[0], " ")
			path, rawQuery, _ := strings.Cut(target, "?")
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.URL.RawQuery = rawQuery
			for _, line := range lines[1:] {
				name, value, _ := strings.Cut(line, ":")
				r.Header.Add(name, strings.TrimPrefix(value, " "))
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if text, err := io.ReadAll(r.Body); err != nil || string(text) != body {
				t.Errorf("%d of %d bytes of the body are left for the handler (%v)", len(text), len(body), err)
			}
			if w.Code != tt.status || (saw.calls == 1) != (tt.status == 200) {
				t.Errorf("status %d, %d calls; want %d: %s", w.Code, saw.calls, tt.status, w.Body)
			}
			if inQuery := strings.Contains(target, "jwt="); tt.status == 200 && (w.Header().Get("Cache-Control") == "private, no-store") != inQuery {
				t.Errorf("Cache-Control %q", w.Header().Get("Cache-Control"))
			}
			if tt.status == 403 && w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("challenge %q, want none: another token does not help", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// TestCredentialLocations checks which token counts where a request has tokens in several places,
// and that malformed ones are refused.
func TestCredentialLocations(t *testing.T) {
	f := newBrowserFixture(t)
	good, refresh := f.good, f.refresh
	f.run(t, []browserCase{
		{name: "cookie", requirement: anyLocation, request: "GET /\nCookie: __Host-access=" + good, status: 200},
		{name: "query", requirement: anyLocation, request: "GET /?jwt=" + good, status: 200},
		{name: "query, blank", requirement: anyLocation, request: "GET /?jwt=", status: 401},
		{name: "query, twice", requirement: anyLocation, request: "GET /?jwt=" + good + "&jwt=" + good, status: 400},
		{name: "query, bad", requirement: anyLocation, request: "GET /?jwt=bad", status: 401},
		{name: "header and query", requirement: anyLocation, request: "GET /?jwt=" + good + "\nAuthorization: Bearer " + good, status: 400},
		{name: "cookie and query", requirement: anyLocation, request: "GET /?jwt=" + good + "\nCookie: __Host-access=" + good, status: 400},
		{
			name: "header and cookie", requirement: anyLocation,
			request: "GET /\nAuthorization: Bearer " + good + "\nCookie: __Host-access=bad", status: 200,
		},
		{
			name: "invalid header and valid cookie: the header decides", requirement: anyLocation,
			request: "GET /\nAuthorization: Bearer bad\nCookie: __Host-access=" + good, status: 401,
		},
		{
			name:        "the cookie first in the document: the header decides",
			requirement: Requirement{{hostCookieScheme}, {accessScheme}},
			request:     "GET /\nAuthorization: Bearer bad\nCookie: __Host-access=" + good, status: 401,
		},
		{
			name: "Basic does not displace the cookie", requirement: anyLocation,
			request: "GET /\nAuthorization: Basic YTpi\nCookie: __Host-access=" + good, status: 200,
		},
		{
			name: "a tab in the header does not uncover the cookie", requirement: anyLocation,
			request: "GET /\nAuthorization: Bearer\tx\nCookie: __Host-access=" + good, status: 400,
		},
		{
			name: "query with an escaped name that cannot be read, optional", requirement: Requirement{{}, {jwtQueryScheme}},
			request: "GET /?%6awt=x;", status: 400,
		},
		{name: "Basic alone", requirement: anyLocation, request: "GET /\nAuthorization: Basic YTpi", status: 401},
		{name: "Basic alone, optional", requirement: optionalLocation, request: "GET /\nAuthorization: Basic YTpi", status: 401},
		{name: "nothing, optional", requirement: optionalLocation, request: "GET /", status: 200},
		{
			name: "Bearer, optional, by cookie only", requirement: Requirement{{}, {hostCookieScheme}},
			request: "GET /\nAuthorization: Bearer " + good, status: 401,
		},
		{name: "bad cookie, optional", requirement: optionalLocation, request: "GET /\nCookie: __Host-access=bad", status: 401},
		{name: "blank cookie, optional", requirement: optionalLocation, request: "GET /\nCookie: __Host-access=", status: 200},
		{name: "blank cookie", requirement: anyLocation, request: "GET /\nCookie: __Host-access=", status: 401},
		{name: "blank Authorization, optional", requirement: optionalLocation, request: "GET /\nAuthorization:", status: 200},
		{name: "cookie twice", requirement: anyLocation, request: "GET /\nCookie: __Host-access=" + good + "; __Host-access=" + good, status: 200},
		{
			name: "cookie twice in two headers", requirement: anyLocation,
			request: "GET /\nCookie: __Host-access=" + good + "\nCookie: __Host-access=" + good, status: 200,
		},
		{
			name: "cookie twice, one that cannot be read", requirement: anyLocation,
			request: "GET /\nCookie: __Host-access=" + good + "; __Host-access=a\\b", status: 200,
		},
		{name: "cookie that cannot be read, optional", requirement: optionalLocation, request: "GET /\nCookie: __Host-access=a\\b", status: 400},
		{name: "query twice, one that cannot be read", requirement: anyLocation, request: "GET /?jwt=" + good + "&jwt=%zz", status: 400},
		{name: "query twice, one with a semicolon", requirement: anyLocation, request: "GET /?jwt=" + good + "&jwt=b;c", status: 400},
		{name: "query that cannot be read, optional", requirement: Requirement{{}, {jwtQueryScheme}}, request: "GET /?jwt=%zz", status: 400},
		{name: "another parameter that cannot be read", requirement: anyLocation, request: "GET /?jwt=" + good + "&x=1", status: 200},
		{name: "cookie of another name", requirement: anyLocation, request: "GET /\nCookie: access=" + good, status: 401},
		{
			name: "refresh cookie for access", requirement: Requirement{{accessScheme}, {refreshCookieScheme}},
			request: "GET /\nCookie: refresh=" + good, status: 401,
		},
		{
			name:        "a header does not displace the cookie of another type",
			requirement: Requirement{{accessScheme}, {refreshCookieScheme}},
			request:     "GET /\nAuthorization: Bearer bad\nCookie: refresh=" + refresh.Text(), status: 200,
		},

		{name: "custom header", requirement: Requirement{{customHeaderScheme}}, request: "GET /\nX-Access-Token: " + good, status: 200},
		{
			name: "custom header with a word that it does not take", requirement: Requirement{{customHeaderScheme}},
			request: "GET /\nX-Access-Token: Bearer " + good, status: 400,
		},
		{
			name: "custom header twice", requirement: Requirement{{customHeaderScheme}},
			request: "GET /\nX-Access-Token: " + good + "\nX-Access-Token: " + good, status: 400,
		},
		{name: "custom header blank", requirement: Requirement{{customHeaderScheme}}, request: "GET /\nX-Access-Token:", status: 401},
		{name: "custom word", requirement: Requirement{{wordScheme}}, request: "GET /\nAuthorization: Token " + good, status: 200},
		{name: "custom word in another case", requirement: Requirement{{wordScheme}}, request: "GET /\nAuthorization: tOKEN " + good, status: 200},
		{name: "another word", requirement: Requirement{{wordScheme}}, request: "GET /\nAuthorization: Bearer " + good, status: 401},
		{
			name: "the second of two words", requirement: Requirement{{accessScheme}, {wordScheme}},
			request: "GET /\nAuthorization: Token " + good, status: 200,
		},
	})
}

// TestCookieNeedsOriginAndCSRF checks when a request with a token in a cookie needs its CSRF value,
// and from which origins it may come.
func TestCookieNeedsOriginAndCSRF(t *testing.T) {
	f := newBrowserFixture(t)
	good, csrf, noCSRF, other := f.good, f.csrf, f.noCSRF, f.other
	f.run(t, []browserCase{
		{
			name: "unsafe with csrf", requirement: anyLocation,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, status: 200,
		},
		{name: "unsafe, csrf missing", requirement: anyLocation, request: "POST /\nCookie: __Host-access=" + good, status: 403},
		{name: "csrf empty", requirement: anyLocation, request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token:", status: 403},
		{name: "csrf not ASCII", requirement: anyLocation, request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: \xff", status: 403},
		{
			name: "csrf of another token", requirement: anyLocation,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + other.CSRF(), status: 403,
		},
		{
			name: "csrf twice", requirement: anyLocation,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "a cookie token without the claim", requirement: anyLocation,
			request: "POST /\nCookie: __Host-access=" + noCSRF + "\nX-CSRF-Token:", status: 403,
		},
		{name: "a cookie token without the claim, safe", requirement: anyLocation, request: "GET /\nCookie: __Host-access=" + noCSRF, status: 200},
		{name: "unsafe by header needs no csrf", requirement: anyLocation, request: "POST /\nAuthorization: Bearer " + good, status: 200},
		{name: "unsafe by query needs no csrf", requirement: anyLocation, request: "POST /?jwt=" + good, status: 200},
		{name: "HEAD is safe", requirement: anyLocation, request: "HEAD /\nCookie: __Host-access=" + good, status: 200},
		{name: "TRACE is unsafe", requirement: anyLocation, request: "TRACE /\nCookie: __Host-access=" + good, status: 403},
		{name: "an unknown method is unsafe", requirement: anyLocation, request: "BREW /\nCookie: __Host-access=" + good, status: 403},
		{
			name: "an upgrade from a page of another origin", requirement: anyLocation,
			request: "GET /\nConnection: Upgrade\nUpgrade: websocket\nOrigin: https://evil.example\nCookie: __Host-access=" + good, status: 403,
		},
		{
			name: "an upgrade from a page of the same origin needs no csrf", requirement: anyLocation,
			request: "GET /\nConnection: Upgrade\nUpgrade: websocket\nOrigin: http://example.com\nCookie: __Host-access=" + good, status: 200,
		},
		{
			name: "a POST that asks for an upgrade needs csrf", requirement: anyLocation,
			request: "POST /\nConnection: Upgrade\nUpgrade: websocket\nOrigin: http://example.com\nCookie: __Host-access=" + good, status: 403,
		},
		{
			name: "an upgrade with csrf", requirement: anyLocation,
			request: "GET /\nConnection: Upgrade\nUpgrade: websocket\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from the same origin", requirement: anyLocation,
			request: "POST /\nSec-Fetch-Site: same-origin\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from another site", requirement: anyLocation,
			request: "POST /\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "an upgrade from another site", requirement: anyLocation,
			request: "GET /\nUpgrade: websocket\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "two values of Sec-Fetch-Site", requirement: anyLocation,
			request: "POST /\nSec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "from another origin, old browser", requirement: anyLocation,
			request: "POST /\nOrigin: https://evil.example\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "from the same origin, old browser", requirement: anyLocation,
			request: "POST /\nOrigin: https://example.com\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from a trusted origin", requirement: anyLocation,
			request: "POST /\nSec-Fetch-Site: cross-site\nOrigin: https://app.example\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from a trusted origin without csrf", requirement: anyLocation,
			request: "POST /\nSec-Fetch-Site: cross-site\nOrigin: https://app.example\nCookie: __Host-access=" + good,
			status:  403,
		},
		{
			name: "from another site by header", requirement: anyLocation,
			request: "POST /\nSec-Fetch-Site: cross-site\nAuthorization: Bearer " + good, status: 200,
		},
	})
}

// TestCSRFValueInForm checks CSRF values in the body of a form.
func TestCSRFValueInForm(t *testing.T) {
	f := newBrowserFixture(t)
	good, csrf, noCSRF, other := f.good, f.csrf, f.noCSRF, f.other
	f.run(t, []browserCase{
		{
			name: "header instead of the form field", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, status: 200,
		},
		{
			name: "form", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\n\nx=1&csrf_token=" + csrf,
			status:  200,
		},
		{
			name: "form without the field", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\nx=1",
			status:  403,
		},
		{
			name: "form with the field twice", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf + "&csrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form of another token", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + other.CSRF(),
			status:  403,
		},
		{
			name: "form with a wrong header", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: x\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form that cannot be read", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=%zz",
			status:  400,
		},
		{
			name: "form over 64 KiB", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\nx=" + strings.Repeat("x", 64<<10) + "&csrf_token=" + csrf,
			status:  400,
		},
		{
			name: "JSON instead of a form", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/json\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form where the scheme does not allow it", requirement: anyLocation,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form from another site", requirement: cookieWithForm,
			request: "POST /\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form and a token without the claim", requirement: cookieWithForm,
			request: "POST /\nCookie: __Host-access=" + noCSRF + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=",
			status:  403,
		},
	})
}

// TestVerifiersAreApart has a second verifier, of an identity provider. No key and no token type of
// one verifier is valid for the other.
func TestVerifiersAreApart(t *testing.T) {
	f := newFixture(t)
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	set := must(keys.NewSet(must(keys.NewHMAC(keys.HS256, testSecret))(t)))(t)
	provider := must(security.NewVerifier("https://idp.example", must(keys.NewSet(must(keys.NewECDSA(p256, keys.WithID("k1")))(t)))(t),
		security.WithName("idp"), security.WithAudience(testIssuer), security.WithClock(f.clock.Now)))(t)
	validator := must(security.NewValidator(f.verifier, f.list, security.WithVerifier(provider)))(t)
	f.validator, f.policy = validator, must(New(validator))(t)
	ofProvider := must(must(security.NewIssuer(provider))(t).IssueAccessToken(t.Context(), "alice", nil, security.WithLifetime(time.Minute)))(t)
	ofApplication := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t)
	idp := &Scheme{Name: "idp", Token: security.NewTokenType[security.NoClaims]("idp-user").OfVerifier("idp")}
	idpAccess := &Scheme{Name: "idp", Token: accessToken.OfVerifier("idp")}

	for _, tt := range []struct {
		name   string
		scheme *Scheme
		text   string
		status int
	}{
		{name: "token of the application", scheme: accessScheme, text: ofApplication.Text(), status: 200},
		{name: "token of the provider", scheme: idpAccess, text: ofProvider.Text(), status: 200},
		{name: "token of the provider for the application", scheme: accessScheme, text: ofProvider.Text(), status: 401},
		{name: "token of the application for the provider", scheme: idpAccess, text: ofApplication.Text(), status: 401},
		{name: "token of the provider of another type", scheme: idp, text: ofProvider.Text(), status: 401},
	} {
		handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{tt.scheme}}})
		if w := get(handler, bearer(tt.text)); w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.status)
		}
		if tt.status != 200 {
			continue
		}
		// Subject and key id are the same. Revoking a token of one verifier does not revoke that of
		// the other.
		if err := validator.Revoke(t.Context(), saw.token); err != nil {
			t.Fatal(err)
		}
		if w := get(handler, bearer(tt.text)); w.Code != 401 {
			t.Errorf("%s, revoked: status %d", tt.name, w.Code)
		}
	}
	twin := must(security.NewVerifier(testIssuer, set, security.WithName("twin")))(t)
	for name, err := range map[string]error{
		"scheme of an unknown verifier": second(NewGuards(f.policy, nil, &Operation{ID: "o", Requirement: Requirement{{{Name: "x", Token: accessToken.OfVerifier("nobody")}}}})),
		"two verifiers of one name":     second(security.NewValidator(f.verifier, f.list, security.WithVerifier(f.verifier))),
		"two verifiers of one issuer":   second(security.NewValidator(f.verifier, f.list, security.WithVerifier(twin))),
		"nil verifier":                  second(security.NewValidator(f.verifier, f.list, security.WithVerifier(nil))),
		"verifier with an empty name":   second(security.NewVerifier(testIssuer, set, security.WithName(""))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
