package main

import (
	"context"
	"crypto/sha256"
	"math"
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/oapi-guard/oapi-guard/security"
)

// The limits of failed log-ins. A log-in that succeeds counts for none of them.
const (
	// pairFailures is how many log-ins to one account may fail from one address. After that one may
	// fail in each pairInterval, and the others are refused.
	pairFailures = 10
	pairInterval = time.Minute
	// accountFailures and accountInterval are the same for one account and all addresses. The
	// log-ins after that are slowed by accountDelay and not refused: otherwise strangers could lock
	// a user out.
	accountFailures = 100
	accountInterval = 10 * time.Second
	accountDelay    = time.Second
	// maxLimited bounds how many pairs, and how many accounts, are remembered. Each takes about 300
	// bytes.
	maxLimited = 100_000
)

// loginLimiter limits failed log-ins. It treats unknown accounts as known ones, so that it does not
// tell them apart.
type loginLimiter struct {
	now func() time.Time
	// wait returns after d, or with an error when ctx ends.
	wait     func(ctx context.Context, d time.Duration) error
	pairs    *otter.Cache[limitKey, *pairLimit]
	accounts *otter.Cache[limitKey, *rate.Limiter]
}

// limitKey is the hash of what a limit is for. An account name of a request can be long, and a key
// must not be.
type limitKey [sha256.Size]byte

// pairLimit is the limit of one account and one address.
type pairLimit struct {
	// turn has room for one log-in: of many guesses at once each sees the failures of those before.
	turn     chan struct{}
	failures *rate.Limiter
}

// newLoginLimiter makes a limiter that remembers at most size pairs and size accounts. If there are
// more, those that fail rarely are forgotten.
func newLoginLimiter(size int) (*loginLimiter, error) {
	pairs, err := newLimits[*pairLimit](size)
	if err != nil {
		return nil, err
	}
	accounts, err := newLimits[*rate.Limiter](size)
	if err != nil {
		return nil, err
	}
	return &loginLimiter{now: time.Now, wait: sleep, pairs: pairs, accounts: accounts}, nil
}

func newLimits[V any](size int) (*otter.Cache[limitKey, V], error) {
	return otter.New(&otter.Options[limitKey, V]{
		MaximumSize: size,
		Executor:    func(task func()) { task() }, // no goroutine, and the bound is exact
	})
}

// attempt is a log-in that the limiter has let begin.
type attempt struct {
	limiter *loginLimiter
	pair    *pairLimit
	account *rate.Limiter
}

// begin waits until the log-in may begin. It returns a *tooManyFailures if too many log-ins to the
// account have failed from the address, and security.ErrUnavailable if ctx ends. The caller calls
// end.
func (l *loginLimiter) begin(ctx context.Context, username string, client netip.Prefix) (*attempt, error) {
	a := &attempt{limiter: l}
	a.pair, _ = l.pairs.ComputeIfAbsent(sha256.Sum256([]byte(client.String()+" "+username)), func() (*pairLimit, bool) {
		return &pairLimit{make(chan struct{}, 1), rate.NewLimiter(rate.Every(pairInterval), pairFailures)}, false
	})
	a.account, _ = l.accounts.ComputeIfAbsent(sha256.Sum256([]byte(username)), func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Every(accountInterval), accountFailures), false
	})
	select {
	case a.pair.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, security.ErrUnavailable
	}
	now := l.now()
	if after := untilNext(a.pair.failures, now); after > 0 {
		a.end()
		return nil, &tooManyFailures{after}
	}
	if untilNext(a.account, now) > 0 {
		if err := l.wait(ctx, accountDelay); err != nil {
			a.end()
			return nil, security.ErrUnavailable
		}
	}
	return a, nil
}

// fail counts the log-in as a failure.
func (a *attempt) fail() {
	now := a.limiter.now()
	a.pair.failures.ReserveN(now, 1)
	a.account.AllowN(now, 1)
}

// end lets the next log-in of the pair begin.
func (a *attempt) end() { <-a.pair.turn }

// untilNext returns how long it takes until the limit has room for another failure, in whole
// seconds, rounded up.
func untilNext(limit *rate.Limiter, now time.Time) time.Duration {
	const rounding = 1e-6 // the tokens are fractions
	missing := 1 - rounding - limit.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(missing/float64(limit.Limit()))) * time.Second
}

// tooManyFailures is the error of a log-in that the limiter has refused. The password was not
// compared.
type tooManyFailures struct{ retryAfter time.Duration }

func (*tooManyFailures) Error() string { return "too many failed log-ins" }

// sleep returns after d, or with an error when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
