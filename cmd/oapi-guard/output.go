package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// The formats that verbs print.
const (
	formatText = "text"
	formatJSON = "json"
)

// outputFormat is the value of the flag --format of a verb that prints data.
type outputFormat struct {
	value   string
	allowed []string
}

// newFormat returns a format with the values that a verb has. The first one is the default.
func newFormat(allowed ...string) *outputFormat {
	return &outputFormat{value: allowed[0], allowed: allowed}
}

// add adds the flag to a verb.
func (f *outputFormat) add(command *cobra.Command) {
	command.Flags().Var(f, "format", "the `FORMAT` of the output: "+orList(f.allowed))
	completeValues(command, "format", f.allowed...)
}

// is reports whether the user asked for a format.
func (f *outputFormat) is(format string) bool { return f.value == format }

// Set, String and Type make it a value of a flag.
func (f *outputFormat) Set(value string) error {
	if !slices.Contains(f.allowed, value) {
		return fmt.Errorf("the format is %s", orList(f.allowed))
	}
	f.value = value
	return nil
}

func (f *outputFormat) String() string { return f.value }

// Type names the value in the help.
func (f *outputFormat) Type() string { return "FORMAT" }

// orList returns words with commas, and "or" before the last one.
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// printJSON prints a value as indented JSON.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// isTerminal reports whether a reader or writer of a command is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// palette colours text. It leaves text unchanged where the output is no terminal.
type palette struct{ enabled bool }

// newPalette returns the palette for a writer. The variable NO_COLOR and a dumb terminal turn colours
// off (https://no-color.org).
func newPalette(w io.Writer) palette {
	return palette{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p palette) bold(text string) string   { return p.sequence("1", text) }
func (p palette) faint(text string) string  { return p.sequence("2", text) }
func (p palette) red(text string) string    { return p.sequence("31", text) }
func (p palette) green(text string) string  { return p.sequence("32", text) }
func (p palette) yellow(text string) string { return p.sequence("33", text) }

// sequence puts text between a sequence that selects a graphic rendition (ECMA-48) and the one that
// ends it.
func (p palette) sequence(parameter, text string) string {
	if !p.enabled || text == "" {
		return text
	}
	return "\x1b[" + parameter + "m" + text + "\x1b[0m"
}

// examples returns command lines as the help of a command shows them.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

// completeValues lets the shell complete a flag with values.
func completeValues(command *cobra.Command, flag string, values ...string) {
	_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completeFiles lets the shell complete a flag with files that have one of the extensions.
func completeFiles(command *cobra.Command, flag string, extensions ...string) {
	_ = command.MarkFlagFilename(flag, extensions...)
}
