// Package interop runs verifiers and issuers of other projects against this one: see README.md.
package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// required reports whether INTEROP=required, where a program that cannot be had fails the test. CI
// sets it. Without it the test skips the program and says why.
func required() bool { return os.Getenv("INTEROP") == "required" }

// skip skips the test with the reason, or fails it where INTEROP=required.
func skip(t *testing.T, reason error) {
	t.Helper()
	if required() {
		t.Fatalf("INTEROP=required, and this cannot run: %v", reason)
	}
	t.Skipf("this cannot run: %v", reason)
}

// program is another program that reads a JSON object on each line of its standard input, and writes
// one for each to its standard output. Its first line has the version of what it tries.
type program struct {
	version string
	// issuer is the URL of an OpenID provider.
	issuer string
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	stderr *strings.Builder
	// wait waits for the end of the program. Afterwards stderr is complete.
	wait func() error
}

// command is how a program is started.
type command struct {
	// needs is the path that must exist, or "" where the program itself tells.
	needs string
	// install is what to run where the program cannot be had.
	install string
	argv    []string
}

// The programs of the folders beside this file. Debian's Python sees Debian's packages; another
// Python that comes first on PATH does not.
func node(file string, arguments ...string) command {
	return command{
		needs:   filepath.Join("node", "node_modules"),
		install: "npm ci --prefix crosstest/interop/node",
		argv:    append([]string{"node", filepath.Join("node", file)}, arguments...),
	}
}

func python(file, debianPackage string) command {
	return command{needs: "/usr/bin/python3", install: "apt-get install " + debianPackage, argv: []string{"/usr/bin/python3", filepath.Join("python", file)}}
}

func ruby(file, debianPackage string) command {
	return command{install: "apt-get install " + debianPackage, argv: []string{"ruby", filepath.Join("ruby", file)}}
}

func perl(file, debianPackage string) command {
	return command{install: "apt-get install " + debianPackage, argv: []string{"/usr/bin/perl", filepath.Join("perl", file)}}
}

// start starts the program. The error says what is missing and how to install it.
func (c command) start(t *testing.T) (*program, error) {
	t.Helper()
	if c.needs != "" {
		if _, err := os.Stat(c.needs); err != nil {
			return nil, fmt.Errorf("there is no %s: %s", c.needs, c.install)
		}
	}
	path, err := exec.LookPath(c.argv[0])
	if err != nil {
		return nil, fmt.Errorf("there is no %s: %s", c.argv[0], c.install)
	}
	p := &program{stderr: &strings.Builder{}}
	// A program that does not respond is ended, and reading from it fails.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	process := exec.CommandContext(ctx, path, c.argv[1:]...)
	process.Stderr = p.stderr
	// Python writes no compiled files into the folders of the repository.
	process.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "NODE_ENV=production", "NODE_NO_WARNINGS=1")
	if p.stdin, err = process.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdout = bufio.NewScanner(stdout)
	p.stdout.Buffer(nil, 1<<20)
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, c.install)
	}
	p.wait = sync.OnceValue(process.Wait)
	t.Cleanup(func() {
		_ = p.stdin.Close()
		_ = p.wait()
	})
	var hello struct{ Version, Issuer string }
	if err := p.read(&hello); err != nil {
		return nil, fmt.Errorf("%w: %s", err, c.install)
	}
	p.version, p.issuer = hello.Version, hello.Issuer
	return p, nil
}

// ask sends a request and reads the response.
func (p *program) ask(request, response any) error {
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return err
	}
	return p.read(response)
}

// read reads a line. Where the program ended, the error has a line that it wrote to stderr.
func (p *program) read(value any) error {
	if p.stdout.Scan() {
		return json.Unmarshal(p.stdout.Bytes(), value)
	}
	_ = p.wait()
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.Contains(strings.ToLower(line), "error:") {
			return errors.New(strings.TrimSpace(line))
		}
	}
	return fmt.Errorf("the program ended: %s", lines[0])
}
