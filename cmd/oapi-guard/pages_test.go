//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/oapi-guard/oapi-guard/internal/freeport"
)

// TestPages follows pages of the documentation to the letter, in an empty folder: a reader who
// copies the blocks of a page in order gets what the page promises. This module comes from a module
// proxy that serves the files of the working tree as a release. Nothing is replaced.
//
// A script of testdata/pages names the page: "follow PAGE". A comment in front of a fenced block
// says what the reader does with the block; blocks without such a comment are not tried:
//
//	<!-- try: file PATH -->      writes the block to the file
//	<!-- try: run -->            runs the block in the shell, which stops at the first command that fails
//	<!-- try: serve :PORT -->    runs the block in the background and waits until the port accepts connections
//	<!-- try: output -->         compares the block with what the last run block printed; ... stands for any text
//
// All blocks of a page share one shell, so cd and variables stay in force. Another comment may
// stand between a mark and its block. A port that a serve block names is free on the reader's
// machine, but perhaps not here: the test chooses another one and writes it into all blocks of the
// page.
//
// The generator and its modules are compiled once, which takes a minute or two.
func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the generator in another module")
	}
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	environment := readersEnvironment(t, repo)
	compileGenerator(t, environment)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/pages",
		Setup: func(e *testscript.Env) error {
			e.Setenv("REPO", repo)
			for name, value := range environment {
				e.Setenv(name, value)
			}
			e.Values["environment"] = e
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"follow": func(ts *testscript.TestScript, neg bool, args []string) { follow(t, ts, neg, args) },
		},
	})
}

// TestMarkedPages checks that a script follows each page with marks, and the two pages that a new
// reader begins with. A page without marks cannot be followed, so lost marks fail in TestPages.
func TestMarkedPages(t *testing.T) {
	scripts, err := filepath.Glob("testdata/pages/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	followed := map[string]bool{}
	for _, name := range scripts {
		script, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^follow \$REPO/(\S+)$`).FindAllSubmatch(script, -1) {
			followed[string(match[1])] = true
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(filepath.ToSlash(page), "../../")
		first := name == "README.md" || name == "docs/getting-started.md"
		if (first || bytes.Contains(text, []byte("<!-- try:"))) && !followed[name] {
			t.Errorf("no script of testdata/pages follows %s", name)
		}
	}
}

// readersEnvironment returns the environment of the readers, who share one module cache.
func readersEnvironment(t *testing.T, repo string) map[string]string {
	t.Helper()
	gopath := t.TempDir()
	return map[string]string{
		"PATH":        pathWithoutCommand(),
		"GOPROXY":     startModuleProxy(t, repo),
		"GOSUMDB":     "off",
		"GOPATH":      gopath,
		"GOMODCACHE":  filepath.Join(gopath, "pkg", "mod"),
		"GOCACHE":     output(t, repo, "go", "env", "GOCACHE"),
		"GOENV":       "off",
		"GOWORK":      "off",
		"GOTOOLCHAIN": "local",
		// Without paths in the objects the build cache serves the next run, whose module cache is
		// elsewhere. "go tool" does not know the flag.
		"GOFLAGS": "-trimpath -modcacherw",
	}
}

// compileGenerator compiles the generator as readers do, before they do it side by side.
func compileGenerator(t *testing.T, environment map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"mod", "init", "example.com/first"}, {"get", "-tool", modulePath + "/cmd/oapi-guard"}, {"tool", "oapi-guard", "version"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PWD="+dir)
		for name, value := range environment {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// output runs a command and returns what it printed.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// pathWithoutCommand returns PATH without the folders that have an oapi-guard: readers have it as a
// tool of their module.
func pathWithoutCommand() string {
	dirs := slices.DeleteFunc(filepath.SplitList(os.Getenv("PATH")), func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "oapi-guard"))
		return err == nil
	})
	return strings.Join(dirs, string(filepath.ListSeparator))
}

// block is a fenced block of a page, with the words of its mark.
type block struct{ action, argument, text string }

var marked = regexp.MustCompile("(?m)^<!-- try: (file|run|serve|output)(?: (\\S+))? -->\n(?:<!--.*-->\n|\n)*```.*\n((?s:.*?))^```$")

// blocksOf returns the marked blocks of a page, in order.
func blocksOf(page string) ([]block, error) {
	var blocks []block
	for _, match := range marked.FindAllStringSubmatch(page, -1) {
		b := block{match[1], match[2], match[3]}
		if needs := b.action == "file" || b.action == "serve"; needs != (b.argument != "") {
			return nil, fmt.Errorf("<!-- try: %s %s -->: file needs a path, serve a port, the others nothing", b.action, b.argument)
		}
		blocks = append(blocks, b)
	}
	if marks := strings.Count(page, "<!-- try:"); marks == 0 || marks != len(blocks) {
		return nil, fmt.Errorf("%d comments begin with \"<!-- try:\", and %d of them are marks in front of a block", marks, len(blocks))
	}
	return blocks, nil
}

// withFreePorts replaces the port of each serve block by a free one, in all blocks.
func withFreePorts(t *testing.T, blocks []block) {
	for _, serve := range blocks {
		if serve.action != "serve" {
			continue
		}
		port := fmt.Sprintf(":%d", freeport.New(t))
		for i := range blocks {
			b := &blocks[i]
			if b.action == "serve" {
				b.argument = strings.ReplaceAll(b.argument, serve.argument, port)
			}
			b.text = strings.ReplaceAll(b.text, serve.argument, port)
		}
	}
}

// TestMarks checks that a page whose marks are not understood is not followed in part.
func TestMarks(t *testing.T) {
	for _, tt := range []struct {
		name, page string
		blocks     int // 0: an error
	}{
		{"a run block", "text\n\n<!-- try: run -->\n```sh\ntrue\n```\n", 1},
		{"an empty line and another comment in between", "<!-- try: file a/b -->\n\n<!-- from c -->\n```go\nx\n```\n", 1},
		{"a block without a mark", "```sh\nfalse\n```\n<!-- try: run -->\n```sh\ntrue\n```\n", 1},
		{"no marks", "```sh\nfalse\n```\n", 0},
		{"an unknown action", "<!-- try: run -->\n```sh\ntrue\n```\n<!-- try: rum -->\n```sh\ntrue\n```\n", 0},
		{"no block behind the mark", "<!-- try: run -->\ntext\n```sh\ntrue\n```\n", 0},
		{"a file without a path", "<!-- try: file -->\n```go\nx\n```\n", 0},
		{"a run block with an argument", "<!-- try: run twice -->\n```sh\ntrue\n```\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			blocks, err := blocksOf(tt.page)
			if len(blocks) != tt.blocks || (err == nil) != (tt.blocks > 0) {
				t.Errorf("%q, error %v, want %d blocks", blocks, err, tt.blocks)
			}
		})
	}
}

func TestShownOutput(t *testing.T) {
	for _, tt := range []struct {
		name, shown, printed string
		want                 bool
	}{
		{"the same", "a.b\n", "a.b\n", true},
		{"other text", "a.b\n", "axb\n", false},
		{"more text", "a\n", "a\nb\n", false},
		{"any text", "a ... d\n", "a b\nc d\n", true},
		{"a response with the line ends of HTTP", "HTTP/1.1 401 Unauthorized\n...\n", "HTTP/1.1 401 Unauthorized\r\nDate: x\r\n", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := matches(tt.shown, tt.printed); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}

// follow runs the blocks of a page.
func follow(t *testing.T, ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: follow PAGE")
	}
	blocks, err := blocksOf(ts.ReadFile(args[0]))
	ts.Check(err)
	withFreePorts(t, blocks)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	s, err := startShell(ctx, ts.Value("environment").(*testscript.Env), ts.MkAbs("."))
	ts.Check(err)
	defer s.stop()
	printed := ""
	for _, b := range blocks {
		ts.Logf("[%s %s]\n%s", b.action, b.argument, b.text)
		switch b.action {
		case "file":
			draft := filepath.Join(s.files, "draft")
			ts.Check(os.WriteFile(draft, []byte(b.text), 0o644))
			_, err = s.run(fmt.Sprintf("mkdir -p %s\ncp %s %s", quoted(path.Dir(b.argument)), quoted(draft), quoted(b.argument)))
		case "run":
			printed, err = s.run(b.text)
			ts.Logf("[printed]\n%s", printed)
		case "serve":
			err = s.serve(b.text, b.argument)
		case "output":
			if !matches(b.text, printed) {
				err = fmt.Errorf("the page promises another output than\n%s", printed)
			}
		}
		if err != nil {
			ts.Fatalf("%s %s: %v", b.action, b.argument, err)
		}
	}
	ts.Check(usesRelease(ts.MkAbs(".")))
}

// matches reports whether a command printed what a page shows, where ... stands for any text.
func matches(shown, printed string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(shown)), `\.\.\.`, `(?s:.*)`)
	printed = strings.ReplaceAll(strings.TrimSpace(printed), "\r", "")
	return regexp.MustCompile("^" + pattern + "$").MatchString(printed)
}

// usesRelease checks that a module of the folder requires the release of the proxy, and that none
// has a replacement.
func usesRelease(dir string) error {
	required := false
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".gopath" {
			return filepath.SkipDir
		}
		if err != nil || d.Name() != "go.mod" {
			return err
		}
		mod, err := os.ReadFile(name)
		if bytes.Contains(mod, []byte("replace ")) {
			return fmt.Errorf("%s has a replacement:\n%s", name, mod)
		}
		required = required || bytes.Contains(mod, []byte(modulePath+" "+moduleVersion))
		return err
	})
	if err == nil && !required {
		err = fmt.Errorf("no go.mod requires %s %s", modulePath, moduleVersion)
	}
	return err
}

// shell is a POSIX shell that stops at the first command that fails.
type shell struct {
	cmd   *exec.Cmd
	in    io.Writer
	out   *bufio.Reader
	files string // a folder for the test's files
}

func startShell(ctx context.Context, env *testscript.Env, dir string) (*shell, error) {
	cmd := exec.CommandContext(ctx, "sh", "-e")
	cmd.Dir, cmd.Env = dir, append(slices.Clone(env.Vars), "PWD="+dir)
	// The servers that a page starts are in the shell's process group, and end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	files := filepath.Join(env.WorkDir, ".tmp")
	return &shell{cmd, in, bufio.NewReader(out), files}, cmd.Start()
}

const endOfBlock = "[end of block]"

// run runs commands, and returns what they printed.
func (s *shell) run(text string) (string, error) {
	if _, err := fmt.Fprintf(s.in, "{\n%s\n} </dev/null 2>&1\necho '%s'\n", text, endOfBlock); err != nil {
		return "", err
	}
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if before, found := strings.CutSuffix(line, endOfBlock+"\n"); found {
			printed.WriteString(before)
			return printed.String(), nil
		}
		printed.WriteString(line)
		if err != nil {
			return "", fmt.Errorf("a command failed; the block printed\n%s", printed.String())
		}
	}
}

// serve runs commands in the background until the shell ends, and waits until something listens on
// the port.
func (s *shell) serve(text, port string) error {
	log := filepath.Join(s.files, "serve")
	ended := filepath.Join(s.files, "ended")
	_, err := s.run(fmt.Sprintf("(trap ': >%s' EXIT\n%s\n) </dev/null >%s 2>&1 &", ended, text, log))
	if err != nil {
		return err
	}
	for {
		conn, err := net.DialTimeout("tcp", "127.0.0.1"+port, time.Second)
		if err == nil {
			return conn.Close()
		}
		if _, err := os.Stat(ended); err == nil {
			printed, _ := os.ReadFile(log)
			return fmt.Errorf("the server ended:\n%s", printed)
		}
		time.Sleep(50 * time.Millisecond) // between two looks at another process
	}
}

// stop ends the shell and the servers that it started.
func (s *shell) stop() {
	_ = s.cmd.Cancel()
	_ = s.cmd.Wait()
}

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
