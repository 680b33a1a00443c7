package session

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// Refresh exchanges a refresh token for new tokens. Pass the token that the guarded operation
// received: it is verified and not revoked.
//
// The token of the current generation yields the next one. The one before yields the same tokens
// again, within the grace and as long as the client may not have got them. An older one was copied:
// the session and its access tokens end, and the error is security.ErrTokenRevoked (RFC 9700, section
// 4.14.2). If the session is over, the error is security.ErrTokenExpired or security.ErrTokenRevoked.
//
// An error that wraps security.ErrUnavailable decides nothing: the client repeats the request with
// the same token, and gets its tokens also after the grace.
func (m *Manager) Refresh(ctx context.Context, token security.AnyToken, device Device) (security.TokenPair, error) {
	id, err := m.sessionOf(token)
	switch {
	case err != nil:
		return security.TokenPair{}, err
	case token.Type() != m.refreshType.Name():
		return security.TokenPair{}, security.ErrWrongTokenType
	case token.Generation() == 0 && !m.unnumbered:
		return security.TokenPair{}, security.ErrInvalidToken.Because("the refresh token has no generation", nil)
	}
	fromToken := m.rowOf(token, id, device.trimmed())
	grant, err := m.grant(ctx, fromToken)
	if errors.Is(err, ErrSubjectGone) {
		if err := m.endSession(ctx, token.Subject(), id, SubjectGone, false); err != nil {
			return security.TokenPair{}, err
		}
		return security.TokenPair{}, security.ErrTokenRevoked.Because("the subject is gone", nil)
	}
	if err != nil {
		return security.TokenPair{}, err
	}
	a := attempt{
		nonce: rand.Text(), presented: token.Generation(), tokenIssuedAt: token.IssuedAt(),
		issuedAt: fromToken.IssuedAt, device: fromToken.Device, grace: m.grace,
	}
	began := time.Now()
	d, first, err := m.decide(ctx, fromToken, a)
	if err != nil {
		m.remember(failedRefresh{token.Subject(), id, a, began})
		return security.TokenPair{}, err
	}
	if err := m.judge(ctx, d, first, a.device); err != nil {
		return security.TokenPair{}, err
	}
	var pair security.TokenPair
	if err = m.checkInserted(ctx, d); err == nil {
		pair, err = m.issue(ctx, d.row, grant, d.idle, false)
	}
	if err != nil {
		m.remember(failedRefresh{token.Subject(), id, a, began})
	}
	return pair, err
}

// sessionOf returns the session id of a token of the application.
func (m *Manager) sessionOf(token security.AnyToken) (string, error) {
	switch {
	case m.store == nil:
		return "", errZeroManager
	case isNil(token) || token.Type() == "":
		return "", errors.New("session: the zero token is not a token")
	}
	id := token.Identity()
	switch {
	case id.Issuer != m.verifier.Issuer() || id.Subject == "":
		return "", errors.New("session: the token is of another issuer, or has no subject")
	case id.Session == "": // an access token of a Python library: the client refreshes it
		return "", security.ErrInvalidToken.Because("the token has no session", nil)
	}
	return id.Session, nil
}

// rowOf returns what a refresh token says about its session, for the application and for a session
// that has no row yet. The times of the store are missing.
func (m *Manager) rowOf(token security.AnyToken, id string, device Device) Row {
	now := m.verifier.Now().Truncate(time.Second)
	row := Row{
		Subject: m.owner(token.Subject()), ID: id, Began: token.Identity().SessionStart, IssuedAt: now, ExpiresAt: token.ExpiresAt(),
		CSRF: token.CSRF(), ClientID: token.ClientID(), Device: device, IdleTimeout: m.idleTimeout, LastSeen: token.IssuedAt(),
	}
	if row.ExpiresAt.IsZero() {
		row.ExpiresAt = now.Add(m.issuer.SessionLifetime())
	}
	return row
}

// decide decides over the attempt in a transaction of the store. It returns the device of the row
// before.
func (m *Manager) decide(ctx context.Context, fromToken Row, a attempt) (d decision, first Device, err error) {
	var earlier verdict // of a run that found that the token yields tokens
	err = m.update(ctx, fromToken.Subject.Name, func(tx *transaction) error {
		row, found, err := tx.Session(fromToken.ID)
		if err != nil {
			return err
		}
		a.now = tx.Now()
		switch {
		case !found && a.presented > 0:
			d = decision{verdict: over}
			return nil
		case !found:
			row = fromToken
			row.End = a.now.Add(row.ExpiresAt.Sub(row.IssuedAt))
			row = moveIdleDeadline(row, a.now)
			if row.Epoch, err = tx.Epoch(); err != nil {
				return err
			}
		}
		first = row.Device
		if failed, ok := m.failed.Load(row.ID); ok && failed.(failedRefresh).concerns(row, a.now) {
			row.Unacknowledged = true
		}
		d = decide(row, a)
		d.idle, d.inserted = d.row.IdleDeadline.Sub(a.now), !found
		if !d.write {
			return nil
		}
		if d.verdict == rotated || d.verdict == repeated {
			earlier = d.verdict
		}
		if d.verdict == reused {
			// The store ran the step again, after others had refreshed. If this run finds that the next
			// generation is the current one and another refresh wrote it, the earlier run wrote nothing.
			if earlier == repeated || earlier == rotated && row.Generation-a.presented > 1 {
				return unavailable("the store repeated a refresh after later ones", nil)
			}
			if d.row, err = m.endIn(tx, d.row, Reused); err != nil {
				return err
			}
			return nil
		}
		return tx.Put(d.row)
	})
	return d, first, err
}

// checkInserted ends the row that a token without a generation has made, if the session was ended
// after the token was verified: there was no row then that could show it.
func (m *Manager) checkInserted(ctx context.Context, d decision) error {
	if !d.inserted {
		return nil
	}
	ended, err := m.endRevoked(ctx, d.row.Subject.Name, []Row{d.row})
	if err == nil && ended > 0 {
		err = security.ErrTokenRevoked.Because("the session was ended", nil)
	}
	return err
}

// judge returns the error that the verdict demands, if any.
func (m *Manager) judge(ctx context.Context, d decision, first, second Device) error {
	subject, id := d.row.Subject.Name, d.row.ID
	switch d.verdict {
	case rotated:
		if d.caughtUp {
			m.audit(ctx, slog.LevelWarn, "the store lost a refresh and caught up", subject, id)
		}
		m.audit(ctx, slog.LevelInfo, "session continued", subject, id)
		m.observe(ctx, Rotated, 1)
		return nil
	case repeated:
		m.observe(ctx, Repeated, 1)
		if !second.differs(first) {
			return nil
		}
		return m.judgeRepeat(ctx, Repeat{Session: info(d.row), First: first, Second: second, Run: d.row.Repeats})
	case reused:
		m.audit(ctx, slog.LevelWarn, "refresh token reused", subject, id)
		m.observe(ctx, ReuseFound, 1)
		m.observe(ctx, Ended, 1)
		if err := m.settle(ctx, d.row); err != nil {
			return err
		}
		return security.ErrTokenRevoked.Because("the refresh token was used before", nil)
	default:
		if d.row.Ended.IsZero() {
			return security.ErrTokenExpired.Because("the session is over", nil)
		}
		if err := m.settle(ctx, d.row); err != nil {
			return err
		}
		return security.ErrTokenRevoked.Because("the session was ended", nil)
	}
}

// judgeRepeat asks the application about a repeat from another device.
func (m *Manager) judgeRepeat(ctx context.Context, r Repeat) error {
	level := slog.LevelInfo
	if r.Run >= suspiciousRun {
		level = slog.LevelWarn
	}
	m.audit(ctx, level, "refresh repeated from another device", r.Session.Subject, r.Session.ID, slog.Int("run", r.Run))
	if m.repeatHook == nil {
		return nil
	}
	err := m.repeatHook(ctx, r)
	var refused *security.Error
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return security.ErrTokenRevoked.Because("a repeat from another device was refused", err)
}
