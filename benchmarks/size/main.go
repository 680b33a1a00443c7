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
		if err := report(out, dir, operations, *rounds); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

// report writes a line for each stack and round. The programs are built once, and a package that
// two stacks have is compiled once a round.
func report(out io.Writer, dir string, operations, rounds int) error {
	programs := map[string]program{}
	for _, s := range stacks {
		built, err := build(dir, s.name)
		if err != nil {
			return err
		}
		programs[s.name] = built
	}
	for range rounds {
		compiled := map[string]compilation{}
		for _, s := range stacks {
			if _, ok := compiled[s.server]; ok {
				continue
			}
			c, err := compile("./" + filepath.ToSlash(filepath.Join(dir, s.server)))
			if err != nil {
				return err
			}
			compiled[s.server] = c
		}
		for _, s := range stacks {
			p, c := programs[s.name], compiled[s.server]
			fmt.Fprintf(out, "BenchmarkGenerated/operations=%d/stack=%s 1 %d lines %.1f compile-ms %d binary-B %d heap-B\n",
				operations, s.name, c.lines, float64(c.used.Microseconds())/1000, p.size, p.heap)
		}
	}
	return nil
}

// program is the size of a program and of its heap, in bytes.
type program struct{ size, heap int64 }

// compilation is what the compiler got and needed for a package.
type compilation struct {
	lines int64
	used  time.Duration
}

// build builds the program of a stack, and measures its size and its heap.
func build(dir, name string) (p program, err error) {
	temp, err := os.MkdirTemp("", "size")
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	file := filepath.Join(temp, "program")
	if _, err := output("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "./"+filepath.ToSlash(filepath.Join(dir, "cmd", name))); err != nil {
		return p, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return p, err
	}
	p.size = info.Size()
	heap, err := output(file, "heap")
	if err != nil {
		return p, err
	}
	p.heap, err = strconv.ParseInt(strings.TrimSpace(string(heap)), 10, 64)
	return p, err
}

// listing is what go list says of a package.
const listing = `{{.ImportPath}}{{"\n"}}{{.Dir}}{{"\n"}}{{.Module.GoVersion}}{{range .GoFiles}}{{"\n"}}{{.}}{{end}}`

// compile runs the compiler on one package, as the go command does. It returns the lines of the
// package, and the processor time.
func compile(pkg string) (c compilation, err error) {
	temp, err := os.MkdirTemp("", "size")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	listed, err := output("go", "list", "-f", listing, pkg)
	if err != nil {
		return c, err
	}
	fields := strings.Split(strings.TrimSpace(string(listed)), "\n")
	if len(fields) < 4 {
		return c, fmt.Errorf("go list says %q", listed)
	}
	path, dir, version, files := fields[0], fields[1], fields[2], fields[3:]
	// This compiles the package and its dependencies, if the cache lacks them.
	exports, err := output("go", "list", "-trimpath", "-deps", "-export", "-f", `{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}`, pkg)
	if err != nil {
		return c, err
	}
	var importConfig strings.Builder
	for line := range strings.Lines(string(exports)) {
		if !strings.HasPrefix(line, path+"=") {
			importConfig.WriteString("packagefile " + line)
		}
	}
	configFile := filepath.Join(temp, "importcfg")
	if err := os.WriteFile(configFile, []byte(importConfig.String()), 0o600); err != nil {
		return c, err
	}
	compiler, err := output("go", "tool", "-n", "compile")
	if err != nil {
		return c, err
	}
	major := strings.Join(strings.SplitN(version, ".", 3)[:2], ".")
	arguments := []string{
		"-o", filepath.Join(temp, "package.a"), "-p", path, "-lang", "go" + major, "-complete", "-pack",
		"-importcfg", configFile, "-trimpath", dir, "-c", strconv.Itoa(runtime.GOMAXPROCS(0)),
	}
	cmd := exec.Command(strings.TrimSpace(string(compiler)), append(arguments, files...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return c, fmt.Errorf("%w: %s", err, out)
	}
	for _, file := range files {
		n, err := countLines(filepath.Join(dir, file))
		if err != nil {
			return c, err
		}
		c.lines += n
	}
	c.used = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, nil
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
