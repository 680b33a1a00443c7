package redisstore

import (
	"context"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// MakeMarks makes the marks that are missing, so that look-ups answer again: every session begun before now is refused
// from then on. With [LogOut], the default, the store does this by itself; with [Refuse] it is how an operator says that
// he knows that the store is new or was emptied.
func (s *Store) MakeMarks(ctx context.Context) error {
	if s.closed.Load() {
		return blacklist.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.writeTimeout)
	defer cancel()
	missing, err := s.missingMarks(ctx)
	if err != nil {
		return err
	}
	return s.makeMarks(ctx, missing)
}

// missingMarks returns the buckets without a mark. A mark of another format is an error: another version of this package,
// or something else altogether, writes under the prefix.
func (s *Store) missingMarks(ctx context.Context) ([]uint8, error) {
	ops := make([]*getOp, buckets)
	for b := range ops {
		ops[b] = &getOp{name: s.layout.mark(uint8(b))}
	}
	if err := s.read(ctx, toOps(ops)); err != nil {
		return nil, err
	}
	var missing []uint8
	for b, o := range ops {
		if !o.found {
			missing = append(missing, uint8(b))
		} else if _, err := parseMark(o.cmd.Val()); err != nil {
			return nil, unavailable(err)
		}
	}
	return missing, nil
}

// makeMarks writes the marks, and leaves those alone that another process has made meanwhile.
//
// The instant is of this process's clock and not of the server's: it is compared with the starts of sessions, which the
// processes stamp, and no clock of Redis is near those by promise. The skew goes on top for the process that runs ahead.
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
	return err
}

// remake makes the mark of a bucket that a look-up found without, and then all others, so that they name one instant:
// made one by one, each when it is missed, they would log those out who have logged in since. Only one look-up does
// that, and as far as its deadline goes.
func (s *Store) remake(ctx context.Context, bucket uint8) error {
	if err := s.makeMarks(ctx, []uint8{bucket}); err != nil {
		return err
	}
	if !s.remaking.CompareAndSwap(false, true) {
		return nil
	}
	defer s.remaking.Store(false)
	all := make([]uint8, buckets)
	for b := range all {
		all[b] = uint8(b)
	}
	_ = s.makeMarks(ctx, all) // the bucket asked for is done; the others are made when they are missed
	return nil
}
