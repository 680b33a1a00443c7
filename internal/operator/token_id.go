package operator

import (
	"errors"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// TokenID is what a revocation needs of a token. It is not verified: an operator may revoke anything.
type TokenID struct {
	Issuer, Subject, ID string
	// Session is the claim sid, or "".
	Session string
	// Refreshes is the session that a refresh token is the key to, or "" for another token.
	Refreshes string
	Expires   time.Time
}

// TokenIDOf returns what a revocation needs of the text of a token. If issuer is not "", the token must
// be one of it.
func TokenIDOf(text, issuer string) (TokenID, error) {
	decoded, err := Decode(text)
	if err != nil {
		return TokenID{}, err
	}
	id := TokenID{
		Issuer: decoded.string("iss"), Subject: decoded.string("sub"), ID: decoded.string("jti"), Session: decoded.string("sid"),
	}
	if expires, ok := decoded.time("exp"); ok {
		id.Expires = expires
	}
	if issuer != "" && id.Issuer != issuer {
		return TokenID{}, errors.New("the token is of the issuer " + printable(id.Issuer) + ", and not of the one of --issuer")
	}
	if payload.Generation(id.Session, id.ID) > 0 {
		id.Refreshes = id.Session
	}
	return id, nil
}

// TokenIDFrom returns a TokenID for an id that an operator has without the token. The id of a refresh
// token of package session is its session, a dot and its generation.
func TokenIDFrom(subject, id string) TokenID {
	t := TokenID{Subject: subject, ID: id}
	if dot := strings.LastIndexByte(id, '.'); dot > 0 && payload.Generation(id[:dot], id) > 0 {
		t.Refreshes = id[:dot]
	}
	return t
}
