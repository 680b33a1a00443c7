package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// pageSize is how many sessions a page of List has, and how many a transaction ends at most.
const pageSize = 100

// End ends the session of the token, of any type: a log-out. All its tokens are revoked. An error
// that wraps security.ErrUnavailable means that they may still be accepted; call it again.
func (m *Manager) End(ctx context.Context, token security.AnyToken) error {
	id, err := m.sessionOf(token)
	if err != nil {
		return err
	}
	return m.endSession(ctx, token.Subject(), id, LoggedOut, false)
}

// EndByID ends a session of the subject, such as one that the user chose from the list. The error is
// [ErrNotFound] if the subject has no session with the id.
func (m *Manager) EndByID(ctx context.Context, subject, id string) error {
	if m.store == nil {
		return errZeroManager
	}
	return m.endSession(ctx, subject, id, LoggedOut, true)
}

// endSession writes the entry of the blacklist and ends the row, together if the store is the
// blacklist. An ended session gets its entry again.
func (m *Manager) endSession(ctx context.Context, subject, id string, reason EndReason, mustExist bool) error {
	if !m.joint {
		if mustExist {
			if err := m.update(ctx, subject, func(tx *transaction) error { return exists(tx, id) }); err != nil {
				return err
			}
		}
		if err := m.validator.Record(ctx, m.validator.SessionRevocation(subject, id)); err != nil {
			return err
		}
	}
	live := false
	err := m.update(ctx, subject, func(tx *transaction) error {
		row, found, err := tx.Session(id)
		if err != nil {
			return err
		}
		live = !found || row.Ended.IsZero()
		if !found && mustExist {
			return ErrNotFound
		}
		if _, err := tx.revoke(m.validator.SessionRevocation(subject, id)); err != nil || !found {
			return err
		}
		row.Owed = false
		return tx.Put(end(row, reason, tx.Now()))
	})
	if err == nil {
		m.audit(ctx, slog.LevelInfo, "session ended", subject, id, slog.String("reason", string(reason)))
		if live {
			m.observe(ctx, Ended, 1)
		}
	}
	return err
}

func exists(tx Tx, id string) error {
	_, found, err := tx.Session(id)
	if err == nil && !found {
		err = ErrNotFound
	}
	return err
}

// endIn ends a row in a transaction. If the store is not the blacklist, the entry is owed: settle
// writes it.
func (m *Manager) endIn(tx *transaction, row Row, reason EndReason) (Row, error) {
	done, err := tx.revoke(m.validator.SessionRevocation(row.Subject.Name, row.ID))
	if err != nil {
		return row, err
	}
	row.Owed = !done
	row = end(row, reason, tx.Now())
	return row, tx.Put(row)
}

// EndAll ends all sessions of the subject that have begun, on every device, as after a password was
// stolen. Log-ins that were opened before and not begun fail.
func (m *Manager) EndAll(ctx context.Context, subject string) error {
	if m.store == nil {
		return errZeroManager
	}
	if err := m.settleSubject(ctx, subject); err != nil {
		return err
	}
	cutOff := m.validator.SubjectRevocation(subject)
	if !m.joint {
		if err := m.validator.Record(ctx, cutOff); err != nil {
			return err
		}
	}
	var epoch uint64
	err := m.update(ctx, subject, func(tx *transaction) (err error) {
		if epoch, err = raiseEpoch(tx); err != nil {
			return err
		}
		_, err = tx.revoke(cutOff)
		return err
	})
	if err != nil {
		return err
	}
	// A session that began after the cut-off, on a machine whose clock is ahead, needs an entry.
	needsEntry := func(row Row) bool { return row.Began.After(cutOff.CutOff) }
	if err := m.endBefore(ctx, subject, epoch, needsEntry); err != nil {
		return err
	}
	m.audit(ctx, slog.LevelInfo, "all sessions ended", subject, "")
	return nil
}

// EndOthers ends all sessions of the subject but that of the token, as after a change of the
// password. Log-ins that were opened before and not begun fail.
//
// It returns no tokens, and those of the caller stay valid. With [WithUnnumberedTokens] there may be
// sessions without a row. Then it ends all sessions and begins a new one for the caller: the response
// has to carry its tokens. The new session ends when the former one would have ended, and its access
// token is fresh if the token is.
func (m *Manager) EndOthers(ctx context.Context, token security.AnyToken) (*security.TokenPair, error) {
	id, err := m.sessionOf(token)
	if err != nil {
		return nil, err
	}
	if m.unnumbered {
		return m.replace(ctx, token, id)
	}
	if err := m.settleSubject(ctx, token.Subject()); err != nil {
		return nil, err
	}
	var epoch uint64
	err = m.update(ctx, token.Subject(), func(tx *transaction) error {
		row, found, err := tx.Session(id)
		if err != nil {
			return err
		}
		if !found || !row.IsLive(tx.Now()) {
			return security.ErrTokenRevoked.Because("the session is over", nil)
		}
		if epoch, err = raiseEpoch(tx); err != nil {
			return err
		}
		row.Epoch = epoch
		return tx.Put(row)
	})
	if err != nil {
		return nil, err
	}
	if err := m.endBefore(ctx, token.Subject(), epoch, func(Row) bool { return true }); err != nil {
		return nil, err
	}
	m.audit(ctx, slog.LevelInfo, "other sessions ended", token.Subject(), id)
	return nil, nil
}

// replace ends all sessions and begins a new one with the device and the remaining lifetime of the
// session of the token.
func (m *Manager) replace(ctx context.Context, token security.AnyToken, id string) (*security.TokenPair, error) {
	subject, login := token.Subject(), m.loginOf(token)
	err := m.update(ctx, subject, func(tx *transaction) error {
		row, found, err := tx.Session(id)
		if err != nil || !found {
			return err
		}
		if !row.IsLive(tx.Now()) {
			return security.ErrTokenRevoked.Because("the session is over", nil)
		}
		login = Login{
			Device: row.Device, ClientID: row.ClientID, CSRF: row.CSRF != "", IdleTimeout: row.IdleTimeout, AccessLifetime: row.AccessLifetime,
			Lifetime: max(row.End.Sub(tx.Now()).Truncate(time.Second), time.Second),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := m.EndAll(ctx, subject); err != nil {
		return nil, err
	}
	attempt, err := m.Open(ctx, subject)
	if err != nil {
		return nil, err
	}
	pair, err := attempt.begin(ctx, login, token.Fresh())
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// loginOf returns what a token says about its session, for a session without a row.
func (m *Manager) loginOf(token security.AnyToken) Login {
	login := Login{ClientID: token.ClientID(), CSRF: token.CSRF() != ""}
	end := token.ExpiresAt()
	switch {
	case token.Type() != m.refreshType.Name():
		end = token.Identity().SessionStart.Add(m.issuer.SessionLifetime())
	case end.IsZero():
		return login // a session that does not end by itself
	}
	left := end.Sub(m.verifier.Now()).Truncate(time.Second)
	login.Lifetime = min(max(left, time.Second), m.verifier.MaxLifetime())
	return login
}

func raiseEpoch(tx Tx) (uint64, error) {
	epoch, err := tx.Epoch()
	if err != nil {
		return 0, err
	}
	return epoch + 1, tx.SetEpoch(epoch + 1)
}

// endBefore ends the sessions that began in an earlier epoch, some in each transaction.
func (m *Manager) endBefore(ctx context.Context, subject string, epoch uint64, needsEntry func(Row) bool) error {
	for position := ""; ; {
		rows, next, err := m.list(ctx, subject, position)
		if err != nil {
			return err
		}
		if err := m.endPage(ctx, subject, rows, epoch, needsEntry); err != nil || next == "" {
			return err
		}
		position = next
	}
}

// endPage ends those of the rows that began in an earlier epoch. The rows end first, because only the
// transaction decides which: two sessions that end each other's would both die otherwise.
func (m *Manager) endPage(ctx context.Context, subject string, rows []Row, epoch uint64, needsEntry func(Row) bool) error {
	var ids []string
	for _, row := range rows {
		if row.Epoch < epoch {
			ids = append(ids, row.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var ended, owed []Row
	err := m.update(ctx, subject, func(tx *transaction) error {
		ended, owed = nil, nil
		for _, id := range ids {
			row, found, err := tx.Session(id)
			if err != nil {
				return err
			}
			switch {
			case found && row.Owed:
				owed = append(owed, row) // by an earlier run
			case found && row.Epoch < epoch && row.Ended.IsZero():
				ended = append(ended, row)
			}
		}
		for i, row := range ended {
			var err error
			if needsEntry(row) {
				ended[i], err = m.endIn(tx, row, LoggedOut)
			} else {
				err = tx.Put(end(row, LoggedOut, tx.Now()))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		m.observe(ctx, Ended, len(ended))
	}
	for _, row := range append(ended, owed...) {
		if err == nil {
			err = m.settle(ctx, row)
		}
	}
	return err
}

// endRevoked ends those of the rows whose sessions the blacklist alone has ended, as a cut-off does.
// It returns how many they are.
func (m *Manager) endRevoked(ctx context.Context, subject string, rows []Row) (ended int, err error) {
	revoked, err := revokedRows(ctx, rows, m.validator.IsRevokedNow)
	if err != nil {
		return 0, err
	}
	var ids []string
	for i, row := range rows {
		if revoked[i] {
			ids = append(ids, row.ID)
		}
	}
	for part := range slices.Chunk(ids, pageSize) {
		if err := m.update(ctx, subject, func(tx *transaction) error { return endRows(tx, part) }); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// endRows ends the rows of sessions that are revoked.
func endRows(tx *transaction, ids []string) error {
	var rows []Row
	for _, id := range ids {
		row, found, err := tx.Session(id)
		if err != nil {
			return err
		}
		if found && row.Ended.IsZero() {
			rows = append(rows, row)
		}
	}
	for _, row := range rows {
		if err := tx.Put(end(row, LoggedOut, tx.Now())); err != nil {
			return err
		}
	}
	return nil
}

// Forget ends all sessions of the subject and deletes their rows with the devices. The entries of the
// blacklist, which are hashes, stay until they end.
func (m *Manager) Forget(ctx context.Context, subject string) error {
	if err := m.EndAll(ctx, subject); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
	defer cancel()
	if err := m.store.Forget(ctx, m.owner(subject)); err != nil {
		return unavailable("the store of the sessions did not answer", err)
	}
	return nil
}

// Page is a part of the sessions of a subject, newest first.
type Page struct {
	Sessions []Info
	// Next is the position of the next page, or "" if there is none.
	Next string
}

// List returns the sessions of the token's subject. The position is "" for the first page, then
// Page.Next; another text is [ErrPosition]. A page has at most 100 sessions.
func (m *Manager) List(ctx context.Context, token security.AnyToken, position string) (Page, error) {
	current, err := m.sessionOf(token)
	if err != nil {
		return Page{}, err
	}
	page, err := m.ListOf(ctx, token.Subject(), position)
	for i := range page.Sessions {
		page.Sessions[i].Current = page.Sessions[i].ID == current
	}
	return page, err
}

// ListOf is [Manager.List] for a subject of which there is no token.
func (m *Manager) ListOf(ctx context.Context, subject, position string) (Page, error) {
	if m.store == nil {
		return Page{}, errZeroManager
	}
	rows, next, err := m.list(ctx, subject, position)
	if err != nil {
		return Page{}, err
	}
	revoked, err := revokedRows(ctx, rows, m.validator.IsRevoked)
	if err != nil {
		return Page{}, err
	}
	page := Page{Next: next}
	var ended []Row
	for i, row := range rows {
		if revoked[i] {
			ended = append(ended, row)
		} else {
			page.Sessions = append(page.Sessions, info(row))
		}
	}
	// The devices of sessions that the blacklist alone has ended go now. The list does not need that, so
	// an error is for the next one.
	_, _ = m.endRevoked(ctx, subject, ended)
	return page, nil
}

// revokedRows asks the blacklist for all rows at once: stores send look-ups together that come at the
// same time.
func revokedRows(ctx context.Context, rows []Row, isRevoked func(context.Context, blacklist.Identity) (bool, error)) ([]bool, error) {
	revoked, errs := make([]bool, len(rows)), make([]error, len(rows))
	var running sync.WaitGroup
	for i, row := range rows {
		running.Go(func() {
			revoked[i], errs[i] = isRevoked(ctx, blacklist.Identity{
				Issuer: row.Subject.Issuer, Subject: row.Subject.Name, Session: row.ID, SessionStart: row.Began,
			})
		})
	}
	running.Wait()
	return revoked, errors.Join(errs...)
}

func (m *Manager) list(ctx context.Context, subject, position string) ([]Row, string, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	rows, next, err := m.store.List(ctx, m.owner(subject), position, pageSize)
	if err != nil && !errors.Is(err, ErrPosition) {
		err = unavailable("the store of the sessions did not answer", err)
	}
	return rows, next, err
}
