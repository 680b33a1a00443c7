// Package blacklist says which tokens are revoked.
//
// A token is known here by its [Identity], never by its text: no store ever holds a bearer token. Four kinds of
// [Revocation] exist: of one token, of one session, of a subject's sessions begun up to an instant, and of a
// verifier's sessions begun up to an instant. One look-up, [Blacklist.IsRevoked], answers all four.
//
// [Memory] keeps the entries in the process and forgets them when it ends. Package boltstore keeps them in a file,
// package redisstore in Redis. A store of one's own implements the two methods of [Blacklist]; package blacklisttest
// holds the tests that it must pass.
package blacklist

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Blacklist records revocations and answers for them. Implementations are safe for concurrent use.
type Blacklist interface {
	// Revoke records r. It reports whether r was in force before: an entry for the same token or session that had
	// not expired, or a cut-off for the same subject or verifier at or after r.CutOff that had not expired. Of
	// any number of concurrent calls with the same token exactly one sees false; this is how a refresh token is
	// consumed once.
	//
	// A later call never shortens an entry and never lowers a cut-off: the later Until and the later CutOff win.
	//
	// A revocation whose Until has come is at fault: it records nothing and is not answered with false, else a
	// refresh token could be consumed a second time in the moment in which its entry ends.
	//
	// An error means that r may not be in force. It wraps [ErrInvalid] where r itself is at fault. No error's text
	// holds an id.
	//
	// A context that is done gives its error from both methods, and then nothing is looked up or recorded.
	Revoke(ctx context.Context, r Revocation) (before bool, err error)

	// IsRevoked reports whether any revocation in force covers the token. An error means "could not know": it is
	// neither yes nor no, and whoever asks must not let the token pass.
	IsRevoked(ctx context.Context, id Identity) (bool, error)
}

var (
	// ErrInvalid says that a Revocation lacks what its kind needs, or that its Until has come, so that nothing could
	// be recorded.
	ErrInvalid = errors.New("blacklist: invalid revocation")
	// ErrUnavailable says that the store could not answer or could not record.
	ErrUnavailable = errors.New("blacklist: store unavailable")
	// ErrFull says that a bounded store has no room for another entry.
	ErrFull = errors.New("blacklist: store full")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("blacklist: store closed")
)

// Identity is what a blacklist knows of a token. An empty ID, Session or Subject means that the token has none; an
// absent one is never looked up, so that tokens without a session are not taken for one session.
type Identity struct {
	// Verifier is the name of the verifier that accepted the token. Two verifiers may use the same ids.
	Verifier string
	// ID is the token's id, the claim jti (RFC 7519, section 4.1.7).
	ID string
	// Session is the id that all tokens of one login share, the claim sid.
	Session string
	// Subject is whom the token speaks for, the claim sub (RFC 7519, section 4.1.2).
	Subject string
	// SessionStart is when the session began: the claim auth_time, or iat where that is absent. Stores compare it in
	// whole milliseconds, rounded down. The zero time is before every cut-off.
	SessionStart time.Time
}

// Kind says what a Revocation revokes.
type Kind uint8

const (
	// Token revokes one token: Identity.Verifier, ID, and the token's Session and Subject.
	Token Kind = iota + 1
	// Session revokes every token of one session: Identity.Verifier, Session, and the token's Subject.
	Session
	// Subject revokes the sessions of a subject begun at or before CutOff: Identity.Verifier and Subject.
	Subject
	// Verifier revokes every session begun at or before CutOff: Identity.Verifier.
	Verifier
)

// String returns the kind in words, for messages.
func (k Kind) String() string {
	switch k {
	case Token:
		return "token"
	case Session:
		return "session"
	case Subject:
		return "subject"
	case Verifier:
		return "verifier"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// Revocation is one thing to revoke. Make one with [OfToken], [OfSession], [OfSubject] or [OfVerifier].
type Revocation struct {
	Kind     Kind
	Identity Identity
	// CutOff, for the kinds Subject and Verifier: sessions begun at or before it are revoked. Whole milliseconds,
	// rounded down.
	CutOff time.Time
	// Until is when the entry may be forgotten: it is in force while now is before Until, which stores round up to
	// whole milliseconds. The zero time means never. Whoever revokes chooses it so that no token that the entry
	// covers is accepted any more by then.
	Until time.Time
}

// OfToken revokes the one token until the given time.
func OfToken(id Identity, until time.Time) Revocation {
	return Revocation{Kind: Token, Identity: id, Until: until}
}

// OfSession revokes every token of the token's session until the given time.
func OfSession(id Identity, until time.Time) Revocation {
	return Revocation{Kind: Session, Identity: id, Until: until}
}

// OfSubject revokes the subject's sessions begun at or before cutOff, until the given time.
func OfSubject(verifier, subject string, cutOff, until time.Time) Revocation {
	return Revocation{Kind: Subject, Identity: Identity{Verifier: verifier, Subject: subject}, CutOff: cutOff, Until: until}
}

// OfVerifier revokes every session begun at or before cutOff, until the given time.
func OfVerifier(verifier string, cutOff, until time.Time) Revocation {
	return Revocation{Kind: Verifier, Identity: Identity{Verifier: verifier}, CutOff: cutOff, Until: until}
}

// Validate returns an error that wraps [ErrInvalid] unless r has all that its kind needs. Stores call it first: an
// absent id is never a key, so revoking by one is an error and not a success without effect.
func (r Revocation) Validate() error {
	id := r.Identity
	switch {
	case id.Verifier == "":
		return fmt.Errorf("%w: a %s without a verifier", ErrInvalid, r.Kind)
	case r.Kind == Token && id.ID == "":
		return fmt.Errorf("%w: the token has no id", ErrInvalid)
	case r.Kind == Session && id.Session == "":
		return fmt.Errorf("%w: the token has no session", ErrInvalid)
	case r.Kind == Subject && id.Subject == "":
		return fmt.Errorf("%w: no subject", ErrInvalid)
	case (r.Kind == Subject || r.Kind == Verifier) && r.CutOff.IsZero():
		return fmt.Errorf("%w: a %s without a cut-off", ErrInvalid, r.Kind)
	case r.Kind < Token || r.Kind > Verifier:
		return fmt.Errorf("%w: %s", ErrInvalid, r.Kind)
	}
	return nil
}
