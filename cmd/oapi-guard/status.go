package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// The exit statuses that all verbs share. A verb with others returns a statusError and names them in
// its help.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

// usageError is a wrong use of the command.
type usageError struct{ error }

// statusError is an error with an exit status that scripts can tell from others.
type statusError struct {
	error
	status int
}

// Unwrap returns the error.
func (e statusError) Unwrap() error { return e.error }

// wrongUse returns an error with the status of wrong use that is printed without the flags of the verb.
func wrongUse(format string, args ...any) error {
	return statusError{fmt.Errorf("oapi-guard: "+format, args...), statusUsage}
}

// errDiffers says that generate --check found a difference.
var errDiffers = errors.New("the generated files are not up to date: run oapi-guard generate")

// report prints the error of a command and returns the exit status.
func report(stderr io.Writer, command *cobra.Command, err error) int {
	var wrong usageError
	var special statusError
	switch {
	case err == nil:
		return statusDone
	case errors.As(err, &wrong), strings.HasPrefix(err.Error(), "unknown command"): // which cobra has no type for
		fmt.Fprintf(stderr, "oapi-guard: %v\n\n%s", err, command.UsageString())
		return statusUsage
	case errors.As(err, &special):
		fmt.Fprintln(stderr, err)
		return special.status
	}
	fmt.Fprintln(stderr, err)
	return statusFailed
}
