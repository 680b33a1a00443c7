// Package oauth2source connects package client with golang.org/x/oauth2, in both directions. It is a
// package of its own, so that generated clients do not depend on that module.
package oauth2source

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/oapi-guard/oapi-guard/client"
)

// New returns the tokens of a source for golang.org/x/oauth2, whose transport and other users send the
// access token. The context bounds every call, because oauth2.TokenSource has none. The tokens have no
// refresh token, so that nobody else refreshes them. Do not wrap the result in oauth2.ReuseTokenSource:
// the source itself keeps tokens, and knows which ones a server refused.
func New(ctx context.Context, source *client.TokenSource) (oauth2.TokenSource, error) {
	if source == nil {
		return nil, errors.New("oauth2source: New needs a source")
	}
	return tokens{ctx, source}, nil
}

type tokens struct {
	ctx    context.Context
	source *client.TokenSource
}

// Token implements [oauth2.TokenSource].
func (t tokens) Token() (*oauth2.Token, error) {
	current, err := t.source.Tokens(t.ctx)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: current.AccessToken, TokenType: "Bearer", Expiry: current.Expires}, nil
}

// Credential returns the access tokens of golang.org/x/oauth2 as a credential for a generated client,
// in its field AccessToken. That module refreshes them. It cannot renew a token that a server refused:
// the response 401 goes to the caller.
func Credential(source oauth2.TokenSource) client.Credential {
	if source == nil {
		return client.Credential{}
	}
	return client.SecretFunc(func(context.Context) (string, error) {
		token, err := source.Token()
		if err != nil {
			return "", failed(err)
		}
		if token.Type() != "Bearer" {
			return "", errors.New("oauth2source: the type of the token is not Bearer")
		}
		return token.AccessToken, nil
	})
}

// failed returns an error without the response of the token endpoint, which may repeat what was sent.
func failed(err error) error {
	var answer *oauth2.RetrieveError
	switch {
	case !errors.As(err, &answer):
		return err
	case answer.ErrorCode == "invalid_grant":
		return client.ErrLoggedOut
	case answer.Response != nil && answer.Response.StatusCode >= http.StatusInternalServerError:
		return client.ErrNoAnswer
	}
	return client.ErrUnexpectedAnswer
}
