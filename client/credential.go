package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Credential is what a client sends for a security scheme. The zero value is a credential that the
// client does not hold. It prints as a fixed text.
type Credential struct {
	kind credentialKind
	// get returns the text. For a name and a password it is both, with a colon between them.
	get func(ctx context.Context) (string, error)
	// renew returns a text in place of one that the server refused. It is nil if there is no other.
	renew func(ctx context.Context, refused string) (string, error)
}

type credentialKind uint8

const (
	credentialNone credentialKind = iota
	credentialText
	credentialBasic
	credentialCertificate
)

const redactedCredential = "client.Credential(redacted)"

// Format writes a fixed text.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedCredential) }

// LogValue returns a fixed text.
func (c Credential) LogValue() slog.Value { return slog.StringValue(redactedCredential) }

// Secret returns an API key, or a token that nothing renews. An empty text is not held.
func Secret(text string) Credential {
	if text == "" {
		return Credential{}
	}
	return SecretFunc(func(context.Context) (string, error) { return text, nil })
}

// SecretFunc returns a credential whose text the function returns, for each request. The function
// returns [ErrNoCredential] if there is none now. It is called by several goroutines.
func SecretFunc(get func(ctx context.Context) (string, error)) Credential {
	if get == nil {
		return Credential{}
	}
	return Credential{kind: credentialText, get: get}
}

// Basic returns a name and a password (RFC 7617).
func Basic(username, password string) Credential {
	return Credential{kind: credentialBasic, get: func(context.Context) (string, error) {
		if strings.Contains(username, ":") {
			return "", errors.New("client: the name of HTTP Basic cannot contain a colon (RFC 7617, section 2)")
		}
		return username + ":" + password, nil
	}}
}

// Certificate says that the transport of [WithHTTPClient] has a client certificate for the server.
func Certificate() Credential { return Credential{kind: credentialCertificate} }
