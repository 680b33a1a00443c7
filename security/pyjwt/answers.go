package pyjwt

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// SanicErrors is an error handler that responds as Sanic-JWT-Extended 1.0 does, for clients that
// know its responses: its statuses, and an object with one message under messageKey, which is "msg"
// there. Challenges remain. So do 503 and the responses to requests of other origins, where the
// library crashes.
func SanicErrors(messageKey string) (guard.ErrorHandler, error) {
	if messageKey == "" {
		return nil, errors.New("pyjwt: SanicErrors needs the key of the message")
	}
	return func(_ context.Context, failure guard.Failure) guard.Response {
		for _, row := range sanicMessages {
			if errors.Is(failure.Err, row.err) {
				return withMessage(failure.Response, row.status, messageKey, row.message)
			}
		}
		return failure.Response
	}, nil
}

var sanicMessages = []struct {
	err     *security.Error
	status  int
	message string
}{
	{security.ErrNoCredentials, http.StatusUnauthorized, "Missing token"},
	{security.ErrMalformedRequest, http.StatusUnprocessableEntity, "Bad Authorization header"},
	{security.ErrInvalidToken, http.StatusUnprocessableEntity, "Invalid token"},
	{security.ErrTokenNotYetValid, http.StatusUnprocessableEntity, "The token is not yet valid"},
	{security.ErrTokenExpired, http.StatusUnauthorized, "Signature has expired"},
	{security.ErrWrongTokenType, http.StatusUnprocessableEntity, "Wrong token type"},
	{security.ErrTokenRevoked, http.StatusUnauthorized, "Token has been revoked"},
	{security.ErrFreshTokenRequired, http.StatusUnauthorized, "Only fresh access tokens are allowed"},
	{security.ErrAccessDenied, http.StatusForbidden, "You are not allowed to access here"},
}

// withMessage returns the response with another status, and a JSON object with one message as its
// body.
func withMessage(response guard.Response, status int, key, message string) guard.Response {
	body, err := json.Marshal(map[string]string{key: message})
	if err != nil {
		return response
	}
	response.Status, response.Body, response.Header = status, body, response.Header.Clone()
	if response.Header == nil {
		response.Header = http.Header{}
	}
	response.Header.Set("Content-Type", "application/json")
	return response
}
