package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// newList returns the verb list.
func newList() *cobra.Command {
	var flags configFlags
	var public, asJSON bool
	format := newFormat(formatText, formatJSON)
	command := &cobra.Command{
		Use:   "list [flags]",
		Short: "print the operations and what each of them requires",
		Long: `Print the operations and what each of them requires, a line each: method, path, operationId, who may call it, with
which credential, and the rules about roles, freshness and revocation.
Nothing is generated or written, and schemas that oapi-codegen cannot do are no error.`,
		Example: examples(
			"oapi-guard list",
			"oapi-guard list --public",
			"oapi-guard list --spec openapi.yaml --format json",
		),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := flags.read(command)
			if err != nil {
				return err
			}
			listing, err := codegen.List(config)
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), listing.Warnings)
			listed := slices.DeleteFunc(listing.Operations, func(o codegen.ListedOperation) bool {
				return public && !o.Public && !o.Optional
			})
			if asJSON || format.is(formatJSON) {
				return printJSON(command.OutOrStdout(), listed)
			}
			return printOperations(command.OutOrStdout(), listed, listing.Schemes)
		},
	}
	flags.add(command)
	command.Flags().BoolVar(&public, "public", false, "only the operations that anonymous callers reach")
	format.add(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON, as --format json")
	_ = command.Flags().MarkHidden("json")
	return command
}

// printOperations prints operations as a table.
func printOperations(w io.Writer, operations []codegen.ListedOperation, schemes []codegen.SchemeDefinition) error {
	if len(operations) == 0 {
		return nil
	}
	rows := [][]string{{"METHOD", "PATH", "OPERATION", "CALLERS", "CREDENTIALS", "ROLES", "AUTHENTICATION", "REVOCATION"}}
	for _, o := range operations {
		id := o.ID
		if id == o.Method+" "+o.Path {
			id = ""
		}
		callers := "public"
		if !o.Public {
			callers = o.Callers()
		}
		rows = append(rows, []string{o.Method, o.Path, id, callers, credentials(o, schemes), o.RolesText(), o.FreshText(), o.RevocationText()})
	}
	return printTable(w, newPalette(w), rows)
}

// credentials returns the credentials that an operation takes: the type of each token, and what the
// others are.
func credentials(o codegen.ListedOperation, schemes []codegen.SchemeDefinition) string {
	var texts []string
	for _, s := range slices.Concat(o.Security...) {
		i := slices.IndexFunc(schemes, func(d codegen.SchemeDefinition) bool { return d.Name == s.Name })
		if i < 0 {
			continue
		}
		text := schemes[i].Credential
		if s.Token != "" {
			text = s.Token + " token"
		}
		if s.Verifier != "" {
			text += " of " + s.Verifier
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, ", ")
}

// printTable prints rows with aligned columns. The first row is the header. A column without any text
// is left out, and an empty cell is a dash.
func printTable(w io.Writer, colours palette, rows [][]string) error {
	widths := make([]int, len(rows[0]))
	for _, row := range rows[1:] {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			if cell == "" {
				cell = "-"
			}
			width := max(widths[i], utf8.RuneCountInString(rows[0][i]))
			line.WriteString(cell + strings.Repeat(" ", width-utf8.RuneCountInString(cell)+2))
		}
		text := strings.TrimRight(line.String(), " ")
		if n == 0 {
			text = colours.bold(text)
		}
		fmt.Fprintln(&b, text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
