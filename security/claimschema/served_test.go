package claimschema_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	enforced "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/claims-enforced"
	enforced31 "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/claims-enforced-31"
	others "github.com/oapi-guard/oapi-guard/internal/codegen/testdata/claims-of-others"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// These tests use code that the generator made of documents in its testdata.

func newVerifier(t *testing.T, options ...security.VerifierOption) *security.Verifier {
	t.Helper()
	return newVerifierOf(t, sectest.Issuer, options...)
}

func newVerifierOf(t *testing.T, issuer string, options ...security.VerifierOption) *security.Verifier {
	t.Helper()
	key := sectest.Must(keys.NewHMAC(keys.HS256, sectest.Secret, keys.WithID("k1")))(t)
	options = append([]security.VerifierOption{security.WithClock(sectest.NewClock().Now)}, options...)
	return sectest.Must(security.NewVerifier(issuer, sectest.Must(keys.NewSet(key))(t), options...))(t)
}

func newValidator(t *testing.T, verifier *security.Verifier, options ...security.ValidatorOption) *security.Validator {
	t.Helper()
	list := sectest.Must(blacklist.NewMemory(blacklist.WithClock(sectest.NewClock().Now), blacklist.WithLogger(slog.New(slog.DiscardHandler))))(t)
	t.Cleanup(func() { _ = list.Close() })
	return sectest.Must(security.NewValidator(verifier, list, options...))(t)
}

type enforcedServer struct {
	enforced.UnimplementedGuardedServer
}

func (enforcedServer) GetMe(context.Context, enforced.AccessToken, enforced.GetMeRequestObject) (enforced.GetMeResponseObject, error) {
	return enforced.GetMe204Response{}, nil
}

type enforced31Server struct {
	enforced31.UnimplementedGuardedServer
}

func (enforced31Server) GetMe(context.Context, enforced31.AccessToken, enforced31.GetMeRequestObject) (enforced31.GetMeResponseObject, error) {
	return enforced31.GetMe204Response{}, nil
}

// get returns the status of a request with a token.
func get(t *testing.T, handler http.Handler, text string) int {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	request := sectest.Must(http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/me", nil))(t)
	request.Header.Set("Authorization", "Bearer "+text)
	response := sectest.Must(server.Client().Do(request))(t)
	_ = response.Body.Close()
	return response.StatusCode
}

func TestServerEnforcesTheClaimsOfTheDocument(t *testing.T) {
	handler := sectest.Must(enforced.GuardedHandler(enforcedServer{}, newValidator(t, newVerifier(t))))(t)
	handler31 := sectest.Must(enforced31.GuardedHandler(enforced31Server{}, newValidator(t, newVerifier(t))))(t)
	const good, refused = http.StatusNoContent, http.StatusUnauthorized
	for _, tt := range []struct {
		name    string
		changes []string
		status  int
		// status31 is that of the document of OpenAPI 3.1, 0 where it says the same.
		status31 int
	}{
		{name: "good", status: good},
		{name: "no name", changes: []string{"name", ""}, status: refused},
		{name: "null for the name", changes: []string{"name", `null`}, status: refused},
		{name: "an empty name", changes: []string{"name", `""`}, status: refused},
		{name: "a long name", changes: []string{"name", `"Annabella"`}, status: refused, status31: good},
		{name: "another pattern", changes: []string{"handle", `"A"`}, status: refused, status31: good},
		{name: "the exclusive minimum", changes: []string{"level", `0`}, status: refused},
		{name: "the maximum", changes: []string{"level", `9`}, status: good},
		{name: "above the maximum", changes: []string{"level", `10`}, status: refused},
		{name: "no colour of the enumeration", changes: []string{"colour", `"blue"`}, status: refused, status31: good},
		{name: "null for a nullable string", changes: []string{"level", `1`, "nickname", `null`}, status: good},
		{name: "a short nickname", changes: []string{"level", `1`, "nickname", `"a"`}, status: refused},
		{name: "a nickname without a level", changes: []string{"nickname", `"al"`}, status: good, status31: refused},
		{name: "another constant", changes: []string{"kind", `"robot"`}, status: refused},
		{name: "no email address", changes: []string{"mail", `"alice"`}, status: refused, status31: good},
		{name: "a format for readers", changes: []string{"secret", `"x"`}, status: good},
		{name: "no team", changes: []string{"team", ""}, status: refused},
		{name: "a team without an id", changes: []string{"team", `{}`}, status: refused},
		{name: "a parent without an id", changes: []string{"team", `{"id":1,"parent":{"id":2,"parent":{}}}`}, status: refused, status31: good},
		{name: "the largest id", changes: []string{"team", `{"id":9223372036854775807}`}, status: good},
		{name: "too many tags", changes: []string{"tags", `["a","b","c"]`}, status: refused, status31: good},
		{name: "an additional member", changes: []string{"admin", `true`}, status: refused, status31: good},
		{name: "a cat", changes: []string{"pet", `{"kind":"Cat"}`}, status: good},
		{name: "a dog by its name in the mapping", changes: []string{"pet", `{"kind":"hound","tricks":2}`}, status: good},
		{name: "a dog without its tricks", changes: []string{"pet", `{"kind":"hound"}`}, status: refused, status31: good},
		{name: "no pet of the discriminator", changes: []string{"pet", `{"kind":"Dog","tricks":2}`}, status: refused, status31: good},
		{name: "a pet without a kind", changes: []string{"pet", `{"tricks":2}`}, status: refused, status31: good},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes := append([]string{"name", `"Alice"`, "team", `{"id":1}`}, tt.changes...)
			text := sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith(changes...))
			if got := get(t, handler, text); got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			want := tt.status31
			if want == 0 {
				want = tt.status
			}
			if got := get(t, handler31, text); got != want {
				t.Errorf("OpenAPI 3.1: status %d, want %d", got, want)
			}
		})
	}
}

func TestIssuerRefusesWhatTheVerifierWouldRefuse(t *testing.T) {
	issuer := enforced.NewGuardedIssuer(sectest.Must(security.NewIssuer(newVerifier(t)))(t))
	good := enforced.UserClaims{Name: "Alice", Team: enforced.Team{Id: 1}}
	phone := "phone"
	device := enforced.Device{Device: &phone}
	if _, err := issuer.IssueTokenPair(t.Context(), "alice", good, device); err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.IssueInviteToken(t.Context(), "alice", enforced.Plain{}); err != nil {
		t.Errorf("a type without a schema: %v", err)
	}
	short, level := good, -1
	short.Level = &level
	for name, issue := range map[string]func() error{
		"an empty name": func() error {
			_, err := issuer.IssueAccessToken(t.Context(), "alice", enforced.UserClaims{Team: good.Team})
			return err
		},
		"a level below the minimum": func() error { _, err := issuer.IssueAccessToken(t.Context(), "alice", short); return err },
		"a pair, the access token": func() error {
			_, err := issuer.IssueTokenPair(t.Context(), "alice", enforced.UserClaims{}, device)
			return err
		},
		"a pair, the refresh token": func() error {
			_, err := issuer.IssueTokenPair(t.Context(), "alice", good, enforced.Device{})
			return err
		},
		"no claims": func() error { _, err := issuer.IssueRefreshToken(t.Context(), "alice", enforced.Device{}); return err },
	} {
		if issue() == nil {
			t.Errorf("%s: the token was issued", name)
		}
	}
}

func TestVerifyFunctionsOfGeneratedCode(t *testing.T) {
	clock := sectest.NewClock()
	verifier := newVerifier(t, security.WithClock(clock.Now))
	issuer := enforced.NewGuardedIssuer(sectest.Must(security.NewIssuer(verifier))(t))
	validator := newValidator(t, verifier, security.WithHook("access", func(_ context.Context, token security.Token[enforced.UserClaims]) (any, error) {
		if token.Subject() == "disabled" {
			return nil, security.ErrAccessDenied
		}
		return nil, nil
	}))
	claims := enforced.UserClaims{Name: "Alice", Team: enforced.Team{Id: 1}}
	phone := "phone"
	pairOf := func(subject string) security.TokenPair {
		return sectest.Must(issuer.IssueTokenPair(t.Context(), subject, claims, enforced.Device{Device: &phone}))(t)
	}
	pair, revoked := pairOf("alice"), pairOf("alice")

	token, err := enforced.VerifyAccessToken(t.Context(), validator, pair.Access.Text())
	if err != nil || token.Subject() != "alice" || token.Claims().Name != "Alice" {
		t.Fatalf("subject %q, claims %+v, err = %v", token.Subject(), token.Claims(), err)
	}
	refresh, err := enforced.VerifyRefreshToken(t.Context(), validator, pair.Refresh.Text())
	if err != nil || *refresh.Claims().Device != phone {
		t.Fatalf("claims %+v, err = %v", refresh.Claims(), err)
	}
	if err := validator.Revoke(t.Context(), sectest.Must(enforced.VerifyAccessToken(t.Context(), validator, revoked.Access.Text()))(t)); err != nil {
		t.Fatal(err)
	}
	noName := sectest.CompactHS256(sectest.GoodHeader, sectest.PayloadWith())
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{name: "a refresh token", text: pair.Refresh.Text(), want: security.ErrWrongTokenType},
		{name: "a revoked token", text: revoked.Access.Text(), want: security.ErrTokenRevoked},
		{name: "a token that the hook refuses", text: pairOf("disabled").Access.Text(), want: security.ErrAccessDenied},
		{name: "claims that the schema refuses", text: noName, want: security.ErrInvalidToken},
		{name: "no token", text: "x", want: security.ErrInvalidToken},
	} {
		if token, err := enforced.VerifyAccessToken(t.Context(), validator, tt.text); !errors.Is(err, tt.want) || token != (enforced.AccessToken{}) {
			t.Errorf("%s: err = %v, want %v", tt.name, err, tt.want)
		}
	}
	clock.Advance(2 * security.DefaultAccessLifetime)
	if _, err := enforced.VerifyAccessToken(t.Context(), validator, pair.Access.Text()); !errors.Is(err, security.ErrTokenExpired) {
		t.Errorf("an expired token: err = %v", err)
	}
	if _, err := enforced.VerifyAccessToken(t.Context(), nil, pair.Access.Text()); err == nil {
		t.Error("no validator, and no error")
	}
}

type othersServer struct {
	others.UnimplementedGuardedServer
	claims others.IdpClaims
}

func (s *othersServer) GetMe(_ context.Context, token others.AccessToken, _ others.GetMeRequestObject) (others.GetMeResponseObject, error) {
	s.claims = token.Claims()
	return others.GetMe204Response{}, nil
}

func TestClaimsOfOthersHaveTheirNames(t *testing.T) {
	layout := sectest.Must(security.IdentityProvider(security.WithTypeHeader("JWT"), security.WithRolesAt("roles")))(t)
	idp := newVerifier(t, security.WithName("idp"), security.WithLayout(layout))
	partner := newVerifierOf(t, "https://partner.example", security.WithName("partner"), security.WithLayout(layout))
	validator := newValidator(t, newVerifierOf(t, "https://app.example"), security.WithVerifier(idp), security.WithVerifier(partner))
	server := &othersServer{}
	handler := sectest.Must(others.GuardedHandler(server, validator))(t)
	const good, refused = http.StatusNoContent, http.StatusUnauthorized
	for _, tt := range []struct {
		name    string
		changes []string
		status  int
	}{
		{name: "good", status: good},
		{name: "a short tid", changes: []string{"tid", `"t"`}, status: refused},
		{name: "no tid", changes: []string{"tid", ""}, status: refused},
		{name: "a subject of another pattern", changes: []string{"sub", `"alice"`}, status: refused},
		{name: "acr outside the enumeration", changes: []string{"acr", `"3"`}, status: refused},
		{name: "an actor without a subject", changes: []string{"act", `{}`}, status: refused},
		{name: "registered claims that the schema does not name", changes: []string{"client_id", `"app"`, "scope", `"a"`}, status: good},
		{name: "an additional claim", changes: []string{"nonce", `"n"`}, status: refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes := append([]string{
				"sub", `"user-1"`, "tid", `"t1"`, "azp", `"app"`, "acr", `"1"`, "amr", `["pwd"]`, "roles", `["ADMIN"]`, "Scope", `"s"`, "act", `{"sub":"bob"}`,
			}, tt.changes...)
			text := sectest.CompactHS256(`{"alg":"HS256","kid":"k1","typ":"JWT"}`, sectest.PayloadWith(changes...))
			server.claims = others.IdpClaims{}
			if got := get(t, handler, text); got != tt.status {
				t.Fatalf("status %d, want %d", got, tt.status)
			}
			if tt.status != good {
				return
			}
			c := server.claims
			got := fmt.Sprint(*c.Sub, c.Tid, *c.Azp, *c.Acr, *c.Amr, *c.Roles, *c.Scope, c.Act.Sub)
			if want := fmt.Sprint("user-1", "t1", "app", "1", []string{"pwd"}, []string{"ADMIN"}, "s", "bob"); got != want {
				t.Errorf("claims %s, want %s", got, want)
			}
			token, err := others.VerifyAccessToken(t.Context(), validator, text)
			if err != nil || !token.HasRole("ADMIN") || token.Claims().Tid != "t1" {
				t.Errorf("claims %+v, err = %v", token.Claims(), err)
			}
		})
	}
}
