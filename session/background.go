package session

import (
	"context"
	"log/slog"
	"time"
)

const (
	// maxPending is how many failed refreshes are noted at the same time at most.
	maxPending = 1024
	// markFor is how long the manager tries to note one.
	markFor = time.Minute
	// settleEvery is how often owed entries are looked for.
	settleEvery = 30 * time.Second
	// maxOwed is how many owed entries are read at once.
	maxOwed = 1000
)

// failedRefresh is a refresh whose caller got an error. Its client repeats it.
type failedRefresh struct {
	subject, id string
	attempt     attempt
	began       time.Time
}

// concerns reports whether the client of the failed refresh may need the current refresh token of the
// row: the refresh wrote it, or would have repeated it if the store had answered at once.
func (f failedRefresh) concerns(row Row, now time.Time) bool {
	if row.Nonce == f.attempt.nonce {
		return true
	}
	then := f.attempt
	then.now = now.Add(-time.Since(f.began))
	return row.Generation == then.presented+1 && inGrace(row, then)
}

// remember notes in the row, in the background, that the client of a failed refresh may not have the
// current refresh token, so that the one before yields it again, also after the grace. Until that is
// written, this process remembers it.
//
// If the store is away for longer than markFor, and the refresh had been written, the client's
// repetition counts as reuse.
func (m *Manager) remember(f failedRefresh) {
	select {
	case m.pending <- struct{}{}:
	default:
		return // the store is away: enough callers are waiting for it
	}
	_, known := m.failed.LoadOrStore(f.id, f) // the first of several
	done := func() {
		if !known {
			m.failed.Delete(f.id)
		}
		<-m.pending
	}
	started := m.start(func() {
		defer done()
		m.keepMarking(f)
	})
	if !started {
		done()
	}
}

// keepMarking calls mark until it succeeds, for markFor at most.
func (m *Manager) keepMarking(f failedRefresh) {
	ctx, cancel := context.WithTimeout(m.background, markFor)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		if m.mark(ctx, f) == nil {
			return
		}
		select {
		case <-ctx.Done():
			m.audit(context.Background(), slog.LevelError, "a failed refresh could not be noted", f.subject, f.id)
			return
		case <-time.After(pause):
		}
	}
}

// mark sets Row.Unacknowledged if the failed refresh concerns the row.
func (m *Manager) mark(ctx context.Context, f failedRefresh) error {
	return m.update(ctx, f.subject, func(tx *transaction) error {
		row, found, err := tx.Session(f.id)
		if err != nil || !found || row.Unacknowledged || !row.Ended.IsZero() || !f.concerns(row, tx.Now()) {
			return err
		}
		row.Unacknowledged = true
		return tx.Put(row)
	})
}

// settle writes the entry of an ended row that the blacklist lacks.
func (m *Manager) settle(ctx context.Context, row Row) error {
	if !row.Owed {
		return nil
	}
	subject := row.Subject.Name
	if err := m.validator.Record(ctx, m.validator.SessionRevocation(subject, row.ID)); err != nil {
		m.observe(ctx, Owed, 1)
		return err
	}
	_ = m.update(ctx, subject, func(tx *transaction) error { // on an error the entry is written once more
		current, found, err := tx.Session(row.ID)
		if err != nil || !found || !current.Owed {
			return err
		}
		current.Owed = false
		return tx.Put(current)
	})
	return nil
}

// settleSubject writes the owed entries of a subject. An ended session whose entry is owed is in no
// list, so that a repeated call would not find it.
func (m *Manager) settleSubject(ctx context.Context, subject string) error {
	if m.joint {
		return nil
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
	defer cancel()
	rows, err := m.store.Owed(bounded, maxOwed)
	if err != nil {
		return unavailable("the store of the sessions did not answer", err)
	}
	for _, row := range rows {
		if row.Subject == m.owner(subject) {
			if err := m.settle(ctx, row); err != nil {
				return err
			}
		}
	}
	if len(rows) == maxOwed { // those of the subject may be among the others
		return unavailable("the blacklist lacks the entries of many ended sessions", nil)
	}
	return nil
}

// settleOwed writes owed entries, also those of other processes, until the manager is closed.
func (m *Manager) settleOwed() {
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-m.background.Done():
			return
		case <-ticker.C:
			m.settlePage(m.background)
		}
	}
}

// settlePage writes a page of owed entries.
func (m *Manager) settlePage(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleEvery)
	defer cancel()
	rows, err := m.store.Owed(ctx, maxOwed)
	if err != nil {
		return // the store is away; the next turn tries again
	}
	for _, row := range rows {
		if row.Subject.Issuer == m.verifier.Issuer() {
			_ = m.settle(ctx, row) // a failed revocation is in the audit
		}
	}
}
