// Package stack has the configuration of the stacks of the benchmarks.
package stack

import (
	"net/http"

	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

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
	// Blacklist is the blacklist of oapi-guard: in memory, or in Redis if the peers use Redis.
	Blacklist blacklist.Blacklist
	// Memory is a blacklist in memory.
	Memory blacklist.Blacklist
	// Replica is a copy of the blacklist in Redis. It is nil without Redis.
	Replica blacklist.Blacklist
	// Redis is for the peers, which call EXISTS once. With nil they look nothing up.
	Redis *redis.Client
}

// FastHTTP is a handler of a framework on fasthttp, whose server is not that of net/http. Requests
// of net/http pass an adaptor, which is for tests only: no benchmark measures it.
type FastHTTP interface {
	http.Handler
	FastHTTP() fasthttp.RequestHandler
}
