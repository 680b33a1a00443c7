package security

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// Revoke revokes this token only. An error means that the token may still be accepted: the error
// wraps [ErrUnavailable] where the blacklist could not record the revocation,
// blacklist.ErrInvalid where the token cannot be revoked at all, and blacklist.ErrNotRecorded where
// the application has blacklist.None. A handler that returns one of the last two is answered 500.
//
// A refresh token with a generation is the key to its session, so the session is revoked.
//
// Like the other revocations it continues when ctx is cancelled, because a client that hangs up
// still wants to be logged out. [WithRevocationTimeout] bounds it.
func (v *Validator) Revoke(ctx context.Context, token AnyToken) error {
	t, err := v.knownToken(token)
	if err != nil {
		return err
	}
	if t.generation() > 0 {
		return v.RevokeSession(ctx, token)
	}
	end := tokenEntryEnd(t)
	if !end.IsZero() && !end.After(t.verifier.now()) {
		return nil // it expired during the request: no clock accepts it any more
	}
	_, err = v.revoke(ctx, tokenEntry(t, end))
	return err
}

// Consume revokes a token that may be used once, such as a refresh token that is about to be
// exchanged. Of any number of concurrent calls with the same token one returns nil. The others
// revoke the session of the token, live access tokens included, and return [ErrTokenRevoked]: a
// token that is used twice was copied (RFC 9700, section 4.14.2).
func (v *Validator) Consume(ctx context.Context, token AnyToken) error {
	t, err := v.knownToken(token)
	if err != nil {
		return err
	}
	end := tokenEntryEnd(t)
	if !end.IsZero() && !end.After(t.verifier.now()) {
		return ErrTokenExpired
	}
	before, err := v.revoke(ctx, tokenEntry(t, end))
	if err != nil || !before {
		return err
	}
	if err := v.endReusedSession(ctx, t); err != nil {
		return err
	}
	return ErrTokenRevoked
}

// RevokeSession revokes every token of the token's session: this one, the other one of the pair,
// and all that were refreshed from them. This is a log-out. A token without a session is an error
// that wraps blacklist.ErrInvalid.
func (v *Validator) RevokeSession(ctx context.Context, token AnyToken) error {
	t, err := v.knownToken(token)
	if err != nil {
		return err
	}
	_, err = v.revoke(ctx, blacklist.OfSession(t.identity(), t.verifier.sessionEntryEnd()))
	return err
}

// SessionRevocation returns the revocation of a session of the application: what RevokeSession
// records. The subject is that of its tokens.
func (v *Validator) SessionRevocation(subject, session string) blacklist.Revocation {
	if v.verifier == nil {
		return blacklist.Revocation{}
	}
	id := blacklist.Identity{Issuer: v.verifier.issuer, Subject: subject, Session: session}
	return blacklist.OfSession(id, v.verifier.sessionEntryEnd())
}

// SubjectRevocation returns the revocation of all sessions of a subject of the application that have
// begun: what RevokeSubject records.
func (v *Validator) SubjectRevocation(subject string) blacklist.Revocation {
	if v.verifier == nil {
		return blacklist.Revocation{}
	}
	cutOff := v.cutOffNow().Truncate(time.Millisecond)
	return blacklist.OfSubject(v.verifier.issuer, subject, cutOff, v.verifier.cutOffEntryEnd(cutOff))
}

// Record records a revocation, such as one of SessionRevocation, with the bounds and the audit of the
// other methods. It is for applications that know the session or the subject and have no token.
func (v *Validator) Record(ctx context.Context, r blacklist.Revocation) error {
	if v.verifier == nil {
		return errZeroValidator
	}
	_, err := v.revoke(ctx, r)
	return err
}

// RevokeSubject revokes every session of the subject that has begun, on every device, as after a
// change of password. It is for the application's tokens; see [Validator.RevokeSubjectOf] for those
// of others. It returns the cut-off: sessions that began at that millisecond or before are revoked.
// If the same request logs the subject in again, the new session must begin a millisecond later:
// see [WithSessionStart].
func (v *Validator) RevokeSubject(ctx context.Context, subject string) (cutOff time.Time, err error) {
	return v.RevokeSubjectBefore(ctx, subject, v.cutOffNow())
}

// RevokeSubjectBefore revokes the sessions of the subject that began at or before the cut-off, in
// whole milliseconds.
func (v *Validator) RevokeSubjectBefore(ctx context.Context, subject string, cutOff time.Time) (time.Time, error) {
	cutOff = cutOff.Truncate(time.Millisecond)
	if v.verifier == nil {
		return cutOff, errZeroValidator
	}
	if v.verifier.tenants != nil {
		return cutOff, errors.New("security: the subject belongs to one of several issuers; use RevokeSubjectOf")
	}
	return cutOff, v.revokeSubject(ctx, v.verifier, v.verifier.issuer, subject, cutOff)
}

// RevokeSubjectOf is [Validator.RevokeSubject] for the subject of a token of any verifier.
func (v *Validator) RevokeSubjectOf(ctx context.Context, token AnyToken) (cutOff time.Time, err error) {
	t, err := v.knownToken(token)
	if err != nil {
		return time.Time{}, err
	}
	cutOff = v.cutOffNow().Truncate(time.Millisecond)
	if start := t.identity().SessionStart; start.After(cutOff) {
		cutOff = start // the clock that issued the token is ahead
	}
	return cutOff, v.revokeSubject(ctx, t.verifier, t.identity().Issuer, t.identity().Subject, cutOff)
}

func (v *Validator) revokeSubject(ctx context.Context, verifier *Verifier, issuer, subject string, cutOff time.Time) error {
	_, err := v.revoke(ctx, blacklist.OfSubject(issuer, subject, cutOff, verifier.cutOffEntryEnd(cutOff)))
	return err
}

var errZeroValidator = errors.New("security: the validator was not made by NewValidator")

// RevokeIssuedBefore revokes every session of every subject of every verifier that began at or
// before the cut-off, in whole milliseconds. On an error it may hold for some verifiers only; call
// it again.
func (v *Validator) RevokeIssuedBefore(ctx context.Context, cutOff time.Time) (time.Time, error) {
	cutOff = cutOff.Truncate(time.Millisecond)
	if len(v.verifiers) == 0 {
		return cutOff, errZeroValidator
	}
	var errs []error
	for _, verifier := range v.verifiers {
		_, err := v.revoke(ctx, blacklist.OfIssuer(verifier.issuer, cutOff, verifier.cutOffEntryEnd(cutOff)))
		errs = append(errs, err)
	}
	return cutOff, errors.Join(errs...)
}

// RevokeAll revokes every session of every subject of every verifier that has begun. It returns the
// cut-off as [Validator.RevokeSubject] does.
func (v *Validator) RevokeAll(ctx context.Context) (cutOff time.Time, err error) {
	return v.RevokeIssuedBefore(ctx, v.cutOffNow())
}

// tokenEntryEnd returns when no clock within the leeway accepts the token any more. The zero time
// means never.
func tokenEntryEnd(t *verifiedToken) time.Time {
	if t.claims.Expires == payload.None {
		return time.Time{}
	}
	return t.claims.Expires.Add(t.verifier.leeway).Time()
}

// tokenEntry returns the entry for a token that is accepted until the given time. It lives a second
// longer, so that it is in force when it reaches the store.
func tokenEntry(t *verifiedToken, end time.Time) blacklist.Revocation {
	if !end.IsZero() {
		end = end.Add(time.Second)
	}
	return blacklist.OfToken(t.identity(), end)
}

// sessionEntryEnd returns when the longest session that exists now is over. The leeway counts twice: the
// clock that issued a token may be ahead, and the token is accepted for the leeway after its end.
func (v *Verifier) sessionEntryEnd() time.Time {
	if v.neverExpiring {
		return time.Time{}
	}
	return v.now().Add(v.retention).Add(2 * v.leeway) // the sum of the durations may overflow
}

// cutOffEntryEnd is sessionEntryEnd for a cut-off. A cut-off may be ahead of now, and sessions
// begin until then.
func (v *Verifier) cutOffEntryEnd(cutOff time.Time) time.Time {
	end := v.sessionEntryEnd()
	if ahead := cutOff.Sub(v.now()); ahead > 0 && !end.IsZero() {
		end = end.Add(ahead)
	}
	return end
}

func (v *Validator) cutOffNow() time.Time {
	if v.verifier == nil {
		return time.Time{}
	}
	return v.verifier.now().Add(v.clockSkew)
}

func (v *Validator) revoke(ctx context.Context, r blacklist.Revocation) (before bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.revocationTimeout)
	defer cancel()
	before, err = v.blacklist.Revoke(ctx, r)
	if errors.Is(err, blacklist.ErrInvalid) {
		return false, fmt.Errorf("security: cannot revoke: %w", err)
	}
	if err != nil {
		v.audit(ctx, slog.LevelError, "revocation failed", r.Kind, r.Identity)
		if errors.Is(err, blacklist.ErrNotRecorded) {
			return false, fmt.Errorf("security: cannot revoke: %w", err)
		}
		return false, unavailable("the blacklist did not record the revocation", err)
	}
	v.watched.notify()
	if !before {
		v.audit(ctx, slog.LevelInfo, "revoked", r.Kind, r.Identity)
	}
	return before, nil
}

func (v *Validator) audit(ctx context.Context, level slog.Level, message string, kind blacklist.Kind, id blacklist.Identity) {
	audit(ctx, v.verifier.logger, level, message, kind, id)
}

// audit logs an event about the tokens that a revocation of the kind would cover. Ids are hashed:
// records about the same id can be found together, and no id can be read from a log.
func audit(ctx context.Context, logger *slog.Logger, level slog.Level, message string, kind blacklist.Kind, id blacklist.Identity) {
	if !logger.Enabled(ctx, level) {
		return
	}
	key, _ := blacklist.KeyOf(kind, id)
	logger.LogAttrs(ctx, level, message,
		slog.String("issuer", id.Issuer), slog.String("kind", kind.String()), slog.String("hash", hex.EncodeToString(key[:8])))
}
