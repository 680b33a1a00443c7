package client

import "errors"

var (
	// ErrLoggedOut means that there is no session: nobody has logged in, or the server refused the
	// refresh token. The user has to log in again.
	ErrLoggedOut = errors.New("client: logged out: log in again")
	// ErrNoCredential means that the client holds no credential, or not all credentials, of any
	// alternative of the operation. A function for [SecretFunc] returns it if it has none now.
	ErrNoCredential = errors.New("client: no credential")
	// ErrBodyNotRepeatable means that the server refused the access token and that the body of the
	// request cannot be sent again. The token was refreshed: a new request with a new body has the new
	// token. See [RepeatBody].
	ErrBodyNotRepeatable = errors.New("client: the server refused the access token, and the body of the request cannot be sent again")
	// ErrNoAnswer means that a refresh got no answer: the connection failed, the answer was cut, or
	// the server answered 429 or 5xx. The tokens are kept, and the next call sends the same refresh
	// token again.
	ErrNoAnswer = errors.New("client: the refresh got no answer")
	// ErrUnexpectedAnswer means that the server answered a refresh, or a log-in, with something else
	// than tokens. The tokens are kept.
	ErrUnexpectedAnswer = errors.New("client: the answer has no tokens")
	// ErrNotSaved means that the keeper did not save new tokens. The source has them, and saves them
	// with the next call.
	ErrNotSaved = errors.New("client: the tokens could not be saved")
	// ErrFileAccess means that other users can read the file of a [FileKeeper], or that it is not a
	// regular file.
	ErrFileAccess = errors.New("client: the file of the tokens is not private")
)

// errEmpty means that a token source has no tokens. An operation then takes another alternative.
var errEmpty error = emptyError{}

type emptyError struct{}

func (emptyError) Error() string   { return ErrLoggedOut.Error() }
func (emptyError) Unwrap() []error { return []error{ErrLoggedOut, ErrNoCredential} }
