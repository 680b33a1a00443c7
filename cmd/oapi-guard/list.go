package main

import (
	"fmt"

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
		Long: `Print the operations and what each of them requires, a line each: method, path, operationId and security.
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
			operations, warnings, err := codegen.List(config)
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), warnings)
			listed := []codegen.ListedOperation{}
			for _, o := range operations {
				if !public || o.Public || o.Optional {
					listed = append(listed, o)
				}
			}
			if asJSON || format.is(formatJSON) {
				return printJSON(command.OutOrStdout(), listed)
			}
			for _, o := range listed {
				fmt.Fprintln(command.OutOrStdout(), o)
			}
			return nil
		},
	}
	flags.add(command)
	command.Flags().BoolVar(&public, "public", false, "only the operations that anonymous callers reach")
	format.add(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON, as --format json")
	_ = command.Flags().MarkHidden("json")
	return command
}
