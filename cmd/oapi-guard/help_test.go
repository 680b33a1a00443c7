package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp checks that each verb has examples in its help, and that the flags and arguments of the
// examples are those of the verb.
func TestHelp(t *testing.T) {
	for _, verb := range verbs(newCommand()) {
		t.Run(verb.CommandPath(), func(t *testing.T) {
			if verb.Example == "" {
				t.Fatal("no examples")
			}
			for line := range strings.Lines(verb.Example) {
				if err := tryExample(strings.TrimSpace(line)); err != nil {
					t.Errorf("%s: %v", strings.TrimSpace(line), err)
				}
			}
		})
	}
}

// verbs returns a command and those under it that this program defines.
func verbs(command *cobra.Command) []*cobra.Command {
	found := []*cobra.Command{command}
	for _, under := range command.Commands() {
		found = append(found, verbs(under)...)
	}
	return found
}

// tryExample parses the command line of an example. What follows a sign of the shell is not part of it.
func tryExample(line string) error {
	words := strings.Fields(line)
	for i, word := range words {
		if strings.ContainsAny(word, "|>&;#") {
			words = words[:i]
			break
		}
	}
	for len(words) > 0 && strings.Contains(words[0], "=") {
		words = words[1:] // a variable
	}
	if len(words) == 0 || words[0] != "oapi-guard" {
		return errors.New("it does not run oapi-guard")
	}
	root := newCommand()
	root.InitDefaultCompletionCmd(words[1:]...)
	verb, rest, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	if err := verb.ParseFlags(rest); err != nil {
		return err
	}
	return verb.ValidateArgs(verb.Flags().Args())
}

// TestStatus checks the exit status and the text of each kind of error.
func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		text   string
	}{
		{name: "done", status: 0},
		{name: "an error", err: errors.New("spec.yaml:3: wrong"), status: 1, text: "spec.yaml:3: wrong\n"},
		{name: "wrong use", err: usageError{errors.New("no")}, status: 2, text: "oapi-guard: no\n\nUsage:"},
		{name: "an unknown command", err: errors.New(`unknown command "x"`), status: 2, text: "oapi-guard: unknown command \"x\"\n\nUsage:"},
		{name: "a status of a verb", err: statusError{errors.New("weaker"), 3}, status: 3, text: "weaker\n"},
		{name: "a status of a verb, wrapped", err: fmt.Errorf("more: %w", statusError{errors.New("weaker"), 3}), status: 3, text: "more: weaker\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if status := report(&stderr, newCommand(), tt.err); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if !strings.HasPrefix(stderr.String(), tt.text) || tt.text == "" && stderr.Len() > 0 {
				t.Errorf("printed %q, want %q", stderr.String(), tt.text)
			}
		})
	}
}

// TestPalette checks that text has colours only where they are on. A buffer is no terminal.
func TestPalette(t *testing.T) {
	if newPalette(&bytes.Buffer{}).enabled {
		t.Error("colours for a buffer")
	}
	if got := (palette{}).red("weaker"); got != "weaker" {
		t.Errorf("without colours: %q", got)
	}
	if got := (palette{enabled: true}).red("weaker"); got != "\x1b[31mweaker\x1b[0m" {
		t.Errorf("with colours: %q", got)
	}
}
