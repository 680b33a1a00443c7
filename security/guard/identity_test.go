package guard

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// TestFailureTellsWhoseTokenItWas refuses genuine tokens for each reason, and what is no genuine
// token. The error handler learns the issuer, the subject, the session and the id of the genuine
// ones.
func TestFailureTellsWhoseTokenItWas(t *testing.T) {
	f := newRefusalFixture(t)
	revoked := accessWith("jti", `"revoked"`)
	if err := f.validator.Revoke(t.Context(), f.token(t, revoked, accessToken)); err != nil {
		t.Fatal(err)
	}
	alice := func(id string) blacklist.Identity {
		return blacklist.Identity{Issuer: testIssuer, ID: id, Session: "session", Subject: "alice"}
	}
	genuine, none := alice("genuine"), blacklist.Identity{}
	token := Requirement{{accessScheme}}
	with := func(text string) []change { return []change{withAuthorization("Bearer " + text)} }
	for _, tt := range []struct {
		name        string
		requirement Requirement
		rules       Rules
		changes     []change
		storeDown   bool
		fails       error
		err         error
		identity    blacklist.Identity
	}{
		{name: "expired", requirement: token, changes: with(expiredToken()), err: security.ErrTokenExpired, identity: genuine},
		{name: "not valid yet", requirement: token, changes: with(accessWith("nbf", "1700000400")), err: security.ErrTokenNotYetValid, identity: genuine},
		{name: "revoked", requirement: token, changes: with(revoked), err: security.ErrTokenRevoked, identity: alice("revoked")},
		{name: "another audience", requirement: token, changes: with(accessWith("aud", `"https://other.example"`)), err: security.ErrInvalidToken, identity: genuine},
		{name: "another type", requirement: Requirement{{refreshScheme}}, changes: with(accessWith()), err: security.ErrWrongTokenType, identity: genuine},
		{name: "no scope", requirement: Requirement{{accessScheme.With("admin")}}, changes: with(accessWith()), err: security.ErrAccessDenied, identity: genuine},
		{name: "no role", requirement: token, rules: Rules{AllowRoles: []string{"ADMIN"}}, changes: with(accessWith()), err: security.ErrAccessDenied, identity: genuine},
		{name: "not fresh", requirement: token, rules: Rules{Fresh: true}, changes: with(accessWith()), err: security.ErrFreshTokenRequired, identity: genuine},
		{name: "no CSRF value", requirement: Requirement{{accessCookieScheme}}, changes: []change{aCookie("access", accessWith()), aMethod("POST")}, err: security.ErrCSRF, identity: genuine},
		{name: "another site", requirement: Requirement{{accessCookieScheme}}, changes: []change{aCookie("access", accessWith()), aMethod("POST"), crossSite}, err: security.ErrCrossOrigin, identity: genuine},
		{name: "the store is down", requirement: token, changes: with(accessWith()), storeDown: true, err: security.ErrUnavailable, identity: genuine},
		{name: "the handler fails", requirement: token, changes: with(accessWith()), fails: errSecretive, err: errSecretive, identity: genuine},
		{name: "the second credential is expired", requirement: Requirement{{keyScheme, accessScheme}}, changes: append(with(expiredToken()), field("X-API-Key", "bob")), err: security.ErrTokenExpired, identity: genuine},

		{name: "forged", requirement: token, changes: with(forged(accessWith())), err: security.ErrInvalidToken, identity: none},
		{name: "forged and expired", requirement: token, changes: with(forged(expiredToken())), err: security.ErrInvalidToken, identity: none},
		{name: "an unknown key", requirement: token, changes: with(compactHS256(`{"alg":"HS256","kid":"other","typ":"at+jwt"}`, payloadWith())), err: security.ErrInvalidToken, identity: none},
		{name: "no algorithm", requirement: token, changes: with(compactHS256(`{"alg":"none","kid":"k1","typ":"at+jwt"}`, payloadWith())), err: security.ErrInvalidToken, identity: none},
		{name: "no token", requirement: token, changes: with("garbage"), err: security.ErrInvalidToken, identity: none},
		{name: "nothing", requirement: token, err: security.ErrNoCredentials, identity: none},
		{name: "a wrong key", requirement: Requirement{{keyScheme}}, changes: []change{field("X-API-Key", "x")}, err: security.ErrInvalidCredentials, identity: none},
		{name: "cookies of different sessions", requirement: Requirement{{accessCookieScheme}}, changes: []change{aCookie("access", accessWith()), aCookie("access", accessWith("sid", `"2"`))}, err: security.ErrInvalidToken, identity: none},
	} {
		// The second request has its token from the cache, where it was stored.
		for _, attempt := range []string{"first", "again"} {
			t.Run(tt.name+", "+attempt, func(t *testing.T) {
				if tt.storeDown {
					f.list.Fail(errSecretive, nil)
					defer f.list.Fail(nil, nil)
				}
				f.failures = nil
				w := f.sendTo(t, &Operation{ID: "op", Requirement: tt.requirement, Rules: tt.rules}, tt.fails, tt.changes...)
				failure := f.lastFailure(t)
				id := failure.Identity
				id.SessionStart = time.Time{}
				if !errors.Is(failure.Err, tt.err) || id != tt.identity || failure.Operation.ID != "op" || len(f.failures) != 1 {
					t.Errorf("%d failures, status %d, %v of %+v; want %v of %+v", len(f.failures), w.Code, failure.Err, id, tt.err, tt.identity)
				}
			})
		}
	}
}

// TestFailureOfATokenThatExpiresInTheCache has a token that was accepted before.
func TestFailureOfATokenThatExpiresInTheCache(t *testing.T) {
	f := newRefusalFixture(t)
	o := &Operation{ID: "op", Requirement: Requirement{{accessScheme}}}
	handler := must(NewGuards(f.policy, nil, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) {})
	for range 2 {
		if w := get(handler, bearer(f.alice)); w.Code != 200 {
			t.Fatalf("status %d", w.Code)
		}
	}
	want := f.token(t, f.alice, accessToken).Identity()
	f.clock.Advance(24 * time.Hour)
	if w := get(handler, bearer(f.alice)); w.Code != 401 {
		t.Fatalf("status %d, a day later", w.Code)
	}
	if failure := f.lastFailure(t); failure.Identity != want || !errors.Is(failure.Err, security.ErrTokenExpired) {
		t.Errorf("%v of %+v, want that of %+v", failure.Err, failure.Identity, want)
	}
}

// TestFailureOfAHook refuses a token by the function of the application.
func TestFailureOfAHook(t *testing.T) {
	disabled := func(context.Context, security.Token[userClaims]) (any, error) { return nil, security.ErrAccessDenied }
	f := newRefusalFixture(t)
	f.validator = must(security.NewValidator(f.verifier, f.list, security.WithHook("access", disabled)))(t)
	f.watch(t)
	w := f.send(t, Requirement{{accessScheme}}, Rules{}, withAuthorization("Bearer "+accessWith()))
	failure := f.lastFailure(t)
	if w.Code != 403 || failure.Identity.Subject != "alice" || failure.Identity.ID != "genuine" || !errors.Is(failure.Err, security.ErrAccessDenied) {
		t.Errorf("status %d, %v of %+v", w.Code, failure.Err, failure.Identity)
	}
}
