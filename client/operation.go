package client

import "context"

// Kind is a kind of credential.
type Kind uint8

const (
	// KindAccessToken is an access token of the application.
	KindAccessToken Kind = iota
	// KindRefreshToken is a refresh token of the application.
	KindRefreshToken
	// KindKey is any other text: a token of another issuer, an opaque token, an API key.
	KindKey
	// KindBasic is a name and a password (RFC 7617).
	KindBasic
	// KindCertificate is the client certificate of the TLS connection.
	KindCertificate
)

// Location is the place of a credential in a request.
type Location uint8

const (
	// InHeader is a header field.
	InHeader Location = iota
	// InQuery is a query parameter.
	InQuery
	// InCookie is a cookie. An unsafe request with a token in a cookie repeats the claim csrf of the
	// token in a header.
	InCookie
)

// Scheme is a security scheme of the document. Generated code makes it.
type Scheme struct {
	// Name is the name of the scheme in the document.
	Name string
	Kind Kind
	// In is the place of the credential, and Parameter the name of the header, query parameter or
	// cookie. The zero values are the header Authorization.
	In        Location
	Parameter string
	// Prefix is the word before the credential in a header, "" if there is none.
	Prefix string
	// JWT says that the credential is a JWT, so that it may have the claim csrf.
	JWT bool
}

// Operation is an operation of the document. Generated code makes it.
type Operation struct {
	// ID is the operationId.
	ID string
	// Alternatives are the schemes of each alternative of the requirement, in document order. There is
	// none for a public operation, and an empty one admits anonymous callers.
	Alternatives [][]*Scheme
}

type operationKey struct{}

// WithOperation returns a context for a request of the operation. Generated code calls it.
func WithOperation(ctx context.Context, operation *Operation) context.Context {
	return context.WithValue(ctx, operationKey{}, operation)
}

// operationOf returns the operation of a request, or nil.
func operationOf(ctx context.Context) *Operation {
	operation, _ := ctx.Value(operationKey{}).(*Operation)
	return operation
}
