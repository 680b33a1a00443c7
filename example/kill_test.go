package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/freeport"
	"github.com/oapi-guard/oapi-guard/internal/race"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

// TestKilledServiceKeepsSessions kills the service 100 times (SIGKILL) while 64 clients refresh at
// it. It keeps its sessions in a bolt file. Clients repeat until they have an answer.
func TestKilledServiceKeepsSessions(t *testing.T) {
	race.Skip(t) // the passwords of the log-ins
	const kills, between = 100, 100
	service := &killedService{t: t, addr: freeport.Addr(t), dir: t.TempDir(), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second,
	}}
	service.start()
	t.Cleanup(service.kill)
	t.Cleanup(service.client.CloseIdleConnections)
	rotations := &sessiontest.Rotations{
		LogIn: func(ctx context.Context, _ string) (string, error) {
			return service.post(ctx, "/login", "", `{"username":"alice","password":"wonderland"}`)
		},
		Refresh: func(ctx context.Context, refresh string) (string, error) {
			return service.post(ctx, "/refresh", refresh, "")
		},
		End: func(ctx context.Context, refresh string) error {
			_, err := service.post(ctx, "/logout", refresh, "")
			return err
		},
		Total: kills * between, Timeout: 10 * time.Minute,
	}
	killed := 0
	rotations.Fault = func(p *sessiontest.Progress) {
		for n := between / 2; p.Await(n); n += between {
			service.kill()
			service.start()
			killed++
		}
	}
	report := rotations.Run(t)
	t.Logf("killed %d times", killed)
	if killed < kills || report.Repeats < kills {
		t.Errorf("%d kills and %d requests without an answer, want %d of each at least", killed, report.Repeats, kills)
	}
}

// killedService is the program in a process of its own.
type killedService struct {
	t         *testing.T
	addr, dir string
	client    *http.Client
	process   *exec.Cmd
}

func (s *killedService) start() {
	s.process = exec.Command(os.Args[0])
	s.process.Env = append(os.Environ(), childEnv+"=1", "ADDR="+s.addr, "DATA_DIR="+s.dir, "STORE=bolt:"+filepath.Join(s.dir, "store.db"))
	if err := s.process.Start(); err != nil {
		s.t.Error(err)
	}
}

func (s *killedService) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // it was killed
}

// post returns the refresh token of the answer. An error that is security.ErrTokenRevoked is a 401,
// any other one is no answer.
func (s *killedService) post(ctx context.Context, path, token, body string) (refresh string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	switch response.StatusCode {
	case http.StatusOK:
		var pair struct {
			Refresh string `json:"refresh_token"`
		}
		err := json.Unmarshal(text, &pair)
		if err == nil && pair.Refresh == "" {
			err = errors.New("an answer without a refresh token")
		}
		return pair.Refresh, err
	case http.StatusNoContent:
		return "", nil
	case http.StatusUnauthorized:
		return "", security.ErrTokenRevoked
	}
	return "", fmt.Errorf("status %d", response.StatusCode)
}
