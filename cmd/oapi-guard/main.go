// Command oapi-guard generates the security layer of an API from its OpenAPI document: the output of
// oapi-codegen for a strict server, and guards that give each handler a verified, typed token.
//
// Run "oapi-guard help" for its use.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

const defaultConfig = "oapi-guard.yaml"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// usageError is a wrong use of the command.
type usageError struct{ error }

// errDiffers says that generate --check found a difference.
var errDiffers = errors.New("the generated files are not up to date: run oapi-guard generate")

// run runs the command and returns its exit status: 0 for done, 1 for an error, 2 for wrong use.
func run(args []string, stdout, stderr io.Writer) int {
	root := newCommand()
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(longFlags(args))
	command, err := root.ExecuteC()
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong) && command != root:
		fmt.Fprintf(stderr, "oapi-guard: %v\n\n%s", err, command.UsageString())
		return 2
	case errors.As(err, &wrong), strings.HasPrefix(err.Error(), "unknown command"): // which cobra has no type for
		fmt.Fprintf(stderr, "oapi-guard: %v\n\n%s\n", err, root.Long)
		return 2
	}
	fmt.Fprintln(stderr, err)
	return 1
}

// longFlags gives flags with one dash the two that they need. Both were accepted before there were
// several commands, and no flag has a short form.
func longFlags(args []string) []string {
	long := make([]string, len(args))
	for i, arg := range args {
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
			arg = "-" + arg
		}
		long[i] = arg
	}
	return long
}

// newCommand returns the command with all its verbs.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "oapi-guard",
		Short: "oapi-guard generates the security layer of an API from its OpenAPI document",
		Long: `oapi-guard generates the security layer of an API from its OpenAPI document.

  oapi-guard generate [flags]   write api.gen.go and guard.gen.go, and client.gen.go if asked for
  oapi-guard list [flags]       print the operations and what each of them requires
  oapi-guard version            print the versions of oapi-guard and oapi-codegen
  oapi-guard help [command]     print this text, or the flags of a command

Paths in the configuration are relative to its folder, paths in flags to the working directory.
Exit status: 0 done, 1 an error, 2 wrong use. A failing run changes no file.`,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("no command is named")}
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	version := &cobra.Command{
		Use: "version", Short: "print the versions of oapi-guard and oapi-codegen", Args: noArguments,
		Run: func(command *cobra.Command, _ []string) {
			program, library := versions()
			fmt.Fprintf(command.OutOrStdout(), "oapi-guard %s, oapi-codegen %s\n", program, library)
		},
	}
	program, library := versions()
	root.Version = program
	root.SetVersionTemplate(fmt.Sprintf("oapi-guard %s, oapi-codegen %s\n", program, library))
	root.AddCommand(newGenerate(), newList(), version)
	return root
}

// noArguments refuses arguments that are no flags.
func noArguments(command *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case command.HasSubCommands():
		return usageError{fmt.Errorf("unknown command %q", args[0])}
	}
	return usageError{fmt.Errorf("unexpected argument %q", args[0])}
}

// configFlags are the flags in place of keys of the configuration.
type configFlags struct {
	config, spec, pkg, server, output string
	guardOnly                         bool
}

func (f *configFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.config, "config", "", "the configuration `FILE` (default: oapi-guard.yaml, where there is one)")
	flags.StringVar(&f.spec, "spec", "", "the OpenAPI document, a `FILE` or a URL (key spec)")
	flags.StringVar(&f.pkg, "package", "", "the `NAME` of the Go package (key package)")
	flags.StringVar(&f.server, "server", "", "the server, a `NAME`: std-http, chi, echo, echo5, fiber, fiber-v3, gin, gorilla,\niris, or none for a client alone (key server; default: std-http)")
}

// read reads the configuration and puts the flags before its keys. Only the default configuration may
// be missing.
func (f *configFlags) read(command *cobra.Command) (*codegen.Config, error) {
	path := f.config
	if path == "" {
		path = defaultConfig
	}
	config := &codegen.Config{}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		if config, err = codegen.ReadConfig(path, data); err != nil {
			return nil, err
		}
	case f.config != "" || !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for name, value := range map[string]struct{ from, to *string }{
		"spec": {&f.spec, &config.Spec}, "package": {&f.pkg, &config.Package},
		"server": {&f.server, &config.Server}, "output": {&f.output, &config.Output},
	} {
		if command.Flags().Changed(name) {
			*value.to = *value.from
		}
	}
	if command.Flags().Changed("guard-only") {
		config.GuardOnly = f.guardOnly
	}
	return config, nil
}

// warn prints warnings, each once.
func warn(stderr io.Writer, warnings []string) {
	seen := map[string]bool{}
	for _, warning := range warnings {
		if !seen[warning] {
			fmt.Fprintln(stderr, "warning:", warning)
		}
		seen[warning] = true
	}
}

// module is the path of the module of this program.
const module = "github.com/oapi-guard/oapi-guard"

// versions returns the versions of this program and of the oapi-codegen in it. The program is the main
// module where it was installed, and a dependency where it is a tool of another module.
func versions() (program, library string) {
	program, library = "(unknown)", "(unknown)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program, library
	}
	for _, m := range append(info.Deps, &info.Main) {
		switch {
		case m.Path == module && m.Version != "":
			program = m.Version
		case m.Path == codegen.LibraryPath:
			library = m.Version
		}
	}
	return program, library
}

// unreleased matches the versions that go build makes of the state of a repository.
var unreleased = regexp.MustCompile(`[-.][0-9]{14}-[0-9a-f]{12}|\+dirty`)

// released returns a version for generated code, which must not change with every commit: "(devel)" in
// place of that of a commit.
func released(version string) string {
	if unreleased.MatchString(version) {
		return "(devel)"
	}
	return version
}
