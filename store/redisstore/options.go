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
	defaultFeedLength    = 100_000
	minFeedLength        = 1_000

	minHMACKey = 32
	maxSkew    = 5 * time.Minute

	// keepLonger and the clock skew are added to the time that Redis keeps an entry. The process
	// that looks up an entry decides whether it has expired; Redis must not remove it earlier
	// because the clock of a server is fast.
	keepLonger = 5 * time.Minute
)

// MissingMark says what happens if a mark is missing: on the first start, and after the store was
// emptied.
type MissingMark int

const (
	// LogOut makes a new mark: all sessions that began before are refused, revoked or not. It is
	// the default.
	LogOut MissingMark = iota
	// Refuse makes look-ups, revocations and transactions return blacklist.ErrUnavailable until
	// [Store.MakeMarks] is called, on the first start too.
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
	fence         int // replicas
	fenceWait     time.Duration
	missing       MissingMark
	skew          time.Duration
	feedLength    int
	now           func() time.Time
	logger        *slog.Logger
}

// Option sets an option of [New], which validates all of them together.
type Option func(*config)

// WithPrefix sets the prefix of all keys, "oapi-guard" by default: 1 to 64 printable ASCII
// characters without spaces and braces. Stores with the same Redis and prefix are one blacklist.
func WithPrefix(prefix string) Option { return func(c *config) { c.prefix = prefix } }

// WithHMACKey makes the keys in Redis an HMAC-SHA-256 with the secret, at least 32 bytes, instead
// of plain SHA-256. Then the blacklist in a dump of Redis does not show whether a guessed subject
// is in it. The rows of sessions contain their subjects in clear. All processes need the same
// secret: with another one every call returns an error. To change the secret, change the prefix
// too, which logs everybody out.
func WithHMACKey(secret []byte) Option {
	return func(c *config) { c.hmacKey = append([]byte{}, secret...) }
}

// WithTimeouts sets the longest time of a look-up and of a revocation, 500 ms and 2 s by default.
// That of a revocation applies to calls on sessions too. A context that ends earlier applies.
func WithTimeouts(lookup, write time.Duration) Option {
	return func(c *config) { c.lookupTimeout, c.writeTimeout = lookup, write }
}

// WithBreaker sets after how many failed look-ups in a row (5 by default) look-ups fail at once,
// and for how long (1 s by default). After that, one look-up at a time is tried, until one
// succeeds. 0 failures switch the breaker off. Failed look-ups of one batch count as one failure.
// On a Cluster each bucket has a separate breaker, so that one failed master does not stop the
// others.
func WithBreaker(failures int, coolDown time.Duration) Option {
	return func(c *config) { c.failures, c.coolDown = failures, coolDown }
}

// WithMaxInFlight sets the largest number of concurrent operations, 4096 by default. More fail at
// once.
func WithMaxInFlight(n int) Option { return func(c *config) { c.maxInFlight = n } }

// WithReplicas makes every revocation and every write of sessions wait (WAIT) until n replicas of
// its master have it. The timeout must be shorter than the write timeout and the client's
// ReadTimeout. With too few replicas in time the revocation returns an error, although the master
// has recorded it. A fail-over loses nothing if n covers every replica that may be promoted. The
// default is not to wait.
func WithReplicas(n int, timeout time.Duration) Option {
	return func(c *config) { c.replicas, c.replicasWait = n, timeout }
}

// WithFence makes everything that is read wait until n replicas of the master confirm that it still
// is their master: look-ups, sessions, and the reads of a copy (package replica). Otherwise it is an
// error, and the copy does not count as fresh. It is for services in which clients may keep reaching
// a master that is cut off from its replicas, while one of those was promoted. With n for all
// replicas such a master gives no answer, as long as no other server becomes its replica. With fewer
// it answers if it is cut off together with n of them.
//
// The price: a read that reaches the server takes a write and a round trip to the replicas more,
// and while fewer than n replicas are connected, look-ups return errors as soon as copies are older
// than their bound. On a Cluster look-ups also return errors while the slot of their bucket is
// moved. The timeout must be shorter than both timeouts of [WithTimeouts] and the client's
// ReadTimeout, and for copies shorter than a quarter of their bound. The default is not to wait.
// [WithReplicas] is the same for what is written.
func WithFence(n int, timeout time.Duration) Option {
	return func(c *config) { c.fence, c.fenceWait = n, timeout }
}

// WithAOF makes every revocation and every write of sessions wait (WAITAOF, Redis 7.2) until the
// master and n of its replicas have written it to their append-only files on disk. The timeout has
// the bounds of [WithReplicas]. The default is not to wait.
func WithAOF(n int, timeout time.Duration) Option {
	return func(c *config) { c.aof, c.aofReplicas, c.aofWait = true, n, timeout }
}

// WithMissingMark sets what happens if a mark is missing, [LogOut] by default. All processes should
// set the same: a process with LogOut makes the marks for all.
func WithMissingMark(m MissingMark) Option { return func(c *config) { c.missing = m } }

// WithClockSkew sets how far the clocks of the processes that share the store may differ, 1 s by
// default, at most 5 min. A new mark is that far ahead of the clock, so that sessions of a process
// whose clock is ahead are refused too. Sessions that begin within the skew after the mark was made
// are refused as well.
func WithClockSkew(d time.Duration) Option { return func(c *config) { c.skew = d } }

// WithFeedLength sets how many records for copies of the store (package replica) are kept, 100,000
// by default and at least 1,000. A copy that did not read for so many revocations reads the whole
// store again. While it reads the whole store no more than so many may be made, or it begins once
// more. A record takes about 70 bytes of memory in Redis. All processes should set the same.
func WithFeedLength(records int) Option { return func(c *config) { c.feedLength = records } }

// WithClock sets the clock, time.Now by default. It is called from several goroutines at once.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

// WithLogger sets the logger, slog.Default() by default. The store logs servers without an
// append-only file, new marks, and when look-ups begin and cease to fail. It logs nothing that
// identifies a token or a subject.
func WithLogger(logger *slog.Logger) Option { return func(c *config) { c.logger = logger } }

func newConfig(opts []Option) (*config, error) {
	c := &config{
		prefix:        defaultPrefix,
		lookupTimeout: defaultLookupTimeout,
		writeTimeout:  defaultWriteTimeout,
		failures:      defaultFailures,
		coolDown:      defaultCoolDown,
		maxInFlight:   defaultMaxInFlight,
		skew:          defaultClockSkew,
		feedLength:    defaultFeedLength,
		now:           time.Now,
		logger:        slog.Default(),
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("redisstore: option %d is nil", i)
		}
		opt(c)
	}
	return c, c.validate()
}

// wait returns the longest time that a command waits for replicas or disks.
func (c *config) wait() time.Duration { return max(c.replicasWait, c.aofWait, c.fenceWait) }

func (c *config) validate() error {
	switch {
	case c.hmacKey != nil && len(c.hmacKey) < minHMACKey:
		return fmt.Errorf("redisstore: WithHMACKey: the secret needs at least %d bytes, it has %d", minHMACKey, len(c.hmacKey))
	case c.hmacKey != nil && bytes.Count(c.hmacKey, c.hmacKey[:1]) == len(c.hmacKey):
		return fmt.Errorf("redisstore: WithHMACKey: all bytes of the secret are the same")
	case c.lookupTimeout <= 0 || c.writeTimeout <= 0:
		return fmt.Errorf("redisstore: WithTimeouts: both timeouts must be above 0")
	case c.failures < 0 || c.failures > 0 && c.coolDown <= 0:
		return fmt.Errorf("redisstore: WithBreaker: failures must be at least 0, and the cool-down above 0")
	case c.maxInFlight <= 0:
		return fmt.Errorf("redisstore: WithMaxInFlight: the number must be above 0")
	case c.replicas < 0 || c.replicas > 0 && c.replicasWait < time.Millisecond:
		return fmt.Errorf("redisstore: WithReplicas: n must be at least 0, and the timeout at least 1ms (0 would wait for ever)")
	case c.aofReplicas < 0 || c.aof && c.aofWait < time.Millisecond:
		return fmt.Errorf("redisstore: WithAOF: n must be at least 0, and the timeout at least 1ms (0 would wait for ever)")
	case c.fence < 0 || c.fence > 0 && c.fenceWait < time.Millisecond:
		return fmt.Errorf("redisstore: WithFence: n must be at least 0, and the timeout at least 1ms (0 would wait for ever)")
	case c.fence > 0 && c.fenceWait >= c.lookupTimeout:
		return fmt.Errorf("redisstore: WithFence: the timeout %v must be shorter than the look-up timeout %v: "+
			"set a longer one with WithTimeouts", c.fenceWait, c.lookupTimeout)
	case c.wait() >= c.writeTimeout:
		return fmt.Errorf("redisstore: WithReplicas, WithAOF or WithFence: the timeout %v must be shorter than the write timeout %v: "+
			"set a longer one with WithTimeouts", c.wait(), c.writeTimeout)
	case c.missing != LogOut && c.missing != Refuse:
		return fmt.Errorf("redisstore: WithMissingMark: the value must be LogOut or Refuse")
	case c.skew < 0 || c.skew > maxSkew:
		return fmt.Errorf("redisstore: WithClockSkew: the skew must be from 0 to %v", maxSkew)
	case c.feedLength < minFeedLength:
		return fmt.Errorf("redisstore: WithFeedLength: the number of records must be at least %d", minFeedLength)
	case c.now == nil:
		return fmt.Errorf("redisstore: WithClock needs a clock")
	case c.logger == nil:
		return fmt.Errorf("redisstore: WithLogger needs a logger")
	}
	return nil
}
