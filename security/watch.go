package security

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// How watching works:
//
// One table has all watched tokens of a validator, and one goroutine decides over them, as long as
// there are any. It asks the blacklist for all of them once a second, and at once when a revocation
// is recorded here or when the blacklist says that it has changed. A token is confirmed by an answer
// of the blacklist; one that was not confirmed for too long ends its contexts too.

const (
	// watchInterval is how often the blacklist is asked for the watched tokens.
	watchInterval = time.Second
	// watchPause is between two rounds that changes demand.
	watchPause = 20 * time.Millisecond
	// watchBound is how long a token counts as confirmed.
	watchBound = 2 * time.Second
	// watchParallel bounds the look-ups of a round that run at the same time.
	watchParallel = 64
)

// notifier is implemented by blacklists that call a function after each change, such as a replica.
type notifier interface {
	OnChange(changed func()) (stop func())
}

// watchTable has the watched tokens of a validator.
type watchTable struct {
	validator *Validator
	changed   chan struct{}

	mu      sync.Mutex
	tokens  map[*watchedToken]struct{}
	running bool
}

// watchedToken is a token that a context depends on.
type watchedToken struct {
	identity blacklist.Identity
	// accepted is until when the verifier accepts the token.
	accepted payload.Instant
	now      func() time.Time
	end      context.CancelCauseFunc
	// confirmed is when the blacklist answered last. Only the goroutine of the table uses it.
	confirmed time.Time
}

func newWatchTable(v *Validator) *watchTable {
	t := &watchTable{validator: v, changed: make(chan struct{}, 1), tokens: map[*watchedToken]struct{}{}}
	if list, ok := blacklist.As[notifier](v.blacklist); ok {
		list.OnChange(t.notify)
	}
	return t
}

// Watch returns a context for work that lasts longer than a request is checked: a stream of events, a
// WebSocket, a download. It ends when a request with the token would be refused, and context.Cause
// tells why: [ErrTokenExpired], [ErrTokenRevoked], or [ErrUnavailable] if the blacklist has not
// answered for two seconds. A revocation ends it within about a second, and at once if it is recorded
// by this validator or arrives at a replica of the blacklist.
//
// Call stop when the work is done. It is also done when ctx is. There is no goroutine for each
// context. With several tokens the context ends with the first that does.
func (v *Validator) Watch(ctx context.Context, tokens ...AnyToken) (watched context.Context, stop context.CancelFunc) {
	watched, end := context.WithCancelCause(ctx)
	for _, token := range tokens {
		t, err := v.knownToken(token)
		if err != nil {
			end(err)
			break
		}
		w := &watchedToken{
			identity: t.identity(), accepted: payload.MaxInstant, now: t.verifier.now, end: end, confirmed: time.Now(),
		}
		if t.claims.Expires != payload.None {
			w.accepted = t.claims.Expires.Add(t.verifier.leeway)
		}
		v.watched.add(w)
		context.AfterFunc(watched, func() { v.watched.remove(w) })
	}
	return watched, func() { end(context.Canceled) }
}

// add puts a token into the table. The next round looks it up, so a revocation between the check of
// the request and now is found.
func (t *watchTable) add(w *watchedToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens[w] = struct{}{}
	if !t.running {
		t.running = true
		go t.run()
	}
	t.notify()
}

func (t *watchTable) remove(w *watchedToken) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tokens, w)
	if len(t.tokens) == 0 {
		t.notify() // ends the goroutine
	}
}

// notify asks for a round. It never waits.
func (t *watchTable) notify() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// run decides over the watched tokens until there are none.
func (t *watchTable) run() {
	timer := time.NewTimer(watchInterval)
	defer timer.Stop()
	for {
		tokens := t.snapshot()
		if tokens == nil {
			return
		}
		t.round(tokens)
		time.Sleep(watchPause) // changes gather meanwhile
		timer.Reset(watchInterval)
		select {
		case <-timer.C:
		case <-t.changed:
		}
	}
}

// snapshot returns the tokens, or nil if there are none: then the goroutine has ended for add.
func (t *watchTable) snapshot() []*watchedToken {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.tokens) == 0 {
		t.running = false
		return nil
	}
	tokens := make([]*watchedToken, 0, len(t.tokens))
	for w := range t.tokens {
		tokens = append(tokens, w)
	}
	return tokens
}

// watchRound counts the answers of the blacklist in a round.
type watchRound struct{ answers, failures atomic.Int64 }

// isOutage reports whether the blacklist does not answer at all: then the rest of a round need not
// wait for it.
func (r *watchRound) isOutage() bool {
	return r.answers.Load() == 0 && r.failures.Load() >= watchParallel
}

// round decides over each token once.
func (t *watchTable) round(tokens []*watchedToken) {
	var round watchRound
	next := make(chan *watchedToken)
	var workers sync.WaitGroup
	for range min(watchParallel, len(tokens)) {
		workers.Go(func() {
			for w := range next {
				t.decide(w, &round)
			}
		})
	}
	for _, w := range tokens {
		next <- w
	}
	close(next)
	workers.Wait()
}

// decide ends the context of a token that would be refused.
func (t *watchTable) decide(w *watchedToken, round *watchRound) {
	if payload.InstantOf(w.now()) >= w.accepted {
		w.end(ErrTokenExpired)
		return
	}
	revoked, err := false, errBlacklistOutage
	if !round.isOutage() {
		revoked, err = t.validator.lookUp(context.Background(), &w.identity)
	}
	if err != nil {
		round.failures.Add(1)
		if time.Since(w.confirmed) > watchBound {
			w.end(err)
		}
		return
	}
	round.answers.Add(1)
	w.confirmed = time.Now()
	if revoked {
		w.end(ErrTokenRevoked)
	}
}

var errBlacklistOutage = unavailable("the blacklist did not answer", nil)
