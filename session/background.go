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
)

// markUnacknowledged notes, in the background, that the client of a failed refresh may not have the
// current refresh token, so that the one before yields it again, also after the grace. If the
// attempt wrote nothing there is nothing to note.
//
// If the store is away for longer than markFor, and the attempt had been written, the client's
// repetition counts as reuse.
func (m *Manager) markUnacknowledged(subject, id, nonce string) {
	select {
	case m.pending <- struct{}{}:
	default:
		return // the store is away: enough callers are waiting for it
	}
	m.running.Go(func() {
		defer func() { <-m.pending }()
		ctx, cancel := context.WithTimeout(m.background, markFor)
		defer cancel()
		for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			if m.mark(ctx, subject, id, nonce) == nil {
				return
			}
			select {
			case <-ctx.Done():
				m.audit(context.Background(), slog.LevelError, "a failed refresh could not be noted", subject, id)
				return
			case <-time.After(pause):
			}
		}
	})
}

// mark sets Row.Unacknowledged if the attempt wrote the row.
func (m *Manager) mark(ctx context.Context, subject, id, nonce string) error {
	return m.update(ctx, subject, func(tx Tx) error {
		row, found, err := tx.Session(id)
		if err != nil || !found || row.Nonce != nonce || row.Unacknowledged || !row.Ended.IsZero() {
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
		return err
	}
	_ = m.update(ctx, subject, func(tx Tx) error { // on an error the entry is written once more
		current, found, err := tx.Session(row.ID)
		if err != nil || !found || !current.Owed {
			return err
		}
		current.Owed = false
		return tx.Put(current)
	})
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
	rows, err := m.store.Owed(ctx, pageSize)
	if err != nil {
		return // the store is away; the next turn tries again
	}
	for _, row := range rows {
		if row.Subject.Issuer == m.verifier.Issuer() {
			_ = m.settle(ctx, row) // a failed revocation is in the audit
		}
	}
}
