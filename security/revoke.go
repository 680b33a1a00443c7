package security

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Revoke revokes just this token. An error means that it may still be accepted: it wraps [ErrUnavailable] where the
// blacklist could not record it, and blacklist.ErrInvalid where the token cannot be revoked at all.
//
// Like the other revocations it goes on when ctx is cancelled, because a client that hangs up still wants to be logged
// out; [WithRevocationTimeout] bounds it.
func (v *Validator) Revoke(ctx context.Context, token AnyToken) error {
	t, err := v.ownToken(token)
	if err != nil {
		return err
	}
	end := tokenEntryEnd(t)
	if !end.IsZero() && !end.After(t.verifier.now()) {
		return nil // it ran out while the request was served: no clock accepts it any more
	}
	_, err = v.revoke(ctx, ofToken(t, end))
	return err
}

// Consume revokes a token that may be used once, such as a refresh token about to be exchanged. Of any number of
// concurrent calls with the same token one returns nil; the others revoke the token's session, live access tokens
// included, and return [ErrTokenRevoked], because a token that is used twice was copied (RFC 9700, section 4.14.2).
func (v *Validator) Consume(ctx context.Context, token AnyToken) error {
	t, err := v.ownToken(token)
	if err != nil {
		return err
	}
	end := tokenEntryEnd(t)
	if !end.IsZero() && !end.After(t.verifier.now()) {
		return ErrTokenExpired
	}
	before, err := v.revoke(ctx, ofToken(t, end))
	if err != nil || !before {
		return err
	}
	if err := v.endReusedSession(ctx, t); err != nil {
		return err
	}
	return ErrTokenRevoked
}

// RevokeSession revokes every token of the token's session: this one, its pair, and what they were refreshed into. This
// is what logging out does. A token without a session is an error that wraps blacklist.ErrInvalid.
func (v *Validator) RevokeSession(ctx context.Context, token AnyToken) error {
	t, err := v.ownToken(token)
	if err != nil {
		return err
	}
	_, err = v.revoke(ctx, blacklist.OfSession(t.identity(), t.verifier.sessionEntryEnd()))
	return err
}

// RevokeSubject revokes every session of the subject begun up to now, on every device, as after a change of password. It is about
// the application's own tokens; see RevokeSubjectOf for those of others. It returns the cut-off: sessions begun at or before it are revoked. Where the same request logs the subject in again, its
// new session has to begin one millisecond later, see [WithSessionStart].
func (v *Validator) RevokeSubject(ctx context.Context, subject string) (cutOff time.Time, err error) {
	return v.RevokeSubjectBefore(ctx, subject, v.cutOffNow())
}

// RevokeSubjectBefore revokes the sessions of the subject begun at or before the cut-off, in whole milliseconds.
func (v *Validator) RevokeSubjectBefore(ctx context.Context, subject string, cutOff time.Time) (time.Time, error) {
	cutOff = cutOff.Truncate(time.Millisecond)
	return cutOff, v.revokeSubject(ctx, v.verifier, subject, cutOff)
}

// RevokeSubjectOf is RevokeSubject for the subject of a token, of whichever verifier it is.
func (v *Validator) RevokeSubjectOf(ctx context.Context, token AnyToken) (cutOff time.Time, err error) {
	t, err := v.ownToken(token)
	if err != nil {
		return time.Time{}, err
	}
	cutOff = v.cutOffNow().Truncate(time.Millisecond)
	return cutOff, v.revokeSubject(ctx, t.verifier, t.claims.subject, cutOff)
}

func (v *Validator) revokeSubject(ctx context.Context, verifier *Verifier, subject string, cutOff time.Time) error {
	if verifier == nil {
		return errZeroValidator
	}
	_, err := v.revoke(ctx, blacklist.OfSubject(verifier.name, subject, cutOff, verifier.cutOffEntryEnd(cutOff)))
	return err
}

var errZeroValidator = errors.New("security: the validator was not made by NewValidator")

// RevokeIssuedBefore revokes every session of every subject of every verifier begun at or before the cut-off, in whole milliseconds.
// An error means that it may hold for some verifiers only; it can be repeated.
func (v *Validator) RevokeIssuedBefore(ctx context.Context, cutOff time.Time) (time.Time, error) {
	cutOff = cutOff.Truncate(time.Millisecond)
	if len(v.verifiers) == 0 {
		return cutOff, errZeroValidator
	}
	var errs []error
	for name, verifier := range v.verifiers {
		_, err := v.revoke(ctx, blacklist.OfVerifier(name, cutOff, verifier.cutOffEntryEnd(cutOff)))
		errs = append(errs, err)
	}
	return cutOff, errors.Join(errs...)
}

// RevokeAll revokes every session of every subject of every verifier begun up to now, and returns the cut-off as RevokeSubject does.
func (v *Validator) RevokeAll(ctx context.Context) (cutOff time.Time, err error) {
	return v.RevokeIssuedBefore(ctx, v.cutOffNow())
}

// ownToken refuses the zero token and tokens that another validator verified: their entries would never be looked up.
func (v *Validator) ownToken(token AnyToken) (*verified, error) {
	t, err := verifiedOf(token)
	if err != nil {
		return nil, err
	}
	if v.verifiers[t.verifier.name] != t.verifier {
		return nil, errors.New("security: the token belongs to a verifier of another validator")
	}
	return t, nil
}

// tokenEntryEnd is when no clock within the leeway accepts the token any more; the zero time is never.
func tokenEntryEnd(t *verified) time.Time {
	if t.claims.expires == none {
		return time.Time{}
	}
	return t.claims.expires.add(t.verifier.leeway).Time()
}

// ofToken is the entry for a token that is accepted until the given time. It lives a second longer, so that it is not over when it
// reaches the store.
func ofToken(t *verified, end time.Time) blacklist.Revocation {
	if !end.IsZero() {
		end = end.Add(time.Second)
	}
	return blacklist.OfToken(t.identity(), end)
}

// sessionEntryEnd is the same for the tokens of a session, and of all sessions: when the longest-lived token that exists now is accepted no more. The leeway counts twice: a token
// may have been issued by a clock that is ahead, and is accepted for the leeway after its end.
func (v *Verifier) sessionEntryEnd() time.Time {
	if v.neverExpiring {
		return time.Time{}
	}
	return v.now().Add(v.maxLifetime + 2*v.leeway)
}

// cutOffEntryEnd is the same for a cut-off, which may be ahead of now: a session may begin up to it.
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
		return false, unavailable("the blacklist did not record", err)
	}
	if !before {
		v.audit(ctx, slog.LevelInfo, "revoked", r.Kind, r.Identity)
	}
	return before, nil
}

// audit logs an event about what a revocation of the kind would cover. Ids are hashed: records about the same one can be
// found together, and nobody reads an id out of a log.
func (v *Validator) audit(ctx context.Context, level slog.Level, message string, kind blacklist.Kind, id blacklist.Identity) {
	audit(ctx, v.logger, level, message, kind, id)
}

func audit(ctx context.Context, logger *slog.Logger, level slog.Level, message string, kind blacklist.Kind, id blacklist.Identity) {
	if logger == nil || !logger.Enabled(ctx, level) {
		return
	}
	key, _ := blacklist.KeyOf(kind, id)
	logger.LogAttrs(ctx, level, message,
		slog.String("verifier", id.Verifier), slog.String("kind", kind.String()), slog.String("hash", hex.EncodeToString(key[:8])))
}
