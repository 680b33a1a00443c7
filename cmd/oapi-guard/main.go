// Command oapi-guard generates the security layer of an API from its OpenAPI document: the output of
// oapi-codegen for a strict server, and guards that give each handler a verified, typed token.
//
// Run "oapi-guard help" for its use.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

const defaultConfig = "oapi-guard.yaml"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run runs the command and returns its exit status. An interrupt ends the context of the verb, and a
// second one ends the program.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(interrupted, stop)

	root := newCommand()
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(longFlags(args))
	command, err := root.ExecuteContextC(interrupted)
	return report(stderr, command, err)
}

// longFlags gives flags with one dash the two that they need. Both were accepted before there were
// several commands, and no flag has a short form but -h.
func longFlags(args []string) []string {
	long := slices.Clone(args)
	for i, arg := range args {
		switch {
		case arg == "--", arg == cobra.ShellCompRequestCmd, arg == cobra.ShellCompNoDescRequestCmd:
			return long
		case len(arg) > 2 && arg[0] == '-' && arg[1] != '-':
			long[i] = "-" + arg
		}
	}
	return long
}

// The groups of verbs in the help.
const (
	groupDevelop = "develop"
	groupOperate = "operate"
)

// newCommand returns the command with all its verbs.
func newCommand() *cobra.Command {
	program, library := versions()
	root := &cobra.Command{
		Use:   "oapi-guard",
		Short: "oapi-guard generates the security layer of an API from its OpenAPI document",
		Long: `oapi-guard generates the security layer of an API from its OpenAPI document.

Paths in the configuration are relative to its folder, paths in flags to the working directory.
A failing run changes no file.

Exit status: 0 done, 1 an error, 2 wrong use. Verbs that have others name them in their help.`,
		Example: examples(
			"oapi-guard init",
			"oapi-guard generate",
			"oapi-guard list --public",
			"oapi-guard completion bash > /etc/bash_completion.d/oapi-guard",
		),
		Version:       program,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("no command is named")}
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetVersionTemplate(fmt.Sprintf("oapi-guard %s, oapi-codegen %s\n", program, library))
	root.AddGroup(
		&cobra.Group{ID: groupDevelop, Title: "For developers:"},
		&cobra.Group{ID: groupOperate, Title: "For operators:"},
	)
	addGroup(root, groupDevelop, newInit(), newGenerate(), newList(), newAudit())
	addGroup(root, groupOperate, operatorCommands()...)
	root.AddCommand(newVersion())
	return root
}

// addGroup adds verbs to a group of the help.
func addGroup(root *cobra.Command, group string, verbs ...*cobra.Command) {
	for _, verb := range verbs {
		verb.GroupID = group
		root.AddCommand(verb)
	}
}

// newVersion returns the verb version.
func newVersion() *cobra.Command {
	format := newFormat(formatText, formatJSON)
	command := &cobra.Command{
		Use:     "version",
		Short:   "print the versions of oapi-guard and oapi-codegen",
		Example: examples("oapi-guard version", "oapi-guard version --format json"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			program, library := versions()
			if format.is(formatJSON) {
				return printJSON(command.OutOrStdout(), map[string]string{"oapi-guard": program, "oapi-codegen": library})
			}
			_, err := fmt.Fprintf(command.OutOrStdout(), "oapi-guard %s, oapi-codegen %s\n", program, library)
			return err
		},
	}
	format.add(command)
	return command
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

// add adds the flags for what is generated and from which document.
func (f *configFlags) add(command *cobra.Command) {
	f.addDocument(command)
	flags := command.Flags()
	flags.StringVar(&f.pkg, "package", "", "the `NAME` of the Go package (key package)")
	flags.StringVar(&f.server, "server", "", "the server, a `NAME`: std-http, chi, echo, echo5, fiber, fiber-v3, gin, gorilla,\niris, or none for a client alone (key server; default: std-http)")
	completeValues(command, "server", append(codegen.Servers(), "none")...)
}

// addDocument adds the flags that choose the document.
func (f *configFlags) addDocument(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.config, "config", "", "the configuration `FILE` (default: oapi-guard.yaml, where there is one)")
	flags.StringVar(&f.spec, "spec", "", "the OpenAPI document, a `FILE` or a URL (key spec)")
	completeFiles(command, "config", "yaml", "yml")
	completeFiles(command, "spec", "yaml", "yml", "json")
}

// configPath returns the path of the configuration, which may not exist.
func (f *configFlags) configPath() string { return cmp.Or(f.config, defaultConfig) }

// read reads the configuration and puts the flags before its keys. Only the default configuration may
// be missing.
func (f *configFlags) read(command *cobra.Command) (*codegen.Config, error) {
	path := f.configPath()
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
