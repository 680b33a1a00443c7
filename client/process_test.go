package client

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The variables that make the test binary refresh in a loop: the server, the file, and the number of
// refreshes.
const (
	childServer = "CLIENT_TEST_SERVER"
	childFile   = "CLIENT_TEST_FILE"
)

// childRefreshes is how many refreshes each process makes.
const childRefreshes = 500

// runChild runs the program of TestTwoProcesses if this is one of its processes.
func runChild() bool {
	if os.Getenv(childServer) == "" {
		return false
	}
	if err := refreshInLoop(context.Background(), os.Getenv(childServer), os.Getenv(childFile)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// refreshInLoop refreshes until this process has made its number of refreshes. The other process
// refreshes the same tokens.
func refreshInLoop(ctx context.Context, server, path string) error {
	keeper, err := NewFileKeeper(path)
	if err != nil {
		return err
	}
	c, err := New(server, Config{Keeper: keeper, Refresh: &RefreshOperation{refreshOp, http.MethodPost, "/refresh"}})
	if err != nil {
		return err
	}
	mine := 0
	source := c.Tokens()
	refresh := source.refresh
	source.refresh = func(ctx context.Context, token string) (Tokens, error) {
		mine++
		return refresh(ctx, token)
	}
	for mine < childRefreshes {
		used, err := source.Tokens(ctx)
		if err != nil {
			return fmt.Errorf("after %d refreshes: %w", mine, err)
		}
		if _, err := source.tokens(ctx, used.AccessToken); err != nil {
			return fmt.Errorf("after %d refreshes: %w", mine, err)
		}
	}
	return nil
}

// TestTwoProcesses checks that two processes that share a file lose no session. The server accepts
// each refresh token once, without a grace period.
func TestTwoProcesses(t *testing.T) {
	a := newAuthority(t)
	path := filepath.Join(t.TempDir(), "tokens.json")
	keeper, err := NewFileKeeper(path)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, a.URL, Config{Keeper: keeper})
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	exited := make(chan string, 2)
	for range 2 {
		go func() {
			command := exec.CommandContext(t.Context(), os.Args[0])
			command.Env = append(os.Environ(), childServer+"="+a.URL, childFile+"="+path)
			output, err := command.CombinedOutput()
			if err != nil {
				exited <- fmt.Sprintf("%v\n%s", err, output)
				return
			}
			exited <- ""
		}()
	}
	for range 2 {
		if message := <-exited; message != "" {
			t.Error(message)
		}
	}
	refreshes, _ := a.count()
	if refreshes != 2*childRefreshes {
		t.Errorf("%d refreshes, want %d", refreshes, 2*childRefreshes)
	}
	mustStatus(t, c, request(t, "GET", a.URL+"/", secured, nil), 200)
	files, err := filepath.Glob(filepath.Dir(path) + "/*")
	if err != nil || len(files) != 2 {
		t.Errorf("the folder has %s (%v), want the file and its lock", strings.Join(files, ", "), err)
	}
}
