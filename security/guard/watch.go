package guard

import (
	"context"
	"io"

	"github.com/oapi-guard/oapi-guard/security"
)

// watch returns a context that ends when one of the accepted tokens does.
func (g *Guard) watch(ctx context.Context, passed *result) (context.Context, func()) {
	var tokens []security.AnyToken
	for c := range passed.all {
		if c.token != nil {
			tokens = append(tokens, c.token)
		}
	}
	return g.policy.validator.Watch(ctx, tokens...)
}

// Closer returns Stop as an io.Closer, for servers that close values of a request when its response,
// which may be a stream, was written.
func (d Decision) Closer() io.Closer { return closer(d.Stop) }

type closer func()

// Close implements io.Closer.
func (c closer) Close() error {
	if c != nil {
		c()
	}
	return nil
}
