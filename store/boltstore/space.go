package boltstore

import (
	"errors"
	"os"

	"go.etcd.io/bbolt"
)

// A full disk must not stop the removal of expired entries, because that removal makes room. bbolt
// never changes a page in place: to delete, it writes new pages first. So the store keeps a reserve
// of pages that are on the disk already, and only removals use it.
//
// Pages are available if they are free in the file or lie between the last page in use and the end
// of the file. The store extends the file itself, before a transaction, by writing zeros, so that
// the disk has blocks for every page up to the end. bbolt may not extend the file: a transaction
// that needs more pages fails before it writes anything.

// space knows how much of the file a transaction may use. The writer alone uses it.
type space struct {
	db       *bbolt.DB
	file     *os.File
	pageSize int64
	end      int64 // the disk has blocks for the file up to here
}

const (
	// reservedPages is the reserve of a small file. A large file has more, for its list of free
	// pages.
	reservedPages = 128
	// reservedShare is the share of a large file in the reserve. If all pages are free, their list
	// takes 1/512 of them, and a commit writes a new list while the old one exists.
	reservedShare = 128

	// basePages is the estimate for what every transaction writes, and pagesPerWrite for each row,
	// epoch or entry more. If an estimate is too small, the transaction fails before it writes.
	basePages     = 24
	pagesPerWrite = 4

	// The file grows by a sixteenth within these bounds.
	minGrowth, maxGrowth = 256, 4096 // pages
	growthShare          = 16

	zerosAtOnce = 256 << 10
)

// newSpace takes the growth of the file away from bbolt. It does not trust the file behind the last
// page in use: there may be no blocks for it.
func newSpace(db *bbolt.DB, file *os.File) (*space, error) {
	s := &space{db: db, file: file, pageSize: int64(db.Info().PageSize)}
	used, err := s.used()
	if err != nil {
		return nil, err
	}
	s.end = used
	db.AllocSize = 0
	db.MaxSize = int(s.end)
	return s, nil
}

// used returns the size of the file up to the last page in use.
func (s *space) used() (used int64, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		used = tx.Size()
		return nil
	})
	return used, err
}

// reserve is the number of pages that only removals may use.
func (s *space) reserve() int64 { return reservedPages + s.end/s.pageSize/reservedShare }

// floor is the number of available pages that a change has to leave. New sessions leave more than
// other changes, so that log-outs and refreshes fail after log-ins.
func (s *space) floor(c change) int64 {
	switch {
	case c.sweeps:
		return 0
	case c.grows:
		return 2 * s.reserve()
	default:
		return s.reserve()
	}
}

// available returns the number of pages that a transaction can write. used is the size of the file
// up to the last page in use.
func (s *space) available(used int64) int64 {
	stats := s.db.Stats()
	return int64(stats.FreePageN+stats.PendingPageN) + (s.end-used)/s.pageSize
}

// ensure extends the file until so many pages are available, and reports whether they are.
func (s *space) ensure(pages int64) bool {
	used, err := s.used()
	if err != nil {
		return false
	}
	missing := pages - s.available(used)
	if missing <= 0 {
		return true
	}
	growth := max(missing, minGrowth, min(s.end/s.pageSize/growthShare, maxGrowth))
	before := s.end
	s.extend(growth)
	return s.end-before >= missing*s.pageSize
}

// extend writes zeros behind the end, and moves the end as far as they were written. It reports
// whether the end moved.
func (s *space) extend(pages int64) bool {
	zeros := make([]byte, min(pages*s.pageSize, zerosAtOnce))
	end, goal := s.end, s.end+pages*s.pageSize
	for end < goal {
		n, err := s.file.WriteAt(zeros[:min(goal-end, int64(len(zeros)))], end)
		end += int64(n)
		if err != nil {
			break
		}
	}
	end -= end % s.pageSize
	if end == s.end || s.file.Sync() != nil {
		return false
	}
	s.end = end
	s.db.MaxSize = int(end)
	return true
}

var errFull = unavailable("the disk is full", errNoSpace)

// errNoSpace is the cause of errFull.
var errNoSpace = errors.New("no pages are left but the reserve")
