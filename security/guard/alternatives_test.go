package guard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestAlternatives sends credentials for several alternatives. The first that is complete and valid
// counts.
func TestAlternatives(t *testing.T) {
	c := newCredentialFixture(t)
	alice := c.alice
	c.run(t, []credentialCase{
		{
			name: "either, the first", requirement: eitherTokenOrKey, changes: []change{withAuthorization("Bearer " + alice)},
			status: 200, who: "access:alice",
		},
		{name: "either, the second", requirement: eitherTokenOrKey, changes: []change{field("X-API-Key", "bob")}, status: 200, who: "key:bob"},
		{
			name: "either, both", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 200,
			who: "access:alice",
		},
		{
			name: "either, the first is bad", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer x"), field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
		{
			name: "either, the second is bad", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "x")}, status: 200, who: "access:alice",
		},
		{
			name: "either, both are bad: the error of the first", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer x"), field("X-API-Key", "x")}, status: 401,
			challenges: []string{tokenNotValid, keyChallenge},
		},
		{name: "either, none", requirement: eitherTokenOrKey, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{
			name: "either, the first is malformed", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer"), field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
		{
			name: "either, the first is malformed and the second does not hold", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer"), field("X-API-Key", "x")}, status: 400,
		},
		{
			name: "either, the second is empty", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "")}, status: 200, who: "access:alice",
		},
		{
			name: "either, the second is there twice", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "alice", "bob")}, status: 200, who: "access:alice",
		},
		{
			name: "a plain key or a token, a token", requirement: Requirement{{plainKeyScheme}, {accessScheme}},
			changes: []change{withAuthorization("Bearer " + alice)}, status: 200, who: "access:alice",
		},
		{
			name: "a token or a plain key, a key", requirement: Requirement{{accessScheme}, {plainKeyScheme}},
			changes: []change{withAuthorization("alice")}, status: 200, who: "plainKey:alice",
		},
		{
			name: "either, unavailable outweighs a refusal", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer x"), field("X-API-Key", "down")}, status: 503,
		},
		{
			name: "either, an auth scheme that no alternative knows", requirement: eitherTokenOrKey,
			changes: []change{withBasic("alice")}, status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "either, one header for two of them", requirement: Requirement{{accessScheme}, {basicScheme}},
			changes: []change{withBasic("bob")}, status: 200, who: "basic:bob",
		},
		{
			name: "two headers Authorization", requirement: Requirement{{accessScheme}, {basicScheme}},
			changes: []change{withAuthorization("Bearer "+alice, basicAuthorization("alice:pass:word"))}, status: 400,
		},
		{
			name: "equal challenges are one", requirement: Requirement{{accessScheme}, {refreshScheme}, {opaqueScheme}},
			status: 401, challenges: []string{bearerChallenge},
		},
		{name: "optional, none", requirement: Requirement{{accessScheme}, {keyScheme}, {}}, status: 200, who: "anonymous"},
		{
			name: "optional, bad", requirement: Requirement{{}, {accessScheme}, {keyScheme}},
			changes: []change{field("X-API-Key", "x")}, status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{name: "optional, unavailable", requirement: Requirement{{}, {keyScheme}}, changes: []change{field("X-API-Key", "down")}, status: 503},
		{
			name: "optional, a credential that no alternative knows", requirement: Requirement{{}, {keyScheme}},
			changes: []change{withBasic("alice")}, status: 401, challenges: []string{keyChallenge},
		},
	})
}

// TestSchemesOfOneAlternative sends credentials to operations that need several at once.
func TestSchemesOfOneAlternative(t *testing.T) {
	c := newCredentialFixture(t)
	alice, bob, refresh := c.alice, c.bob, c.refresh
	c.run(t, []credentialCase{
		{
			name: "both", requirement: tokenAndKey,
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 200,
			who: "access:alice key:bob",
		},
		{
			name: "both, the first is missing", requirement: tokenAndKey, changes: []change{field("X-API-Key", "bob")},
			status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "both, the second is missing", requirement: tokenAndKey, changes: []change{withAuthorization("Bearer " + alice)},
			status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "both, the first is bad", requirement: tokenAndKey,
			changes: []change{withAuthorization("Bearer x"), field("X-API-Key", "bob")}, status: 401,
			challenges: []string{tokenNotValid, keyChallenge},
		},
		{
			name: "both, the second is bad", requirement: tokenAndKey,
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "x")}, status: 401,
			challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name: "both, the second is unavailable", requirement: tokenAndKey,
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "down")}, status: 503,
		},
		{
			name: "both or neither, one", requirement: Requirement{{accessScheme, keyScheme}, {}},
			changes: []change{field("X-API-Key", "bob")}, status: 401, challenges: []string{bearerChallenge, keyChallenge},
		},
		{name: "both or neither, neither", requirement: Requirement{{accessScheme, keyScheme}, {}}, status: 200, who: "anonymous"},
		{
			name: "both or one, one", requirement: Requirement{{accessScheme, keyScheme}, {keyScheme}},
			changes: []change{field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
		{
			name: "both or one, both", requirement: Requirement{{accessScheme, keyScheme}, {keyScheme}},
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 200,
			who: "access:alice key:bob",
		},
		{
			name: "both or one, the other is bad", requirement: Requirement{{accessScheme, keyScheme}, {keyScheme}},
			changes: []change{withAuthorization("Bearer x"), field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
		{
			name: "two tokens of one subject", requirement: Requirement{{accessScheme, refreshSchemeX}},
			changes: []change{withAuthorization("Bearer " + alice), field("X-Refresh", refresh)}, status: 200,
			who: "access:alice refreshX:alice",
		},
		{
			name: "two tokens of different subjects", requirement: Requirement{{accessScheme, refreshSchemeX}},
			changes: []change{withAuthorization("Bearer " + bob), field("X-Refresh", refresh)}, status: 403,
		},
		{
			name: "one type twice, different subjects", requirement: Requirement{{accessScheme, accessSchemeX}},
			changes: []change{withAuthorization("Bearer " + alice), field("X-Access", bob)}, status: 403,
		},
		{
			name: "a token in the query and a key", requirement: Requirement{{accessQueryScheme, keyScheme}},
			changes: []change{aQuery("token=" + alice), field("X-API-Key", "bob")}, status: 200,
			who: "accessQuery:alice key:bob",
		},
		{
			name:        "two tokens, one in the query, as the document asks",
			requirement: Requirement{{accessQueryScheme, refreshSchemeX}},
			changes:     []change{aQuery("token=" + alice), field("X-Refresh", refresh)}, status: 200,
			who: "accessQuery:alice refreshX:alice",
		},
	})
}

// TestTokenHasOneLocation sends tokens in several places. A header replaces the cookie of the same
// token type, and any other second place is refused.
func TestTokenHasOneLocation(t *testing.T) {
	c := newCredentialFixture(t)
	alice, bob, cookied := c.alice, c.bob, c.cookied
	c.run(t, []credentialCase{
		{
			name:        "a token in the query and one in a header",
			requirement: Requirement{{accessScheme}, {accessQueryScheme}},
			changes:     []change{withAuthorization("Bearer " + alice), aQuery("token=" + alice)}, status: 400,
		},
		{
			name:        "a token in the query and one in a cookie",
			requirement: Requirement{{accessCookieScheme}, {accessQueryScheme}},
			changes:     []change{cookied, aQuery("token=" + alice)}, status: 400,
		},
		{
			name: "a key in the query and a token", requirement: Requirement{{accessScheme}, {keyQueryScheme}},
			changes: []change{withAuthorization("Bearer " + alice), aQuery("key=bob")}, status: 200, who: "access:alice",
		},
		{
			name: "a cookie and a header", requirement: Requirement{{accessCookieScheme}, {accessScheme}},
			changes: []change{cookied, withAuthorization("Bearer " + bob)}, status: 200, who: "access:bob",
		},
		{
			name: "a cookie and a bad header", requirement: Requirement{{accessCookieScheme}, {accessScheme}},
			changes: []change{cookied, withAuthorization("Bearer x")}, status: 401, challenges: []string{tokenNotValid},
		},
		{
			name: "a cookie and another auth scheme", requirement: Requirement{{accessCookieScheme}, {accessScheme}},
			changes: []change{cookied, withBasic("alice")}, status: 200, who: "accessCookie:alice",
		},
		{
			name:        "a cookie and a header that lacks its companion",
			requirement: Requirement{{accessScheme, keyScheme}, {accessCookieScheme}},
			changes:     []change{cookied, withAuthorization("Bearer " + bob)}, status: 401,
			challenges: []string{bearerChallenge, keyChallenge},
		},
		{
			name:        "a cookie and a header, as the document asks",
			requirement: Requirement{{accessScheme, accessCookieScheme}},
			changes:     []change{cookied, withAuthorization("Bearer " + alice)}, status: 200,
			who: "access:alice accessCookie:alice",
		},
	})
}

// TestCredentialsThatBrowsersSend has the credentials that a browser adds to requests of other
// sites.
func TestCredentialsThatBrowsersSend(t *testing.T) {
	c := newCredentialFixture(t)
	c.run(t, []credentialCase{
		{
			name: "a cookie that is no JWT", requirement: Requirement{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), aMethod("POST")}, status: 200, who: "session:alice",
		},
		{
			name: "a cookie that is no JWT, from another site", requirement: Requirement{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), aMethod("POST"), crossSite}, status: 403,
		},
		{
			name: "a cookie that is no JWT, from another site, safe", requirement: Requirement{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), crossSite}, status: 200, who: "session:alice",
		},
		{
			name: "a cookie that is no JWT, from another site, upgrade", requirement: Requirement{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), field("Upgrade", "websocket"), crossSite}, status: 403,
		},
		{
			name: "basic from another site", requirement: Requirement{{basicScheme}},
			changes: []change{withBasic("alice"), aMethod("DELETE"), crossSite}, status: 403,
		},
		{
			name: "a certificate from another site", requirement: Requirement{{certificateScheme}},
			changes: []change{aCertificate("alice", true), aMethod("POST"), crossSite}, status: 403,
		},
		{
			name: "a key from another site", requirement: Requirement{{keyScheme}},
			changes: []change{field("X-API-Key", "alice"), aMethod("POST"), crossSite}, status: 200, who: "key:alice",
		},
		{
			name: "an opaque token from another site", requirement: Requirement{{opaqueScheme}},
			changes: []change{withAuthorization("Bearer alice"), aMethod("POST"), crossSite}, status: 200, who: "opaque:alice",
		},
	})
}

// TestRulesHoldForEachCredential has rules of operations with several alternatives, and with
// several credentials in one alternative.
func TestRulesHoldForEachCredential(t *testing.T) {
	c := newCredentialFixture(t)
	alice, bob := c.alice, c.bob
	c.run(t, []credentialCase{
		{
			name: "role, key", requirement: eitherTokenOrKey, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice",
		},
		{
			name: "role, key without", requirement: eitherTokenOrKey, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{field("X-API-Key", "bob")}, status: 403, challenges: []string{},
		},
		{
			name: "role, token without", requirement: eitherTokenOrKey, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{withAuthorization("Bearer " + bob)}, status: 403,
			challenges: []string{insufficientScope},
		},
		{
			name: "deny, key without roles", requirement: eitherTokenOrKey, rules: Rules{DenyRoles: []string{"GUEST"}},
			changes: []change{field("X-API-Key", "bob")}, status: 403,
		},
		{
			name: "deny, key with another role", requirement: eitherTokenOrKey, rules: Rules{DenyRoles: []string{"GUEST"}},
			changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice",
		},
		{
			name: "role, one of both", requirement: tokenAndKey, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "bob")}, status: 403,
		},
		{
			name: "role, both", requirement: tokenAndKey, rules: Rules{AllowRoles: []string{"USER"}},
			changes: []change{withAuthorization("Bearer " + alice), field("X-API-Key", "alice")}, status: 200,
			who: "access:alice key:alice",
		},
		{
			name: "recent, basic", requirement: Requirement{{basicScheme}}, rules: Rules{MaxAge: time.Minute},
			changes: []change{withBasic("alice")}, status: 200, who: "basic:alice",
		},
		{
			name: "recent, no authentication time", requirement: Requirement{{basicScheme}}, rules: Rules{MaxAge: time.Minute},
			changes: []change{withBasic("bob")}, status: 401, challenges: []string{basicChallenge},
		},
		{
			name: "scopes of a key", requirement: Requirement{{keyScheme.With("read", "write")}},
			changes: []change{field("X-API-Key", "alice")}, status: 200, who: "key:alice",
		},
		{
			name: "scopes of a key, one is missing", requirement: Requirement{{opaqueScheme.With("read", "admin")}},
			changes: []change{withAuthorization("Bearer alice")}, status: 403,
			challenges: []string{insufficientScope + `, scope="read admin"`},
		},
		{
			name: "roles of a requirement", requirement: Requirement{{accessScheme.WithRoles("USER")}},
			changes: []change{withAuthorization("Bearer " + alice)}, status: 200, who: "access:alice",
		},
		{
			name:        "roles of a requirement, one is missing",
			requirement: Requirement{{accessScheme.WithRoles("USER", "ADMIN")}},
			changes:     []change{withAuthorization("Bearer " + alice)}, status: 403,
			challenges: []string{insufficientScope},
		},
		{
			name:        "each alternative has its roles",
			requirement: Requirement{{accessScheme.WithRoles("ADMIN")}, {keyScheme.WithRoles("USER")}},
			changes:     []change{withAuthorization("Bearer " + alice), field("X-API-Key", "alice")}, status: 200,
			who: "key:alice",
		},
		{
			name:        "each scheme has its scopes",
			requirement: Requirement{{accessScheme.With("read"), keyScheme.With("write")}},
			changes:     []change{withAuthorization("Bearer " + alice), field("X-API-Key", "alice")}, status: 200,
			who: "access:alice key:alice",
		},
	})
}

// TestMalformedTokenBesideAnotherScheme: where an alternative needs a key and a token, no
// authenticator is called for a request whose token cannot be read.
func TestMalformedTokenBesideAnotherScheme(t *testing.T) {
	f := newFixture(t)
	text := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	calls := 0
	authenticators := Authenticators{"key": AuthenticateKey(func(_ context.Context, key string) (*Caller[Principal], error) {
		calls++
		return account(key)
	})}
	operation := &Operation{ID: "op", Requirement: Requirement{{keyScheme, accessScheme}}}
	handler := must(NewGuards(f.policy, authenticators, operation))(t).HandlerFunc(operation, func(http.ResponseWriter, *http.Request) {})
	for _, tt := range []struct {
		token         string
		status, calls int
	}{
		{token: text, status: 200, calls: 1},
		{token: text[:20] + " " + text[20:], status: 400, calls: 0},
		{token: text[:20] + "\t" + text[20:], status: 400, calls: 0},
	} {
		calls = 0
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+tt.token)
		r.Header.Set("X-API-Key", "alice")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != tt.status || calls != tt.calls {
			t.Errorf("status %d and %d calls of the authenticator, want %d and %d", w.Code, calls, tt.status, tt.calls)
		}
	}
}
