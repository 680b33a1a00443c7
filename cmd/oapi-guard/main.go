// Command oapi-guard generates the security layer of an API from its OpenAPI document: beside what oapi-codegen generates
// for a strict server it writes the guards of the operations, each of which hands its handler a verified, typed token.
//
// Run "oapi-guard help" for its use.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

const usage = `oapi-guard generates the security layer of an API from its OpenAPI document.

  oapi-guard generate [flags]   write api.gen.go and guard.gen.go
  oapi-guard version            print the versions of oapi-guard and oapi-codegen
  oapi-guard help               print this text

Flags of generate, each in place of a key of the configuration:

  --config FILE    the configuration (default: oapi-guard.yaml, where there is one)
  --spec FILE      the OpenAPI document (key spec)
  --package NAME   the Go package (key package)
  --server NAME    the server: std-http, chi, echo, echo5, fiber, fiber-v3, gin, gorilla or iris (key server; default: std-http)
  --output DIR     the folder of the two files (key output)
  --guard-only     write guard.gen.go alone, beside what an oapi-codegen of one's own has generated into the folder;
                   package and server are taken from there (key guard-only)

  --list-public    print the operations that anonymous callers reach, for review: method, path, operationId,
                   and "optional" where credentials are taken too

Paths in the configuration are relative to its folder, paths in flags to the working directory.
Exit status: 0 done, 1 an error, 2 wrong use. A failing run changes no file.
`

const defaultConfig = "oapi-guard.yaml"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// errUsage stands for a wrong use that is already explained.
var errUsage = errors.New("usage")

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	command, args := args[0], args[1:]
	var err error
	switch command {
	case "generate":
		err = generate(args, stdout, stderr)
	case "version", "-version", "--version":
		program, library := versions()
		fmt.Fprintf(stdout, "oapi-guard %s, oapi-codegen %s\n", program, library)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprintf(stderr, "oapi-guard: unknown command %q\n\n%s", command, usage)
		err = errUsage
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	default:
		fmt.Fprintln(stderr, err)
		return 1
	}
}

func generate(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	configFile := flags.String("config", "", "")
	spec, pkg := flags.String("spec", "", ""), flags.String("package", "", "")
	server, output := flags.String("server", "", ""), flags.String("output", "", "")
	guardOnly, listPublic := flags.Bool("guard-only", false, ""), flags.Bool("list-public", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "oapi-guard: unexpected argument %q\n\n%s", flags.Arg(0), usage)
		return errUsage
	}
	config, err := readConfig(*configFile)
	if err != nil {
		return err
	}
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "spec":
			config.Spec = *spec
		case "package":
			config.Package = *pkg
		case "server":
			config.Server = *server
		case "output":
			config.Output = *output
		case "guard-only":
			config.GuardOnly = *guardOnly
		}
	})
	if config.Output == "" {
		return errors.New("oapi-guard: no output folder is named; say output: DIR in the configuration or --output DIR")
	}
	if config.GuardOnly {
		if config.Existing, err = codegen.ReadPackage(config.Output); err != nil {
			return err
		}
	}
	_, library := versions()
	result, err := codegen.Generate(config, library)
	if err != nil {
		return err
	}
	for _, warning := range result.Warnings {
		fmt.Fprintln(stderr, "warning:", warning)
	}
	if err := codegen.WriteFiles(config.Output, result.Files); err != nil {
		return err
	}
	if *listPublic {
		for _, line := range result.Public {
			fmt.Fprintln(stdout, line)
		}
	}
	return nil
}

// readConfig reads the configuration. Only the one that is there by default may be missing.
func readConfig(path string) (*codegen.Config, error) {
	named := path != ""
	if !named {
		path = defaultConfig
	}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return codegen.ReadConfig(path, data)
	case !named && errors.Is(err, fs.ErrNotExist):
		return &codegen.Config{}, nil
	default:
		return nil, err
	}
}

// versions returns the version of this program and that of the oapi-codegen in it.
func versions() (program, library string) {
	program, library = "(unknown)", "(unknown)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program, library
	}
	if info.Main.Version != "" {
		program = info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == codegen.LibraryPath {
			library = dep.Version
		}
	}
	return program, library
}
