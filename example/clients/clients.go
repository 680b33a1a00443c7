package clients

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"golang.org/x/oauth2"

	"github.com/oapi-guard/oapi-guard/client"
	"github.com/oapi-guard/oapi-guard/client/oauth2source"
	"github.com/oapi-guard/oapi-guard/example/clients/api"
)

// New returns a client that keeps its tokens in a file. Other processes may use the same file.
func New(server, path string, options ...client.Option) (*api.GuardedClient, error) {
	keeper, err := client.NewFileKeeper(path)
	if err != nil {
		return nil, err
	}
	return api.NewGuardedClient(server, api.GuardedClientCredentials{Keeper: keeper}, options...)
}

// LogIn logs in. The client has the tokens then.
func LogIn(ctx context.Context, c *api.GuardedClient, username, password string) error {
	response, err := c.LoginWithResponse(ctx, api.LoginJSONRequestBody{Username: username, Password: password})
	if err != nil {
		return err
	}
	if response.StatusCode() != http.StatusOK {
		return fmt.Errorf("log-in: %s", response.Status())
	}
	return c.Tokens.LogIn(ctx, response.Body)
}

// LogOut ends the session on the server, and then forgets the tokens.
func LogOut(ctx context.Context, c *api.GuardedClient) error {
	response, err := c.LogoutWithResponse(ctx)
	if err != nil {
		return err
	}
	// 401: the session had ended before.
	if status := response.StatusCode(); status != http.StatusNoContent && status != http.StatusUnauthorized {
		return fmt.Errorf("log-out: %s", response.Status())
	}
	return c.Tokens.LogOut(ctx)
}

// PublishFile sends a file. If the server refuses the access token, the client refreshes and sends the
// file again from its beginning.
func PublishFile(ctx context.Context, c *api.GuardedClient, path string) (*api.PublishReportResponse, error) {
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	body, err := open()
	if err != nil {
		return nil, err
	}
	return c.PublishReportWithBodyWithResponse(ctx, "application/json", body, client.RepeatBody(open))
}

// ForOAuth2 returns an HTTP client of golang.org/x/oauth2 that sends the access tokens of c.
func ForOAuth2(ctx context.Context, c *api.GuardedClient) (*http.Client, error) {
	source, err := oauth2source.New(ctx, c.Tokens)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &oauth2.Transport{Source: source}}, nil
}

// FromOAuth2 returns a client that sends the tokens of a source of golang.org/x/oauth2.
func FromOAuth2(server string, source oauth2.TokenSource) (*api.GuardedClient, error) {
	return api.NewGuardedClient(server, api.GuardedClientCredentials{AccessToken: oauth2source.Credential(source)})
}
