// Package guarded is oapi-guard: oapi-codegen's strict server behind the generated guards.
package guarded

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"net/http"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// New returns the handler.
func New(c stack.Config) (http.Handler, error) { return newHandler(c) }

// NewUncached returns the handler with a verifier without a cache.
func NewUncached(c stack.Config) (http.Handler, error) {
	return newHandler(c, security.WithoutTokenCache())
}

// NewMemory returns the handler with the blacklist in memory.
func NewMemory(c stack.Config) (http.Handler, error) {
	c.Blacklist = c.Memory
	return newHandler(c)
}

// NewReplica returns the handler with the copy of the blacklist in Redis.
func NewReplica(c stack.Config) (http.Handler, error) {
	c.Blacklist = c.Replica
	return newHandler(c)
}

func newHandler(c stack.Config, options ...security.VerifierOption) (http.Handler, error) {
	validator, err := NewValidator(c, options...)
	if err != nil {
		return nil, err
	}
	return api.GuardedHandler(server{}, validator)
}

// NewValidator returns the validator of all benchmarks of oapi-guard, with defaults except for the
// options.
func NewValidator(c stack.Config, options ...security.VerifierOption) (*security.Validator, error) {
	key, err := newKey(c)
	if err != nil {
		return nil, err
	}
	keys, err := keys.NewSet(key)
	if err != nil {
		return nil, err
	}
	verifier, err := security.NewVerifier(c.Issuer, keys, append(options, security.WithAudience(c.Audience))...)
	if err != nil {
		return nil, err
	}
	return security.NewValidator(verifier, c.Blacklist)
}

func newKey(c stack.Config) (*keys.Key, error) {
	algorithm := keys.Algorithm(c.Algorithm)
	switch key := c.Key.(type) {
	case []byte:
		return keys.NewHMAC(algorithm, key)
	case *rsa.PublicKey:
		return keys.NewRSAPublic(algorithm, key)
	case *ecdsa.PublicKey:
		return keys.NewECDSAPublic(key)
	case ed25519.PublicKey:
		return keys.NewEd25519Public(key)
	}
	return nil, fmt.Errorf("no key of type %T", c.Key)
}

type server struct{}

func (server) GetProfile(_ context.Context, token api.AccessToken, _ api.GetProfileRequestObject) (api.GetProfileResponseObject, error) {
	return api.GetProfile200JSONResponse{Name: token.Claims().Name, Subject: token.Subject()}, nil
}
