// Package operator has what the command oapi-guard does for those who run a service: it revokes tokens
// and ends sessions, in a store or through the service, and checks a set-up.
//
// Nothing succeeds without effect: a store without a mark is refused, and so is a revocation of a
// session that the store does not have. No error contains a secret or the address of a store.
package operator

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Session is a session as the command prints it.
type Session struct {
	ID        string    `json:"id"`
	Began     time.Time `json:"began"`
	LastSeen  time.Time `json:"last_seen"`
	ExpiresAt time.Time `json:"expires_at"`
	Device    string    `json:"device,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	Address   string    `json:"address,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
}

// Page is a page of sessions, newest first.
type Page struct {
	Sessions []Session `json:"sessions"`
	// Next is the position of the next page, or "".
	Next string `json:"next,omitempty"`
}

// Target is where sessions are listed and tokens revoked: a [Store] or an [Admin].
type Target interface {
	// Sessions returns a page of the live sessions of a subject. The first position is "".
	Sessions(ctx context.Context, subject, position string) (Page, error)
	// EndSession ends a session and revokes its tokens, also if there is no row of it.
	EndSession(ctx context.Context, subject, id string) error
	// RevokeToken revokes one access token. It expires at the time, or at a time that is not known.
	RevokeToken(ctx context.Context, subject, id string, expires time.Time) error
	// EndSubject ends all sessions of a subject that have begun.
	EndSubject(ctx context.Context, subject string) error
	// EndAll ends all sessions that have begun.
	EndAll(ctx context.Context) error
	Close() error
}

// ErrNothing means that there is nothing to revoke. Nothing was recorded.
var ErrNothing = errors.New("nothing was revoked")

// nothing returns an ErrNothing with the reason and the fix.
func nothing(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNothing, fmt.Sprintf(format, args...))
}

// hint is what to check when no session is found.
const hint = "Check the subject, the issuer and the store. If the service keeps no sessions there, repeat with --unchecked"

// Operator revokes, after it has looked for what it revokes.
type Operator struct {
	Target Target
	// Unchecked revokes without a look at the sessions.
	Unchecked bool
}

// maxPages bounds the pages that are read to find a session.
const maxPages = 1000

// All returns all live sessions of a subject.
func (o *Operator) All(ctx context.Context, subject string) ([]Session, error) {
	all := []Session{}
	err := o.each(ctx, subject, func(s Session) bool { all = append(all, s); return true })
	return all, err
}

// each calls f for each live session of a subject until f returns false.
func (o *Operator) each(ctx context.Context, subject string, f func(Session) bool) error {
	position := ""
	for range maxPages {
		page, err := o.Target.Sessions(ctx, subject, position)
		if err != nil {
			return err
		}
		for _, s := range page.Sessions {
			if !f(s) {
				return nil
			}
		}
		if position = page.Next; position == "" {
			return nil
		}
	}
	return fmt.Errorf("the subject has more than %d pages of sessions", maxPages)
}

// has reports whether a subject has a live session with the id, or any if the id is "".
func (o *Operator) has(ctx context.Context, subject, id string) (found bool, err error) {
	err = o.each(ctx, subject, func(s Session) bool {
		found = id == "" || s.ID == id
		return !found
	})
	return found, err
}

// Session ends a session.
func (o *Operator) Session(ctx context.Context, subject, id string) error {
	if !o.Unchecked {
		found, err := o.has(ctx, subject, id)
		if err != nil {
			return err
		}
		if !found {
			return nothing("the subject has no live session %s. It has ended, or it is one of another issuer or store. %s", printable(id), hint)
		}
	}
	return o.Target.EndSession(ctx, subject, id)
}

// Subject ends all sessions of a subject.
func (o *Operator) Subject(ctx context.Context, subject string) error {
	if err := o.known(ctx, subject); err != nil {
		return err
	}
	return o.Target.EndSubject(ctx, subject)
}

// Everybody ends all sessions. The subject witness has a live one, which shows that the issuer and the
// store are those of the service.
func (o *Operator) Everybody(ctx context.Context, witness string) error {
	if witness == "" && !o.Unchecked {
		return errors.New("name a subject that is logged in, with --known-subject: its session shows that the issuer and the store are those of the service")
	}
	if err := o.known(ctx, witness); err != nil {
		return err
	}
	return o.Target.EndAll(ctx)
}

// known returns an error if the subject has no live session.
func (o *Operator) known(ctx context.Context, subject string) error {
	if o.Unchecked {
		return nil
	}
	found, err := o.has(ctx, subject, "")
	if err == nil && !found {
		err = nothing("%s has no live session. %s", printable(subject), hint)
	}
	return err
}

// Token revokes a token. It returns the id of the session that ended with it, or "" if the token alone
// was revoked: a refresh token is the key to its session.
func (o *Operator) Token(ctx context.Context, t TokenID, now time.Time) (session string, err error) {
	if !t.Expires.IsZero() && now.After(t.Expires.Add(maxLeeway)) {
		return "", nothing("the token expired at %s, and no service accepts it", t.Expires.UTC().Format(time.RFC3339))
	}
	switch {
	case t.Subject == "":
		return "", errors.New("a token is revoked by its subject and its id: the claim sub is missing")
	case t.Refreshes != "":
		return t.Refreshes, o.Session(ctx, t.Subject, t.Refreshes)
	case t.ID == "":
		return "", errors.New("the token has no id (claim jti), so it cannot be revoked alone: revoke the session or the subject")
	case t.Session == "" && !o.Unchecked:
		return "", errors.New("no session is known of this token, so nothing shows that the service knows it. " +
			"Pass the token and not its id, or repeat with --unchecked")
	}
	if !o.Unchecked {
		found, err := o.has(ctx, t.Subject, t.Session)
		if err != nil {
			return "", err
		}
		if !found {
			return "", nothing("the session of the token is not among the live sessions of its subject. It has ended, or it is one of another issuer or store. %s", hint)
		}
	}
	return "", o.Target.RevokeToken(ctx, t.Subject, t.ID, t.Expires)
}

// maxLeeway is the largest leeway of a verifier.
const maxLeeway = 5 * time.Minute
