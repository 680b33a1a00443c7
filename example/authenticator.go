package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// authenticator checks the credentials of the API that are not tokens.
type authenticator struct {
	accounts *accounts
	// partners are the names of the partners by the SHA-256 of their keys. Keys are long and random, so
	// they need no hash for passwords. The time of a look-up by the hash tells nothing about a key.
	partners map[[sha256.Size]byte]string
	// operator is the secret of the operator, or nil.
	operator        operatorSecret
	operatorLimiter *loginLimiter
}

var _ gen.Authenticator = (*authenticator)(nil)

// demoKey is the key of the demo partner. A real service makes random keys and stores only their
// hashes.
const demoKey = "demo-key-of-the-partner"

func newAuthenticator(accounts *accounts, operator operatorSecret) (*authenticator, error) {
	limiter, err := newLoginLimiter(maxLimited)
	if err != nil {
		return nil, err
	}
	partners := map[[sha256.Size]byte]string{sha256.Sum256([]byte(demoKey)): "partner"}
	return &authenticator{accounts, partners, operator, limiter}, nil
}

// Basic checks the same passwords as a log-in. The time of authentication is now, so rules about
// fresh log-ins hold.
func (a *authenticator) Basic(ctx context.Context, credentials guard.BasicCredentials) (*guard.Caller[guard.Principal], error) {
	ctx, cancel := context.WithTimeout(ctx, logInTimeout)
	defer cancel()
	user, err := a.accounts.logIn(ctx, clientOf(ctx).network(), credentials.Username(), credentials.Password())
	if errors.Is(err, errWrongPassword) {
		return nil, security.ErrInvalidCredentials
	}
	if tooMany, ok := errors.AsType[*tooManyFailures](err); ok {
		return nil, security.ErrInvalidCredentials.Because(tooMany.Error(), tooMany) // see answerTooMany
	}
	if err != nil {
		return nil, err
	}
	return &guard.Caller[guard.Principal]{
		Principal: guard.Principal{Subject: user.username}, Roles: []string{user.role}, AuthTime: time.Now(),
	}, nil
}

func (a *authenticator) ApiKey(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
	name, ok := a.partners[sha256.Sum256([]byte(key))]
	if !ok {
		return nil, security.ErrInvalidCredentials
	}
	return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: name}}, nil
}
