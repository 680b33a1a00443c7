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
	return errorHandler(messageKey, []message{
		{security.ErrNoCredentials, http.StatusUnauthorized, "Missing token"},
		{security.ErrMalformedRequest, http.StatusUnprocessableEntity, "Bad Authorization header"},
		{security.ErrInvalidToken, http.StatusUnprocessableEntity, "Invalid token"},
		{security.ErrTokenNotYetValid, http.StatusUnprocessableEntity, "The token is not yet valid"},
		{security.ErrTokenExpired, http.StatusUnauthorized, "Signature has expired"},
		{security.ErrWrongTokenType, http.StatusUnprocessableEntity, "Wrong token type"},
		{security.ErrTokenRevoked, http.StatusUnauthorized, "Token has been revoked"},
		{security.ErrFreshTokenRequired, http.StatusUnauthorized, "Only fresh access tokens are allowed"},
		{security.ErrAccessDenied, http.StatusForbidden, "You are not allowed to access here"},
	})
}

// FlaskErrors is an error handler that responds as Flask-JWT-Extended 4.x does by default: its
// statuses, and an object with one message under messageKey, which is "msg" there
// (JWT_ERROR_MESSAGE_KEY). Where the library tells the text of an exception, the message is a fixed
// text. Challenges and 503 remain. The library knows no roles: 403 has the same form.
func FlaskErrors(messageKey string) (guard.ErrorHandler, error) {
	return errorHandler(messageKey, []message{
		{security.ErrNoCredentials, http.StatusUnauthorized, "Missing Authorization Header"},
		{security.ErrMalformedRequest, http.StatusUnprocessableEntity, "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'"},
		{security.ErrInvalidToken, http.StatusUnprocessableEntity, "Signature verification failed"},
		{security.ErrTokenNotYetValid, http.StatusUnprocessableEntity, "The token is not yet valid (nbf)"},
		{security.ErrTokenExpired, http.StatusUnauthorized, "Token has expired"},
		{security.ErrWrongTokenType, http.StatusUnprocessableEntity, "Only non-refresh tokens are allowed"},
		{security.ErrTokenRevoked, http.StatusUnauthorized, "Token has been revoked"},
		{security.ErrFreshTokenRequired, http.StatusUnauthorized, "Fresh token required"},
		{security.ErrCSRF, http.StatusUnauthorized, "CSRF double submit tokens do not match"},
		{security.ErrAccessDenied, http.StatusForbidden, "You are not allowed to access here"},
	})
}

// message is the response to an error.
type message struct {
	err    *security.Error
	status int
	text   string
}

func errorHandler(messageKey string, messages []message) (guard.ErrorHandler, error) {
	if messageKey == "" {
		return nil, errors.New("pyjwt: an error handler needs the key of the message")
	}
	return func(_ context.Context, failure guard.Failure) guard.Response {
		for _, m := range messages {
			if errors.Is(failure.Err, m.err) {
				return withMessage(failure.Response, m.status, messageKey, m.text)
			}
		}
		return failure.Response
	}, nil
}

// withMessage returns the response with another status, and a JSON object with one message as its
// body.
func withMessage(response guard.Response, status int, key, text string) guard.Response {
	body, err := json.Marshal(map[string]string{key: text})
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
