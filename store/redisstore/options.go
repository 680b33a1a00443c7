package redisstore

import (
	"bytes"
	"fmt"
	"log/slog"
	"time"
)

const (
	defaultPrefix        = "oapi-guard"
	defaultLookupTimeout = 500 * time.Millisecond
	defaultWriteTimeout  = 2 * time.Second
	defaultFailures      = 5
	defaultCoolDown      = time.Second
	defaultMaxInFlight   = 4096
	defaultClockSkew     = time.Second

	minHMACKey = 32
	maxSkew    = 5 * time.Minute

	// keepLonger is added, with the clock skew, to the time that Redis keeps an entry. The entry's own end, compared
	// with the application's clock, is what counts; this only keeps Redis from dropping it early where its clock or a
	// replica's runs fast.
	keepLonger = 5 * time.Minute
)

// MissingMark says what happens where the store's mark is missing: on the first start, and when the store was emptied.
type MissingMark int

const (
	// LogOut makes the mark anew. Every session begun before that moment is refused from then on, revoked or not:
	// everybody logs in again. It is the default.
	LogOut MissingMark = iota
	// Refuse leaves every look-up and every revocation at blacklist.ErrUnavailable until [Store.MakeMarks] is called,
	// on the first start too.
	Refuse
)

type config struct {
	prefix        string
	hmacKey       []byte
	lookupTimeout time.Duration
	writeTimeout  time.Duration
	failures      int
	coolDown      time.Duration
	maxInFlight   int
	replicas      int
	replicasWait  time.Duration
	aof           bool
	aofReplicas   int
	aofWait       time.Duration
	missing       MissingMark
	skew          time.Duration
	now           func() time.Time
	log           *slog.Logger
}

// Option configures a [Store]; [New] checks all of them together.
type Option func(*config)

// WithPrefix sets the start of every key, "oapi-guard" by default: 1 to 64 printable ASCII characters without spaces and
// braces. Stores that share a Redis and a prefix are one blacklist.
func WithPrefix(prefix string) Option { return func(c *config) { c.prefix = prefix } }

// WithHMACKey makes the keys in Redis an HMAC-SHA-256 under the secret, of 32 bytes at least, instead of plain SHA-256:
// whoever reads Redis or a dump can then not find out whether a subject that he can guess is there. Every process must
// have the same secret. Another secret is another, empty blacklist for all but the marks: change it together with the
// prefix.
func WithHMACKey(secret []byte) Option {
	return func(c *config) { c.hmacKey = append([]byte{}, secret...) }
}

// WithTimeouts bounds a look-up and a revocation, 500 ms and 2 s by default. A context that ends earlier counts.
func WithTimeouts(lookup, write time.Duration) Option {
	return func(c *config) { c.lookupTimeout, c.writeTimeout = lookup, write }
}

// WithBreaker sets after how many look-ups that failed in a row (5 by default) look-ups fail at once, and for how long
// (1 s by default). After that one look-up at a time goes through as a probe, until one succeeds. 0 failures: never.
// Look-ups that failed together, in one batch, are one failure. On a Cluster each bucket has a breaker of its own, so
// that one dead master does not stop the others.
func WithBreaker(failures int, coolDown time.Duration) Option {
	return func(c *config) { c.failures, c.coolDown = failures, coolDown }
}

// WithMaxInFlight bounds the operations that are under way at one time, 4096 by default. More fail at once.
func WithMaxInFlight(n int) Option { return func(c *config) { c.maxInFlight = n } }

// WithReplicas makes every revocation wait (WAIT) until n replicas of its master have it, at most for the timeout, which
// must be shorter than the write timeout and the client's ReadTimeout. Too few replicas in time is an error of the
// revocation, though the master has it. A fail-over then loses nothing if n covers every replica that may be promoted.
func WithReplicas(n int, timeout time.Duration) Option {
	return func(c *config) { c.replicas, c.replicasWait = n, timeout }
}

// WithAOF makes every revocation wait (WAITAOF, Redis 7.2) until the master and n of its replicas have it in their
// append-only files and on disk, at most for the timeout, with the bounds of [WithReplicas].
func WithAOF(n int, timeout time.Duration) Option {
	return func(c *config) { c.aof, c.aofReplicas, c.aofWait = true, n, timeout }
}

// WithMissingMark chooses what happens where the mark is missing, [LogOut] by default. Every process should choose alike:
// one that logs everybody out makes the mark for all.
func WithMissingMark(m MissingMark) Option { return func(c *config) { c.missing = m } }

// WithClockSkew says how far the clocks of the processes that share the store may be apart, 1 s by default, 5 min at
// most. A mark is made that far ahead, so that a session begun by a clock that runs fast is refused too; sessions begun
// in the skew after the mark was made are refused with the others.
func WithClockSkew(d time.Duration) Option { return func(c *config) { c.skew = d } }

// WithClock replaces time.Now, for tests. It is called by several goroutines at once.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

// WithLogger replaces slog.Default() for what an operator should know: no durability, marks made, breaker opened and
// closed. Nothing that identifies a token or a subject is logged.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.log = l } }

func newConfig(opts []Option) (*config, error) {
	c := &config{
		prefix:        defaultPrefix,
		lookupTimeout: defaultLookupTimeout,
		writeTimeout:  defaultWriteTimeout,
		failures:      defaultFailures,
		coolDown:      defaultCoolDown,
		maxInFlight:   defaultMaxInFlight,
		skew:          defaultClockSkew,
		now:           time.Now,
		log:           slog.Default(),
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("redisstore: option %d is nil", i)
		}
		opt(c)
	}
	return c, c.validate()
}

func (c *config) validate() error {
	wait := max(c.replicasWait, c.aofWait)
	switch {
	case c.hmacKey != nil && len(c.hmacKey) < minHMACKey:
		return fmt.Errorf("redisstore: WithHMACKey: a secret has at least %d bytes, this one has %d", minHMACKey, len(c.hmacKey))
	case c.hmacKey != nil && bytes.Count(c.hmacKey, c.hmacKey[:1]) == len(c.hmacKey):
		return fmt.Errorf("redisstore: WithHMACKey: all bytes of the secret are the same")
	case c.lookupTimeout <= 0 || c.writeTimeout <= 0:
		return fmt.Errorf("redisstore: WithTimeouts: both must be above 0")
	case c.failures < 0 || c.failures > 0 && c.coolDown <= 0:
		return fmt.Errorf("redisstore: WithBreaker: failures must not be negative, and the cool-down above 0")
	case c.maxInFlight <= 0:
		return fmt.Errorf("redisstore: WithMaxInFlight: must be above 0")
	case c.replicas < 0 || c.replicas > 0 && c.replicasWait < time.Millisecond:
		return fmt.Errorf("redisstore: WithReplicas: a number of replicas, and a timeout of 1ms or more (0 would wait for ever)")
	case c.aofReplicas < 0 || c.aof && c.aofWait < time.Millisecond:
		return fmt.Errorf("redisstore: WithAOF: a number of replicas, and a timeout of 1ms or more (0 would wait for ever)")
	case wait >= c.writeTimeout:
		return fmt.Errorf("redisstore: WithReplicas or WithAOF: the timeout %v must be shorter than the write timeout %v: "+
			"raise that with WithTimeouts", wait, c.writeTimeout)
	case c.missing != LogOut && c.missing != Refuse:
		return fmt.Errorf("redisstore: WithMissingMark: neither LogOut nor Refuse")
	case c.skew < 0 || c.skew > maxSkew:
		return fmt.Errorf("redisstore: WithClockSkew: from 0 to %v", maxSkew)
	case c.now == nil:
		return fmt.Errorf("redisstore: WithClock: nil")
	case c.log == nil:
		return fmt.Errorf("redisstore: WithLogger: nil")
	}
	return nil
}
