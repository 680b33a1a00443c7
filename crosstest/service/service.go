// Package service is what runs behind every router of this module: the generated packages differ in
// their types, not in what their operations do.
package service

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Seen is what the handler of an operation saw. It is the answer to every request that reaches one.
type Seen struct {
	Operation string `json:"operation"`
	// Type and Subject are those of the token argument, empty for anonymous callers and public
	// operations.
	Type    string `json:"type,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Credentials are those of an argument that is no token.
	Credentials string `json:"credentials,omitempty"`
	// Context is the subject that guard.FromContext finds on the handler's context.
	Context string `json:"context,omitempty"`
	// Request is the request object.
	Request json.RawMessage `json:"request"`
}

// Server is the server of every generated package.
type Server struct {
	// Fail is the error that an operation returns; nil where all succeed.
	Fail func(operation string) error
	// Reached is told of every call of an operation; nil where nobody wants to know.
	Reached func(ctx context.Context, operation string)
}

// Handle is called by the method of every operation, with its credential argument, nil where it has
// none, and its request object.
func (s Server) Handle(ctx context.Context, operation string, credential, request any) (Seen, error) {
	if s.Reached != nil {
		s.Reached(ctx, operation)
	}
	if s.Fail != nil {
		if err := s.Fail(operation); err != nil {
			return Seen{}, err
		}
	}
	seen := Seen{Operation: operation}
	value := reflect.ValueOf(credential)
	if value.Kind() == reflect.Pointer && !value.IsNil() {
		value = value.Elem()
	}
	switch {
	case !value.IsValid() || value.Kind() == reflect.Pointer: // public, or anonymous
	case value.Type().Implements(anyToken):
		token := value.Interface().(security.AnyToken)
		seen.Type, seen.Subject = token.Type(), token.Subject()
	default:
		seen.Credentials = describe(value)
	}
	if onContext, ok := guard.FromContext(ctx); ok {
		seen.Context = onContext.Subject()
	}
	text, err := json.Marshal(request)
	seen.Request = text
	return seen, err
}

var anyToken = reflect.TypeFor[security.AnyToken]()

// describe names the schemes or types of credentials and whom they speak for, and in a struct the
// fields that are set.
func describe(value reflect.Value) string {
	switch own := value.Interface().(type) {
	case security.AnyToken:
		return own.Type() + ":" + own.Subject()
	case guard.Caller[guard.Principal]:
		return own.Scheme() + ":" + own.Principal.Subject
	}
	var fields []string
	for i := range value.NumField() {
		field := value.Field(i)
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		}
		fields = append(fields, value.Type().Field(i).Name+"="+describe(field))
	}
	return strings.Join(fields, " ")
}
