package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// The schemes of these tables, beside accessScheme and refreshScheme.
var (
	basicScheme        = &Scheme{Name: "basic", Kind: KindBasic}
	keyScheme          = &Scheme{Name: "key", Kind: KindKey, Parameter: "X-API-Key"}
	keyQueryScheme     = &Scheme{Name: "keyQuery", Kind: KindKey, In: InQuery, Parameter: "key"}
	sessionScheme      = &Scheme{Name: "session", Kind: KindKey, In: InCookie, Parameter: "session"}
	opaqueScheme       = &Scheme{Name: "opaque", Kind: KindKey}
	digestScheme       = &Scheme{Name: "digest", Kind: KindKey, Prefix: "Digest"}
	certificateScheme  = &Scheme{Name: "mtls", Kind: KindCertificate}
	accessQueryScheme  = &Scheme{Name: "accessQuery", Token: accessToken, In: InQuery, Parameter: "token"}
	accessCookieScheme = &Scheme{Name: "accessCookie", Token: accessToken, In: InCookie, Parameter: "access"}
	refreshSchemeX     = &Scheme{Name: "refreshX", Token: refreshToken, Parameter: "X-Refresh"}
	accessSchemeX      = &Scheme{Name: "accessX", Token: accessToken, Parameter: "X-Access"}
)

// account is what the authenticators of these tests know: alice is a user with a role, bob one
// without anything.
func account(name string) (*Caller[Principal], error) {
	switch strings.TrimRight(name, "_") {
	case "alice":
		return &Caller[Principal]{Principal: Principal{"alice"}, Scopes: []string{"read", "write"}, Roles: []string{"USER"}, AuthTime: newClock().Now()}, nil
	case "bob":
		return &Caller[Principal]{Principal: Principal{"bob"}}, nil
	case "denied":
		return nil, security.ErrAccessDenied
	case "down":
		return nil, errSecretive
	case "nobody":
		return nil, nil
	}
	return nil, security.ErrInvalidCredentials
}

func testAuthenticators() Authenticators {
	key := AuthenticateKey(func(_ context.Context, key string) (*Caller[Principal], error) { return account(key) })
	return Authenticators{
		"basic": AuthenticateBasic(func(_ context.Context, c BasicCredentials) (*Caller[Principal], error) {
			if c.Password() != "pass:word" {
				return nil, security.ErrInvalidCredentials
			}
			return account(c.Username())
		}),
		"key": key, "keyQuery": key, "session": key, "opaque": key,
		"digest": AuthenticateKey(func(_ context.Context, text string) (*Caller[Principal], error) {
			return account(strings.TrimSuffix(strings.TrimPrefix(text, `username="`), `", qop=auth`))
		}),
		"mtls": AuthenticateCertificate(func(_ context.Context, c *x509.Certificate) (*Caller[Principal], error) {
			return account(c.Subject.CommonName)
		}),
	}
}

// change is something that a request has.
type change func(*http.Request)

func field(name string, values ...string) change {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func aCookie(name, value string) change {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: value}) }
}

func aQuery(text string) change { return func(r *http.Request) { r.URL.RawQuery = text } }

func aMethod(name string) change { return func(r *http.Request) { r.Method = name } }

func withBasic(name string) change {
	return func(r *http.Request) { r.SetBasicAuth(name, "pass:word") }
}

// certificate is that of a client: verified by the server, or only shown.
func aCertificate(name string, verified bool) change {
	return func(r *http.Request) {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{c}}
		}
	}
}

// TestAlternatives checks which credentials count where there are several, and what holds where
// they are not JWTs. Who is what the handler saw: schemes and subjects.
func TestAlternatives(t *testing.T) {
	f := newFixture(t)
	issue := func(subject string, options ...security.TokenOption) security.IssuedToken {
		return must(f.issuer.IssueAccessToken(t.Context(), subject, nil, options...))(t)
	}
	alice, bob := issue("alice", security.WithRoles("USER"), security.WithScopes("read"), security.WithFresh()).Text(), issue("bob").Text()
	refresh := must(f.issuer.Issue(t.Context(), refreshToken, "alice", nil))(t).Text()
	inCookie := issue("alice", security.WithCSRF())
	cookied := func(r *http.Request) {
		aCookie("access", inCookie.Text())(r)
		field("X-CSRF-Token", inCookie.CSRF())(r)
	}
	authorization := func(values ...string) change { return field("Authorization", values...) }
	encoded := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	crossSite := field("Sec-Fetch-Site", "cross-site")

	const (
		bearerChallenge = `Bearer realm="api"`
		basicChallenge  = `Basic realm="api", charset="UTF-8"`
		keyChallenge    = `ApiKey realm="api", in="header", name="X-API-Key"`
		invalid         = bearerChallenge + `, error="invalid_token", error_description="The token is not valid."`
		invalidOpaque   = bearerChallenge + `, error="invalid_token", error_description="The credentials are not valid."`
	)
	type requirements = Requirement
	either := requirements{{accessScheme}, {keyScheme}}
	both := requirements{{accessScheme, keyScheme}}
	for _, tt := range []struct {
		name        string
		requirement Requirement
		rules       Rules
		changes     []change
		status      int
		who         string
		challenges  []string
	}{
		// Every kind of credential, and every way to refuse one.
		{name: "basic", requirement: requirements{{basicScheme}}, changes: []change{withBasic("alice")}, status: 200, who: "basic:alice"},
		{
			name: "basic, word in lower case", requirement: requirements{{basicScheme}},
			changes: []change{authorization("basic " + encoded("alice:pass:word")[6:])}, status: 200, who: "basic:alice",
		},
		{name: "basic, none", requirement: requirements{{basicScheme}}, status: 401, challenges: []string{basicChallenge}},
		{
			name: "basic, wrong", requirement: requirements{{basicScheme}}, changes: []change{withBasic("carol")},
			status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "basic, not base64", requirement: requirements{{basicScheme}},
			changes: []change{authorization("Basic YTp-")}, status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "basic, no colon", requirement: requirements{{basicScheme}},
			changes: []change{authorization(encoded("alice"))}, status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "basic, a control character", requirement: requirements{{basicScheme}},
			changes: []change{authorization(encoded("al\x00ice:pass:word"))}, status: 401,
			challenges: []string{basicChallenge},
		},
		{name: "basic, word alone", requirement: requirements{{basicScheme}}, changes: []change{authorization("Basic")}, status: 400},
		{name: "basic, denied", requirement: requirements{{basicScheme}}, changes: []change{withBasic("denied")}, status: 403},
		{name: "basic, could not know", requirement: requirements{{basicScheme}}, changes: []change{withBasic("down")}, status: 503},
		{
			name: "basic, neither principal nor error", requirement: requirements{{basicScheme}},
			changes: []change{withBasic("nobody")}, status: 500,
		},
		{name: "key", requirement: requirements{{keyScheme}}, changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice"},
		{
			name: "key, wrong", requirement: requirements{{keyScheme}}, changes: []change{field("X-API-Key", "x y")},
			status: 401, challenges: []string{keyChallenge},
		},
		{name: "key, empty", requirement: requirements{{keyScheme}}, changes: []change{field("X-API-Key", "")}, status: 400},
		{name: "key, twice", requirement: requirements{{keyScheme}}, changes: []change{field("X-API-Key", "alice", "alice")}, status: 400},
		{
			name: "key, long", requirement: requirements{{keyScheme}},
			changes: []change{field("X-API-Key", "alice"+strings.Repeat("_", security.DefaultMaxTokenSize-5))},
			status:  200, who: "key:alice",
		},
		{
			name: "key, too long", requirement: requirements{{keyScheme}},
			changes: []change{field("X-API-Key", "alice"+strings.Repeat("_", security.DefaultMaxTokenSize-4))},
			status:  401, challenges: []string{keyChallenge},
		},
		{
			name: "key, in another place", requirement: requirements{{keyScheme}}, changes: []change{aQuery("key=alice")},
			status: 401, challenges: []string{keyChallenge},
		},
		{
			name: "key in the query", requirement: requirements{{keyQueryScheme}}, changes: []change{aQuery("key=alice")},
			status: 200, who: "keyQuery:alice",
		},
		{
			name: "key in the query, twice", requirement: requirements{{keyQueryScheme}},
			changes: []change{aQuery("key=alice&key=bob")}, status: 400,
		},
		{
			name: "opaque", requirement: requirements{{opaqueScheme}}, changes: []change{authorization("Bearer alice")},
			status: 200, who: "opaque:alice",
		},
		{
			name: "opaque, wrong", requirement: requirements{{opaqueScheme}}, changes: []change{authorization("Bearer x")},
			status: 401, challenges: []string{invalidOpaque},
		},
		{
			name: "opaque, two", requirement: requirements{{opaqueScheme}},
			changes: []change{authorization("Bearer alice alice")}, status: 400,
		},
		{
			name: "digest", requirement: requirements{{digestScheme}},
			changes: []change{authorization(`Digest username="alice", qop=auth`)}, status: 200, who: "digest:alice",
		},
		{
			name: "digest, wrong", requirement: requirements{{digestScheme}},
			changes: []change{authorization(`Digest username="x", qop=auth`)}, status: 401,
			challenges: []string{`Digest realm="api"`},
		},
		{
			name: "certificate", requirement: requirements{{certificateScheme}},
			changes: []change{aCertificate("alice", true)}, status: 200, who: "mtls:alice",
		},
		{
			name: "certificate, not verified", requirement: requirements{{certificateScheme}},
			changes: []change{aCertificate("alice", false)}, status: 401,
			challenges: []string{`ClientCertificate realm="api"`},
		},
		{
			name: "certificate, in a header", requirement: requirements{{certificateScheme}},
			changes: []change{field("X-Forwarded-Client-Cert", "alice")}, status: 401,
			challenges: []string{`ClientCertificate realm="api"`},
		},
		{
			name: "certificate, unknown", requirement: requirements{{certificateScheme}},
			changes: []change{aCertificate("x", true)}, status: 401, challenges: []string{`ClientCertificate realm="api"`},
		},

		// Alternatives: the first that is complete and holds wins.
		{
			name: "either, the first", requirement: either, changes: []change{authorization("Bearer " + alice)},
			status: 200, who: "access:alice",
		},
		{name: "either, the second", requirement: either, changes: []change{field("X-API-Key", "bob")}, status: 200, who: "key:bob"},
		{
			name: "either, both", requirement: either,
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 200,
			who: "access:alice",
		},
		{
			name: "either, the first is bad", requirement: either,
			changes: []change{authorization("Bearer x"), field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
		{
			name: "either, the second is bad", requirement: either,
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "x")}, status: 200, who: "access:alice",
		},
		{
			name: "either, both are bad: the error of the first", requirement: either,
			changes: []change{authorization("Bearer x"), field("X-API-Key", "x")}, status: 401,
			challenges: []string{invalid, keyChallenge},
		},
		{name: "either, none", requirement: either, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{
			name: "either, the first is malformed", requirement: either,
			changes: []change{authorization("Bearer"), field("X-API-Key", "bob")}, status: 400,
		},
		{
			name: "either, could not know outweighs a refusal", requirement: either,
			changes: []change{authorization("Bearer x"), field("X-API-Key", "down")}, status: 503,
		},
		{
			name: "either, an auth scheme that no alternative knows", requirement: either,
			changes: []change{withBasic("alice")}, status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "either, one header for two of them", requirement: requirements{{accessScheme}, {basicScheme}},
			changes: []change{withBasic("bob")}, status: 200, who: "basic:bob",
		},
		{
			name: "two headers Authorization", requirement: requirements{{accessScheme}, {basicScheme}},
			changes: []change{authorization("Bearer "+alice, encoded("alice:pass:word"))}, status: 400,
		},
		{
			name: "equal challenges are one", requirement: requirements{{accessScheme}, {refreshScheme}, {opaqueScheme}},
			status: 401, challenges: []string{bearerChallenge},
		},
		{name: "optional, none", requirement: requirements{{accessScheme}, {keyScheme}, {}}, status: 200, who: "anonymous"},
		{
			name: "optional, bad", requirement: requirements{{}, {accessScheme}, {keyScheme}},
			changes: []change{field("X-API-Key", "x")}, status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{name: "optional, down", requirement: requirements{{}, {keyScheme}}, changes: []change{field("X-API-Key", "down")}, status: 503},
		{
			name: "optional, a credential that no alternative knows", requirement: requirements{{}, {keyScheme}},
			changes: []change{withBasic("alice")}, status: 401, challenges: []string{keyChallenge},
		},

		// Several schemes at once.
		{
			name: "both", requirement: both,
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 200,
			who: "access:alice key:bob",
		},
		{
			name: "both, the first is missing", requirement: both, changes: []change{field("X-API-Key", "bob")},
			status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "both, the second is missing", requirement: both, changes: []change{authorization("Bearer " + alice)},
			status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "both, the first is bad", requirement: both,
			changes: []change{authorization("Bearer x"), field("X-API-Key", "bob")}, status: 401,
			challenges: []string{invalid, keyChallenge},
		},
		{
			name: "both, the second is bad", requirement: both,
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "x")}, status: 401,
			challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "both, the second is down", requirement: both,
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "down")}, status: 503,
		},
		{
			name: "both or neither, one", requirement: requirements{{accessScheme, keyScheme}, {}},
			changes: []change{field("X-API-Key", "bob")}, status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{name: "both or neither, neither", requirement: requirements{{accessScheme, keyScheme}, {}}, status: 200, who: "anonymous"},
		{
			name: "both or one, one", requirement: requirements{{accessScheme, keyScheme}, {keyScheme}},
			changes: []change{field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
		{
			name: "both or one, both", requirement: requirements{{accessScheme, keyScheme}, {keyScheme}},
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 200,
			who: "access:alice key:bob",
		},
		{
			name: "both or one, the other is bad", requirement: requirements{{accessScheme, keyScheme}, {keyScheme}},
			changes: []change{authorization("Bearer x"), field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
		{
			name: "two tokens of one subject", requirement: requirements{{accessScheme, refreshSchemeX}},
			changes: []change{authorization("Bearer " + alice), field("X-Refresh", refresh)}, status: 200,
			who: "access:alice refreshX:alice",
		},
		{
			name: "two tokens of different subjects", requirement: requirements{{accessScheme, refreshSchemeX}},
			changes: []change{authorization("Bearer " + bob), field("X-Refresh", refresh)}, status: 403,
		},
		{
			name: "one type twice, different subjects", requirement: requirements{{accessScheme, accessSchemeX}},
			changes: []change{authorization("Bearer " + alice), field("X-Access", bob)}, status: 403,
		},
		{
			name: "a token in the query beside a key", requirement: requirements{{accessQueryScheme, keyScheme}},
			changes: []change{aQuery("token=" + alice), field("X-API-Key", "bob")}, status: 200,
			who: "accessQuery:alice key:bob",
		},
		{
			name:        "two tokens, one in the query, as the document asks",
			requirement: requirements{{accessQueryScheme, refreshSchemeX}},
			changes:     []change{aQuery("token=" + alice), field("X-Refresh", refresh)}, status: 200,
			who: "accessQuery:alice refreshX:alice",
		},

		// A token stands in one place; a header displaces the cookie of the same type of token.
		{
			name:        "a token in the query beside one in a header",
			requirement: requirements{{accessScheme}, {accessQueryScheme}},
			changes:     []change{authorization("Bearer " + alice), aQuery("token=" + alice)}, status: 400,
		},
		{
			name:        "a token in the query beside one in a cookie",
			requirement: requirements{{accessCookieScheme}, {accessQueryScheme}},
			changes:     []change{cookied, aQuery("token=" + alice)}, status: 400,
		},
		{
			name: "a key in the query beside a token", requirement: requirements{{accessScheme}, {keyQueryScheme}},
			changes: []change{authorization("Bearer " + alice), aQuery("key=bob")}, status: 200, who: "access:alice",
		},
		{
			name: "a cookie beside a header", requirement: requirements{{accessCookieScheme}, {accessScheme}},
			changes: []change{cookied, authorization("Bearer " + bob)}, status: 200, who: "access:bob",
		},
		{
			name: "a cookie beside a bad header", requirement: requirements{{accessCookieScheme}, {accessScheme}},
			changes: []change{cookied, authorization("Bearer x")}, status: 401, challenges: []string{invalid},
		},
		{
			name: "a cookie beside another auth scheme", requirement: requirements{{accessCookieScheme}, {accessScheme}},
			changes: []change{cookied, withBasic("alice")}, status: 200, who: "accessCookie:alice",
		},
		{
			name:        "a cookie beside a header that lacks its companion",
			requirement: requirements{{accessScheme, keyScheme}, {accessCookieScheme}},
			changes:     []change{cookied, authorization("Bearer " + bob)}, status: 401,
			challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name:        "a cookie beside a header, as the document asks",
			requirement: requirements{{accessScheme, accessCookieScheme}},
			changes:     []change{cookied, authorization("Bearer " + alice)}, status: 200,
			who: "access:alice accessCookie:alice",
		},

		// What browsers send by themselves.
		{
			name: "a cookie that is no JWT", requirement: requirements{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), aMethod("POST")}, status: 200, who: "session:alice",
		},
		{
			name: "a cookie that is no JWT, from another site", requirement: requirements{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), aMethod("POST"), crossSite}, status: 403,
		},
		{
			name: "a cookie that is no JWT, from another site, safe", requirement: requirements{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), crossSite}, status: 200, who: "session:alice",
		},
		{
			name: "a cookie that is no JWT, from another site, upgrade", requirement: requirements{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), field("Upgrade", "websocket"), crossSite}, status: 403,
		},
		{
			name: "basic from another site", requirement: requirements{{basicScheme}},
			changes: []change{withBasic("alice"), aMethod("DELETE"), crossSite}, status: 403,
		},
		{
			name: "a certificate from another site", requirement: requirements{{certificateScheme}},
			changes: []change{aCertificate("alice", true), aMethod("POST"), crossSite}, status: 403,
		},
		{
			name: "a key from another site", requirement: requirements{{keyScheme}},
			changes: []change{field("X-API-Key", "alice"), aMethod("POST"), crossSite}, status: 200, who: "key:alice",
		},
		{
			name: "an opaque token from another site", requirement: requirements{{opaqueScheme}},
			changes: []change{authorization("Bearer alice"), aMethod("POST"), crossSite}, status: 200, who: "opaque:alice",
		},

		// Rules hold for every alternative, and for every credential of one.
		{
			name: "role, key", requirement: either, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice",
		},
		{
			name: "role, key without", requirement: either, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{field("X-API-Key", "bob")}, status: 403, challenges: []string{},
		},
		{
			name: "role, token without", requirement: either, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{authorization("Bearer " + bob)}, status: 403,
			challenges: []string{bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`},
		},
		{
			name: "deny, key without roles", requirement: either, rules: Rules{DenyRoles: []string{"GUEST"}},
			changes: []change{field("X-API-Key", "bob")}, status: 403,
		},
		{
			name: "deny, key with another role", requirement: either, rules: Rules{DenyRoles: []string{"GUEST"}},
			changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice",
		},
		{
			name: "role, one of both", requirement: both, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 403,
		},
		{
			name: "role, both", requirement: both, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{authorization("Bearer " + alice), field("X-API-Key", "alice")}, status: 200,
			who: "access:alice key:alice",
		},
		{
			name: "recent, basic", requirement: requirements{{basicScheme}}, rules: Rules{MaxAge: time.Minute},
			changes: []change{withBasic("alice")}, status: 200, who: "basic:alice",
		},
		{
			name: "recent, no time", requirement: requirements{{basicScheme}}, rules: Rules{MaxAge: time.Minute},
			changes: []change{withBasic("bob")}, status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "scopes of a key", requirement: requirements{{keyScheme.With("read", "write")}},
			changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice",
		},
		{
			name: "scopes of a key, one is missing", requirement: requirements{{opaqueScheme.With("read", "admin")}},
			changes: []change{authorization("Bearer alice")}, status: 403,
			challenges: []string{bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this.", scope="read admin"`},
		},
		{
			name: "roles of a requirement", requirement: requirements{{accessScheme.WithRoles("USER")}},
			changes: []change{authorization("Bearer " + alice)}, status: 200, who: "access:alice",
		},
		{
			name:        "roles of a requirement, one is missing",
			requirement: requirements{{accessScheme.WithRoles("USER", "ADMIN")}},
			changes:     []change{authorization("Bearer " + alice)}, status: 403,
			challenges: []string{bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`},
		},
		{
			name:        "roles of each alternative its own",
			requirement: requirements{{accessScheme.WithRoles("ADMIN")}, {keyScheme.WithRoles("USER")}},
			changes:     []change{authorization("Bearer " + alice), field("X-API-Key", "alice")}, status: 200,
			who: "key:alice",
		},
		{
			name:        "scopes of each scheme its own",
			requirement: requirements{{accessScheme.With("read"), keyScheme.With("write")}},
			changes:     []change{authorization("Bearer " + alice), field("X-API-Key", "alice")}, status: 200,
			who: "access:alice key:alice",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &Operation{ID: "op", Requirement: tt.requirement, Rules: tt.rules}
			guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
			who, ran := "", false
			handler := guards.HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) {
				ran = true
				who = identified(t, r.Context(), o)
			})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for _, change := range tt.changes {
				change(r)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != tt.status || ran != (tt.status == 200) || who != tt.who {
				t.Fatalf("status %d, handler ran: %t, who %q; want %d, %q: %s", w.Code, ran, who, tt.status, tt.who, w.Body)
			}
			challenges := w.Header().Values("WWW-Authenticate")
			switch {
			case tt.challenges != nil && !slices.Equal(challenges, tt.challenges):
				t.Errorf("challenges %q, want %q", challenges, tt.challenges)
			case tt.status == 401 && len(challenges) == 0, tt.status == 200 && len(challenges) > 0, tt.status >= 500 && len(challenges) > 0:
				t.Errorf("status %d, challenges %q", w.Code, challenges)
			}
			if tt.status != 200 {
				checkProblem(t, w)
			}
		})
	}
}

// identified lists the schemes and subjects of a request's credentials, and checks that the ways to
// them agree.
func identified(t *testing.T, ctx context.Context, o *Operation) string {
	t.Helper()
	c, err := RequestCredentials(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Anonymous() {
		return "anonymous"
	}
	var all []string
	for h := range c.result.all {
		var subject string
		if h.token != nil {
			subject = h.token.Subject()
		} else {
			p, ok := CallerOf[Principal](c, h.scheme.Name)
			if !ok || p.Scheme() != h.scheme.Name {
				t.Errorf("principal of %s: %+v, %t", h.scheme.Name, p, ok)
			}
			subject = p.Principal.Subject
		}
		all = append(all, h.scheme.Name+":"+subject)
	}
	return strings.Join(all, " ")
}

// TestDifferentSubjects checks that the option lets tokens of different subjects pass, and nothing
// else.
func TestDifferentSubjects(t *testing.T) {
	f := newFixture(t, WithDifferentSubjects())
	alice, bob := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text(), must(f.issuer.IssueAccessToken(t.Context(), "bob", nil))(t).Text()
	handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme, accessSchemeX}}})
	for text, status := range map[string]int{bob: 200, "x": 401} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", bearer(alice))
		r.Header.Set("X-Access", text)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
	}
	if saw.calls != 1 || saw.token.Subject() != "alice" {
		t.Errorf("%d calls, token %v", saw.calls, saw.token)
	}
}

// TestForwardedCertificate checks that a certificate comes out of a header only through the
// application's function, and what its errors mean.
func TestForwardedCertificate(t *testing.T) {
	asked := 0
	f := newFixture(t, WithForwardedCertificate(func(_ context.Context, header func(string) []string) (*x509.Certificate, error) {
		asked++
		switch name := strings.Join(header("x-cert"), ","); name {
		case "":
			return nil, nil
		case "not from the proxy":
			return nil, security.ErrInvalidCredentials
		case "unreadable":
			return nil, errSecretive
		default:
			return &x509.Certificate{Subject: pkix.Name{CommonName: name}}, nil
		}
	}))
	o := &Operation{ID: "op", Requirement: Requirement{{certificateScheme}}}
	guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
	handler := guards.HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		if p, ok := CallerFromContext[Principal](r.Context()); !ok || p.Principal.Subject != "alice" {
			t.Errorf("%+v, %t", p, ok)
		}
	})
	for name, status := range map[string]int{"": 401, "alice": 200, "carol": 401, "not from the proxy": 401, "unreadable": 503} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		aCertificate("alice", true)(r) // that of the proxy, which is not the client
		if name != "" {
			r.Header.Set("X-Cert", name)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != status || asked != 1 {
			t.Errorf("%q: status %d, want %d; the function was asked %d times", name, w.Code, status, asked)
		}
		asked = 0
	}
}

// TestWithoutBasicChallenge checks that the challenge that makes browsers ask is left out, and the
// others stay.
func TestWithoutBasicChallenge(t *testing.T) {
	f := newFixture(t, WithoutBasicChallenge())
	o := &Operation{ID: "op", Requirement: Requirement{{basicScheme}, {accessScheme}}}
	guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
	w := get(guards.HandlerFunc(o, nil))
	if got := w.Header().Values("WWW-Authenticate"); w.Code != 401 || len(got) != 1 || got[0] != `Bearer realm="api"` {
		t.Errorf("status %d, challenges %q", w.Code, got)
	}
}

// TestNewGuardsRefusesCredentials checks that what could not be enforced is an error when the
// guards are made.
func TestNewGuardsRefusesCredentials(t *testing.T) {
	f := newFixture(t)
	wrongKind := testAuthenticators()
	wrongKind["basic"] = wrongKind["key"]
	noFunction := testAuthenticators()
	noFunction["basic"] = AuthenticateBasic[Principal](nil)
	for name, tt := range map[string]struct {
		authenticators Authenticators
		requirement    Requirement
		rules          Rules
	}{
		"no authenticators":           {nil, Requirement{{basicScheme}}, Rules{}},
		"another scheme's":            {Authenticators{"key": testAuthenticators()["key"]}, Requirement{{keyScheme}, {basicScheme}}, Rules{}},
		"one of another kind":         {wrongKind, Requirement{{basicScheme}}, Rules{}},
		"one without a function":      {noFunction, Requirement{{basicScheme}}, Rules{}},
		"fresh":                       {testAuthenticators(), Requirement{{accessScheme}, {basicScheme}}, Rules{Fresh: true}},
		"basic and bearer at once":    {testAuthenticators(), Requirement{{accessScheme, basicScheme}}, Rules{}},
		"two types in one place":      {testAuthenticators(), Requirement{{accessScheme, refreshScheme}}, Rules{}},
		"two keys in one place":       {testAuthenticators(), Requirement{{keyScheme, {Name: "session", Kind: KindKey, Parameter: "x-api-key"}}}, Rules{}},
		"a nil scheme":                {testAuthenticators(), Requirement{{nil}}, Rules{}},
		"an unknown kind":             {testAuthenticators(), Requirement{{{Name: "key", Kind: KindCertificate + 1}}}, Rules{}},
		"a token type for a key":      {testAuthenticators(), Requirement{{{Name: "key", Kind: KindKey, Parameter: "X", Token: accessToken}}}, Rules{}},
		"basic in a cookie":           {testAuthenticators(), Requirement{{{Name: "basic", Kind: KindBasic, In: InCookie, Parameter: "X"}}}, Rules{}},
		"a certificate in a header":   {testAuthenticators(), Requirement{{{Name: "mtls", Kind: KindCertificate, Parameter: "X"}}}, Rules{}},
		"an empty role":               {testAuthenticators(), Requirement{{keyScheme.WithRoles("")}}, Rules{}},
		"a location that is no place": {testAuthenticators(), Requirement{{{Name: "key", Kind: KindKey, In: inConnection, Parameter: "X"}}}, Rules{}},
		"a query without a name":      {testAuthenticators(), Requirement{{{Name: "key", Kind: KindKey, In: InQuery}}}, Rules{}},
		"more places than are searched": {testAuthenticators(), Requirement{{keyScheme}, {keyQueryScheme}, {sessionScheme}, {opaqueScheme}, {digestScheme},
			{certificateScheme}, {accessQueryScheme}, {accessCookieScheme}, {refreshSchemeX}}, Rules{}},
	} {
		if _, err := NewGuards(f.policy, tt.authenticators, &Operation{ID: "op", Requirement: tt.requirement, Rules: tt.rules}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(f.validator, WithForwardedCertificate(nil)); err == nil {
		t.Error("a nil function for certificates: no error")
	}
}

// TestPrincipalOf checks the ways from a context to what an authenticator found.
func TestPrincipalOf(t *testing.T) {
	f := newFixture(t)
	o := &Operation{ID: "op", Requirement: Requirement{{keyScheme}, {}}}
	other := &Operation{ID: "op", Requirement: Requirement{{keyScheme}, {}}}
	guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
	var ctx context.Context
	handler := guards.HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() })
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-API-Key", "alice")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if p, err := RequestCaller[Principal](ctx, o); err != nil || p.Principal.Subject != "alice" || p.Scheme() != "key" {
		t.Errorf("%+v, %v", p, err)
	}
	for name, err := range map[string]error{
		"another type":          second(RequestCaller[string](ctx, o)),
		"another operation":     second(RequestCaller[Principal](ctx, other)),
		"no guard":              second(RequestCaller[Principal](t.Context(), o)),
		"a token":               second(RequestToken[security.NoClaims](ctx, o)),
		"credentials elsewhere": second(RequestCredentials(ctx, other)),
	} {
		if !errors.Is(err, security.ErrUnguarded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := FromContext(ctx); ok {
		t.Error("a token where there is none")
	}
	if _, ok := CallerOf[Principal](Credentials{resultOf(ctx)}, "basic"); ok {
		t.Error("the principal of another scheme")
	}
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if _, ok, err := OptionalCaller[Principal](ctx, o); ok || err != nil {
		t.Errorf("anonymous: %t, %v", ok, err)
	}
	if _, err := RequestCaller[Principal](ctx, o); !errors.Is(err, security.ErrUnguarded) {
		t.Errorf("anonymous where a principal is needed: %v", err)
	}
	if _, ok := CallerFromContext[Principal](t.Context()); ok {
		t.Error("a principal without a guard")
	}
}

// FuzzBasic decodes what stands behind Basic: what is accepted is what was encoded, and has no
// control characters.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"YTpi", "YTo=", "Og==", "YTpi\n", "YTpi=", "YQ==", "YTpiOmM=", "YQA6Yg==", "w6k6w6k=", "!", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseBasic(text)
		if err != nil {
			if !errors.Is(err, security.ErrInvalidCredentials) || c.Username() != "" || c.Password() != "" {
				t.Errorf("%v with %q", err, c.Username())
			}
			return
		}
		both := c.Username() + ":" + c.Password()
		if strings.Contains(c.Username(), ":") || strings.ContainsFunc(both, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			t.Errorf("accepted %q", both)
		}
		// The decoder of the standard library skips line breaks, which no header holds.
		if plain := strings.NewReplacer("\r", "", "\n", "").Replace(text); base64.StdEncoding.EncodeToString([]byte(both)) != plain {
			t.Errorf("%q is not the encoding of %q", text, both)
		}
	})
}

// TestBasicCredentialsPrint checks that a password is in no output, wherever the credentials are.
func TestBasicCredentialsPrint(t *testing.T) {
	c, err := parseBasic(base64.StdEncoding.EncodeToString([]byte("alice:hunter2")))
	if err != nil || c.Username() != "alice" || c.Password() != "hunter2" {
		t.Fatalf("%v, %q", err, c.Username())
	}
	encoded := must(json.Marshal(struct{ C BasicCredentials }{c}))(t)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q %x %d", c, c, c, c, c, c), fmt.Sprintf("%+v", struct{ c BasicCredentials }{c}), string(encoded)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "alice") {
			t.Errorf("it prints as %s", text)
		}
	}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "c", c)
	if strings.Contains(b.String(), "hunter2") {
		t.Errorf("it logs as %s", b.String())
	}
	if zero := (BasicCredentials{}); zero.Username() != "" || zero.Password() != "" {
		t.Error("the zero value")
	}
}
