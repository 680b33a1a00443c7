package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Store is a blacklist in Redis. It has no goroutine but those of look-ups that are under way, which end within the
// timeout of a look-up, as far as the client heeds its context.
type Store struct {
	cfg     *config
	layout  *layout
	single  *redis.Client        // either this
	cluster *redis.ClusterClient // or this
	role    roleWatch
	batches batcher

	breakers []breaker // one, or one per bucket on a Cluster
	inFlight atomic.Int64
	remaking atomic.Bool
	closed   atomic.Bool
}

var (
	_ blacklist.Blacklist = (*Store)(nil)
	_ blacklist.Pinger    = (*Store)(nil)
)

// New returns a store on the client, which is a *redis.Client (of redis.NewClient, or of redis.NewFailoverClient for
// Sentinel) or a *redis.ClusterClient, with ContextTimeoutEnabled. The client remains the caller's to close. The package
// documentation says which clients are refused and why.
//
// New asks the servers whether they can hold a blacklist, and makes the marks that are missing, unless [WithMissingMark]
// says otherwise. Where they do not answer the error wraps blacklist.ErrUnavailable, and New may be called again.
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
	s := &Store{cfg: cfg, layout: l}
	s.batches = batcher{send: s.send, timeout: cfg.lookupTimeout, log: cfg.log, lines: make(map[*redis.Client]*line)}
	n := 1
	switch c := client.(type) {
	case *redis.Client:
		s.single = c
	case *redis.ClusterClient:
		s.cluster, n = c, buckets
	}
	s.breakers = make([]breaker, n)
	for i := range s.breakers {
		s.breakers[i].limit, s.breakers[i].coolDown = cfg.failures, cfg.coolDown
	}

	ctx, cancel := context.WithTimeout(ctx, cfg.writeTimeout)
	defer cancel()
	if err := s.checkServers(ctx, true); err != nil {
		return nil, err
	}
	missing, err := s.missingMarks(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case len(missing) == 0:
	case cfg.missing == LogOut:
		if err := s.makeMarks(ctx, missing); err != nil {
			return nil, err
		}
	default:
		cfg.log.Error("redisstore: marks are missing, and WithMissingMark says to refuse: look-ups fail until MakeMarks is called",
			"missing", len(missing))
	}
	return s, nil
}

// wait returns the longest time that a write waits for replicas or disks.
func (c *config) wait() time.Duration { return max(c.replicasWait, c.aofWait) }

// IsRevoked reports whether a revocation in force covers the token. Every error wraps blacklist.ErrUnavailable or is
// blacklist.ErrClosed: the store could not know, and the token must not pass.
func (s *Store) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	bucket := s.layout.bucket(id)
	b := &s.breakers[int(bucket)%len(s.breakers)]
	ok, probe := b.allow(s.cfg.now())
	if !ok {
		return false, errOpen
	}
	revoked, err := false, error(nil)
	how := abandoned // what a panic of a hook leaves behind
	defer func() {
		opened, closed := b.done(how, probe, s.cfg.now())
		switch {
		case opened:
			s.cfg.log.Error("redisstore: look-ups failed several times in a row", "error", err, "pause", s.cfg.coolDown)
		case closed:
			s.cfg.log.Info("redisstore: look-ups work again")
		}
	}()

	opCtx := ctx
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > s.cfg.lookupTimeout { // the validator's end is sooner
		var cancel context.CancelFunc
		opCtx, cancel = context.WithTimeout(ctx, s.cfg.lookupTimeout)
		defer cancel()
	}
	revoked, err = s.lookup(opCtx, bucket, id)
	switch {
	case err == nil:
		how = answered
	case errors.Is(err, errMarkMissing), errors.Is(err, errMarkFormat), errors.Is(err, errEntryFormat):
		how = answered // the server works, what it holds does not
	case !errors.Is(ctx.Err(), context.Canceled) && !errors.As(err, new(sharedError)):
		how = failed
	}
	return revoked, err
}

// Revoke puts r in force; see blacklist.Blacklist. An error that wraps blacklist.ErrUnavailable may come after the
// servers have taken the revocation, with too few replicas in time for example: to repeat it is safe, but the repeated
// call may find it in force and report true. What go-redis repeats by itself does not.
//
// A verifier's cut-off is written to all 256 buckets and is in force before where it was in all of them. One that could
// not be written everywhere is an error, and in force in part: repeat it.
func (s *Store) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	now := s.cfg.now()
	if millis.Until(r.Until) <= floor(now) {
		return false, fmt.Errorf("%w: its end has come", blacklist.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()

	ops := s.revokeOps(r, now)
	if err := s.write(ctx, toOps(ops)); err != nil {
		return false, err
	}
	before, made := true, 0
	for _, op := range ops {
		switch op.code {
		case codeMarkMissing:
			return false, errNoMark
		case codeMarkFormat:
			return false, unavailable(errMarkFormat)
		case 0, codeBefore, codeMarkMade, codeBefore + codeMarkMade:
		default:
			return false, unavailable(errEntryFormat)
		}
		before = before && op.code&codeBefore != 0
		if op.code&codeMarkMade != 0 {
			made++
		}
	}
	if made > 0 {
		s.logMarksMade(made)
	}
	return before, nil
}

// Ping reports whether the store can do its work, for readiness: every master answers, has the settings that [New] asks
// for, and holds its marks. It never makes a mark, and does not ask the breaker.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	if err := s.checkServers(ctx, false); err != nil {
		if !errors.Is(err, blacklist.ErrUnavailable) {
			err = &storeError{text: strings.TrimPrefix(err.Error(), "redisstore: "), cause: err} // a setting was changed
		}
		return err
	}
	missing, err := s.missingMarks(ctx)
	if err == nil && len(missing) > 0 {
		err = errNoMark
	}
	return err
}

// Close makes every later call fail with blacklist.ErrClosed. It does not close the client. It may be called again.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// enter counts an operation in, unless the store is closed, the caller is gone already, or too many are under way.
func (s *Store) enter(ctx context.Context) error {
	if s.closed.Load() {
		return blacklist.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	if s.inFlight.Add(1) > int64(s.cfg.maxInFlight) {
		s.inFlight.Add(-1)
		return errCrowded
	}
	return nil
}

func (s *Store) leave() { s.inFlight.Add(-1) }

// revokeOps returns the writes that put r in force: one, or one per bucket for a verifier.
func (s *Store) revokeOps(r blacklist.Revocation, now time.Time) []*revokeOp {
	cutOff := everything
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Verifier {
		cutOff = strconv.FormatInt(floor(r.CutOff), 10)
	}
	until, keep := formatUntil(r.Until), never
	if until != never {
		// A duration, not an instant: Redis counts it with its own clock.
		ms := millis.Until(r.Until) - floor(now) + (keepLonger + s.cfg.skew).Milliseconds()
		keep = strconv.FormatInt(ms, 10)
	}
	mark := ""
	if s.cfg.missing == LogOut {
		mark = s.newMark()
	}
	args := []any{strconv.FormatInt(floor(now), 10), cutOff, until, keep, newNonce(), mark}

	first, last := 0, buckets-1
	if r.Kind != blacklist.Verifier {
		b := s.layout.bucket(r.Identity)
		first, last = int(b), int(b)
	}
	ops := make([]*revokeOp, 0, last-first+1)
	for b := first; b <= last; b++ {
		key, ok := s.layout.entry(uint8(b), r.Kind, r.Identity)
		if !ok {
			continue // Validate has seen to it that this cannot be
		}
		ops = append(ops, &revokeOp{keys: []string{s.layout.mark(uint8(b)), key}, args: args})
	}
	return ops
}

func (s *Store) newMark() string { return formatMark(s.cfg.now().Add(s.cfg.skew)) }

func (s *Store) logMarksMade(n int) {
	s.cfg.log.Warn("redisstore: marks were missing and have been made: the store is new or was emptied, so every session "+
		"begun before now is refused", "marks", n, "of", buckets, "refused_before", s.cfg.now().Add(s.cfg.skew))
}

// String keeps secrets and addresses out of what is printed.
func (s *Store) String() string { return "redisstore.Store" }
