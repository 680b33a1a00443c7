package redisstore

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// How the store works:
//
// Everything about a token except its issuer's cut-off is in one of 256 buckets, which its
// subject decides (keys.go). A look-up reads the mark of the bucket and up to four entries with one
// MGET on one master (read.go), together with other look-ups (batch.go). The answer is "revoked" if
// the session began at or before the mark, or if an entry is in force and covers it (values.go). A
// revocation runs one script per bucket, and may wait for replicas or disks (revoke.go, scripts.go,
// write.go). A missing mark means that the store is new or was emptied: the store makes it, or
// returns errors (marks.go). Anything that cannot be read is an error, never an answer. After
// several errors in a row a breaker refuses look-ups for a moment (breaker.go). Once a second a call
// asks its server whether it is a master and keeps all keys (watch.go). Sessions are in sessions.go.

// Store is a blacklist and a store of sessions in Redis. It is safe for concurrent use. It starts
// goroutines for look-ups only, and they end within the look-up timeout if the hooks of the client
// respect their context.
type Store struct {
	cfg     *config
	layout  *layout
	single  *redis.Client        // either this
	cluster *redis.ClusterClient // or this
	watches watches
	batches batcher

	breakers []breaker         // one, or one per bucket on a Cluster
	turns    [64]chan struct{} // of transactions that run again
	inFlight atomic.Int64
	remaking atomic.Bool
	closed   atomic.Bool
}

var (
	_ blacklist.Blacklist = (*Store)(nil)
	_ blacklist.Pinger    = (*Store)(nil)
)

// New returns a store on the client: a *redis.Client (of redis.NewClient, or
// redis.NewFailoverClient for Sentinel) or a *redis.ClusterClient, with ContextTimeoutEnabled. The
// caller closes the client. The package documentation says which clients are refused and why.
//
// New checks the servers and makes the missing marks, unless [WithMissingMark] says otherwise. If
// the servers are unavailable the error wraps blacklist.ErrUnavailable, and New may be called
// again.
func New(ctx context.Context, client redis.UniversalClient, opts ...Option) (*Store, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if err := checkClient(client, cfg.wait()); err != nil {
		return nil, err
	}
	l, err := newLayout(cfg.prefix, cfg.hmacKey)
	if err != nil {
		return nil, err
	}
	s := newStore(client, cfg, l)
	ctx, cancel := context.WithTimeout(ctx, cfg.writeTimeout)
	defer cancel()
	if err := s.checkServers(ctx, true); err != nil {
		return nil, err
	}
	if err := s.prepareMarks(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// newStore returns a store that has not asked its servers anything.
func newStore(client redis.UniversalClient, cfg *config, l *layout) *Store {
	s := &Store{cfg: cfg, layout: l, breakers: make([]breaker, 1)}
	s.batches = batcher{
		send: s.send, timeout: cfg.lookupTimeout, logger: cfg.logger, queues: make(map[*redis.Client]*queue),
	}
	switch c := client.(type) {
	case *redis.Client:
		s.single = c
	case *redis.ClusterClient:
		s.cluster, s.breakers = c, make([]breaker, buckets)
	}
	for i := range s.turns {
		s.turns[i] = make(chan struct{}, 1)
	}
	for i := range s.breakers {
		s.breakers[i].limit, s.breakers[i].coolDown = cfg.failures, cfg.coolDown
	}
	return s
}

// prepareMarks makes the missing marks, or logs that an operator has to.
func (s *Store) prepareMarks(ctx context.Context) error {
	marks, err := s.readMarks(ctx, allBuckets())
	if err != nil || len(marks.missing) == 0 {
		return err
	}
	if s.cfg.missing == LogOut {
		return s.makeMarks(ctx, marks.missing)
	}
	s.cfg.logger.Error("redisstore: marks are missing and WithMissingMark(Refuse) is set: "+
		"look-ups fail until MakeMarks is called", "missing", len(marks.missing))
	return nil
}

// Ping reports whether the store works, for readiness: every master answers, has the settings that
// [New] requires, and contains its marks. Ping does not make a mark and ignores the breaker.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	if err := s.checkServers(ctx, false); err != nil {
		if !errors.Is(err, blacklist.ErrUnavailable) { // a setting was changed
			err = &storeError{text: strings.TrimPrefix(err.Error(), "redisstore: "), cause: err}
		}
		return err
	}
	marks, err := s.readMarks(ctx, allBuckets())
	if err == nil && len(marks.missing) > 0 {
		err = errNoMark
	}
	return err
}

// Close makes every later call return blacklist.ErrClosed. It does not close the client. A second
// Close has no effect.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// begin counts an operation. It returns an error if the store is closed, the context is done, or
// too many operations are in flight.
func (s *Store) begin(ctx context.Context) error {
	if s.closed.Load() {
		return blacklist.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if s.inFlight.Add(1) > int64(s.cfg.maxInFlight) {
		s.inFlight.Add(-1)
		return errTooMany
	}
	return nil
}

func (s *Store) end() { s.inFlight.Add(-1) }

// String returns a fixed text, so that printing a store shows no secret and no address.
func (s *Store) String() string { return "redisstore.Store" }
