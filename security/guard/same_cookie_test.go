package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// partialKeys is a key source that does not answer for one key id.
type partialKeys struct{ *keys.Set }

func (p partialKeys) VerificationKeys(ctx context.Context, header keys.Header) (*keys.Set, error) {
	if header.KeyID == "away" {
		return nil, errSecretive
	}
	return p.Set.VerificationKeys(ctx, header)
}

// inSession returns the text of an access token with an id, a session, a second of issue and a claim
// csrf that is the id.
func inSession(id, session string, issued int) string {
	return compactHS256(goodHeader, payloadWith("jti", `"`+id+`"`, "sid", `"`+session+`"`, "iat", fmt.Sprint(1_700_000_000+issued), "csrf", `"`+id+`"`))
}

// TestSameCookieTwice sends a cookie several times, as a browser does that stores one with a former
// path. Those that verify must belong to one session.
func TestSameCookieTwice(t *testing.T) {
	f := newRefusalFixture(t)
	verifier := must(security.NewVerifier(testIssuer, partialKeys{f.set}, security.WithClock(f.clock.Now)))(t)
	f.validator = must(security.NewValidator(verifier, f.list))(t)
	f.watch(t)
	if err := f.validator.Revoke(t.Context(), must(verifier.Verify(t.Context(), accessToken, inSession("revoked", "s", -1)))(t)); err != nil {
		t.Fatal(err)
	}
	older, newer := inSession("older", "s", -9), inSession("newer", "s", -3)
	elsewhere := inSession("elsewhere", "other", -2)
	bob := compactHS256(goodHeader, payloadWith("jti", `"bob"`, "sid", `"s"`, "sub", `"bob"`))
	noSession := [2]string{compactHS256(goodHeader, payloadWith("jti", `"1"`, "sid", "")), compactHS256(goodHeader, payloadWith("jti", `"2"`, "sid", ""))}
	away := compactHS256(`{"alg":"HS256","kid":"away","typ":"at+jwt"}`, payloadWith())
	for _, tt := range []struct {
		name    string
		cookies []string
		// csrf is the header of a POST; "" for a GET.
		csrf string
		// token is the id of the one that counts.
		token string
		err   error
	}{
		{name: "one session, the older first", cookies: []string{older, newer}, token: "newer"},
		{name: "one session, the newer first", cookies: []string{newer, older}, token: "newer"},
		{name: "one session, three", cookies: []string{older, newer, inSession("third", "s", -6)}, token: "newer"},
		{name: "one session, the header repeats the older", cookies: []string{newer, older}, csrf: "older", token: "older"},
		{name: "one session, the header repeats the older, which is first", cookies: []string{older, newer}, csrf: "older", token: "older"},
		{name: "one session, the header repeats the newer", cookies: []string{older, newer}, csrf: "newer", token: "newer"},
		{name: "one session, the header repeats the last of three", cookies: []string{older, newer, inSession("third", "s", -12)}, csrf: "third", token: "third"},
		{name: "one session, the header repeats none", cookies: []string{older, newer}, csrf: "x", err: security.ErrCSRF},
		{name: "one session, the newest is revoked", cookies: []string{older, inSession("revoked", "s", -1)}, err: security.ErrTokenRevoked},
		{name: "the same text twice", cookies: []string{older, older}, token: "older"},
		{name: "an empty one first", cookies: []string{"", older}, token: "older"},
		{name: "an empty one last", cookies: []string{older, ""}, token: "older"},
		{name: "different sessions", cookies: []string{older, elsewhere}, err: security.ErrInvalidToken},
		{name: "different sessions, swapped", cookies: []string{elsewhere, older}, err: security.ErrInvalidToken},
		{name: "different sessions, the third", cookies: []string{older, newer, elsewhere}, err: security.ErrInvalidToken},
		{name: "different sessions, the header repeats one", cookies: []string{older, elsewhere}, csrf: "older", err: security.ErrInvalidToken},
		{name: "one session of different subjects", cookies: []string{older, bob}, err: security.ErrInvalidToken},
		{name: "no sessions", cookies: noSession[:], err: security.ErrInvalidToken},
		{name: "a forged one first", cookies: []string{forged(elsewhere), older}, token: "older"},
		{name: "a forged one last", cookies: []string{older, forged(elsewhere)}, token: "older"},
		{name: "an expired one first", cookies: []string{expiredToken(), older}, token: "older"},
		{name: "an expired one last", cookies: []string{older, expiredToken()}, token: "older"},
		{name: "an expired and a forged one", cookies: []string{expiredToken(), forged(older)}, err: security.ErrTokenExpired},
		{name: "a forged and an expired one", cookies: []string{forged(older), expiredToken()}, err: security.ErrTokenExpired},
		{name: "a forged one whose key is unknown yet", cookies: []string{forged(older), away}, err: security.ErrUnavailable},
		{name: "an expired one and one whose key is unknown yet", cookies: []string{expiredToken(), away}, err: security.ErrUnavailable},
		{name: "one whose key is unknown yet and an expired one", cookies: []string{away, expiredToken()}, err: security.ErrUnavailable},
		{name: "five different ones", cookies: []string{older, "a", "b", "c", "d"}, token: "older"},
		{name: "six different ones", cookies: []string{older, "a", "b", "c", "d", "e"}, err: security.ErrMalformedRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := &Operation{ID: "op", Requirement: Requirement{{accessCookieScheme}}}
			token := ""
			handler := must(NewGuards(f.policy, nil, o))(t).HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) {
				accepted, _ := FromContext(r.Context())
				token = accepted.ID()
			})
			var changes []change
			for _, text := range tt.cookies {
				changes = append(changes, aCookie("access", text))
			}
			if tt.csrf != "" {
				changes = append(changes, aMethod("POST"), field("X-CSRF-Token", tt.csrf))
			}
			f.failures = nil
			w := serveChanged(handler, changes)
			if token != tt.token || (w.Code == 200) != (tt.err == nil) {
				t.Fatalf("status %d, token %q; want %q, %v", w.Code, token, tt.token, tt.err)
			}
			if tt.err == nil {
				return
			}
			if failure := f.lastFailure(t); !errors.Is(failure.Err, tt.err) || failure.Response.Status != w.Code {
				t.Errorf("status %d, %v; want %v", w.Code, failure.Err, tt.err)
			}
			checkProblem(t, w)
		})
	}
}

// TestSameCookieTwiceThatIsNoToken sends a cookie for an authenticator several times. Which of them
// counts is not clear where they differ.
func TestSameCookieTwiceThatIsNoToken(t *testing.T) {
	f := newCredentialFixture(t)
	f.run(t, []credentialCase{
		{
			name: "the same value", requirement: Requirement{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), aCookie("session", "alice")}, status: 200, who: "session:alice",
		},
		{
			name: "different values", requirement: Requirement{{sessionScheme}},
			changes: []change{aCookie("session", "alice"), aCookie("session", "bob")}, status: 401,
		},
		{
			name: "different values beside a key", requirement: Requirement{{sessionScheme}, {keyScheme}},
			changes: []change{aCookie("session", "alice"), aCookie("session", "bob"), field("X-API-Key", "bob")}, status: 200, who: "key:bob",
		},
	})
}
