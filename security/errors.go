package security

import (
	"errors"
	"net/http"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Error says why a request was refused. [errors.Is] tells which of the sentinels below an error is.
// An error may wrap a sentinel with a reason, so do not compare with ==. The texts are fixed and
// reach clients: they contain nothing of the request, of a token or of another error.
type Error struct {
	status int
	// code is the error code of the challenge (RFC 6750, section 3.1, and RFC 9470), or "".
	code   string
	title  string
	detail string
}

// Error returns the fixed text.
func (e *Error) Error() string { return "security: " + e.detail }

// Status returns the HTTP status of the default response.
func (e *Error) Status() int { return e.status }

// Code returns the error code of the challenge (RFC 6750, section 3.1), or "" for none.
func (e *Error) Code() string { return e.code }

// Title returns the title of the problem (RFC 9457, section 3.1.3).
func (e *Error) Title() string { return e.title }

// Detail returns the detail of the problem (RFC 9457, section 3.1.4).
func (e *Error) Detail() string { return e.detail }

// Because returns an error that is e to errors.Is, with a reason for logs and error handlers. The
// reason is a constant text: nothing of a request goes into it. The cause may be nil; errors.Is and
// errors.As find it, and no text of it is printed. Neither reaches a client.
func (e *Error) Because(reason string, cause error) error {
	return &reasonedError{sentinel: e, reason: reason, cause: cause}
}

// The reasons to refuse a request. Compare with errors.Is.
var (
	// ErrNoCredentials means that the request has no credential that the operation accepts: 401, a
	// challenge for every scheme and no error code (RFC 6750, section 3.1).
	ErrNoCredentials = &Error{http.StatusUnauthorized, "", "Unauthorized", "This operation needs credentials."}
	// ErrMalformedRequest means that it is not clear which credential the request has: 400.
	ErrMalformedRequest = &Error{http.StatusBadRequest, "invalid_request", "Bad Request", "The credentials of the request are malformed."}
	// ErrInvalidToken means that the text is not a token, or that its signature or its claims are
	// not accepted: 401. The response does not tell which.
	ErrInvalidToken = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token is not valid."}
	// ErrInvalidCredentials means that a password, an API key or another credential that is not a JWT
	// is not accepted: 401.
	ErrInvalidCredentials = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The credentials are not valid."}
	// ErrTokenExpired means that the token has expired (RFC 7519, section 4.1.4): 401.
	ErrTokenExpired = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token has expired."}
	// ErrTokenNotYetValid means that the token is not valid yet (RFC 7519, section 4.1.5): 401.
	ErrTokenNotYetValid = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token is not valid yet."}
	// ErrWrongTokenType means that a valid token has another type than the operation accepts, such as
	// a refresh token in place of an access token: 401.
	ErrWrongTokenType = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token is of the wrong type."}
	// ErrTokenRevoked means that the blacklist contains the token, its session or its subject: 401.
	ErrTokenRevoked = &Error{http.StatusUnauthorized, "invalid_token", "Unauthorized", "The token has been revoked."}
	// ErrFreshTokenRequired means that the operation needs a more recent log-in (RFC 9470): 401.
	ErrFreshTokenRequired = &Error{http.StatusUnauthorized, "insufficient_user_authentication", "Unauthorized", "A more recent authentication is required."}
	// ErrAccessDenied means that the credential is valid and its roles or scopes do not suffice: 403.
	ErrAccessDenied = &Error{http.StatusForbidden, "insufficient_scope", "Forbidden", "The credentials do not allow this."}
	// ErrCrossOrigin means that a page of another origin made a browser send the request: 403.
	ErrCrossOrigin = &Error{http.StatusForbidden, "", "Forbidden", "The request comes from another origin."}
	// ErrCSRF means that a request with a token in a cookie does not repeat the claim csrf of the
	// token: 403.
	ErrCSRF = &Error{http.StatusForbidden, "", "Forbidden", "The request lacks its proof against forgery."}
	// ErrUnavailable means that the blacklist, the keys or another part of the decision did not
	// answer. The decision is neither yes nor no: 503 with Retry-After.
	ErrUnavailable = &Error{http.StatusServiceUnavailable, "", "Service Unavailable", "Try again later."}
	// ErrNotImplemented means that the server does not implement the operation yet: 501.
	ErrNotImplemented = &Error{http.StatusNotImplemented, "", "Not Implemented", "This operation is not implemented."}
	// ErrUnguarded means that a request reached a secured operation without its guard. The handler
	// did not run: 500.
	ErrUnguarded = &Error{http.StatusInternalServerError, "", "Internal Server Error", "The server is not set up for this."}
)

// reasonedError is a sentinel with a reason in fixed words.
type reasonedError struct {
	sentinel *Error
	// reason is "" where the sentinel says everything.
	reason string
	cause  error
	// identity is that of the token, if its signature was verified.
	identity *blacklist.Identity
}

func (e *reasonedError) Error() string {
	if e.reason == "" {
		return e.sentinel.Error()
	}
	return e.sentinel.Error() + " (" + e.reason + ")"
}

// Unwrap returns the sentinel and the cause.
func (e *reasonedError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.sentinel}
	}
	return []error{e.sentinel, e.cause}
}

// Reason returns why a request was refused, in fixed words, for logs and metrics: "the signature",
// for example. It returns "" for an error that says nothing beyond its sentinel.
func Reason(err error) string {
	var e *reasonedError
	if errors.As(err, &e) {
		return e.reason
	}
	return ""
}

// RefusedIdentity returns the identity of a token that was refused after its signature was verified:
// one that has expired, for example. It reports false for any other error.
func RefusedIdentity(err error) (blacklist.Identity, bool) {
	var e *reasonedError
	if errors.As(err, &e) && e.identity != nil {
		return *e.identity, true
	}
	return blacklist.Identity{}, false
}

// withIdentity adds the identity of the token to an error.
func withIdentity(err error, id blacklist.Identity) error {
	var reasoned *reasonedError
	if errors.As(err, &reasoned) {
		identified := *reasoned
		identified.identity = &id
		return &identified
	}
	var e *Error
	if errors.As(err, &e) {
		return &reasonedError{sentinel: e, identity: &id}
	}
	return err
}

// withReason returns the sentinel with a reason.
func withReason(sentinel *Error, reason string) error { return sentinel.Because(reason, nil) }

// unavailable returns ErrUnavailable with what did not answer, and the cause.
func unavailable(reason string, cause error) error { return ErrUnavailable.Because(reason, cause) }
