package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// noScheme is the answer that no scheme carries the refresh token.
const noScheme = "none"

// initFlags are the flags of init.
type initFlags struct {
	spec, pkg, server, output, library string
	refresh                            []string
	dryRun                             bool
}

// newInit returns the verb init.
func newInit() *cobra.Command {
	var flags initFlags
	command := &cobra.Command{
		Use:   "init [flags]",
		Short: "begin: write oapi-guard.yaml and the go:generate line, and generate",
		Long: `Write oapi-guard.yaml and a Go file with the go:generate line, generate the code, and compile it.

Run it in the folder of a Go module. It finds the OpenAPI document, and an oapi-codegen that generates a server
already: then it writes guards for that code (guard-only), and leaves that code and its configuration as they are.
It asks what it cannot know, such as which security scheme carries the refresh token. If stdin is no terminal, flags
answer. It overwrites no file.

Exit status: 0 done, 1 an error, 2 wrong use or a flag is missing.`,
		Example: examples(
			"oapi-guard init",
			"oapi-guard init --spec openapi.yaml --server chi --refresh jwt_refresh",
			"oapi-guard init --oapi-codegen api/oapi-codegen.yaml --refresh none",
			"oapi-guard init --dry-run",
		),
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			plan, err := newPlan(command, flags)
			if err != nil {
				return err
			}
			if flags.dryRun {
				return plan.print(command.OutOrStdout())
			}
			return plan.carryOut(command.Context(), command.OutOrStdout())
		},
	}
	f := command.Flags()
	f.SortFlags = false
	f.StringVar(&flags.spec, "spec", "", "the OpenAPI document, a `FILE` or a URL (default: the only one of the module)")
	f.StringVar(&flags.pkg, "package", "", "the `NAME` of the Go package (default: that of the output folder)")
	f.StringVar(&flags.server, "server", "", "the server, a `NAME`: "+orList(codegen.Servers())+"\n(default: the one whose router go.mod requires, or std-http)")
	f.StringVar(&flags.output, "output", "", "the `DIR` of the generated files (default: api)")
	f.StringVar(&flags.library, "oapi-codegen", "", "the `FILE` with the configuration of your oapi-codegen, or with its go:generate line,\nor none (default: the only one of the module)")
	f.StringSliceVar(&flags.refresh, "refresh", nil, "the security `SCHEME` that carries the refresh token, or none; may be repeated")
	f.BoolVar(&flags.dryRun, "dry-run", false, "print what would be written, and write nothing")
	completeFiles(command, "spec", "yaml", "yml", "json")
	completeFiles(command, "oapi-codegen", "yaml", "yml", "go")
	completeValues(command, "server", codegen.Servers()...)
	return command
}

// plan is what init writes and runs.
type plan struct {
	// config, text and generator are the configuration, its text, and the file with the go:generate line.
	config     *codegen.Config
	text       string
	generator  string
	code       string
	result     *codegen.Result
	needsTool  bool
	statements []string // what was found and decided
}

// newPlan decides what to write. It writes nothing.
func newPlan(command *cobra.Command, flags initFlags) (*plan, error) {
	if exists(defaultConfig) {
		return nil, fmt.Errorf("%s is there already, and init overwrites nothing; oapi-guard generate uses it", defaultConfig)
	}
	module, err := readModule(command.Context())
	if err != nil {
		return nil, err
	}
	found, err := discover(".")
	if err != nil {
		return nil, err
	}
	ask := newAsker(command.InOrStdin(), command.ErrOrStderr())
	p := &plan{config: &codegen.Config{}, needsTool: !module.hasTool()}
	run, err := chooseRun(ask, found, flags)
	if err != nil {
		return nil, err
	}
	if err := p.choose(ask, found, run, module, flags); err != nil {
		return nil, err
	}
	schemes, err := chooseSchemes(ask, p.config, flags.refresh)
	if err != nil {
		return nil, err
	}
	p.text = configText(p.config, schemes)
	if p.config, err = codegen.ReadConfig(defaultConfig, []byte(p.text)); err != nil {
		return nil, err
	}
	if err := p.planGenerator(run); err != nil {
		return nil, err
	}
	if p.result, err = generate(p.config); err != nil {
		return nil, fmt.Errorf("%w\nnothing is written: correct that and run init again, or write %s by hand:\n%s", err, defaultConfig, indent(p.text))
	}
	for _, name := range slices.Sorted(maps.Keys(p.result.Files)) {
		if path := filepath.Join(p.config.Output, name); exists(path) {
			return nil, fmt.Errorf("%s is there already, and init overwrites nothing; name another folder: --output DIR", path)
		}
	}
	warn(command.ErrOrStderr(), p.result.Warnings)
	return p, nil
}

// chooseRun returns the run of oapi-codegen that guards are written for, or nil for none.
func chooseRun(ask *asker, found *project, flags initFlags) (*libraryRun, error) {
	if flags.library == noScheme {
		return nil, nil
	}
	var names []string
	for i, run := range found.runs {
		if flags.library != "" && filepath.Clean(flags.library) == filepath.Clean(run.name()) {
			return &found.runs[i], nil
		}
		names = append(names, run.name())
	}
	switch {
	case flags.library != "":
		return nil, wrongUse("--oapi-codegen %s: it is no configuration or go:generate line of an oapi-codegen that writes a server into a file; there are: %s", flags.library, orNothing(names))
	case len(names) == 0:
		return nil, nil
	case len(names) == 1:
		return &found.runs[0], nil
	}
	name, err := ask.choose("several runs of oapi-codegen generate a server: which of them gets guards?", "--oapi-codegen", names)
	if err != nil {
		return nil, err
	}
	return &found.runs[slices.Index(names, name)], nil
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return noScheme
	}
	return strings.Join(names, ", ")
}

// choose decides about the document, the package, the server and the folder.
func (p *plan) choose(ask *asker, found *project, run *libraryRun, module *goModule, flags initFlags) error {
	c := p.config
	c.Spec = flags.spec
	if run != nil {
		c.GuardOnly, c.Output = true, cmp.Or(flags.output, run.output)
		c.Spec = cmp.Or(c.Spec, run.spec)
		p.say("guards for the package in %s, which oapi-codegen generates (%s)", c.Output, run.name())
		if flags.pkg != "" || flags.server != "" {
			return wrongUse("--package and --server are those of the package that oapi-codegen generates; remove them, or say --oapi-codegen none")
		}
	}
	if c.Spec == "" {
		switch len(found.documents) {
		case 0:
			return wrongUse("there is no OpenAPI document in this folder; say --spec FILE")
		case 1:
			c.Spec = found.documents[0]
		default:
			var err error
			if c.Spec, err = ask.choose("there are several OpenAPI documents: which one?", "--spec", found.documents); err != nil {
				return err
			}
		}
	}
	p.say("the document is %s", c.Spec)
	if run != nil {
		return nil
	}
	c.Output = cmp.Or(flags.output, "api")
	c.Package = cmp.Or(flags.pkg, packageName(c.Output))
	c.Server = flags.server
	if c.Server != "" {
		return nil
	}
	servers := module.servers()
	switch len(servers) {
	case 0:
		c.Server = codegen.DefaultServer
	case 1:
		c.Server = servers[0]
		p.say("the server is %s, whose router go.mod requires", c.Server)
	default:
		var err error
		c.Server, err = ask.choose("go.mod requires several routers: which one serves the API?", "--server", servers)
		return err
	}
	return nil
}

func (p *plan) say(format string, args ...any) {
	p.statements = append(p.statements, fmt.Sprintf(format, args...))
}

// packageName returns a name for the package in a folder.
func packageName(dir string) string {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		absolute = dir
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(absolute)))
}

// chooseSchemes returns the token types of the schemes that the document leaves open.
func chooseSchemes(ask *asker, c *codegen.Config, refresh []string) (map[string]string, error) {
	found, err := codegen.TokenSchemes(c)
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	var open, hinted []string
	for _, s := range found {
		switch {
		case s.Known:
		case s.RefreshHint != "":
			hinted = append(hinted, s.Name)
		default:
			open = append(open, s.Name)
		}
	}
	if refresh == nil && len(hinted) == 0 && len(open) < 2 {
		return types, nil
	}
	if refresh == nil {
		options := slices.Concat(hinted, []string{noScheme}, open)
		if len(hinted) == 0 {
			options = append(open, noScheme)
		}
		answer, err := ask.choose("which security scheme carries the refresh token?", "--refresh", options)
		if err != nil {
			return nil, err
		}
		refresh = []string{answer}
	}
	for _, name := range refresh {
		if name == noScheme {
			continue
		}
		if !slices.ContainsFunc(found, func(s codegen.TokenScheme) bool { return s.Name == name }) {
			var names []string
			for _, s := range found {
				names = append(names, s.Name)
			}
			return nil, wrongUse("--refresh %s: no operation requires a scheme of that name that carries tokens; those that do are %s", name, orNothing(names))
		}
		types[name] = "refresh"
	}
	for _, name := range hinted {
		if types[name] == "" {
			types[name] = "access"
		}
	}
	return types, nil
}

// configText returns the configuration.
func configText(c *codegen.Config, schemes map[string]string) string {
	var b strings.Builder
	b.WriteString("# oapi-guard generate reads this file. The keys are in docs/document.md of oapi-guard.\n")
	for _, key := range []struct{ name, value string }{
		{"spec", filepath.ToSlash(c.Spec)}, {"package", c.Package}, {"server", c.Server}, {"output", filepath.ToSlash(c.Output)},
	} {
		if key.value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key.name, scalar(key.value))
		}
	}
	if c.GuardOnly {
		b.WriteString("guard-only: true\n")
	}
	if len(schemes) > 0 {
		b.WriteString("schemes:\n")
		for _, name := range slices.Sorted(maps.Keys(schemes)) {
			fmt.Fprintf(&b, "  %s: {token: %s}\n", scalar(name), schemes[name])
		}
	}
	return b.String()
}

// scalar returns a text as a scalar of YAML.
func scalar(text string) string {
	encoded, err := yaml.Marshal(text)
	if err != nil {
		return text
	}
	return strings.TrimSuffix(string(encoded), "\n")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ")
}

// goModule is what init reads of go.mod.
type goModule struct {
	Module  struct{ Path string }
	Require []struct {
		Path     string
		Indirect bool
	}
	Tool []struct{ Path string }
}

// readModule reads the module of the working directory.
func readModule(ctx context.Context) (*goModule, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, "go", "mod", "edit", "-json")
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		text := strings.TrimSpace(stderr.String())
		if strings.Contains(text, "go.mod") {
			return nil, fmt.Errorf("init needs a Go module: run go mod init PATH first, in the folder of the module (%s)", text)
		}
		return nil, fmt.Errorf("go mod edit: %w: %s", err, text)
	}
	m := &goModule{}
	return m, json.Unmarshal(out, m)
}

const toolPath = module + "/cmd/oapi-guard"

// hasTool reports whether the module has this command as a tool.
func (m *goModule) hasTool() bool {
	return m.Module.Path == module || slices.ContainsFunc(m.Tool, func(t struct{ Path string }) bool { return t.Path == toolPath })
}

// servers returns the servers whose routers the module requires itself.
func (m *goModule) servers() []string {
	var names []string
	for name, router := range codegen.ServerModules() {
		for _, required := range m.Require {
			if !required.Indirect && required.Path == router {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// print prints what would be written.
func (p *plan) print(w io.Writer) error {
	for _, statement := range p.statements {
		fmt.Fprintln(w, statement)
	}
	for _, file := range []struct{ path, content string }{{defaultConfig, p.text}, {p.generator, p.code}} {
		fmt.Fprintf(w, "would write %s:\n%s\n", file.path, indent(file.content))
	}
	for _, name := range slices.Sorted(maps.Keys(p.result.Files)) {
		fmt.Fprintf(w, "would write %s\n", filepath.Join(p.config.Output, name))
	}
	for _, command := range p.commands() {
		fmt.Fprintf(w, "would run %s\n", strings.Join(command, " "))
	}
	return nil
}
