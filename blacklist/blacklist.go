// Package blacklist records which tokens are revoked.
//
// A token is known by its [Identity], never by its text, so no store contains a bearer token. There
// are four kinds of [Revocation]: of one token, of one session, of the sessions of a subject that
// began up to a cut-off, and of the sessions of an issuer that began up to a cut-off. One look-up,
// [Blacklist.IsRevoked], answers for all of them.
//
// The issuer, the exact claim iss, separates the ids. Services that share a store and accept tokens
// of the same issuer therefore agree on what is revoked, whatever names they give their verifiers.
//
// Use [Memory] for tests and for a single process that may lose revocations on restart. Package
// boltstore keeps them in a file, for a single process. Package redisstore keeps them in Redis, for
// many processes. Package replica keeps a copy of a shared store in each process, so that a look-up
// needs no round trip. Any other store implements the two methods of [Blacklist] and runs the tests
// of package blacklisttest.
//
// All stores guarantee: a revocation that returned without an error covers every look-up that
// begins afterwards, until the end of the revocation or, for a [Memory], of the process. A store
// that cannot answer returns an error. A cut-off includes its millisecond: a session that began in
// it is revoked.
package blacklist

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Blacklist records revocations and answers look-ups. Implementations are safe for concurrent use.
type Blacklist interface {
	// Revoke records r. It reports whether r was in force before: an entry of the same token or
	// session that has not expired, or a cut-off of the same subject or issuer at or after
	// r.CutOff that has not expired. Of any number of concurrent calls with the same token, exactly
	// one returns false. This is how a refresh token is consumed once.
	//
	// A later call never shortens an entry and never lowers a cut-off: the later Until and the
	// later CutOff win.
	//
	// If Until is not in the future, Revoke records nothing and returns an error that wraps
	// [ErrInvalid]. Otherwise a refresh token could be consumed twice at the end of its entry.
	//
	// An error means that r may not be in force. It wraps [ErrInvalid] if r is invalid. Its text
	// contains no id.
	//
	// If the context is done, both methods return its error and do nothing.
	Revoke(ctx context.Context, r Revocation) (before bool, err error)

	// IsRevoked reports whether a revocation in force covers the token. After an error the caller
	// must refuse the token: the store could not answer.
	IsRevoked(ctx context.Context, id Identity) (bool, error)
}

var (
	// ErrInvalid is the error for a Revocation that lacks what its kind needs, or whose Until is
	// not in the future. Nothing was recorded.
	ErrInvalid = errors.New("blacklist: invalid revocation")
	// ErrUnavailable is the error of a store that could not answer or record.
	ErrUnavailable = errors.New("blacklist: store unavailable")
	// ErrFull is the error of a bounded store without room for another entry.
	ErrFull = errors.New("blacklist: store full")
	// ErrClosed is the error of a closed store.
	ErrClosed = errors.New("blacklist: store closed")
	// ErrNotRecorded is the error of [None]: the application records no revocations. To try again
	// later does not help.
	ErrNotRecorded = errors.New("blacklist: this application records no revocations")
)

// Identity identifies a token. An empty ID, Session or Subject means that the token has none. It is
// never looked up, so tokens without a session do not share one.
type Identity struct {
	// Issuer is the issuer of the token: the exact claim iss (RFC 7519, section 4.1.1), or what its
	// verifier expects there if the token lacks the claim. It is never empty. Two issuers may use
	// the same ids.
	Issuer string
	// Template is the issuer template of the verifier, such as
	// https://login.example/{tenant}/v2.0, if the verifier accepts the issuers of many tenants.
	// Otherwise it is "". It replaces Issuer for the kind [Issuer], so that one cut-off covers all
	// tenants. It has no effect on the other kinds.
	Template string
	// ID is the id of the token, the claim jti (RFC 7519, section 4.1.7).
	ID string
	// Session is the id that all tokens of one login share, the claim sid.
	Session string
	// Subject is the subject of the token, the claim sub (RFC 7519, section 4.1.2).
	Subject string
	// SessionStart is when the session began: the private claim session_start, else auth_time, else
	// iat. Stores compare it in whole milliseconds, rounded down. The zero time is before every cut-off.
	SessionStart time.Time
}

// Kind is the kind of a Revocation.
type Kind uint8

const (
	// Token revokes one token: Identity.Issuer and ID. Session and Subject are those of the
	// token.
	Token Kind = iota + 1
	// Session revokes all tokens of one session: Identity.Issuer, Session, and the Subject of the
	// token.
	Session
	// Subject revokes the sessions of a subject that began at or before CutOff: Identity.Issuer
	// and Subject.
	Subject
	// Issuer revokes all sessions of an issuer, or of all issuers of a template, that began at or
	// before CutOff: Identity.Template, or Identity.Issuer if there is no template.
	Issuer
)

// String returns the name of the kind, for messages.
func (k Kind) String() string {
	switch k {
	case Token:
		return "token"
	case Session:
		return "session"
	case Subject:
		return "subject"
	case Issuer:
		return "issuer"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// Revocation is a revocation to record. Make one with [OfToken], [OfSession], [OfSubject] or
// [OfIssuer].
type Revocation struct {
	Kind     Kind
	Identity Identity
	// CutOff applies to the kinds Subject and Issuer: sessions that began at or before it are
	// revoked. Stores round it down to whole milliseconds, like the starts of sessions, so a
	// session that began in the millisecond of the cut-off is revoked.
	CutOff time.Time
	// Until is the end of the entry: it is in force while the current time is before Until, which
	// stores round up to whole milliseconds. The zero time means no end. By then all tokens that
	// the entry covers must have expired, the leeway of the verifier included.
	Until time.Time
}

// OfToken returns the revocation of one token, in force until the given time.
func OfToken(id Identity, until time.Time) Revocation {
	return Revocation{Kind: Token, Identity: id, Until: until}
}

// OfSession returns the revocation of all tokens of the token's session, in force until the given
// time.
func OfSession(id Identity, until time.Time) Revocation {
	return Revocation{Kind: Session, Identity: id, Until: until}
}

// OfSubject returns the revocation of the subject's sessions that began at or before cutOff, in
// force until the given time. The issuer is the exact claim iss, never a template.
func OfSubject(issuer, subject string, cutOff, until time.Time) Revocation {
	return Revocation{Kind: Subject, Identity: Identity{Issuer: issuer, Subject: subject}, CutOff: cutOff, Until: until}
}

// OfIssuer returns the revocation of all sessions of the issuer that began at or before cutOff, in
// force until the given time. The issuer is the exact claim iss, or an issuer template.
//
// The text decides. The cut-off covers the tokens whose Identity.Template is this text, and the
// tokens without a template whose Identity.Issuer is. So the cut-off of a template does not cover a
// verifier of one of its issuers that has no template, and the cut-off of one issuer does not cover
// the tokens that a verifier of the template accepts.
func OfIssuer(issuer string, cutOff, until time.Time) Revocation {
	return Revocation{Kind: Issuer, Identity: Identity{Issuer: issuer}, CutOff: cutOff, Until: until}
}

// Validate returns an error that wraps [ErrInvalid] if r lacks what its kind needs. Stores call it
// first: an absent id is never looked up, so revoking it must be an error and not a success without
// effect.
func (r Revocation) Validate() error {
	id := r.Identity
	switch {
	case namespace(r.Kind, &id) == "":
		return fmt.Errorf("%w: the %s has no issuer", ErrInvalid, r.Kind)
	case r.Kind == Token && id.ID == "":
		return fmt.Errorf("%w: the token has no id", ErrInvalid)
	case r.Kind == Session && id.Session == "":
		return fmt.Errorf("%w: the token has no session", ErrInvalid)
	case r.Kind == Subject && id.Subject == "":
		return fmt.Errorf("%w: the subject is empty", ErrInvalid)
	case (r.Kind == Subject || r.Kind == Issuer) && r.CutOff.IsZero():
		return fmt.Errorf("%w: the %s has no cut-off", ErrInvalid, r.Kind)
	case r.Kind < Token || r.Kind > Issuer:
		return fmt.Errorf("%w: unknown %s", ErrInvalid, r.Kind)
	}
	return nil
}
