package guard

import (
	"context"

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

// StopUnlessStream stops the watch of a decision when the handler has returned. A body that is a
// stream is written afterwards, so its watch ends with the token.
func StopUnlessStream(d Decision, isStream func() bool) {
	if d.Stop != nil && !isStream() {
		d.Stop()
	}
}
