package security

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// otterTokens implements cachedTokens.
type otterTokens struct {
	cache *otter.Cache[tokenSum, *cachedToken]
}

// newCachedTokens returns the tokens of a table, which take the number of bytes at most.
func newCachedTokens(t *cacheTable, bytes uint64) (cachedTokens, error) {
	cache, err := otter.New(&otter.Options[tokenSum, *cachedToken]{
		MaximumWeight: bytes,
		Weigher:       func(_ tokenSum, token *cachedToken) uint32 { return max(token.size, t.least) },
		ExpiryCalculator: otter.ExpiryCreatingFunc(func(e otter.Entry[tokenSum, *cachedToken]) time.Duration {
			return time.Duration(e.Value.end-e.Value.stored) * time.Millisecond
		}),
		OnDeletion: func(e otter.DeletionEvent[tokenSum, *cachedToken]) {
			t.front.slot(&e.Value.sum).CompareAndSwap(e.Value, nil)
		},
		Clock: &t.clock,
		// The request that adds a token makes room for it. Nothing runs in the background, so there
		// is nothing to close.
		Executor: func(task func()) { task() },
	})
	if err != nil {
		return nil, err
	}
	return otterTokens{cache}, nil
}

func (o otterTokens) get(sum tokenSum) (*cachedToken, bool) { return o.cache.GetIfPresent(sum) }

func (o otterTokens) has(token *cachedToken) bool {
	e, ok := o.cache.GetEntryQuietly(token.sum)
	return ok && e.Value == token
}

func (o otterTokens) set(token *cachedToken) { o.cache.Set(token.sum, token) }

func (o otterTokens) setIfAbsent(token *cachedToken) { o.cache.SetIfAbsent(token.sum, token) }

func (o otterTokens) remove(sum tokenSum) { o.cache.Invalidate(sum) }
