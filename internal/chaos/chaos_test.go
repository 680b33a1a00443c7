package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build builds the program, with the files of the overlay in place of those of the repository.
func build(t *testing.T, overlay map[string]string) (program string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "chaos")
	args := []string{"build", "-o", program}
	if overlay != nil {
		text, err := json.Marshal(map[string]any{"Replace": overlay})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "overlay.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", path)
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// check runs the program, and returns its report and its exit status.
func check(t *testing.T, program string, args ...string) (r runReport, status int) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-short", "-out", dir}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
	return r, cmd.ProcessState.ExitCode()
}

// TestPromiseHolds runs some of the scenarios for a few seconds. `make chaos` runs all of them for
// much longer.
func TestPromiseHolds(t *testing.T) {
	names := []string{"redis: master", "redis: demotion", "redis: trim"}
	if os.Getenv("POSTGRES_BIN") != "no" {
		names = append(names, "postgres: server")
	}
	r, status := check(t, build(t, nil), "-bound", "500ms", "-rate", "500", "-scale", "0.5", "-run", strings.Join(names, ","))
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	if len(r.Scenarios) != len(names) {
		t.Fatalf("%d scenarios in the report, want %d", len(r.Scenarios), len(names))
	}
	for _, s := range r.Scenarios {
		if s.ViolationCount != 0 || s.Failure != "" {
			t.Errorf("%s: %d violations %s", s.Name, s.ViolationCount, s.Failure)
		}
		if s.Acknowledged < 50 || s.Lookups < 10*s.Acknowledged || s.Faults == 0 {
			t.Errorf("%s: %d revocations, %d look-ups and %d faults show little", s.Name, s.Acknowledged, s.Lookups, s.Faults)
		}
	}
}

// everyRule is the variable of the environment with which TestRuleTakenOut takes out all rules. It
// takes two minutes.
const everyRule = "CHAOS_EVERY_RULE"

// TestRuleTakenOut takes one rule out of package replica or of a store, in a build of the program
// with an overlay, and expects that the program finds violations.
func TestRuleTakenOut(t *testing.T) {
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			if !rule.quick && os.Getenv(everyRule) == "" {
				t.Skipf("%s is not set", everyRule)
			}
			if strings.HasPrefix(rule.scenario, "postgres") && os.Getenv("POSTGRES_BIN") == "no" {
				t.Skip("POSTGRES_BIN=no")
			}
			overlay, err := rule.takeOut(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"-bound", "500ms", "-run", rule.scenario}
			if rule.quick {
				args = append(args, "-scale", "0.5")
			}
			r, status := check(t, build(t, overlay), args...)
			if status != 1 || r.Scenarios[0].ViolationCount == 0 {
				t.Errorf("exit status %d and %d violations, want 1 and some", status, r.Scenarios[0].ViolationCount)
			}
			if len(r.Scenarios[0].Violations) > 0 {
				if kind := r.Scenarios[0].Violations[0].Kind; kind != rule.violation {
					t.Errorf("the violations are of the kind %q, want %q", kind, rule.violation)
				}
			}
		})
	}
}

// rule is a rule of the promise, and how to take it out.
type rule struct {
	name      string
	edits     []edit
	scenario  string // that finds it
	violation string
	quick     bool // the scenario takes a few seconds and always finds it
}

// edit replaces a text, which the file contains once.
type edit struct{ file, old, new string }

// takeOut writes the edited files into the directory and returns the overlay.
func (r *rule) takeOut(dir string) (overlay map[string]string, err error) {
	overlay = make(map[string]string)
	for i, e := range r.edits {
		path, err := filepath.Abs(filepath.Join("..", "..", e.file))
		if err != nil {
			return nil, err
		}
		source := path
		if edited, ok := overlay[path]; ok {
			source = edited
		}
		text, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			return nil, fmt.Errorf("%s contains the text of the rule %d times, want once: change the rule of this test:\n%s", e.file, n, e.old)
		}
		overlay[path] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(overlay[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			return nil, err
		}
	}
	return overlay, nil
}

var rules = []rule{
	{
		name: "a revocation is put into the copy of the process that revokes", scenario: "redis: no fault", violation: atOnce, quick: true,
		edits: []edit{{
			"blacklist/replica/replica.go",
			"\t\treturn false, err\n\t}\n\tr.table.record(rev, r.state.Load().time(r.cfg.clock.now()))\n",
			"\t\treturn false, err\n\t}\n",
		}},
	}, {
		name: "a trimmed stream is a gap", scenario: "redis: trim", violation: late, quick: true,
		edits: []edit{{
			"store/redisstore/follower.go",
			"if id, err := parseRecordID(messages[0].ID); err != nil || id.after(f.position) {",
			"if _, err := parseRecordID(messages[0].ID); err != nil {",
		}},
	}, {
		name: "a copy that is too old does not answer", scenario: "redis: process partitioned", violation: late,
		edits: []edit{{
			"blacklist/replica/replica.go",
			"return state != nil && now.since(state.began) <= r.cfg.bound && ",
			"return state != nil && now != (instant{}) && ",
		}},
	}, {
		name: "the age is compared after the look-up", scenario: "redis: frozen look-up", violation: frozen,
		edits: []edit{{
			"blacklist/replica/replica.go",
			"\tuntil, covered := r.table.covered(id, located)\n\tnow := r.cfg.clock.now()\n\tif covered {\n\t\tif until > state.time(now)",
			"\tnow := r.cfg.clock.now()\n\tuntil, covered := r.table.covered(id, located)\n\tif covered {\n\t\tif until > state.time(now)",
		}},
	}, {
		name: "an entry ends the memory of absence", scenario: "redis: no fault", violation: atOnce,
		edits: []edit{{"internal/entries/set.go", "\tt.version.Add(1)\n", ""}},
	}, {
		name: "a master without replicas gives no answer", scenario: "sentinel: fence", violation: late,
		edits: []edit{{
			"store/redisstore/fence.go", "\tif f.wait.Val() < int64(f.replicas) {\n", "\tif f.wait.Val() < 0 {\n",
		}},
	}, {
		name: "a repeated revocation has a record", scenario: "cluster: stream unreachable", violation: late,
		edits: []edit{{
			"store/redisstore/revoke.go",
			"if err == nil && !s.recordsInScript() {",
			"if err == nil && !s.recordsInScript() && !before {",
		}},
	}, {
		name: "a server that is no master is a gap", scenario: "redis: demotion", violation: late,
		edits: []edit{{"store/redisstore/follower.go", `if state["role"] != "master" {`, `if state["role"] == "" {`}},
	}, {
		name: "a snapshot reads the position first", scenario: "redis: trim", violation: late,
		edits: []edit{{
			"store/redisstore/snapshot.go",
			"_, after, now, err := f.lastRecord(ctx)",
			"position, after, now, err := f.lastRecord(ctx)",
		}},
	}, {
		name: "a snapshot is merged into the copy", scenario: "redis: trim", violation: late,
		edits: []edit{{
			"blacklist/replica/follow.go",
			"\terr = follower.Snapshot(ctx, func(b Batch) error {",
			"\tr.table.entries.Init(r.cfg.capacity, grace.Milliseconds())\n\terr = follower.Snapshot(ctx, func(b Batch) error {",
		}},
	}, {
		name: "the stream begins with a record", scenario: "redis: trim", violation: late,
		edits: []edit{{
			"store/redisstore/snapshot.go",
			"if err != nil || position != (recordID{}) && found.mark != \"\" {",
			"if err != nil || found.mark != \"\" {",
		}, {
			"store/redisstore/follower.go",
			"\tcase len(messages) == 0:\n", "\tcase f.position == (recordID{}):\n\tcase len(messages) == 0:\n",
		}},
	}, {
		name: "a transaction that is open holds the position", scenario: "postgres: long transaction", violation: late,
		edits: []edit{{
			"store/sqlstore/feed_position.go", "\t\"strconv\"\n", "\t\"strconv\"\n\t\"strings\"\n",
		}, {
			"store/sqlstore/feed_position.go",
			"\t*p = snapshotPosition{snapshot: p.next}\n",
			"\tlater := strings.Split(p.next, \":\")[1]\n\t*p = snapshotPosition{snapshot: later + \":\" + later + \":\"}\n",
		}},
	},
}
