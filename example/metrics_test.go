package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// program is the running program.
type program struct {
	*app
	metrics string // the URL of /metrics, or nowhere
}

// startProgram runs the program until the test ends.
func startProgram(t *testing.T, env map[string]string) *program {
	t.Helper()
	env["ADDR"], env["DATA_DIR"] = "127.0.0.1:0", t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, nil, func(name string) string { return env[name] }, in, io.Discard)
		_ = in.Close()
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	p := &program{app: &app{t: t}}
	lines := bufio.NewScanner(out)
	for p.metrics == "" && lines.Scan() {
		_, _ = fmt.Sscanf(lines.Text(), "Serving the reference API on %s", &p.url)
		_, _ = fmt.Sscanf(lines.Text(), "Metrics for Prometheus are served at %s", &p.metrics)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p
}

// scrape returns the page that Prometheus reads.
func (p *program) scrape() string {
	p.t.Helper()
	response, err := http.Get(p.metrics)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatal(response.StatusCode, err)
	}
	return string(page)
}

// TestMetricsOfTheProgram sends requests to the program with a copy of its store, and reads /metrics.
// No id, token, name or address is there.
func TestMetricsOfTheProgram(t *testing.T) {
	p := startProgram(t, map[string]string{
		"METRICS_ADDR": "127.0.0.1:0", "REPLICA": "2s", "STORE": "sqlite:" + filepath.Join(t.TempDir(), "store.db"),
	})
	session := p.login("alice", "wonderland")
	p.works(session)
	p.call("GET", "/protected", "", "").want(t, 401, "Bearer")
	p.call("POST", "/logout", session.Refresh, "").want(t, 204, "")
	p.over(session)
	page := p.scrape()
	for _, want := range []string{
		`oapiguard_guard_decisions_total{oapiguard_operation="login",oapiguard_outcome="served"} 1`,
		`oapiguard_guard_decisions_total{http_response_status_code="401",oapiguard_operation="getProtected",oapiguard_outcome="refused",oapiguard_reason="This operation needs credentials."} 1`,
		`oapiguard_guard_decision_duration_seconds_count{oapiguard_operation="login",oapiguard_outcome="served"} 1`,
		`oapiguard_refused_requests_total{http_response_status_code="401",oapiguard_operation="getProtected",oapiguard_reason="The token has been revoked."} `,
		`oapiguard_blacklist_checks_total{oapiguard_outcome="not_revoked"} `,
		`oapiguard_blacklist_checks_total{oapiguard_outcome="revoked"} `,
		`oapiguard_replica_bound_seconds 2`,
		`oapiguard_replica_age_seconds `,
		`oapiguard_session_events_total{oapiguard_session_event="began"} 1`,
		`oapiguard_session_events_total{oapiguard_session_event="ended"} 1`,
		`target_info{service_name="reference-api"`,
		"go_goroutines ",
	} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	for _, secret := range []string{"alice", "eyJ", session.Access, session.Refresh, "127.0.0.1", issuerName} {
		if strings.Contains(page, secret) {
			t.Errorf("%s is exported", secret)
		}
	}
	if ready := p.call("GET", "/readyz", "", ""); ready.status != 200 || !regexp.MustCompile(`^ready\nreplica: age \d\.\d{3} s, bound 2\.000 s\n$`).MatchString(ready.body) {
		t.Errorf("readiness %d, %q", ready.status, ready.body)
	}
}

// TestMetricsAreOff has METRICS_ADDR=off.
func TestMetricsAreOff(t *testing.T) {
	p := startProgram(t, map[string]string{"METRICS_ADDR": "off", "STORE": "memory:"})
	if p.metrics != "nowhere" {
		t.Errorf("metrics at %s", p.metrics)
	}
	if ready := p.call("GET", "/readyz", "", ""); ready.status != 200 || ready.body != "ready\n" {
		t.Errorf("readiness %d, %q", ready.status, ready.body)
	}
}

// TestMetricsAddress has addresses that cannot be used. Only the default may be in use by another
// example.
func TestMetricsAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, addr := range []string{taken.Addr().String(), "192.0.2.1:9464", "nowhere"} {
		if listener, err := listenForMetrics(addr, false, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", addr)
			_ = listener.Close()
		}
	}
	var log strings.Builder
	first, err := listenForMetrics("", false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if first != nil { // else another process has the default, which serves as well
		defer func() { _ = first.Close() }()
	}
	second, err := listenForMetrics("", false, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || second != nil || !strings.Contains(log.String(), "METRICS_ADDR") {
		t.Errorf("%v, %v, logged %q", second, err, log.String())
	}
}
