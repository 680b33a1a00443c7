// Package stack has the configuration of the stacks of the benchmarks.
package stack

import (
	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Config tells whose tokens a stack accepts, and where it looks up revoked ones. It is the same for
// all stacks of a run.
type Config struct {
	// Issuer and Audience are the claims iss and aud of the tokens.
	Issuer, Audience string
	// Algorithm is the alg of the tokens (RFC 7518, section 3.1).
	Algorithm string
	// Key verifies the tokens: a []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Key any
	// Blacklist is the blacklist of oapi-guard.
	Blacklist blacklist.Blacklist
	// Redis is for the peers, which call EXISTS once. With nil they look nothing up.
	Redis *redis.Client
}
