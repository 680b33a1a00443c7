package pages

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/example/pages/api"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// service implements the API.
type service struct{ *security.Authority }

func (s *service) GetMe(_ context.Context, caller api.AccessOrEmployeeCredential, _ api.GetMeRequestObject) (api.GetMeResponseObject, error) {
	if caller.Employee != nil {
		return api.GetMe200TextResponse("employee " + caller.Employee.Subject()), nil
	}
	return api.GetMe200TextResponse("user " + caller.Access.Subject()), nil
}

func (s *service) ListStaff(context.Context, api.EmployeeToken, api.ListStaffRequestObject) (api.ListStaffResponseObject, error) {
	return api.ListStaff200TextResponse("the staff"), nil
}

func (s *service) ChangePassword(ctx context.Context, token api.AccessToken, _ api.ChangePasswordRequestObject) (api.ChangePasswordResponseObject, error) {
	// Here the new password is stored.
	cutOff, err := s.Validator.RevokeSubject(ctx, token.Subject())
	if err != nil {
		return nil, err
	}
	// The session of this caller is revoked too. A new one begins after the cut-off, which is in whole milliseconds.
	next, err := s.Issuer.IssueAccessToken(ctx, token.Subject(), nil, security.WithSessionStart(cutOff.Add(time.Millisecond)))
	if err != nil {
		return nil, err
	}
	return api.ChangePassword200TextResponse(next.Text()), nil
}

// newKey returns a key for an example. The secret of an application is random.
func newKey(letter, id string) (*keys.Key, error) {
	return keys.NewHMAC(keys.HS256, []byte(strings.Repeat(letter+"!", 16)), keys.WithID(id))
}

// newAuthority sets up the tokens of the application.
func newAuthority(source keys.Source, options ...security.Option) *security.Authority {
	list, err := blacklist.NewMemory()
	must(err)
	authority, err := security.New("https://accounts.example.com", source, list, options...)
	must(err)
	return authority
}

// newSet returns a key set with the keys.
func newSet(all ...*keys.Key) *keys.Set {
	set, err := keys.NewSet(all...)
	must(err)
	return set
}

// ask sends a request with the token and returns the status and the body of the response.
func ask(handler http.Handler, method, path, token string) string {
	server := httptest.NewServer(handler)
	defer server.Close()
	request, err := http.NewRequest(method, server.URL+path, nil)
	must(err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return send(server.Client(), request)
}

// send sends a request and returns the status and the body of the response.
func send(client *http.Client, request *http.Request) string {
	response, err := client.Do(request)
	must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err)
	return strings.TrimSpace(fmt.Sprint(response.StatusCode, " ", string(body)))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// newHandler returns the API for the tokens of the application. The document also names the verifier
// of an identity provider, whose tokens these examples do not have.
func newHandler(source keys.Source, clock func() time.Time, options ...guard.Option) (*security.Authority, http.Handler) {
	key, err := newKey("p", "provider")
	must(err)
	corporate, err := security.NewVerifier("https://id.example.com", newSet(key), security.WithName("corporate"))
	must(err)
	authority := newAuthority(source, security.WithClock(clock), security.WithVerifier(corporate))
	handler, err := api.GuardedHandler(&service{authority}, authority.Validator, options...)
	must(err)
	return authority, handler
}
