//go:build ignore

package security

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"
)

// SanicErrors answers as Sanic-JWT-Extended 1.0 does, with its statuses and an object with one message, for clients that know them. The
// key of the message is "msg" there. Challenges remain, and so do 503 and the answers to requests of other origins: the library had
// none, and crashed.
func SanicErrors(messageKey string) (ErrorHandler, error) {
	if messageKey == "" {
		return nil, errors.New("security: SanicErrors needs the key of the message")
	}
	type message struct {
		status int
		text   string
	}
	answers := map[*Error]message{
		ErrNoCredentials:      {http.StatusUnauthorized, "Missing token"},
		ErrMalformedRequest:   {http.StatusUnprocessableEntity, "Bad Authorization header"},
		ErrInvalidToken:       {http.StatusUnprocessableEntity, "Invalid token"},
		ErrTokenNotYetValid:   {http.StatusUnprocessableEntity, "The token is not yet valid"},
		ErrTokenExpired:       {http.StatusUnauthorized, "Signature has expired"},
		ErrWrongTokenType:     {http.StatusUnprocessableEntity, "Wrong token type"},
		ErrTokenRevoked:       {http.StatusUnauthorized, "Token has been revoked"},
		ErrFreshTokenRequired: {http.StatusUnauthorized, "Only fresh access tokens are allowed"},
		ErrAccessDenied:       {http.StatusForbidden, "You are not allowed to access here"},
	}
	return func(_ context.Context, failure Failure) Answer {
		answer := failure.Answer
		m, ok := answers[sentinelOf(failure.Err)]
		if !ok {
			return answer
		}
		body, err := json.Marshal(map[string]string{messageKey: m.text})
		if err != nil {
			return answer
		}
		answer.Status, answer.Body, answer.Header = m.status, body, answer.Header.Clone()
		if answer.Header == nil {
			answer.Header = http.Header{}
		}
		answer.Header.Set("Content-Type", "application/json")
		return answer
	}, nil
}
