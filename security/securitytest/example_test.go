package securitytest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/securitytest"
	"github.com/oapi-guard/oapi-guard/session"
)

// server is the application of the tests on the page about testing.
type server struct {
	gen.UnimplementedGuardedServer
	validator *security.Validator
}

func (server) GetGreeting(_ context.Context, token *gen.AccessToken, _ gen.GetGreetingRequestObject) (gen.GetGreetingResponseObject, error) {
	if token == nil {
		return gen.GetGreeting200JSONResponse{Message: "Hello, stranger!"}, nil
	}
	return gen.GetGreeting200JSONResponse{Message: "Hello, " + token.Claims().Name + "!"}, nil
}

func (s server) RevokeCurrentToken(ctx context.Context, token gen.AccessToken, _ gen.RevokeCurrentTokenRequestObject) (gen.RevokeCurrentTokenResponseObject, error) {
	return gen.RevokeCurrentToken204Response{}, s.validator.Revoke(ctx, token)
}

func TestGreeting(t *testing.T) {
	token := securitytest.Token[gen.AccessToken](t, "ann", securitytest.Claims(gen.UserClaims{Name: "Ann"}))
	response, err := server{}.GetGreeting(t.Context(), &token, gen.GetGreetingRequestObject{})
	if err != nil || response != (gen.GetGreeting200JSONResponse{Message: "Hello, Ann!"}) {
		t.Error(response, err)
	}
}

func TestRevokeCurrentToken(t *testing.T) {
	fixture := securitytest.New(t)
	token := securitytest.TokenFrom[gen.AccessToken](fixture, "ann", securitytest.Claims(gen.UserClaims{Name: "Ann"}))
	if _, err := (server{validator: fixture.Validator}).RevokeCurrentToken(t.Context(), token, gen.RevokeCurrentTokenRequestObject{}); err != nil {
		t.Fatal(err)
	}
	revoked, err := fixture.Validator.IsRevoked(t.Context(), token.Identity())
	if err != nil || !revoked {
		t.Error(revoked, err)
	}
}

func TestGreetingOverHTTP(t *testing.T) {
	fixture := securitytest.New(t, securitytest.WithClaims("access", gen.UserClaims{Name: "Ann"}))
	handler, err := gen.GuardedHandler(server{}, fixture.Validator, partners{fixture.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	access := gen.AccessToken{}.TokenType()
	for _, tt := range []struct {
		token  string
		status int
	}{
		{fixture.Text(access, "ann"), 200},
		{fixture.Text(access, "ann", securitytest.Expired), 401},
		{fixture.Text(access, "ann", securitytest.Revoked), 401},
		{fixture.Text(gen.RefreshToken{}.TokenType(), "ann"), 401},
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/greeting", http.NoBody)
		request.Header.Set("Authorization", "Bearer "+tt.token)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if response.Code != tt.status {
			t.Errorf("status %d, want %d", response.Code, tt.status)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	fixture := securitytest.New(t, securitytest.WithClaims("access", gen.UserClaims{Name: "Ann"}))
	sessions, err := session.New(fixture.Authority, fixture.Sessions, func(context.Context, session.Info) (session.Grant, error) {
		return session.Grant{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	attempt, err := sessions.Open(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := attempt.Begin(t.Context(), session.Login{})
	if err != nil {
		t.Fatal(err)
	}
	fixture.Clock.Advance(31 * 24 * time.Hour)
	if _, err := gen.VerifyRefreshToken(t.Context(), fixture.Validator, pair.Refresh.Text()); err == nil {
		t.Error("the refresh token outlives its session")
	}
}
