package service

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Authenticator is the Authenticator of every generated package. It knows alice, who is an
// administrator, and bob, who is nothing.
type Authenticator struct{}

func account(name string) (*guard.Caller[guard.Principal], error) {
	switch name {
	case "alice":
		return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: "alice"}, Roles: []string{"ADMIN"}, AuthTime: time.Now()}, nil
	case "bob":
		return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: "bob"}}, nil
	case "down":
		return nil, errors.New("the database of passwords is down")
	case "nobody":
		return nil, nil
	}
	return nil, security.ErrInvalidCredentials
}

func (Authenticator) Basic(_ context.Context, c guard.BasicCredentials) (*guard.Caller[guard.Principal], error) {
	if c.Password() != "password" {
		return nil, security.ErrInvalidCredentials
	}
	return account(c.Username())
}

func (Authenticator) Digest(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
	return account(strings.TrimSuffix(strings.TrimPrefix(key, `username="`), `", qop=auth`))
}

func (Authenticator) Opaque(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
	return account(key)
}

func (Authenticator) Key(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
	return account(key)
}

func (Authenticator) KeyQuery(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
	return account(key)
}

func (Authenticator) Session(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
	return account(key)
}

func (Authenticator) Mtls(_ context.Context, c *x509.Certificate) (*guard.Caller[guard.Principal], error) {
	return account(c.Subject.CommonName)
}
