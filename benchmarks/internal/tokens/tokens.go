// Package tokens issues the access tokens of the benchmarks with an issuer of oapi-guard, in the
// layout of RFC 9068, which all stacks read.
package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/benchmarks/api"
	"github.com/oapi-guard/oapi-guard/benchmarks/internal/stack"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

const (
	// Name is the private claim of every token.
	Name = "Alice Liddell"
	// Lifetime is how long a token is valid: longer than any benchmark runs.
	Lifetime = 24 * time.Hour
)

// Algorithms are the measured algorithms.
var Algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// Subject returns the subject of the i-th token. All subjects have the same length, and so have the
// responses.
func Subject(i int) string { return fmt.Sprintf("user-%06d", i) }

// Issuer issues tokens with one key.
type Issuer struct {
	// Name and Audience are the claims iss and aud.
	Name, Audience string

	algorithm string
	verifyKey any
	signKey   *keys.Key
}

// NewSecretIssuer returns an issuer for HS256.
func NewSecretIssuer(secret []byte) (*Issuer, error) {
	i := newIssuer("HS256")
	var err error
	i.verifyKey = secret
	i.signKey, err = keys.NewHMAC(keys.HS256, secret)
	return i, err
}

func newIssuer(algorithm string) *Issuer {
	return &Issuer{Name: "https://login.example.com", Audience: "https://api.example.com", algorithm: algorithm}
}

// NewIssuer makes a key for the algorithm, and an issuer with the key.
func NewIssuer(algorithm string) (*Issuer, error) {
	i := newIssuer(algorithm)
	var err error
	switch algorithm {
	case "HS256":
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return NewSecretIssuer(secret)
	case "RS256":
		var private *rsa.PrivateKey
		if private, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
			i.verifyKey = private.Public()
			i.signKey, err = keys.NewRSA(keys.RS256, private)
		}
	case "ES256":
		var private *ecdsa.PrivateKey
		if private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err == nil {
			i.verifyKey = private.Public()
			i.signKey, err = keys.NewECDSA(private)
		}
	case "EdDSA":
		var private ed25519.PrivateKey
		if _, private, err = ed25519.GenerateKey(rand.Reader); err == nil {
			i.verifyKey = private.Public()
			i.signKey, err = keys.NewEd25519(private)
		}
	default:
		err = fmt.Errorf("no algorithm %s", algorithm)
	}
	return i, err
}

// Config returns the configuration of stacks that accept the tokens of the issuer. It has no
// blacklist.
func (i *Issuer) Config() stack.Config {
	return stack.Config{Issuer: i.Name, Audience: i.Audience, Algorithm: i.algorithm, Key: i.verifyKey}
}

// Issue returns n distinct tokens, the i-th for Subject(i), issued at the given time.
func (i *Issuer) Issue(ctx context.Context, n int, at time.Time) ([]security.IssuedToken, error) {
	issuer, err := i.issuerAt(at)
	if err != nil {
		return nil, err
	}
	typed := api.NewGuardedIssuer(issuer)
	issued := make([]security.IssuedToken, n)
	workers := runtime.GOMAXPROCS(0)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for t := w; t < n && errs[w] == nil; t += workers {
				issued[t], errs[w] = typed.IssueAccessToken(ctx, Subject(t), api.UserClaims{Name: Name})
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return issued, nil
}

// IssueRefresh returns a refresh token for Subject(0), which stacks must refuse.
func (i *Issuer) IssueRefresh(ctx context.Context, at time.Time) (security.IssuedToken, error) {
	issuer, err := i.issuerAt(at)
	if err != nil {
		return security.IssuedToken{}, err
	}
	return issuer.IssueRefreshToken(ctx, Subject(0), api.UserClaims{Name: Name})
}

func (i *Issuer) issuerAt(at time.Time) (*security.Issuer, error) {
	keys, err := keys.NewSet(i.signKey)
	if err != nil {
		return nil, err
	}
	verifier, err := security.NewVerifier(i.Name, keys, security.WithAudience(i.Audience), security.WithClock(func() time.Time { return at }))
	if err != nil {
		return nil, err
	}
	return security.NewIssuer(verifier, security.WithAccessLifetime(Lifetime))
}
