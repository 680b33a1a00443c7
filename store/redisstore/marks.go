package redisstore

import (
	"context"
	"math"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// MakeMarks makes the missing marks, so that look-ups work again. All sessions that began before,
// or within [WithClockSkew] from now, are refused. With [LogOut], the default, the store does this
// by itself. With [Refuse] an operator calls MakeMarks after checking that the store is new or was
// emptied.
func (s *Store) MakeMarks(ctx context.Context) error {
	if s.closed.Load() {
		return blacklist.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	marks, err := s.readMarks(ctx, allBuckets())
	if err != nil {
		return err
	}
	return s.makeMarks(ctx, marks.missing)
}

func allBuckets() []uint8 {
	all := make([]uint8, buckets)
	for b := range all {
		all[b] = uint8(b)
	}
	return all
}

// marksRead is what the marks of some buckets are.
type marksRead struct {
	missing []uint8 // the buckets without a mark
	newest  int64   // the newest not-before
}

// readMarks reads the marks of the buckets. A mark that the layout does not read is an error: a
// process with another HMAC key, another version of this package, or another program writes under
// the prefix.
func (s *Store) readMarks(ctx context.Context, of []uint8) (marksRead, error) {
	ops := make([]*getOp, len(of))
	for i, b := range of {
		ops[i] = &getOp{name: s.layout.mark(b)}
	}
	if err := s.read(ctx, toOps(ops)); err != nil {
		return marksRead{}, err
	}
	marks := marksRead{newest: math.MinInt64}
	for i, o := range ops {
		if !o.found {
			marks.missing = append(marks.missing, of[i])
			continue
		}
		notBefore, err := s.layout.parseMark(o.cmd.Val())
		if err != nil {
			return marksRead{}, unavailable(err)
		}
		marks.newest = max(marks.newest, notBefore)
	}
	return marks, nil
}

// makeMarks writes the marks, and then their record for copies of the store. It does not replace a
// mark that another process has made meanwhile. The record has what the marks are then: that of a
// write whose reply was lost is written too.
//
// The time comes from the clock of this process, not of the server: it is compared with the starts
// of sessions, which come from the clocks of the processes too. The skew covers a process whose
// clock is ahead.
func (s *Store) makeMarks(ctx context.Context, missing []uint8) error {
	if len(missing) == 0 {
		return nil
	}
	value := s.newMark()
	ops := make([]*markOp, len(missing))
	for i, b := range missing {
		ops[i] = &markOp{name: s.layout.mark(b), value: value}
	}
	err := s.write(ctx, toOps(ops))
	made := 0
	for _, o := range ops {
		if o.made {
			made++
		}
	}
	if made > 0 {
		s.logMarksMade(made)
	}
	if err != nil {
		return err
	}
	return s.recordMarks(ctx, missing)
}

// remake makes the missing mark of a bucket, and then those of all other buckets. If each mark were
// made when a look-up misses it, the later marks would log out the sessions that began in between.
// Only one look-up at a time makes all marks, within its deadline.
func (s *Store) remake(ctx context.Context, bucket uint8) error {
	if err := s.makeMarks(ctx, []uint8{bucket}); err != nil {
		return err
	}
	if !s.remaking.CompareAndSwap(false, true) {
		return nil
	}
	defer s.remaking.Store(false)
	_ = s.makeMarks(ctx, allBuckets()) // on an error, the next look-up in such a bucket makes its mark
	return nil
}

func (s *Store) newMark() string { return s.layout.markHead + s.notBefore() }

// notBefore returns the time of a mark that is made now.
func (s *Store) notBefore() string { return formatTime(s.cfg.now().Add(s.cfg.skew)) }

func (s *Store) logMarksMade(n int) {
	s.cfg.logger.Warn("redisstore: missing marks were made, because the store is new or was emptied: "+
		"sessions that began before are refused",
		"marks", n, "of", buckets, "refused_before", s.cfg.now().Add(s.cfg.skew))
}
