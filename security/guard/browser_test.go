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
		// request is a line for each of: METHOD and query, then headers; then an empty line and the body.
		request string
		status  int
	}{
		{"cookie", any, "GET /\nCookie: __Host-access=" + good, 200},
		{"query", any, "GET /?jwt=" + good, 200},
		{"query, blank", any, "GET /?jwt=", 401},
		{"query, twice", any, "GET /?jwt=" + good + "&jwt=" + good, 400},
		{"query, bad", any, "GET /?jwt=bad", 401},
		{"73 header and query", any, "GET /?jwt=" + good + "\nAuthorization: Bearer " + good, 400},
		{"cookie and query", any, "GET /?jwt=" + good + "\nCookie: __Host-access=" + good, 400},
		{"73 header and cookie", any, "GET /\nAuthorization: Bearer " + good + "\nCookie: __Host-access=bad", 200},
		{"73 header invalid, cookie valid: the header decides", any, "GET /\nAuthorization: Bearer bad\nCookie: __Host-access=" + good, 401},
		{"the cookie first in the document, the header decides all the same", Requirement{{cookie}, {header}}, "GET /\nAuthorization: Bearer bad\nCookie: __Host-access=" + good, 401},
		{"Basic does not displace the cookie", any, "GET /\nAuthorization: Basic YTpi\nCookie: __Host-access=" + good, 200},
		{"a tab in the header does not uncover the cookie", any, "GET /\nAuthorization: Bearer\tx\nCookie: __Host-access=" + good, 400},
		{"query with an escaped name that cannot be read, optional", Requirement{{}, {query}}, "GET /?%6awt=x;", 400},
		{"Basic alone", any, "GET /\nAuthorization: Basic YTpi", 401},
		{"Basic alone, optional", optional, "GET /\nAuthorization: Basic YTpi", 401},
		{"nothing, optional", optional, "GET /", 200},
		{"Bearer, optional, by cookie only", Requirement{{}, {cookie}}, "GET /\nAuthorization: Bearer " + good, 401},
		{"bad cookie, optional", optional, "GET /\nCookie: __Host-access=bad", 401},
		{"blank cookie, optional", optional, "GET /\nCookie: __Host-access=", 200},
		{"blank cookie", any, "GET /\nCookie: __Host-access=", 401},
		{"blank Authorization, optional", optional, "GET /\nAuthorization:", 200},
		{"cookie twice", any, "GET /\nCookie: __Host-access=" + good + "; __Host-access=" + good, 400},
		{"cookie twice in two headers", any, "GET /\nCookie: __Host-access=" + good + "\nCookie: __Host-access=" + good, 400},
		{"cookie twice, one that cannot be read", any, "GET /\nCookie: __Host-access=" + good + "; __Host-access=a\\b", 400},
		{"cookie that cannot be read, optional", optional, "GET /\nCookie: __Host-access=a\\b", 400},
		{"query twice, one that cannot be read", any, "GET /?jwt=" + good + "&jwt=%zz", 400},
		{"query twice, one with a semicolon", any, "GET /?jwt=" + good + "&jwt=b;c", 400},
		{"query that cannot be read, optional", Requirement{{}, {query}}, "GET /?jwt=%zz", 400},
		{"another parameter that cannot be read", any, "GET /?jwt=" + good + "&x=1", 200},
		{"cookie of another name", any, "GET /\nCookie: access=" + good, 401},
		{"refresh cookie for access", Requirement{{header}, {refreshCookie}}, "GET /\nCookie: refresh=" + good, 401},
		{"a header does not displace the cookie of another type", Requirement{{header}, {refreshCookie}}, "GET /\nAuthorization: Bearer bad\nCookie: refresh=" + refresh.Text(), 200},

		{"own header", Requirement{{custom}}, "GET /\nX-Access-Token: " + good, 200},
		{"own header with a word that it has not", Requirement{{custom}}, "GET /\nX-Access-Token: Bearer " + good, 400},
		{"own header twice", Requirement{{custom}}, "GET /\nX-Access-Token: " + good + "\nX-Access-Token: " + good, 400},
		{"own header blank", Requirement{{custom}}, "GET /\nX-Access-Token:", 401},
		{"own word", Requirement{{worded}}, "GET /\nAuthorization: Token " + good, 200},
		{"own word in another case", Requirement{{worded}}, "GET /\nAuthorization: tOKEN " + good, 200},
		{"another word", Requirement{{worded}}, "GET /\nAuthorization: Bearer " + good, 401},
		{"two words, the second", Requirement{{header}, {worded}}, "GET /\nAuthorization: Token " + good, 200},

		{"unsafe with csrf", any, "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 200},
		{"74 unsafe, csrf missing", any, "POST /\nCookie: __Host-access=" + good, 403},
		{"74 csrf empty", any, "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token:", 403},
		{"74 csrf not ASCII", any, "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: \xff", 403},
		{"74 csrf of another token", any, "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + other.CSRF(), 403},
		{"csrf twice", any, "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf + "\nX-CSRF-Token: " + csrf, 403},
		{"a cookie token without the claim", any, "POST /\nCookie: __Host-access=" + noCSRF + "\nX-CSRF-Token:", 403},
		{"a cookie token without the claim, safe", any, "GET /\nCookie: __Host-access=" + noCSRF, 200},
		{"unsafe by header needs none", any, "POST /\nAuthorization: Bearer " + good, 200},
		{"unsafe by query needs none", any, "POST /?jwt=" + good, 200},
		{"HEAD is safe", any, "HEAD /\nCookie: __Host-access=" + good, 200},
		{"TRACE is not", any, "TRACE /\nCookie: __Host-access=" + good, 403},
		{"an odd method is not", any, "BREW /\nCookie: __Host-access=" + good, 403},
		{"an upgrade by GET is not", any, "GET /\nConnection: Upgrade\nUpgrade: websocket\nCookie: __Host-access=" + good, 403},
		{"an upgrade with csrf", any, "GET /\nConnection: Upgrade\nUpgrade: websocket\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 200},
		{"from the same origin", any, "POST /\nSec-Fetch-Site: same-origin\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 200},
		{"from another site", any, "POST /\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 403},
		{"an upgrade from another site", any, "GET /\nUpgrade: websocket\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 403},
		{"two answers to from where", any, "POST /\nSec-Fetch-Site: same-origin\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 403},
		{"from another origin, old browser", any, "POST /\nOrigin: https://evil.example\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 403},
		{"from the same origin, old browser", any, "POST /\nOrigin: https://example.com\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 200},
		{"from a trusted origin", any, "POST /\nSec-Fetch-Site: cross-site\nOrigin: https://app.example\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 200},
		{"from a trusted origin without csrf", any, "POST /\nSec-Fetch-Site: cross-site\nOrigin: https://app.example\nCookie: __Host-access=" + good, 403},
		{"form, header all the same", forms, "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: " + csrf, 200},
		{"form", forms, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\n\nx=1&csrf_token=" + csrf, 200},
		{"form without the field", forms, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\nx=1", 403},
		{"form with the field twice", forms, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf + "&csrf_token=" + csrf, 403},
		{"form of another token", forms, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + other.CSRF(), 403},
		{"form with a wrong header", forms, "POST /\nCookie: __Host-access=" + good + "\nX-CSRF-Token: x\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf, 403},
		{"form that cannot be read", forms, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=%zz", 400},
		{"form over 64 KiB", forms, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\nx=" + strings.Repeat("x", 64<<10) + "&csrf_token=" + csrf, 400},
		{"JSON instead of a form", forms, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/json\n\ncsrf_token=" + csrf, 403},
		{"form where it is not opted in", any, "POST /\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf, 403},
		{"form from another site", forms, "POST /\nSec-Fetch-Site: cross-site\nCookie: __Host-access=" + good + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=" + csrf, 403},
		{"form and a token without the claim", forms, "POST /\nCookie: __Host-access=" + noCSRF + "\nContent-Type: application/x-www-form-urlencoded\n\ncsrf_token=", 403},
		{"from another site by header", any, "POST /\nSec-Fetch-Site: cross-site\nAuthorization: Bearer " + good, 200},
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

// TestVerifiersAreApart has an identity provider beside the application: no key and no type of one serves for the other.
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
		{"ours", accessScheme, own.Text(), 200},
		{"theirs", idpAccess, theirs.Text(), 200},
		{"theirs for ours", accessScheme, theirs.Text(), 401},
		{"ours for theirs", idpAccess, own.Text(), 401},
		{"theirs of another type", idp, theirs.Text(), 401},
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
