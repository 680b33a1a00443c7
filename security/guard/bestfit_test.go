package guard

import (
	"errors"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// TestRefusalIsThatOfTheClosestAlternative sends credentials that no alternative accepts. The
// response is that of the alternative that the request came closest to, whatever the order is.
func TestRefusalIsThatOfTheClosestAlternative(t *testing.T) {
	f := newRefusalFixture(t)
	revoked := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	if err := f.validator.Revoke(t.Context(), f.token(t, revoked, accessToken)); err != nil {
		t.Fatal(err)
	}
	const errorCode = `, error="`
	for _, tt := range []struct {
		name        string
		requirement Requirement
		rules       Rules
		changes     []change
		err         error
		// subject is that of the failure. challenge is a part of one challenge; "" for none with an
		// error code.
		subject, challenge string
	}{
		{
			name: "an expired token and no key", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + expiredToken())},
			err:     security.ErrTokenExpired, subject: "alice", challenge: "The token has expired.",
		},
		{
			name: "an expired token and a wrong key", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + expiredToken()), field("X-API-Key", "x")},
			err:     security.ErrTokenExpired, subject: "alice", challenge: "The token has expired.",
		},
		{
			name: "a revoked token and a wrong key", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + revoked), field("X-API-Key", "x")},
			err:     security.ErrTokenRevoked, subject: "alice", challenge: "The token has been revoked.",
		},
		{
			name: "a revoked token where another type is accepted too", requirement: Requirement{{accessScheme}, {refreshScheme}},
			changes: []change{withAuthorization("Bearer " + revoked)},
			err:     security.ErrTokenRevoked, subject: "alice", challenge: "The token has been revoked.",
		},
		{
			name: "a token without the scope where another type is accepted too", requirement: Requirement{{accessScheme.With("admin")}, {refreshScheme}},
			changes: []change{withAuthorization("Bearer " + f.alice)},
			err:     security.ErrAccessDenied, subject: "alice", challenge: `scope="admin"`,
		},
		{
			name: "a key without the role and a token that is none", requirement: Requirement{{accessSchemeX}, {keyScheme}},
			rules:   Rules{AllowRoles: []string{"USER"}},
			changes: []change{field("X-Access", "garbage"), field("X-API-Key", "bob")},
			err:     security.ErrAccessDenied,
		},
		{
			name: "a token for another audience and a wrong key", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + accessWith("aud", `"https://other.example"`)), field("X-API-Key", "x")},
			err:     security.ErrInvalidToken, subject: "alice", challenge: "The token is not valid.",
		},
		{
			name: "a token of another type and a wrong key", requirement: Requirement{{refreshScheme}, {keyScheme}},
			changes: []change{withAuthorization("Bearer " + f.alice), field("X-API-Key", "x")},
			err:     security.ErrWrongTokenType, subject: "alice", challenge: "The token is of the wrong type.",
		},
		{
			name: "a wrong password and a token without the scope", requirement: Requirement{{basicScheme}, {accessSchemeX.With("admin")}},
			changes: []change{withBasic("carol"), field("X-Access", f.alice)},
			err:     security.ErrAccessDenied, subject: "alice", challenge: `scope="admin"`,
		},
		{
			name: "a forged token and a key that is denied", requirement: eitherTokenOrKey,
			changes: []change{withAuthorization("Bearer " + forged(f.alice)), field("X-API-Key", "denied")},
			err:     security.ErrAccessDenied,
		},
		{
			name: "the first of two credentials holds, and another token lacks the scope", requirement: Requirement{{accessSchemeX.With("admin")}, {accessScheme, keyScheme}},
			changes: []change{withAuthorization("Bearer " + f.alice), field("X-Access", f.alice), field("X-API-Key", "x")},
			err:     security.ErrInvalidCredentials,
		},
		{name: "nothing", requirement: eitherTokenOrKey, err: security.ErrNoCredentials},
		{
			name: "one of two credentials", requirement: Requirement{{accessScheme, keyScheme}, {refreshSchemeX}},
			changes: []change{withAuthorization("Bearer " + f.alice)}, err: security.ErrNoCredentials,
		},
	} {
		for order, requirement := range map[string]Requirement{"document order": tt.requirement, "swapped": swapped(tt.requirement)} {
			t.Run(tt.name+", "+order, func(t *testing.T) {
				w := f.send(t, requirement, tt.rules, tt.changes...)
				var want *security.Error
				if !errors.As(tt.err, &want) || w.Code != want.Status() || w.who != "" || !strings.Contains(w.Body.String(), want.Detail()) {
					t.Errorf("status %d, who %q, %s; want %v", w.Code, w.who, w.Body, tt.err)
				}
				failure := f.lastFailure(t)
				if !errors.Is(failure.Err, tt.err) || failure.Identity.Subject != tt.subject {
					t.Errorf("failure %v of %q, want %v of %q", failure.Err, failure.Identity.Subject, tt.err, tt.subject)
				}
				challenges := strings.Join(w.Header().Values("WWW-Authenticate"), "\n")
				if !strings.Contains(challenges, tt.challenge) || strings.Contains(challenges, errorCode) != (tt.challenge != "") {
					t.Errorf("challenges %q, want %q", challenges, tt.challenge)
				}
			})
		}
	}
}

// TestEqualRefusalsAreThatOfTheFirst sends credentials of which none is closer than the other.
func TestEqualRefusalsAreThatOfTheFirst(t *testing.T) {
	f := newRefusalFixture(t)
	changes := []change{withAuthorization("Bearer garbage"), field("X-API-Key", "x")}
	for _, tt := range []struct {
		name        string
		requirement Requirement
		err         error
	}{
		{name: "the token first", requirement: eitherTokenOrKey, err: security.ErrInvalidToken},
		{name: "the key first", requirement: swapped(eitherTokenOrKey), err: security.ErrInvalidCredentials},
	} {
		if w := f.send(t, tt.requirement, Rules{}, changes...); w.Code != 401 || !errors.Is(f.lastFailure(t).Err, tt.err) {
			t.Errorf("%s: status %d, %v; want %v", tt.name, w.Code, f.lastFailure(t).Err, tt.err)
		}
	}
}

// TestUnavailableBesideOtherAlternatives has a part of the decision that does not answer. The request
// passes only by another alternative that holds, and is never answered 401 or 403.
func TestUnavailableBesideOtherAlternatives(t *testing.T) {
	f := newRefusalFixture(t)
	f.list.Fail(errSecretive, nil)
	token := withAuthorization("Bearer " + f.alice)
	tokenOrSession := Requirement{{accessScheme}, {sessionScheme}}
	for _, tt := range []struct {
		name        string
		requirement Requirement
		changes     []change
		status      int
		who         string
	}{
		{name: "the store alone", requirement: eitherTokenOrKey, changes: []change{token}, status: 503},
		{name: "the store, and a wrong key", requirement: eitherTokenOrKey, changes: []change{token, field("X-API-Key", "x")}, status: 503},
		{name: "the store, and a key that is denied", requirement: eitherTokenOrKey, changes: []change{token, field("X-API-Key", "denied")}, status: 503},
		{name: "the store, and a key that is good", requirement: eitherTokenOrKey, changes: []change{token, field("X-API-Key", "bob")}, status: 200, who: "key:bob"},
		{name: "the store, and an expired token", requirement: Requirement{{accessScheme}, {accessSchemeX}}, changes: []change{token, field("X-Access", expiredToken())}, status: 503},
		{name: "the store, and a token of another type", requirement: Requirement{{accessScheme}, {refreshScheme}}, changes: []change{token}, status: 503},
		{name: "the store, and the same token with another scope", requirement: Requirement{{accessScheme}, {accessScheme.With("admin")}}, changes: []change{token}, status: 503},
		{name: "the store, and nothing for the empty alternative", requirement: Requirement{{accessScheme}, {}}, changes: []change{token}, status: 503},
		{name: "the store, and a request from another site", requirement: tokenOrSession, changes: []change{token, aCookie("session", "alice"), aMethod("POST"), crossSite}, status: 503},
		{name: "the authenticator, and an expired token", requirement: eitherTokenOrKey, changes: []change{withAuthorization("Bearer " + expiredToken()), field("X-API-Key", "down")}, status: 503},
		{name: "the authenticator, and another one that is good", requirement: Requirement{{keyScheme}, {basicScheme}}, changes: []change{withBasic("bob"), field("X-API-Key", "down")}, status: 200, who: "basic:bob"},
		{
			name: "the authenticator of the second of two, and a token without the scope", requirement: Requirement{{basicScheme, keyScheme}, {accessSchemeX}},
			changes: []change{withBasic("bob"), field("X-API-Key", "down"), field("X-Access", "garbage")}, status: 503,
		},
	} {
		for order, requirement := range map[string]Requirement{"document order": tt.requirement, "swapped": swapped(tt.requirement)} {
			t.Run(tt.name+", "+order, func(t *testing.T) {
				w := f.send(t, requirement, Rules{}, tt.changes...)
				if w.Code != tt.status || w.who != tt.who {
					t.Fatalf("status %d, who %q; want %d, %q", w.Code, w.who, tt.status, tt.who)
				}
				if tt.status != 503 {
					return
				}
				checkProblem(t, w.ResponseRecorder)
				if w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" || !errors.Is(f.lastFailure(t).Err, security.ErrUnavailable) {
					t.Errorf("header %v, %v", w.Header(), f.lastFailure(t).Err)
				}
			})
		}
	}
}
