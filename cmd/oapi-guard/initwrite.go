package main

import (
	"context"
	"errors"
	"fmt"
	"go/build"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// generatorNames are the names for the file with the go:generate line. go generate runs the lines of a
// package in the order of its files, and that of oapi-codegen has to run first.
var generatorNames = []string{"generate.go", "guard_generate.go", "oapi_guard_generate.go", "zz_guard_generate.go"}

// planGenerator decides about the file with the go:generate line. It stands next to the line that runs
// oapi-codegen, where there is one.
func (p *plan) planGenerator(run *libraryRun) error {
	dir, after := ".", ""
	if run != nil && run.directive != "" {
		dir, after = filepath.Dir(run.directive), filepath.Base(run.directive)
	}
	for _, name := range generatorNames {
		if path := filepath.Join(dir, name); name > after && !exists(path) {
			p.generator = path
			break
		}
	}
	if p.generator == "" {
		return fmt.Errorf("%s: the names %s are taken or come before %s; add the line by hand: //go:generate go tool oapi-guard generate", dir, strings.Join(generatorNames, ", "), after)
	}
	flag := ""
	if config, err := filepath.Rel(dir, defaultConfig); err == nil && config != defaultConfig {
		flag = " --config " + filepath.ToSlash(config)
	}
	p.code = fmt.Sprintf("package %s\n\n//go:generate go tool oapi-guard generate%s\n", packageIn(dir), flag)
	return nil
}

// packageIn returns the name of the package in a folder, and a new one where there is none.
func packageIn(dir string) string {
	found, err := build.ImportDir(dir, 0)
	if err == nil || found != nil && found.Name != "" {
		return found.Name
	}
	if name := packageName(dir); name != "" && (name[0] < '0' || name[0] > '9') {
		return name
	}
	return "main"
}

// commands are the commands of Go that init runs.
func (p *plan) commands() [][]string {
	var commands [][]string
	if p.needsTool {
		version := "latest"
		if program, _ := versions(); released(program) == program && strings.HasPrefix(program, "v") {
			version = program
		}
		commands = append(commands, []string{"go", "get", "-tool", toolPath + "@" + version})
	}
	// -mod=mod adds the modules that the generated code imports, and changes nothing else.
	return append(commands, []string{"go", "build", "-mod=mod", "./" + filepath.ToSlash(p.config.Output)})
}

// carryOut writes the files and compiles the generated package.
func (p *plan) carryOut(ctx context.Context, w io.Writer) error {
	for _, statement := range p.statements {
		fmt.Fprintln(w, statement)
	}
	if err := writeNew(defaultConfig, p.text); err != nil {
		return err
	}
	fmt.Fprintf(w, "wrote %s\n", defaultConfig)
	if err := writeNew(p.generator, p.code); err != nil {
		return errors.Join(err, os.Remove(defaultConfig))
	}
	fmt.Fprintf(w, "wrote %s\n", p.generator)
	if err := codegen.WriteFiles(p.config.Output, p.result.Files); err != nil {
		return errors.Join(err, os.Remove(defaultConfig), os.Remove(p.generator))
	}
	for _, name := range slices.Sorted(maps.Keys(p.result.Files)) {
		fmt.Fprintf(w, "wrote %s\n", filepath.Join(p.config.Output, name))
	}
	for _, words := range p.commands() {
		line := strings.Join(words, " ")
		fmt.Fprintln(w, line)
		command := exec.CommandContext(ctx, words[0], words[1:]...)
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("the files are written, and a command failed; run it again when its cause is gone:\n  %s\n%s%w", line, out, err)
		}
	}
	fmt.Fprintf(w, "the package in %s compiles; next: implement its GuardedServer, or mount the handlers that you have with their guards\n", p.config.Output)
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, content)
	return errors.Join(err, f.Close())
}
