package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// newGenerate returns the verb generate.
func newGenerate() *cobra.Command {
	var flags configFlags
	var check, listPublic bool
	command := &cobra.Command{
		Use:   "generate [flags]",
		Short: "write api.gen.go and guard.gen.go, and client.gen.go if asked for",
		Long: `Write api.gen.go and guard.gen.go. Flags take the place of keys of the configuration.

The key client of the configuration also writes client.gen.go, a client that sends the credentials that
each operation requires: client: {refresh: OPERATION-ID}, or client: true for an API without refresh
tokens. With server: none there is no server and no guard.gen.go.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := flags.read(command)
			if err != nil {
				return err
			}
			result, err := generate(config)
			if err != nil {
				return err
			}
			warn(command.ErrOrStderr(), append(result.Warnings, leftOver(config.Output, result.Files)...))
			if check {
				return compare(command.OutOrStdout(), config.Output, result.Files)
			}
			if err := codegen.WriteFiles(config.Output, result.Files); err != nil {
				return err
			}
			if listPublic {
				for _, line := range result.Public {
					fmt.Fprintln(command.OutOrStdout(), line)
				}
			}
			return nil
		},
	}
	flags.add(command)
	command.Flags().StringVar(&flags.output, "output", "", "the `DIR` of the files (key output)")
	command.Flags().BoolVar(&flags.guardOnly, "guard-only", false, "write guard.gen.go alone, beside what an oapi-codegen of your own has generated into\nthe folder; package and server are taken from there (key guard-only)")
	command.Flags().BoolVar(&check, "check", false, "write nothing; print the difference to the files in the folder, and exit with 1 if there is one")
	command.Flags().BoolVar(&listPublic, "list-public", false, "print the operations that anonymous callers reach, as list --public does")
	return command
}

// generate returns the files for a configuration.
func generate(config *codegen.Config) (*codegen.Result, error) {
	if config.Output == "" {
		return nil, errors.New("oapi-guard: no output folder is named; say output: DIR in the configuration or --output DIR")
	}
	if config.GuardOnly {
		var err error
		if config.Existing, err = codegen.ReadPackage(config.Output); err != nil {
			return nil, err
		}
	}
	program, library := versions()
	return codegen.Generate(config, codegen.Versions{Program: released(program), Library: library})
}

// leftOver returns a warning for each file of an earlier run that the configuration does not generate
// any more. It may not compile.
func leftOver(dir string, files map[string][]byte) []string {
	var found []string
	for _, name := range []string{codegen.GuardFile, codegen.ClientFile} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil && files[name] == nil {
			found = append(found, path+" is from an earlier run, and the configuration does not generate it any more; remove it")
		}
	}
	return found
}

// compare prints the differences between files and those in a folder, and returns errDiffers if there
// are any.
func compare(stdout io.Writer, dir string, files map[string][]byte) error {
	differs := false
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(old, files[name]) {
			continue
		}
		differs = true
		if _, err := io.WriteString(stdout, unifiedDiff(path, old, files[name])); err != nil {
			return err
		}
	}
	if differs {
		return errDiffers
	}
	return nil
}
