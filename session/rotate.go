package session

import (
	"math"
	"time"
)

// This file has the rules of rotation. They are a pure function of the row and of the attempt, so
// that every store gives the same verdict.

// verdict is what a refresh token yields.
type verdict uint8

const (
	// over: the session is over, or never was.
	over verdict = iota
	// rotated: the session has a new generation.
	rotated
	// repeated: the token was used before, a moment ago. It yields the same generation again: two
	// tabs refreshed at the same time, or a reply was lost.
	repeated
	// reused: the token was used before. It was copied, so the session ends (RFC 9700, section
	// 4.14.2).
	reused
)

// attempt is one use of a refresh token.
type attempt struct {
	// nonce names the attempt. A store that runs it again finds the nonce in the row, and the
	// verdict is the first one.
	nonce string
	// presented is the generation of the token, 0 for a token without one.
	presented uint32
	// tokenIssuedAt is the claim iat of the token.
	tokenIssuedAt time.Time
	// issuedAt is the claim iat of the successor.
	issuedAt time.Time
	device   Device
	grace    time.Duration
	// now is the time of the store.
	now time.Time
}

// decision is the verdict over an attempt.
type decision struct {
	verdict verdict
	row     Row
	// write is set if the row has to be written.
	write bool
	// idle is how long the session lives if it is not refreshed.
	idle time.Duration
	// caughtUp is set if the store had lost the last rotation.
	caughtUp bool
	// inserted is set if the session had no row.
	inserted bool
}

// decide decides over the attempt. The row is that of the token's session.
//
// The row is over, or the presented generation is compared with that of the row:
//
//	the current one                                  rotated
//	the one before, within the grace, or while the
//	  client may not have the current one            repeated
//	an older one                                     reused
//	the next one, not issued before the current one  the store lost a write: rotated
//	any other                                        over
func decide(row Row, a attempt) decision {
	if row.Nonce == a.nonce && a.nonce != "" {
		switch {
		case row.Ended.IsZero():
			return decision{verdict: rotated, row: row}
		case row.Reason == Reused:
			return decision{verdict: reused, row: row}
		}
	}
	if !row.IsLive(a.now) || !a.issuedAt.Before(row.ExpiresAt) {
		return decision{verdict: over, row: row}
	}
	switch current := row.Generation; {
	case current == math.MaxUint32:
		return decision{verdict: over, row: row}
	case a.presented == current:
		return decision{verdict: rotated, row: rotate(row, a), write: true}
	case a.presented == current-1 && (row.Unacknowledged || inGrace(row, a)):
		return decision{verdict: repeated, row: repeat(row, a), write: true}
	case a.presented < current:
		row.Nonce = a.nonce
		return decision{verdict: reused, row: end(row, Reused, a.now), write: true}
	case a.presented == current+1 && a.presented < math.MaxUint32 && !a.tokenIssuedAt.Before(row.IssuedAt.Truncate(time.Second)):
		row.Generation = a.presented
		return decision{verdict: rotated, row: rotate(row, a), write: true, caughtUp: true}
	default:
		return decision{verdict: over, row: row}
	}
}

// inGrace reports whether the current generation is so young that the one before is repeated. A
// clock of the store that was set back counts as no time. A grace of 0 repeats nothing.
func inGrace(row Row, a attempt) bool {
	return a.grace > 0 && a.now.Sub(row.Rotated) <= a.grace
}

// rotate returns the row with the next generation.
func rotate(row Row, a attempt) Row {
	row.Generation++
	row.IssuedAt = a.issuedAt
	row.Rotated, row.LastSeen = a.now, a.now
	row.Nonce = a.nonce
	row.Unacknowledged = false
	if !row.Repeated {
		row.Repeats = 0 // the run of repeated generations has a gap
	}
	row.Repeated = false
	row.Device = a.device.after(row.Device)
	return moveIdleDeadline(row, a.now)
}

// repeat returns the row after its current generation was issued again.
func repeat(row Row, a attempt) Row {
	if a.device.differs(row.Device) && !row.Repeated {
		row.Repeated = true
		row.Repeats++
	}
	return row
}

func moveIdleDeadline(row Row, now time.Time) Row {
	row.IdleDeadline = row.End
	if idle := now.Add(row.IdleTimeout); row.IdleTimeout > 0 && idle.Before(row.End) {
		row.IdleDeadline = idle
	}
	return row
}

// end returns the row of a session that was ended. What the application said about the device is
// deleted.
func end(row Row, reason EndReason, now time.Time) Row {
	if row.Ended.IsZero() {
		row.Ended, row.Reason = now, reason
	}
	row.Device, row.CSRF = Device{}, ""
	return row
}
