package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Revoke implements blacklist.Blacklist. If the error wraps blacklist.ErrUnavailable, the servers
// may still have recorded the revocation, for example with too few replicas in time. Calling Revoke
// again is safe, but may then report true. Retries of go-redis do not have this effect.
//
// The cut-off of an issuer is written to all 256 buckets, and was in force before only if it was
// in force in all of them. If not all buckets could be written, Revoke returns an error and the
// cut-off is in force in some of them: call Revoke again.
func (s *Store) Revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	if err := r.Validate(); err != nil {
		return false, err
	}
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	defer s.end()
	now := s.cfg.now()
	if millis.Until(r.Until) <= floor(now) {
		return false, errUntilPast
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	ops := s.revokeOps(r, now)
	if err := s.write(ctx, toOps(ops)); err != nil {
		return false, err
	}
	before, marksMade, err := combine(ops)
	if marksMade > 0 {
		s.logMarksMade(marksMade)
	}
	if err == nil && !s.recordsInScript() {
		err = s.recordRevocation(ctx, ops, marksMade > 0)
	}
	return before && err == nil, err
}

// recordRevocation writes the record of a revocation after its entries, and that of the marks which
// it made.
func (s *Store) recordRevocation(ctx context.Context, ops []*revokeOp, marksMade bool) error {
	last := ops[len(ops)-1]
	texts := []string{recordText(last)}
	if marksMade {
		notBefore, _ := strconv.ParseInt(last.args[6].(string), 10, 64)
		texts = append(texts, markRecordText(notBefore))
	}
	return s.recordApart(ctx, texts...)
}

var errUntilPast = fmt.Errorf("%w: Until is not in the future", blacklist.ErrInvalid)

// combine returns what the scripts answered: whether the revocation was in force before in all
// buckets, and how many marks they made.
func combine(ops []*revokeOp) (before bool, marksMade int, err error) {
	before = true
	for _, op := range ops {
		switch op.code {
		case codeRecorded, codeBefore, codeMarkMade, codeBefore + codeMarkMade:
		case codeMarkMissing:
			return false, marksMade, errNoMark
		case codeMarkFormat:
			return false, marksMade, unavailable(errMarkFormat)
		case codeVersion1:
			return false, marksMade, unavailable(errVersion1)
		case codeOtherKey:
			return false, marksMade, unavailable(errOtherKey)
		default:
			return false, marksMade, unavailable(errEntryFormat)
		}
		before = before && op.code&codeBefore != 0
		if op.code&codeMarkMade != 0 {
			marksMade++
		}
	}
	return before, marksMade, nil
}

// revokeOps returns the scripts that record r: one, or one per bucket for an issuer. The last one
// writes the record of the feed: a follower that reads it finds all entries in a snapshot that begins
// then.
func (s *Store) revokeOps(r blacklist.Revocation, now time.Time) []*revokeOp {
	args := s.revokeArgs(r, now)
	first, last := 0, buckets-1
	if r.Kind != blacklist.Issuer {
		b := s.layout.bucket(r.Identity)
		first, last = int(b), int(b)
	}
	ops := make([]*revokeOp, 0, last-first+1)
	for b := first; b <= last; b++ {
		key, ok := s.layout.entry(uint8(b), r.Kind, r.Identity)
		if !ok {
			continue // not possible: Validate accepted r
		}
		keys := []string{s.layout.mark(uint8(b)), key}
		if s.recordsInScript() {
			keys = append(keys, s.layout.stream())
		}
		ops = append(ops, &revokeOp{keys: keys, args: args})
	}
	if len(ops) > 0 {
		ops[len(ops)-1].args = append(args[:len(args):len(args)], "1")
	}
	return ops
}

// revokeArgs returns the arguments of the script.
func (s *Store) revokeArgs(r blacklist.Revocation, now time.Time) []any {
	cutOff := everything
	if r.Kind == blacklist.Subject || r.Kind == blacklist.Issuer {
		cutOff = formatTime(r.CutOff)
	}
	until, keep := formatUntil(r.Until), never
	if until != never {
		// A duration, not an instant: Redis counts it with its own clock.
		ms := millis.Until(r.Until) - floor(now) + (keepLonger + s.cfg.skew).Milliseconds()
		keep = strconv.FormatInt(ms, 10)
	}
	notBefore := ""
	if s.cfg.missing == LogOut {
		notBefore = s.notBefore()
	}
	place, _ := blacklist.PlaceOf(s.layout.places, r.Kind, r.Identity)
	return []any{formatTime(now), cutOff, until, keep, newTail(place), s.layout.markHeadArg, notBefore, s.cfg.feedLength}
}
