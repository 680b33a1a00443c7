// Package stack has what every stack of the benchmarks is built from.
package stack

import (
	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Config says whose tokens a stack accepts and where revoked ones are looked up. It is the same for
// all stacks of one run.
type Config struct {
	// Issuer and Audience are the claims iss and aud of the tokens.
	Issuer, Audience string
	// Algorithm is the tokens' alg (RFC 7518, section 3.1).
	Algorithm string
	// Key is what verifies them: a []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Key any
	// Blacklist is what oapi-guard asks.
	Blacklist blacklist.Blacklist
	// Redis is what the peers ask, with one EXISTS. They ask nothing where it is nil.
	Redis *redis.Client
}
