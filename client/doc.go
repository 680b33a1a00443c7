// Package client is what generated clients call. With "client" in the configuration of the generator,
// client.gen.go has a client whose operations send the credentials that their security requirements
// ask for, and nothing to public operations. This package holds the credentials, sends them and
// refreshes tokens. Its documentation for users is docs/clients.md.
//
// # Tokens
//
// A [TokenSource] has the access token and the refresh token of a log-in. It refreshes shortly before
// the access token expires, once for all goroutines that wait, and once for all processes that share a
// [Keeper]. Each caller waits no longer than its context. A refresh that gets no answer sends the same
// refresh token again, because the server may have used it. When the server refuses the refresh token,
// calls return [ErrLoggedOut].
//
// A response 401 with the error code invalid_token (RFC 6750, section 3.1) causes one refresh, and the
// request is repeated. If its body cannot be sent again, the call returns [ErrBodyNotRepeatable], and
// nothing is sent twice.
//
// # Guarantees
//
// Credentials go to the server of the client only: not to another host, port or scheme after a
// redirect, and over HTTP without TLS only to loopback addresses, unless [WithPlainHTTP] allows it.
// Errors, logs and fmt never show the text of a credential.
package client
