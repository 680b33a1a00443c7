package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// startRun runs the program until the test ends. It returns the lines that it prints first.
func startRun(t *testing.T, args []string, env map[string]string) []string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, args, func(name string) string { return env[name] }, in, io.Discard)
		in.Close()
	}()
	printed := make(chan string, 100)
	go func() {
		defer close(printed)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			printed <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	lines := []string{}
	for line := range printed {
		if lines = append(lines, line); strings.HasPrefix(line, "Developer console: ") || strings.HasPrefix(line, "No developer console") {
			break
		}
	}
	return lines
}

// TestConsole asks the address that the program prints, which also serves the API.
func TestConsole(t *testing.T) {
	taken, err := net.Listen("tcp", defaultConsole) // or it is in use already
	if err == nil {
		defer taken.Close()
	}
	for _, tt := range []struct {
		name, addr string
		args       []string
		served     bool
	}{
		{"by default, with the default address in use", "", nil, true},
		{"at an address", "127.0.0.1:0", nil, true},
		{"off", "off", nil, false},
		{"demo users anywhere", "", []string{"-demo-users-anywhere"}, false},
		{"demo users anywhere, and asked for", "127.0.0.1:0", []string{"-demo-users-anywhere"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := startRun(t, tt.args, map[string]string{"ADDR": "127.0.0.1:0", "STORE": "memory:", "DATA_DIR": t.TempDir(), "CONSOLE_ADDR": tt.addr})
			address, served := strings.CutPrefix(lines[len(lines)-1], "Developer console: ")
			if served != tt.served {
				t.Fatalf("printed %q", lines)
			}
			main := strings.TrimPrefix(lines[0], "Serving the reference API on ")
			if r, err := http.Get(main + "/console/"); err != nil || r.StatusCode != 404 || r.Body.Close() != nil {
				t.Errorf("the listener of the API: %v, %v", r, err)
			}
			if !served {
				return
			}
			for path, want := range map[string]int{address: 200, address + "config.json": 200, strings.TrimSuffix(address, "console/") + "greeting": 200} {
				if r, err := http.Get(path); err != nil || r.StatusCode != want || r.Body.Close() != nil {
					t.Errorf("%s: %v, %v", path, r, err)
				}
			}
		})
	}
}
