package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// Attempt is a log-in that was opened. It is for one [Attempt.Begin].
type Attempt struct {
	manager *Manager
	subject string
	epoch   uint64
	// start is when the session will have begun: after every cut-off that covers the subject.
	start  time.Time
	opened time.Time
	used   atomic.Bool
}

// maxAttempt is how long an attempt can be begun: longer than any check of credentials, and shorter
// than stores keep an epoch.
const maxAttempt = 10 * time.Minute

var errAttempt = errors.New("session: an attempt comes from Manager.Open and begins one session")

// Open opens a log-in of the subject. Call it before the credentials are checked, and
// [Attempt.Begin] afterwards: if the password is changed between the two, Begin fails. Otherwise a
// slow check of the old password would outlive its change.
//
// A failed check needs no call: an attempt that is not begun has no effect.
func (m *Manager) Open(ctx context.Context, subject string) (*Attempt, error) {
	switch {
	case m.store == nil:
		return nil, errZeroManager
	case subject == "":
		return nil, errors.New("session: a session needs a subject")
	}
	a := &Attempt{manager: m, subject: subject, opened: m.verifier.Now()}
	err := m.update(ctx, subject, func(tx *transaction) (err error) {
		a.epoch, err = tx.Epoch()
		return err
	})
	if err != nil {
		return nil, err
	}
	if a.start, err = m.firstStart(ctx, subject, a.opened.Truncate(time.Millisecond)); err != nil {
		return nil, err
	}
	return a, nil
}

// firstStart returns the first millisecond from now on that no cut-off covers, so that the tokens of
// a log-in that succeeds are accepted. A cut-off may be ahead of this clock by the leeway at most.
func (m *Manager) firstStart(ctx context.Context, subject string, now time.Time) (time.Time, error) {
	covered := func(start time.Time) (bool, error) { return m.isCutOff(ctx, subject, start) }
	if revoked, err := covered(now); err != nil || !revoked {
		return now, err
	}
	latest := m.verifier.Leeway().Truncate(time.Millisecond) + time.Millisecond
	if revoked, err := covered(now.Add(latest)); err != nil || revoked {
		if err == nil {
			err = unavailable("a cut-off is further ahead of the clock than the leeway", nil)
		}
		return time.Time{}, err
	}
	var failed error
	ahead := sort.Search(int(latest.Milliseconds()), func(ms int) bool {
		revoked, err := covered(now.Add(time.Duration(ms) * time.Millisecond))
		failed = errors.Join(failed, err)
		return !revoked
	})
	return now.Add(time.Duration(ahead) * time.Millisecond), failed
}

// isCutOff reports whether a cut-off covers a session of the subject that began at start. It asks the
// store: a replica may lack a cut-off that would end the session in a moment.
func (m *Manager) isCutOff(ctx context.Context, subject string, start time.Time) (bool, error) {
	return m.validator.IsRevokedNow(ctx, blacklist.Identity{Issuer: m.verifier.Issuer(), Subject: subject, SessionStart: start})
}

// Login is what a log-in says about its session.
type Login struct {
	// Device is shown in the list of sessions.
	Device Device
	// ClientID is the claim client_id of the tokens, or "".
	ClientID string
	// Lifetime is how long the session lasts, or 0 for that of the issuer: longer for "remember me".
	// It is at most the longest lifetime of the verifier.
	Lifetime time.Duration
	// IdleTimeout replaces [WithIdleTimeout], if it is not 0.
	IdleTimeout time.Duration
	// CSRF gives the tokens of the session the claim csrf, for cookies. All of them have the same one,
	// so that tabs do not invalidate each other.
	CSRF bool
	// AccessLifetime replaces security.WithAccessLifetime, if it is not 0.
	AccessLifetime time.Duration
}

func (l Login) check(longest time.Duration) error {
	for _, d := range []time.Duration{l.Lifetime, l.IdleTimeout, l.AccessLifetime} {
		if d != 0 && d < time.Second || d > longest {
			return fmt.Errorf("session: the durations of a log-in are 0, or a second to the longest lifetime of the verifier (%s)", longest)
		}
	}
	return nil
}

// Begin begins the session and issues its tokens. The access token is fresh. The error is
// security.ErrInvalidCredentials if the sessions of the subject were ended since [Manager.Open], for
// example by a change of the password: nothing was issued.
func (a *Attempt) Begin(ctx context.Context, login Login) (security.TokenPair, error) {
	if a == nil || a.manager == nil || a.used.Swap(true) {
		return security.TokenPair{}, errAttempt
	}
	return a.begin(ctx, login, true)
}

// begin is Begin for an access token that is fresh or not.
func (a *Attempt) begin(ctx context.Context, login Login, fresh bool) (security.TokenPair, error) {
	m := a.manager
	if err := login.check(m.verifier.MaxLifetime()); err != nil {
		return security.TokenPair{}, err
	}
	row := a.row(login)
	grant, err := m.grant(ctx, row)
	if errors.Is(err, ErrSubjectGone) {
		return security.TokenPair{}, security.ErrInvalidCredentials.Because("the subject is gone", err)
	}
	if err != nil {
		return security.TokenPair{}, err
	}
	pair, err := m.issue(ctx, row, grant, row.ExpiresAt.Sub(row.IssuedAt), fresh)
	if err != nil {
		return security.TokenPair{}, err
	}
	if err := a.checkStart(ctx); err != nil {
		return security.TokenPair{}, err
	}
	if err := a.insert(ctx, row); err != nil {
		return security.TokenPair{}, err
	}
	m.audit(ctx, slog.LevelInfo, "session began", row.Subject.Name, row.ID)
	m.observe(ctx, Began, 1)
	return pair, nil
}

// row returns the row of the session, but for the times of the store.
func (a *Attempt) row(login Login) Row {
	m := a.manager
	now := m.verifier.Now().Truncate(time.Second)
	lifetime := login.Lifetime
	if lifetime == 0 {
		lifetime = m.issuer.SessionLifetime()
	}
	row := Row{
		Subject: m.owner(a.subject), ID: rand.Text(), Nonce: rand.Text(), Began: a.start, Epoch: a.epoch, Generation: 1,
		IssuedAt: now, ExpiresAt: now.Add(lifetime).Truncate(time.Second),
		IdleTimeout: login.IdleTimeout, AccessLifetime: login.AccessLifetime, ClientID: login.ClientID, Device: login.Device.trimmed(),
	}
	if row.IdleTimeout == 0 {
		row.IdleTimeout = m.idleTimeout
	}
	if login.CSRF {
		row.CSRF = rand.Text()
	}
	return row
}

var errSuperseded = security.ErrInvalidCredentials.Because("the sessions of the subject were ended during the log-in", nil)

// checkStart refuses an attempt that is older than a cut-off, or than maxAttempt.
func (a *Attempt) checkStart(ctx context.Context) error {
	if a.manager.verifier.Now().Sub(a.opened) > maxAttempt {
		return security.ErrInvalidCredentials.Because("the log-in took too long", nil)
	}
	revoked, err := a.manager.isCutOff(ctx, a.subject, a.start)
	if err == nil && revoked {
		err = errSuperseded
	}
	return err
}

// insert writes the row, unless the epoch has changed. It ends the oldest sessions above the limit.
// Those that the blacklist alone has ended do not count.
func (a *Attempt) insert(ctx context.Context, row Row) error {
	m := a.manager
	for checked := false; ; {
		counted, displaced, err := a.tryInsert(ctx, row, checked)
		if err != nil {
			return err
		}
		if counted == nil {
			return m.settleDisplaced(ctx, displaced)
		}
		ended, err := m.endRevoked(ctx, a.subject, counted)
		if err != nil {
			return err
		}
		checked = ended == 0
	}
}

// tryInsert writes the row. If the limit is reached, and the sessions that it counts were not
// checked, it writes nothing and returns them.
func (a *Attempt) tryInsert(ctx context.Context, row Row, checked bool) (counted, displaced []Row, err error) {
	m := a.manager
	err = m.update(ctx, a.subject, func(tx *transaction) error {
		counted, displaced = nil, nil
		if present, found, err := tx.Session(row.ID); err != nil || found && present.Nonce == row.Nonce {
			return err // it was written, and the reply was lost
		}
		epoch, err := tx.Epoch()
		if err != nil {
			return err
		}
		if epoch != a.epoch {
			return errSuperseded
		}
		live, err := m.atLimit(tx)
		switch {
		case err != nil:
			return err
		case len(live) > 0 && !checked:
			counted = live
			return nil
		}
		if displaced, err = m.makeRoom(tx, live); err != nil {
			return err
		}
		now := tx.Now()
		row.End = now.Add(row.ExpiresAt.Sub(row.IssuedAt))
		row.Rotated, row.LastSeen = now, now
		return tx.Put(moveIdleDeadline(row, now))
	})
	return counted, displaced, err
}

// settleDisplaced logs the ends of the sessions, and writes the entries that they owe.
func (m *Manager) settleDisplaced(ctx context.Context, rows []Row) (err error) {
	m.observe(ctx, Ended, len(rows))
	for _, row := range rows {
		m.audit(ctx, slog.LevelInfo, "session ended", row.Subject.Name, row.ID, slog.String("reason", string(row.Reason)))
		err = errors.Join(err, m.settle(ctx, row))
	}
	return err
}

// atLimit returns the oldest live sessions if the subject has as many as it may have, or nil.
func (m *Manager) atLimit(tx *transaction) ([]Row, error) {
	if m.limit == 0 {
		return nil, nil
	}
	const more = 100 // where the limit was higher before
	live, err := tx.Live(m.limit + more)
	if err != nil || len(live) < m.limit {
		return nil, err
	}
	return live, nil
}

// makeRoom ends the oldest of the sessions that reach the limit, or refuses. It returns the rows that
// it ended.
func (m *Manager) makeRoom(tx *transaction, live []Row) ([]Row, error) {
	switch {
	case len(live) == 0:
		return nil, nil
	case m.whenFull == Refuse:
		return nil, security.ErrAccessDenied.Because("the subject has as many sessions as it may have", ErrLimit)
	}
	oldest := live[:len(live)-m.limit+1]
	for i, row := range oldest {
		var err error
		if oldest[i], err = m.endIn(tx, row, Displaced); err != nil {
			return nil, err
		}
	}
	return oldest, nil
}

// grant asks the application for the claims of a session.
func (m *Manager) grant(ctx context.Context, row Row) (Grant, error) {
	grant, err := m.load(ctx, info(row))
	var refused *security.Error
	if err == nil || errors.Is(err, ErrSubjectGone) || errors.As(err, &refused) {
		return grant, err
	}
	return Grant{}, unavailable("the claims of the subject could not be loaded", err)
}

// issue issues the tokens of the row. idle is how long the session lives if it is not refreshed.
func (m *Manager) issue(ctx context.Context, row Row, grant Grant, idle time.Duration, fresh bool) (security.TokenPair, error) {
	lifetime := row.AccessLifetime
	if lifetime == 0 {
		lifetime = m.issuer.AccessLifetime()
	}
	if row.IdleTimeout > 0 {
		idle = min(idle, row.IdleTimeout)
	}
	lifetime = max(min(lifetime, idle), time.Second)
	both := []security.TokenOption{security.WithSessionState(security.SessionState{
		ID: row.ID, Start: row.Began, End: row.ExpiresAt, CSRF: row.CSRF, Fresh: fresh,
	})}
	if row.ClientID != "" {
		both = append(both, security.WithClientID(row.ClientID))
	}
	options := append(append(append([]security.TokenOption{}, grant.AccessOptions...), both...), security.WithLifetime(lifetime))
	access, err := m.issuer.Issue(ctx, m.accessType, row.Subject.Name, grant.AccessClaims, options...)
	if err != nil {
		return security.TokenPair{}, err
	}
	// The clock of the log-in may have been ahead of this one.
	remaining := min(row.ExpiresAt.Sub(row.IssuedAt), m.verifier.MaxLifetime())
	options = append(append(append([]security.TokenOption{}, grant.RefreshOptions...), both...),
		security.WithIssuedAt(row.IssuedAt), security.WithLifetime(max(remaining, time.Second)),
		security.WithID(m.issuer.RefreshTokenID(row.ID, row.Generation)))
	refresh, err := m.issuer.Issue(ctx, m.refreshType, row.Subject.Name, grant.RefreshClaims, options...)
	if err != nil {
		return security.TokenPair{}, err
	}
	return security.TokenPair{Access: access, Refresh: refresh}, nil
}
