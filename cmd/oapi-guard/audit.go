package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/audit"
	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// statusWeaker is the exit status of audit --against where something became weaker.
const statusWeaker = 3

// auditOutput is what audit prints as JSON.
type auditOutput struct {
	Title      string                     `json:"title"`
	Operations []codegen.ListedOperation  `json:"operations"`
	Schemes    []codegen.SchemeDefinition `json:"schemes"`
	Against    string                     `json:"against,omitempty"`
	Comparison *audit.Comparison          `json:"comparison,omitempty"`
}

// newAudit returns the verb audit.
func newAudit() *cobra.Command {
	var flags configFlags
	var against string
	format := newFormat(formatText, audit.FormatMarkdown, audit.FormatHTML, audit.FormatSVG, formatJSON)
	command := &cobra.Command{
		Use:   "audit [flags]",
		Short: "print the authorization matrix, or what became weaker since a version",
		Long: `Print who may call which operation, for a review.

With --against, print what became weaker, stronger, new and gone since another version of the document: a file, a
git revision such as main or v1.2.0, or REVISION:PATH. What cannot be compared counts as weaker, and so does a new
operation that anonymous callers reach. The configuration of a revision is the one that it had.

Exit status: 0 done, 1 an error, 2 wrong use, 3 with --against if something became weaker.`,
		Example: examples(
			"oapi-guard audit",
			"oapi-guard audit --format html > audit.html",
			"oapi-guard audit --against origin/main",
			"oapi-guard audit --against HEAD~1 --format markdown",
			"oapi-guard audit --spec new.yaml --against old.yaml --format svg > changes.svg",
		),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := flags.read(command)
			if err != nil {
				return err
			}
			report := audit.Report{Against: against}
			if report.Listing, err = codegen.List(config); err != nil {
				return err
			}
			warn(command.ErrOrStderr(), report.Listing.Warnings)
			if !command.Flags().Changed("against") {
				return printAudit(command.OutOrStdout(), format, report)
			}
			old, err := flags.baseline(command.Context(), config, against)
			if err != nil {
				return err
			}
			report.Comparison = audit.Compare(old, report.Listing)
			if err := printAudit(command.OutOrStdout(), format, report); err != nil {
				return err
			}
			if report.Comparison.Weaker() {
				return statusError{errors.New("oapi-guard: the document became weaker since " + against), statusWeaker}
			}
			return nil
		},
	}
	flags.addDocument(command)
	command.Flags().StringVar(&against, "against", "", "compare with this version: a `FILE` or a git revision")
	completeFiles(command, "against", "yaml", "yml", "json")
	format.add(command)
	return command
}

// printAudit prints a report in the format that the user chose.
func printAudit(w io.Writer, format *outputFormat, r audit.Report) error {
	switch {
	case format.is(formatJSON):
		return printJSON(w, auditOutput{r.Listing.Title, r.Listing.Operations, r.Listing.Schemes, r.Against, r.Comparison})
	case !format.is(formatText):
		return audit.Write(w, format.String(), r)
	case r.Comparison == nil:
		return printOperations(w, r.Listing.Operations, r.Listing.Schemes)
	}
	return printComparison(w, r)
}

// printComparison prints what changed for a terminal.
func printComparison(w io.Writer, r audit.Report) error {
	colours := newPalette(w)
	paint := map[audit.Kind]func(string) string{
		audit.Weaker: colours.red, audit.Stronger: colours.green, audit.New: colours.yellow, audit.Gone: colours.faint,
	}
	var b strings.Builder
	entry := func(name string, c audit.Change) {
		kind := c.Kind
		if c.Weaker {
			kind = audit.Weaker
		}
		fmt.Fprintf(&b, "%s %s\n", paint[kind](fmt.Sprintf("%-8s", c.Kind)), colours.bold(name))
		for _, reason := range c.Reasons {
			fmt.Fprintf(&b, "         %s\n", paint[reason.Kind](string(reason.Kind)+": "+reason.Text))
		}
		if c.Before != nil {
			fmt.Fprintf(&b, "         before: %s\n", c.Before.Text)
		}
		if c.After != nil {
			fmt.Fprintf(&b, "         after:  %s\n", c.After.Text)
		}
	}
	if c := r.Comparison.Default; c != nil {
		entry("operations without security", *c)
	}
	for _, c := range r.Comparison.Changes {
		name := c.Method + " " + c.Path
		if c.ID != name {
			name += " " + c.ID
		}
		entry(name, c)
	}
	fmt.Fprintf(&b, "%s since %s\n", r.Comparison.Summary, r.Against)
	_, err := io.WriteString(w, b.String())
	return err
}
