package crosstest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/crosstest/deepmap"
	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// deepmapServer answers with the subject, and fails for an item that is called fail.
type deepmapServer struct{}

func (deepmapServer) GetPublic(context.Context, deepmap.GetPublicRequestObject) (deepmap.GetPublicResponseObject, error) {
	return deepmap.GetPublic204Response{}, nil
}

func (deepmapServer) GetMe(_ context.Context, token deepmap.AccessToken, _ deepmap.GetMeRequestObject) (deepmap.GetMeResponseObject, error) {
	var answer deepmap.GetMe200JSONResponse
	answer.Name = token.Subject()
	return answer, nil
}

func (deepmapServer) GetOptional(_ context.Context, token *deepmap.AccessToken, _ deepmap.GetOptionalRequestObject) (deepmap.GetOptionalResponseObject, error) {
	var answer deepmap.GetOptional200JSONResponse
	if answer.Name = "nobody"; token != nil {
		answer.Name = token.Subject()
	}
	return answer, nil
}

func (deepmapServer) PutItem(_ context.Context, credential deepmap.AccessOrKeyCredential, request deepmap.PutItemRequestObject) (deepmap.PutItemResponseObject, error) {
	if request.Body.Title == "fail" {
		return nil, errors.New("password of the database")
	}
	var answer deepmap.PutItem200JSONResponse
	if credential.Key != nil {
		answer.Name = "key of " + credential.Key.Principal.Subject
	} else {
		answer.Name = credential.Access.Subject()
	}
	return answer, nil
}

// TestDeepmap serves what oapi-codegen v2.1.0 generated, behind guards that were generated for it.
// Its own functions panic where an error has no handler; here a bad body and an error of a handler
// are answered.
func TestDeepmap(t *testing.T) {
	f := newFixture(t)
	handler, err := deepmap.GuardedHandler(deepmapServer{}, f.validator, service.Authenticator{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	c := newClient(t, server.URL, server.Close)
	alice := "Authorization: " + f.bearer(accessType, "alice")
	refresh := "Authorization: " + f.bearer(refreshType, "alice")
	const body = "Content-Type: application/json"
	for _, tt := range []struct {
		request, body string
		fields        []string
		status        int
		answer        string
	}{
		{request: "GET /public", status: 204},
		{request: "GET /me", status: 401, answer: `"status":401`},
		{request: "GET /me", fields: []string{refresh}, status: 401, answer: `"status":401`},
		{request: "GET /me", fields: []string{alice}, status: 200, answer: `"name":"alice"`},
		{request: "GET /optional", status: 200, answer: `"name":"nobody"`},
		{request: "GET /optional", fields: []string{alice}, status: 200, answer: `"name":"alice"`},
		{request: "GET /optional", fields: []string{"Authorization: Bearer x"}, status: 401, answer: `"status":401`},
		{request: "PUT /items/1", body: `{"title":"a"}`, fields: []string{body, alice}, status: 200, answer: `"name":"alice"`},
		{
			request: "PUT /items/1", body: `{"title":"a"}`, fields: []string{body, "X-API-Key: bob"}, status: 200,
			answer: `"name":"key of bob"`,
		},
		{request: "PUT /items/x", body: `{"title":`, fields: []string{body}, status: 401, answer: `"status":401`},
		{request: "PUT /items/x", body: `{"title":"a"}`, fields: []string{body, alice}, status: 400, answer: `"status":400`},
		{request: "PUT /items/1", body: `{"title":`, fields: []string{body, alice}, status: 400, answer: `"status":400`},
		{request: "PUT /items/1", body: `{"title":"fail"}`, fields: []string{body, alice}, status: 500, answer: `"status":500`},
	} {
		got := c.sendPlain(tt.request, tt.body, tt.fields...)
		if got.status != tt.status || !strings.Contains(got.body, tt.answer) || strings.Contains(got.body, "password") {
			t.Errorf("%s %q: status %d, want %d: %s", tt.request, tt.fields, got.status, tt.status, got.body)
		}
	}
	// Without its guard an operation does not run.
	unguarded := httptest.NewServer(deepmap.Handler(deepmap.NewGuardedStrictHandler(deepmapServer{}, f.policy, nil, deepmap.StrictHTTPServerOptions{})))
	if got := newClient(t, unguarded.URL, unguarded.Close).sendPlain("GET /me", "", alice); got.status != http.StatusInternalServerError {
		t.Errorf("without its guard: status %d", got.status)
	}
	if _, err := deepmap.GuardedHandler(deepmapServer{}, f.validator, nil); !errors.Is(err, guard.ErrNoAuthenticator) {
		t.Errorf("without an authenticator: %v", err)
	}
}
