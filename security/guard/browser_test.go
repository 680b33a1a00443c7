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

// TestPlaces has each sentence on which credential counts, and on browsers, as a row.
func TestPlaces(t *testing.T) {
	f := newFixture(t, WithTrustedOrigins("https://app.example"))
	header := accessScheme
	cookie := &Scheme{Name: "cookie", Token: accessToken, In: InCookie, Parameter: "__Host-access"}
	query := &Scheme{Name: "query", Token: accessToken, In: InQuery, Parameter: "jwt"}
	custom := &Scheme{Name: "custom", Token: accessToken, In: InHeader, Parameter: "X-Access-Token"}
	worded := &Scheme{Name: "worded", Token: accessToken, In: InHeader, Parameter: "authorization", Prefix: "Token"}
	refreshCookie := &Scheme{Name: "refreshCookie", Token: refreshToken, In: InCookie, Parameter: "refresh"}

	issued := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithCSRF()))(t)
	good, csrf := issued.Text(), issued.CSRF()
	other := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, security.WithCSRF()))(t)
	noCSRF := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	refresh := must(f.issuer.IssueRefreshToken(t.Context(), "alice", nil, security.WithCSRF()))(t)

	any := Requirement{{header}, {cookie}, {query}}
	optional := Requirement{{}, {header}, {cookie}}
	forms := Requirement{{&Scheme{Name: "forms", Token: accessToken, In: InCookie, Parameter: "__Host-access", CSRFForm: true}}}
	for _, tt := range []struct {
		name        string
		requirement Requirement
		// request is a line for each of: METHOD and query, then headers; then an empty line and the
		// body.
		request string
		status  int
	}{
		{name: "cookie", requirement: any, request: "GET /\nCookie: __Host-access=" + good, status: 200},
		{name: "query", requirement: any, request: "GET /?jwt=" + good, status: 200},
		{name: "query, blank", requirement: any, request: "GET /?jwt=", status: 400},
		{name: "query, twice", requirement: any, request: "GET /?jwt=" + good + "&jwt=" + good, status: 400},
		{name: "query, bad", requirement: any, request: "GET /?jwt=bad", status: 401},
		{name: "header and query", requirement: any, request: "GET /?jwt=" + good + "\nAuthorization: Bearer " + good, status: 400},
		{name: "cookie and query", requirement: any, request: "GET /?jwt=" + good + "\nCookie: __Host-access=" + good, status: 400},
		{
			name: "header and cookie", requirement: any,
			request: "GET /\nAuthorization: Bearer " + good + "\nCookie: __Host-access=bad", status: 200,
		},
		{
			name: "header invalid, cookie valid: the header decides", requirement: any,
			request: "GET /\nAuthorization: Bearer bad\nCookie: __Host-access=" + good, status: 401,
		},
		{
			name:        "the cookie first in the document, the header decides all the same",
			requirement: Requirement{{cookie}, {header}},
			request:     "GET /\nAuthorization: Bearer bad\nCookie: __Host-access=" + good, status: 401,
		},
		{
			name: "Basic does not displace the cookie", requirement: any,
			request: "GET /\nAuthorization: Basic YTpi\nCookie: __Host-access=" + good, status: 200,
		},
		{
			name: "a tab in the header does not uncover the cookie", requirement: any,
			request: "GET /\nAuthorization: Bearer\tx\nCookie: __Host-access=" + good, status: 400,
		},
		{
			name: "query with an escaped name that cannot be read, optional", requirement: Requirement{{}, {query}},
			request: "GET /?%6awt=x;", status: 400,
		},
		{name: "Basic alone", requirement: any, request: "GET /\nAuthorization: Basic YTpi", status: 401},
		{name: "Basic alone, optional", requirement: optional, request: "GET /\nAuthorization: Basic YTpi", status: 401},
		{name: "nothing, optional", requirement: optional, request: "GET /", status: 200},
		{
			name: "Bearer, optional, by cookie only", requirement: Requirement{{}, {cookie}},
			request: "GET /\nAuthorization: Bearer " + good, status: 401,
		},
		{name: "bad cookie, optional", requirement: optional, request: "GET /\nCookie: __Host-access=bad", status: 401},
		{name: "blank cookie, optional", requirement: optional, request: "GET /\nCookie: __Host-access=", status: 400},
		{name: "cookie twice", requirement: any, request: "GET /\nCookie: __Host-access=" + good + "; __Host-access=" + good, status: 400},
		{
			name: "cookie twice in two headers", requirement: any,
			request: "GET /\nCookie: __Host-access=" + good + "\nCookie: __Host-access=" + good, status: 400,
		},
		{
			name: "cookie twice, one that cannot be read", requirement: any,
			request: "GET /\nCookie: __Host-access=" + good + "; __Host-access=a\\b", status: 400,
		},
		{name: "cookie that cannot be read, optional", requirement: optional, request: "GET /\nCookie: __Host-access=a\\b", status: 400},
		{name: "query twice, one that cannot be read", requirement: any, request: "GET /?jwt=" + good + "&jwt=%zz", status: 400},
		{name: "query twice, one with a semicolon", requirement: any, request: "GET /?jwt=" + good + "&jwt=b;c", status: 400},
		{name: "query that cannot be read, optional", requirement: Requirement{{}, {query}}, request: "GET /?jwt=%zz", status: 400},
		{name: "another parameter that cannot be read", requirement: any, request: "GET /?jwt=" + good + "&x=1", status: 200},
		{name: "cookie of another name", requirement: any, request: "GET /\nCookie: access=" + good, status: 401},
		{
			name: "refresh cookie for access", requirement: Requirement{{header}, {refreshCookie}},
			request: "GET /\nCookie: refresh=" + good, status: 401,
		},
		{
			name:        "a header does not displace the cookie of another type",
			requirement: Requirement{{header}, {refreshCookie}},
			request:     "GET /\nAuthorization: Bearer bad\nCookie: refresh=" + refresh.Text(), status: 200,
		},

		{name: "own header", requirement: Requirement{{custom}}, request: "GET /\nX-Access-Token: " + good, status: 200},
		{
			name: "own header with a word that it has not", requirement: Requirement{{custom}},
			request: "GET /\nX-Access-Token: Bearer " + good, status: 400,
		},
		{
			name: "own header twice", requirement: Requirement{{custom}},
			request: "GET /\nX-Access-Token: " + good + "\nX-Access-Token: " + good, status: 400,
		},
		{name: "own header blank", requirement: Requirement{{custom}}, request: "GET /\nX-Access-Token:", status: 400},
		{name: "own word", requirement: Requirement{{worded}}, request: "GET /\nAuthorization: Token " + good, status: 200},
		{name: "own word in another case", requirement: Requirement{{worded}}, request: "GET /\nAuthorization: tOKEN " + good, status: 200},
		{name: "another word", requirement: Requirement{{worded}}, request: "GET /\nAuthorization: Bearer " + good, status: 401},
		{
			name: "two words, the second", requirement: Requirement{{header}, {worded}},
			request: "GET /\nAuthorization: Token " + good, status: 200,
		},

		{
			name: "unsafe with csrf", requirement: any,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, status: 200,
		},
		{name: "unsafe, csrf missing", requirement: any, request: "POST /\nCookie: __Host-access=" + good, status: 403},
		{name: "csrf empty", requirement: any, request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token:", status: 403},
		{name: "csrf not ASCII", requirement: any, request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: \xff", status: 403},
		{
			name: "csrf of another token", requirement: any,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + other.CSRF(), status: 403,
		},
		{
			name: "csrf twice", requirement: any,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "a cookie token without the claim", requirement: any,
			request: "POST /\nCookie: __Host-access=" + noCSRF + "\nX-CSRF-Token:", status: 403,
		},
		{name: "a cookie token without the claim, safe", requirement: any, request: "GET /\nCookie: __Host-access=" + noCSRF, status: 200},
		{name: "unsafe by header needs none", requirement: any, request: "POST /\nAuthorization: Bearer " + good, status: 200},
		{name: "unsafe by query needs none", requirement: any, request: "POST /?jwt=" + good, status: 200},
		{name: "HEAD is safe", requirement: any, request: "HEAD /\nCookie: __Host-access=" + good, status: 200},
		{name: "TRACE is not", requirement: any, request: "TRACE /\nCookie: __Host-access=" + good, status: 403},
		{name: "an odd method is not", requirement: any, request: "BREW /\nCookie: __Host-access=" + good, status: 403},
		{
			name: "an upgrade by GET is not", requirement: any,
			request: "GET /\nConnection: Upgrade\nUpgrade: websocket\nCookie: __Host-access=" + good, status: 403,
		},
		{
			name: "an upgrade with csrf", requirement: any,
			request: "GET /\nConnection: Upgrade\nUpgrade: websocket\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from the same origin", requirement: any,
			request: "POST /\nSec-Fetch-Site: same-origin\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from another site", requirement: any,
			request: "POST /\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "an upgrade from another site", requirement: any,
			request: "GET /\nUpgrade: websocket\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "two answers to from where", requirement: any,
			request: "POST /\nSec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "from another origin, old browser", requirement: any,
			request: "POST /\nOrigin: https://evil.example\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  403,
		},
		{
			name: "from the same origin, old browser", requirement: any,
			request: "POST /\nOrigin: https://example.com\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from a trusted origin", requirement: any,
			request: "POST /\nSec-Fetch-Site: cross-site\nOrigin: https://app.example\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf,
			status:  200,
		},
		{
			name: "from a trusted origin without csrf", requirement: any,
			request: "POST /\nSec-Fetch-Site: cross-site\nOrigin: https://app.example\nCookie: __Host-access=" + good,
			status:  403,
		},
		{
			name: "form, header all the same", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, status: 200,
		},
		{
			name: "form", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\n\nx=1&csrf_token=" + csrf,
			status:  200,
		},
		{
			name: "form without the field", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\nx=1",
			status:  403,
		},
		{
			name: "form with the field twice", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf + "&csrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form of another token", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + other.CSRF(),
			status:  403,
		},
		{
			name: "form with a wrong header", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: x\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form that cannot be read", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=%zz",
			status:  400,
		},
		{
			name: "form over 64 KiB", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\nx=" + strings.Repeat("x", 64<<10) + "&csrf_token=" + csrf,
			status:  400,
		},
		{
			name: "JSON instead of a form", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/json\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form where it is not opted in", requirement: any,
			request: "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form from another site", requirement: forms,
			request: "POST /\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf,
			status:  403,
		},
		{
			name: "form and a token without the claim", requirement: forms,
			request: "POST /\nCookie: __Host-access=" + noCSRF + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=",
			status:  403,
		},
		{
			name: "from another site by header", requirement: any,
			request: "POST /\nSec-Fetch-Site: cross-site\nAuthorization: Bearer " + good, status: 200,
		},
	} {
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
				t.Errorf("%d bytes of the body are left, of %d (%v)", len(text), len(body), err)
			}
			if w.Code != tt.status || (saw.calls == 1) != (tt.status == 200) {
				t.Errorf("status %d, %d calls; want %d: %s", w.Code, saw.calls, tt.status, w.Body)
			}
			if inQuery := strings.Contains(target, "jwt="); tt.status == 200 && (w.Header().Get("Cache-Control") == "private, no-store") != inQuery {
				t.Errorf("Cache-Control %q", w.Header().Get("Cache-Control"))
			}
			if tt.status == 403 && w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("a challenge, %q, for a request that is not to be repeated with another token", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// TestVerifiersAreApart has an identity provider beside the application: no key and no type of one
// serves for the other.
func TestVerifiersAreApart(t *testing.T) {
	f := newFixture(t)
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	ownSet := must(keys.NewSet(must(keys.NewHMAC(keys.HS256, testSecret))(t)))(t)
	provider := must(security.NewVerifier("https://idp.example", must(keys.NewSet(must(keys.NewECDSA(p256, keys.WithID("k1")))(t)))(t),
		security.WithName("idp"), security.WithAudience(testIssuer), security.WithClock(f.clock.Now)))(t)
	validator := must(security.NewValidator(f.verifier, f.list, security.WithVerifier(provider)))(t)
	f.validator, f.policy = validator, must(New(validator))(t)
	theirs := must(must(security.NewIssuer(provider))(t).IssueAccessToken(t.Context(), "alice", nil, security.WithLifetime(time.Minute)))(t)
	own := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t)
	idp := &Scheme{Name: "idp", Token: security.NewTokenType[security.NoClaims]("idp-user").OfVerifier("idp")}
	idpAccess := &Scheme{Name: "idp", Token: accessToken.OfVerifier("idp")}

	for _, tt := range []struct {
		name   string
		scheme *Scheme
		text   string
		status int
	}{
		{name: "ours", scheme: accessScheme, text: own.Text(), status: 200},
		{name: "theirs", scheme: idpAccess, text: theirs.Text(), status: 200},
		{name: "theirs for ours", scheme: accessScheme, text: theirs.Text(), status: 401},
		{name: "ours for theirs", scheme: idpAccess, text: own.Text(), status: 401},
		{name: "theirs of another type", scheme: idp, text: theirs.Text(), status: 401},
	} {
		handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{tt.scheme}}})
		if w := get(handler, bearer(tt.text)); w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.status)
		}
		if tt.status != 200 {
			continue
		}
		// Revoking one does not revoke the other's token, though subject and key id are the same.
		if err := validator.Revoke(t.Context(), saw.token); err != nil {
			t.Fatal(err)
		}
		if w := get(handler, bearer(tt.text)); w.Code != 401 {
			t.Errorf("%s, revoked: status %d", tt.name, w.Code)
		}
	}
	twin := must(security.NewVerifier(testIssuer, ownSet, security.WithName("twin")))(t)
	for name, err := range map[string]error{
		"a verifier that is not there": second(NewGuards(f.policy, nil, &Operation{ID: "o", Requirement: Requirement{{{Name: "x", Token: accessToken.OfVerifier("nobody")}}}})),
		"two of one name":              second(security.NewValidator(f.verifier, f.list, security.WithVerifier(f.verifier))),
		"two of one issuer":            second(security.NewValidator(f.verifier, f.list, security.WithVerifier(twin))),
		"none":                         second(security.NewValidator(f.verifier, f.list, security.WithVerifier(nil))),
		"an empty name":                second(security.NewVerifier(testIssuer, ownSet, security.WithName(""))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
