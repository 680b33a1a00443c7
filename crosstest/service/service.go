// Package service implements the operations behind every router of this module. The generated
// packages differ only in their types.
package service

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// Seen is what the handler of an operation got. It is the body of each response of a handler.
type Seen struct {
	Operation string `json:"operation"`
	// Type and Subject are those of the token argument. They are empty for anonymous callers and
	// public operations.
	Type    string `json:"type,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Credentials describes an argument that is not a token.
	Credentials string `json:"credentials,omitempty"`
	// Context is the subject that guard.FromContext finds in the context of the handler.
	Context string `json:"context,omitempty"`
	// Request is the request object.
	Request json.RawMessage `json:"request"`
}

// Server is the server of every generated package.
type Server struct {
	// Fail is the error that all operations return. With nil they succeed.
	Fail func(operation string) error
	// Reached is called for each call of an operation, if it is not nil.
	Reached func(ctx context.Context, operation string)
	// Closed is called for each stream of events that is over, if it is not nil.
	Closed func()
}

// Handle is called by the method of each operation with its request object and its credential
// argument, or nil if it has none.
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

// describe returns the schemes or types of credentials with their subjects. For a struct it returns
// the fields that are set.
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
