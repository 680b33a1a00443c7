package security

import "net/http"

// Error is why a request was refused. The sentinels below are its only values; find out with [errors.Is] which one an
// error is. Its texts are fixed and reach clients: they hold nothing of the request, of a token or of an inner error.
type Error struct {
	status int
	// code is the error code of the challenge (RFC 6750, section 3.1, and RFC 9470); empty where it has none.
	code   string
	title  string
	detail string
}

// Error returns the fixed text.
func (e *Error) Error() string { return "security: " + e.detail }

// Status returns the HTTP status that answers it by default.
func (e *Error) Status() int { return e.status }

// Code returns the error code of the challenge (RFC 6750, section 3.1), or "" where the answer has none.
func (e *Error) Code() string { return e.code }

// What a request can be refused for. An error of this package may say more than its sentinel: compare with errors.Is.
var (
	// ErrNoCredentials says that the request carries no credential that the operation takes: 401, a challenge
	// for every scheme and no error code (RFC 6750, section 3.1).
	ErrNoCredentials = &Error{http.StatusUnauthorized, "", "Unauthorized", "This operation needs credentials."}
	// ErrMalformedRequest says that the request cannot be read as carrying one credential: 400.
	ErrMalformedRequest = &Error{http.StatusBadRequest, "invalid_request", "Bad Request", "The credentials of the request are malformed."}
	// ErrInvalidToken says that the token is not one of ours, or not a token: 401. The answer does not tell which.
	ErrInvalidToken = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token is not valid."}
	// ErrInvalidCredentials says that a credential which is not a JWT, such as a password or an API key, is not accepted: 401.
	ErrInvalidCredentials = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The credentials are not valid."}
	// ErrTokenExpired says that the token's time has passed (RFC 7519, section 4.1.4): 401.
	ErrTokenExpired = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token has expired."}
	// ErrTokenNotYetValid says that the token's time has not come (RFC 7519, section 4.1.5): 401.
	ErrTokenNotYetValid = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token is not valid yet."}
	// ErrWrongTokenType says that a valid token is of another type than the operation takes, such as a refresh
	// token where an access token belongs: 401.
	ErrWrongTokenType = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token is of the wrong type."}
	// ErrTokenRevoked says that the blacklist covers the token: 401.
	ErrTokenRevoked = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token has been revoked."}
	// ErrFreshTokenRequired says that the operation asks for a more recent login (RFC 9470): 401.
	ErrFreshTokenRequired = &Error{http.StatusUnauthorized, "insufficient_user_authentication", "Unauthorized", "A more recent authentication is required."}
	// ErrAccessDenied says that the token is good and its roles or scopes are not enough: 403.
	ErrAccessDenied = &Error{http.StatusForbidden, "insufficient_scope", "Forbidden", "The credentials do not allow this."}
	// ErrCrossOrigin says that a browser sent the request, with a cookie, on behalf of a page of another origin: 403.
	ErrCrossOrigin = &Error{http.StatusForbidden, "", "Forbidden", "The request comes from another origin."}
	// ErrCSRF says that a request with a token in a cookie does not repeat the token's claim csrf: 403.
	ErrCSRF = &Error{http.StatusForbidden, "", "Forbidden", "The request lacks its proof against forgery."}
	// ErrUnavailable says that something needed for the decision, such as the blacklist, could not answer. It is
	// neither yes nor no: 503 with Retry-After.
	ErrUnavailable = &Error{http.StatusServiceUnavailable, "", "Service Unavailable", "Try again later."}
	// ErrUnguarded says that a secured operation was reached without its guard, so that its handler did not run: 500.
	ErrUnguarded = &Error{http.StatusInternalServerError, "", "Internal Server Error", "The server is not set up for this."}
)

var (
	// errBadRequest answers a parameter or a body that cannot be decoded.
	errBadRequest = &Error{http.StatusBadRequest, "", "Bad Request", "The request could not be read."}
	// errTooLarge answers a body over a limit of http.MaxBytesReader.
	errTooLarge = &Error{http.StatusRequestEntityTooLarge, "", "Content Too Large", "The request is too large."}
	// errInternal answers every error that is not an Error.
	errInternal = &Error{http.StatusInternalServerError, "", "Internal Server Error", "The request failed."}
)

// refusal is a sentinel with the reason in fixed words, for logs and error hooks; never for clients.
type refusal struct {
	sentinel *Error
	reason   string
	cause    error
	// scopes are those that the operation asks for, where one is missing.
	scopes []string
}

func (r *refusal) Error() string { return r.sentinel.Error() + " (" + r.reason + ")" }

// Unwrap gives the sentinel, and the cause to those who ask for it with errors.Is or errors.As; the text stays fixed.
func (r *refusal) Unwrap() []error {
	if r.cause == nil {
		return []error{r.sentinel}
	}
	return []error{r.sentinel, r.cause}
}

// because returns the sentinel with a reason. The reason is a constant: nothing of the request ever goes into it.
func because(sentinel *Error, reason string) error {
	return &refusal{sentinel: sentinel, reason: reason}
}

// unavailable returns ErrUnavailable with what could not answer and why.
func unavailable(what string, cause error) error {
	return &refusal{sentinel: ErrUnavailable, reason: what, cause: cause}
}
