package guard

import (
	"context"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// stringKeys is a context of a router: it takes only strings as keys, and never ends.
type stringKeys struct {
	context.Context
	values map[string]any
}

func (c stringKeys) Value(key any) any {
	name, _ := key.(string)
	return c.values[name]
}

// TestWatchedContextEndsWithTheToken gives the context of a router that never ends the end of the
// request.
func TestWatchedContextEndsWithTheToken(t *testing.T) {
	ended, end := context.WithCancelCause(t.Context())
	guarded := (&result{guard: &Guard{}}).on(ended)
	router := stringKeys{context.Background(), map[string]any{ContextKey: guarded.Value(ContextKey), "tenant": "blue"}}
	watched := WatchedContext(router)
	if got := watched.Value("tenant"); got != "blue" {
		t.Errorf("a value of the router is %v", got)
	}
	if got, want := resultOf(watched), resultOf(guarded); got != want {
		t.Error("another result on the context of the router")
	}
	if err := watched.Err(); err != nil {
		t.Error(err)
	}
	end(security.ErrTokenRevoked)
	<-watched.Done()
	if err := context.Cause(watched); err != security.ErrTokenRevoked {
		t.Errorf("the cause is %v", err)
	}
	if got := WatchedContext(guarded); got != guarded {
		t.Error("a context that ends already was wrapped")
	}
	if got := WatchedContext(t.Context()); got != t.Context() {
		t.Error("a context without a guard was wrapped")
	}
}
