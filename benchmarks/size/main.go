// Command size measures what the generated code of an API costs before the first request:
//
//	go run ./size -rounds 3 testdata/growth/n1000
//
// writes for each program in the folder cmd of the API a line in the format of benchmarks, with
//
//	lines       of the generated package and the server in it
//	compile-ms  processor time of the compiler for that package alone, on all cores
//	binary-B    size of the program, without symbols
//	heap-B      heap of the program after a garbage collection, when its handler is made
//
// The dependencies are compiled before, so their time does not count.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

// stacks are the programs, with the packages of their servers.
var stacks = []struct{ name, server string }{
	{"floor", "plain"}, {"hand-written", "plain"}, {"oapi-guard", "guarded"}, {"nethttp-middleware", "validated"}, {"ogen", "ogen"},
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("size", flag.ContinueOnError)
	rounds := flags.Int("rounds", 1, "how many times everything is measured")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 || *rounds < 1 {
		return errors.New("usage: size [-rounds N] FOLDER [FOLDER]")
	}
	for _, dir := range flags.Args() {
		operations, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "n"))
		if err != nil {
			return fmt.Errorf("%s is no API of benchmarks/growth", dir)
		}
		built := map[string]measurement{} // the programs are the same in each round
		for range *rounds {
			for _, s := range stacks {
				m, ok := built[s.name]
				if !ok {
					if m, err = build(dir, s.name); err != nil {
						return fmt.Errorf("%s of %s: %w", s.name, dir, err)
					}
					built[s.name] = m
				}
				if m.lines, m.compile, err = compile("./" + filepath.ToSlash(filepath.Join(dir, s.server))); err != nil {
					return fmt.Errorf("%s of %s: %w", s.name, dir, err)
				}
				fmt.Fprintf(out, "BenchmarkGenerated/operations=%d/stack=%s 1 %s\n", operations, s.name, m)
			}
		}
	}
	return nil
}

type measurement struct {
	lines, binary, heap int64
	compile             time.Duration
}

func (m measurement) String() string {
	return fmt.Sprintf("%d lines %.1f compile-ms %d binary-B %d heap-B", m.lines, float64(m.compile.Microseconds())/1000, m.binary, m.heap)
}

// build builds the program of a stack, and measures its size and its heap.
func build(dir, name string) (m measurement, err error) {
	temp, err := os.MkdirTemp("", "size")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	program := filepath.Join(temp, "program")
	if _, err := output("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./"+filepath.ToSlash(filepath.Join(dir, "cmd", name))); err != nil {
		return m, err
	}
	info, err := os.Stat(program)
	if err != nil {
		return m, err
	}
	m.binary = info.Size()
	heap, err := output(program, "heap")
	if err != nil {
		return m, err
	}
	m.heap, err = strconv.ParseInt(strings.TrimSpace(string(heap)), 10, 64)
	return m, err
}

// listing is what go list says of a package.
const listing = `{{.ImportPath}}{{"\n"}}{{.Dir}}{{"\n"}}{{.Module.GoVersion}}{{range .GoFiles}}{{"\n"}}{{.}}{{end}}`

// compile runs the compiler on one package, as the go command does. It returns the lines of the
// package, and the processor time.
func compile(pkg string) (lines int64, used time.Duration, err error) {
	temp, err := os.MkdirTemp("", "size")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	listed, err := output("go", "list", "-f", listing, pkg)
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Split(strings.TrimSpace(string(listed)), "\n")
	if len(fields) < 4 {
		return 0, 0, fmt.Errorf("go list says %q", listed)
	}
	path, dir, version, files := fields[0], fields[1], fields[2], fields[3:]
	// This compiles the package and its dependencies, if the cache lacks them.
	exports, err := output("go", "list", "-deps", "-export", "-f", `{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}`, pkg)
	if err != nil {
		return 0, 0, err
	}
	var importConfig strings.Builder
	for line := range strings.Lines(string(exports)) {
		if !strings.HasPrefix(line, path+"=") {
			importConfig.WriteString("packagefile " + line)
		}
	}
	configFile := filepath.Join(temp, "importcfg")
	if err := os.WriteFile(configFile, []byte(importConfig.String()), 0o600); err != nil {
		return 0, 0, err
	}
	compiler, err := output("go", "tool", "-n", "compile")
	if err != nil {
		return 0, 0, err
	}
	major := strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
	arguments := []string{
		"-o", filepath.Join(temp, "package.a"), "-p", path, "-lang", "go" + major, "-complete", "-pack",
		"-importcfg", configFile, "-trimpath", dir, "-c", strconv.Itoa(runtime.GOMAXPROCS(0)),
	}
	cmd := exec.Command(strings.TrimSpace(string(compiler)), append(arguments, files...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, out)
	}
	for _, file := range files {
		n, err := countLines(filepath.Join(dir, file))
		if err != nil {
			return 0, 0, err
		}
		lines += n
	}
	return lines, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

func countLines(file string) (n int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<24)
	for scanner.Scan() {
		n++
	}
	return n, scanner.Err()
}

// output returns what a program writes. The error has what it writes to standard error.
func output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, stderr.String())
	}
	return out, nil
}
