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
	plainKeyScheme     = &Scheme{Name: "plainKey", Kind: KindKey, Parameter: "authorization"}
	wordKeyScheme      = &Scheme{Name: "wordKey", Kind: KindKey, Parameter: "Authorization", Prefix: "Word"}
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

// account is what the authenticators of these tests know: alice is a user with a role, bob one without anything.
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
		"key": key, "plainKey": key, "wordKey": key, "keyQuery": key, "session": key, "opaque": key,
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

// TestAlternatives checks which credentials count where there are several, and what holds where they are not JWTs. Who is what the handler
// saw: schemes and subjects.
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
		{"basic", requirements{{basicScheme}}, Rules{}, []change{withBasic("alice")}, 200, "basic:alice", nil},
		{"basic, word in lower case", requirements{{basicScheme}}, Rules{}, []change{authorization("basic " + encoded("alice:pass:word")[6:])}, 200, "basic:alice", nil},
		{"basic, none", requirements{{basicScheme}}, Rules{}, nil, 401, "", []string{basicChallenge}},
		{"basic, wrong", requirements{{basicScheme}}, Rules{}, []change{withBasic("carol")}, 401, "", []string{basicChallenge}},
		{"basic, not base64", requirements{{basicScheme}}, Rules{}, []change{authorization("Basic YTp-")}, 401, "", []string{basicChallenge}},
		{"basic, no colon", requirements{{basicScheme}}, Rules{}, []change{authorization(encoded("alice"))}, 401, "", []string{basicChallenge}},
		{"basic, a control character", requirements{{basicScheme}}, Rules{}, []change{authorization(encoded("al\x00ice:pass:word"))}, 401, "", []string{basicChallenge}},
		{"basic, word alone", requirements{{basicScheme}}, Rules{}, []change{authorization("Basic")}, 400, "", nil},
		{"basic, denied", requirements{{basicScheme}}, Rules{}, []change{withBasic("denied")}, 403, "", nil},
		{"basic, could not know", requirements{{basicScheme}}, Rules{}, []change{withBasic("down")}, 503, "", nil},
		{"basic, neither principal nor error", requirements{{basicScheme}}, Rules{}, []change{withBasic("nobody")}, 500, "", nil},
		{"key", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", "alice")}, 200, "key:alice", nil},
		{"key, wrong", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", "x y")}, 401, "", []string{keyChallenge}},
		{"key, empty", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", "")}, 401, "", []string{keyChallenge}},
		{"key, a space", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", " ")}, 401, "", []string{keyChallenge}},
		{"key, twice", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", "alice", "alice")}, 400, "", nil},
		{"key, long", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", "alice"+strings.Repeat("_", security.DefaultMaxTokenSize-5))}, 200, "key:alice", nil},
		{"key, too long", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", "alice"+strings.Repeat("_", security.DefaultMaxTokenSize-4))}, 401, "", []string{keyChallenge}},
		{"key, in another place", requirements{{keyScheme}}, Rules{}, []change{aQuery("key=alice")}, 401, "", []string{keyChallenge}},
		{"key in the query", requirements{{keyQueryScheme}}, Rules{}, []change{aQuery("key=alice")}, 200, "keyQuery:alice", nil},
		{"key in the query, twice", requirements{{keyQueryScheme}}, Rules{}, []change{aQuery("key=alice&key=bob")}, 400, "", nil},
		{"opaque", requirements{{opaqueScheme}}, Rules{}, []change{authorization("Bearer alice")}, 200, "opaque:alice", nil},
		{"opaque, wrong", requirements{{opaqueScheme}}, Rules{}, []change{authorization("Bearer x")}, 401, "", []string{invalidOpaque}},
		{"opaque, two", requirements{{opaqueScheme}}, Rules{}, []change{authorization("Bearer alice alice")}, 400, "", nil},
		{"digest", requirements{{digestScheme}}, Rules{}, []change{authorization(`Digest username="alice", qop=auth`)}, 200, "digest:alice", nil},
		{"digest, wrong", requirements{{digestScheme}}, Rules{}, []change{authorization(`Digest username="x", qop=auth`)}, 401, "", []string{`Digest realm="api"`}},
		{"certificate", requirements{{certificateScheme}}, Rules{}, []change{aCertificate("alice", true)}, 200, "mtls:alice", nil},
		{"certificate, not verified", requirements{{certificateScheme}}, Rules{}, []change{aCertificate("alice", false)}, 401, "", []string{`ClientCertificate realm="api"`}},
		{"certificate, in a header", requirements{{certificateScheme}}, Rules{}, []change{field("X-Forwarded-Client-Cert", "alice")}, 401, "", []string{`ClientCertificate realm="api"`}},
		{"certificate, unknown", requirements{{certificateScheme}}, Rules{}, []change{aCertificate("x", true)}, 401, "", []string{`ClientCertificate realm="api"`}},

		// Alternatives: the first that is complete and holds wins.
		{"either, the first", either, Rules{}, []change{authorization("Bearer " + alice)}, 200, "access:alice", nil},
		{"either, the second", either, Rules{}, []change{field("X-API-Key", "bob")}, 200, "key:bob", nil},
		{"either, both", either, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, 200, "access:alice", nil},
		{"either, the first is bad", either, Rules{}, []change{authorization("Bearer x"), field("X-API-Key", "bob")}, 200, "key:bob", nil},
		{"either, the second is bad", either, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "x")}, 200, "access:alice", nil},
		{"either, both are bad: the error of the first", either, Rules{}, []change{authorization("Bearer x"), field("X-API-Key", "x")}, 401, "", []string{invalid, keyChallenge}},
		{"either, none", either, Rules{}, nil, 401, "", []string{bearerChallenge, keyChallenge}},
		{"either, the first is malformed", either, Rules{}, []change{authorization("Bearer"), field("X-API-Key", "bob")}, 200, "key:bob", nil},
		{"either, the first is malformed and the second does not hold", either, Rules{}, []change{authorization("Bearer"), field("X-API-Key", "x y")}, 400, "", nil},
		{"either, the second is empty", either, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "")}, 200, "access:alice", nil},
		{"either, the second is twice", either, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "alice", "bob")}, 200, "access:alice", nil},
		{"a plain key in Authorization", requirements{{plainKeyScheme}}, Rules{}, []change{authorization("alice")}, 200, "plainKey:alice", nil},
		{"a plain key of two words", requirements{{plainKeyScheme}}, Rules{}, []change{authorization("two words")}, 401, "", nil},
		{"a token is no plain key", requirements{{plainKeyScheme}}, Rules{}, []change{authorization("bearer alice")}, 401, "", nil},
		{"a password is no plain key", requirements{{plainKeyScheme}}, Rules{}, []change{withBasic("alice")}, 401, "", nil},
		{"a key of another scheme is no plain key", requirements{{plainKeyScheme}, {wordKeyScheme}}, Rules{}, []change{authorization("Word alice")}, 200, "wordKey:alice", nil},
		{"a token or a plain key, a token", requirements{{plainKeyScheme}, {accessScheme}}, Rules{}, []change{authorization("Bearer " + alice)}, 200, "access:alice", nil},
		{"a token or a plain key, a key", requirements{{accessScheme}, {plainKeyScheme}}, Rules{}, []change{authorization("alice")}, 200, "plainKey:alice", nil},
		{"either, could not know outweighs a refusal", either, Rules{}, []change{authorization("Bearer x"), field("X-API-Key", "down")}, 503, "", nil},
		{"either, an auth scheme that no alternative knows", either, Rules{}, []change{withBasic("alice")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"either, one header for two of them", requirements{{accessScheme}, {basicScheme}}, Rules{}, []change{withBasic("bob")}, 200, "basic:bob", nil},
		{"two headers Authorization", requirements{{accessScheme}, {basicScheme}}, Rules{}, []change{authorization("Bearer "+alice, encoded("alice:pass:word"))}, 400, "", nil},
		{"equal challenges are one", requirements{{accessScheme}, {refreshScheme}, {opaqueScheme}}, Rules{}, nil, 401, "", []string{bearerChallenge}},
		{"optional, none", requirements{{accessScheme}, {keyScheme}, {}}, Rules{}, nil, 200, "anonymous", nil},
		{"optional, bad", requirements{{}, {accessScheme}, {keyScheme}}, Rules{}, []change{field("X-API-Key", "x")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"optional, down", requirements{{}, {keyScheme}}, Rules{}, []change{field("X-API-Key", "down")}, 503, "", nil},
		{"optional, a credential that no alternative knows", requirements{{}, {keyScheme}}, Rules{}, []change{withBasic("alice")}, 401, "", []string{keyChallenge}},

		// Several schemes at once.
		{"both", both, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, 200, "access:alice key:bob", nil},
		{"both, the first is missing", both, Rules{}, []change{field("X-API-Key", "bob")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"both, the second is missing", both, Rules{}, []change{authorization("Bearer " + alice)}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"both, the first is bad", both, Rules{}, []change{authorization("Bearer x"), field("X-API-Key", "bob")}, 401, "", []string{invalid, keyChallenge}},
		{"both, the second is bad", both, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "x")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"both, the second is down", both, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "down")}, 503, "", nil},
		{"both or neither, one", requirements{{accessScheme, keyScheme}, {}}, Rules{}, []change{field("X-API-Key", "bob")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"both or neither, neither", requirements{{accessScheme, keyScheme}, {}}, Rules{}, nil, 200, "anonymous", nil},
		{"both or one, one", requirements{{accessScheme, keyScheme}, {keyScheme}}, Rules{}, []change{field("X-API-Key", "bob")}, 200, "key:bob", nil},
		{"both or one, both", requirements{{accessScheme, keyScheme}, {keyScheme}}, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, 200, "access:alice key:bob", nil},
		{"both or one, the other is bad", requirements{{accessScheme, keyScheme}, {keyScheme}}, Rules{}, []change{authorization("Bearer x"), field("X-API-Key", "bob")}, 200, "key:bob", nil},
		{"two tokens of one subject", requirements{{accessScheme, refreshSchemeX}}, Rules{}, []change{authorization("Bearer " + alice), field("X-Refresh", refresh)}, 200, "access:alice refreshX:alice", nil},
		{"two tokens of different subjects", requirements{{accessScheme, refreshSchemeX}}, Rules{}, []change{authorization("Bearer " + bob), field("X-Refresh", refresh)}, 403, "", nil},
		{"one type twice, different subjects", requirements{{accessScheme, accessSchemeX}}, Rules{}, []change{authorization("Bearer " + alice), field("X-Access", bob)}, 403, "", nil},
		{"a token in the query beside a key", requirements{{accessQueryScheme, keyScheme}}, Rules{}, []change{aQuery("token=" + alice), field("X-API-Key", "bob")}, 200, "accessQuery:alice key:bob", nil},
		{"two tokens, one in the query, as the document asks", requirements{{accessQueryScheme, refreshSchemeX}}, Rules{}, []change{aQuery("token=" + alice), field("X-Refresh", refresh)}, 200, "accessQuery:alice refreshX:alice", nil},

		// A token stands in one place; a header displaces the cookie of the same type of token.
		{"a token in the query beside one in a header", requirements{{accessScheme}, {accessQueryScheme}}, Rules{}, []change{authorization("Bearer " + alice), aQuery("token=" + alice)}, 400, "", nil},
		{"a token in the query beside one in a cookie", requirements{{accessCookieScheme}, {accessQueryScheme}}, Rules{}, []change{cookied, aQuery("token=" + alice)}, 400, "", nil},
		{"a key in the query beside a token", requirements{{accessScheme}, {keyQueryScheme}}, Rules{}, []change{authorization("Bearer " + alice), aQuery("key=bob")}, 200, "access:alice", nil},
		{"a cookie beside a header", requirements{{accessCookieScheme}, {accessScheme}}, Rules{}, []change{cookied, authorization("Bearer " + bob)}, 200, "access:bob", nil},
		{"a cookie beside a bad header", requirements{{accessCookieScheme}, {accessScheme}}, Rules{}, []change{cookied, authorization("Bearer x")}, 401, "", []string{invalid}},
		{"a cookie beside another auth scheme", requirements{{accessCookieScheme}, {accessScheme}}, Rules{}, []change{cookied, withBasic("alice")}, 200, "accessCookie:alice", nil},
		{"a cookie beside a header that lacks its companion", requirements{{accessScheme, keyScheme}, {accessCookieScheme}}, Rules{}, []change{cookied, authorization("Bearer " + bob)}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"a cookie beside a header, as the document asks", requirements{{accessScheme, accessCookieScheme}}, Rules{}, []change{cookied, authorization("Bearer " + alice)}, 200, "access:alice accessCookie:alice", nil},

		// What browsers send by themselves.
		{"a cookie that is no JWT", requirements{{sessionScheme}}, Rules{}, []change{aCookie("session", "alice"), aMethod("POST")}, 200, "session:alice", nil},
		{"a cookie that is no JWT, from another site", requirements{{sessionScheme}}, Rules{}, []change{aCookie("session", "alice"), aMethod("POST"), crossSite}, 403, "", nil},
		{"a cookie that is no JWT, from another site, safe", requirements{{sessionScheme}}, Rules{}, []change{aCookie("session", "alice"), crossSite}, 200, "session:alice", nil},
		{"a cookie that is no JWT, from another site, upgrade", requirements{{sessionScheme}}, Rules{}, []change{aCookie("session", "alice"), field("Upgrade", "websocket"), crossSite}, 403, "", nil},
		{"basic from another site", requirements{{basicScheme}}, Rules{}, []change{withBasic("alice"), aMethod("DELETE"), crossSite}, 403, "", nil},
		{"a certificate from another site", requirements{{certificateScheme}}, Rules{}, []change{aCertificate("alice", true), aMethod("POST"), crossSite}, 403, "", nil},
		{"a key from another site", requirements{{keyScheme}}, Rules{}, []change{field("X-API-Key", "alice"), aMethod("POST"), crossSite}, 200, "key:alice", nil},
		{"an opaque token from another site", requirements{{opaqueScheme}}, Rules{}, []change{authorization("Bearer alice"), aMethod("POST"), crossSite}, 200, "opaque:alice", nil},

		// Rules hold for every alternative, and for every credential of one.
		{"role, key", either, Rules{AllowRoles: []string{"USER"}}, []change{field("X-API-Key", "alice")}, 200, "key:alice", nil},
		{"role, key without", either, Rules{AllowRoles: []string{"USER"}}, []change{field("X-API-Key", "bob")}, 403, "", []string{}},
		{"role, token without", either, Rules{AllowRoles: []string{"USER"}}, []change{authorization("Bearer " + bob)}, 403, "",
			[]string{bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`}},
		{"deny, key without roles", either, Rules{DenyRoles: []string{"GUEST"}}, []change{field("X-API-Key", "bob")}, 403, "", nil},
		{"deny, key with another role", either, Rules{DenyRoles: []string{"GUEST"}}, []change{field("X-API-Key", "alice")}, 200, "key:alice", nil},
		{"role, one of both", both, Rules{AllowRoles: []string{"USER"}}, []change{authorization("Bearer " + alice), field("X-API-Key", "bob")}, 403, "", nil},
		{"role, both", both, Rules{AllowRoles: []string{"USER"}}, []change{authorization("Bearer " + alice), field("X-API-Key", "alice")}, 200, "access:alice key:alice", nil},
		{"recent, basic", requirements{{basicScheme}}, Rules{MaxAge: time.Minute}, []change{withBasic("alice")}, 200, "basic:alice", nil},
		{"recent, no time", requirements{{basicScheme}}, Rules{MaxAge: time.Minute}, []change{withBasic("bob")}, 401, "", []string{basicChallenge}},
		{"scopes of a key", requirements{{keyScheme.With("read", "write")}}, Rules{}, []change{field("X-API-Key", "alice")}, 200, "key:alice", nil},
		{"scopes of a key, one is missing", requirements{{opaqueScheme.With("read", "admin")}}, Rules{}, []change{authorization("Bearer alice")}, 403, "",
			[]string{bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this.", scope="read admin"`}},
		{"roles of a requirement", requirements{{accessScheme.WithRoles("USER")}}, Rules{}, []change{authorization("Bearer " + alice)}, 200, "access:alice", nil},
		{"roles of a requirement, one is missing", requirements{{accessScheme.WithRoles("USER", "ADMIN")}}, Rules{}, []change{authorization("Bearer " + alice)}, 403, "",
			[]string{bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`}},
		{"roles of each alternative its own", requirements{{accessScheme.WithRoles("ADMIN")}, {keyScheme.WithRoles("USER")}}, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "alice")}, 200, "key:alice", nil},
		{"scopes of each scheme its own", requirements{{accessScheme.With("read"), keyScheme.With("write")}}, Rules{}, []change{authorization("Bearer " + alice), field("X-API-Key", "alice")}, 200, "access:alice key:alice", nil},
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

// identified lists the schemes and subjects of a request's credentials, and checks that the ways to them agree.
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

// TestDifferentSubjects checks that the option lets tokens of different subjects pass, and nothing else.
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

// TestForwardedCertificate checks that a certificate comes out of a header only through the application's function, and what its errors mean.
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

// TestWithoutBasicChallenge checks that the challenge that makes browsers ask is left out, and the others stay.
func TestWithoutBasicChallenge(t *testing.T) {
	f := newFixture(t, WithoutBasicChallenge())
	o := &Operation{ID: "op", Requirement: Requirement{{basicScheme}, {accessScheme}}}
	guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
	w := get(guards.HandlerFunc(o, nil))
	if got := w.Header().Values("WWW-Authenticate"); w.Code != 401 || len(got) != 1 || got[0] != `Bearer realm="api"` {
		t.Errorf("status %d, challenges %q", w.Code, got)
	}
}

// TestNewGuardsRefusesCredentials checks that what could not be enforced is an error when the guards are made.
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

// FuzzBasic decodes what stands behind Basic: what is accepted is what was encoded, and has no control characters.
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
