package main

import (
	"context"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

const issuer = "https://notes.example.com"

// auth issues, verifies and revokes tokens.
type auth struct{ *security.Authority }

func newAuth(secret []byte) (*auth, error) {
	key, err := keys.NewHMAC(keys.HS256, secret)
	if err != nil {
		return nil, err
	}
	set, err := keys.NewSet(key)
	if err != nil {
		return nil, err
	}
	list, err := blacklist.NewMemory()
	if err != nil {
		return nil, err
	}
	authority, err := security.New(issuer, set, list)
	return &auth{authority}, err
}

func (a *auth) issue(ctx context.Context, name, role string) (string, error) {
	token, err := a.Issuer.IssueAccessToken(ctx, name, nil, security.WithRoles(role))
	return token.Text(), err
}

// logOut revokes the token of the request.
func (a *auth) logOut(ctx context.Context) error {
	token, ok := guard.FromContext(ctx)
	if !ok {
		return security.ErrUnguarded
	}
	return a.Validator.Revoke(ctx, token)
}

// callerOf returns the name of the user of the request.
func callerOf(ctx context.Context) string {
	token, ok := guard.FromContext(ctx)
	if !ok {
		return ""
	}
	return token.Subject()
}
