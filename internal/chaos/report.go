package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// runReport is the report of a run.
type runReport struct {
	Began     time.Time
	Machine   machine
	Bound     time.Duration
	Rate      int // revocations a second that were asked for
	Processes int
	Scenarios []result
}

// machine is where the run took place.
type machine struct {
	System, Go, Redis, PostgreSQL, Processor string
	CPUs                                     int
}

// result is what a scenario showed.
type result struct {
	Name, About     string
	Duration        time.Duration
	Faults          int
	Acknowledged    int64
	PerSecond       float64 // acknowledged
	RevokeErrors    int64
	Lookups         int64
	Errors          int64 // look-ups that would be answered 503
	Asked           int64 // look-ups that asked the store
	RefusedWrongly  int64 // tokens that nobody revoked
	LostByStore     int   // acknowledged revocations that the store lost, as its guarantees allow
	Unanswered      int   // at the end
	ViolationCount  int
	Violations      []violation // the first ones
	Snapshots       map[string]uint64
	SnapshotsFailed uint64
	Delays          []quantiles // of each process
	Worst           quantiles   // the worst of the processes
	MaxAge          time.Duration
	Notes           []string
	Failure         string // the scenario did not get to its end
}

func newRunReport(s settings) *runReport {
	return &runReport{
		Began: time.Now(), Bound: s.bound, Rate: s.rate, Processes: s.processes,
		Machine: machine{
			System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), CPUs: runtime.NumCPU(),
			Redis: redisVersion(), PostgreSQL: postgresVersion(), Processor: processor(),
		},
	}
}

func (r *runReport) ok() bool {
	for _, s := range r.Scenarios {
		if !s.ok() {
			return false
		}
	}
	return true
}

func (r *result) ok() bool {
	return r.ViolationCount == 0 && r.Failure == "" && r.Unanswered == 0 && r.RefusedWrongly == 0
}

// add adds what the processes reported at the end, or their last statuses.
func (r *result) add(c *chaos, final []report) {
	if final == nil {
		for _, p := range c.fleet.all {
			final = append(final, p.status())
		}
	}
	r.Duration = time.Since(c.fleet.began)
	r.Faults, r.Notes, r.LostByStore = c.faults, c.notes, c.lost
	r.Snapshots = map[string]uint64{}
	for _, p := range final {
		r.Acknowledged += p.Acknowledged
		r.RevokeErrors += p.RevokeErrors
		r.Lookups += p.Lookups
		r.Errors += p.Errors
		r.Asked += p.Asked
		r.RefusedWrongly += p.RefusedWrongly
		r.Unanswered += p.Unanswered
		r.SnapshotsFailed += p.SnapshotsFailed
		r.MaxAge = max(r.MaxAge, p.MaxAge)
		for reason, n := range p.Snapshots {
			r.Snapshots[string(reason)] += n
		}
		r.ViolationCount += p.ViolationCount
		for _, v := range p.Violations {
			if v.Kind != frozen && c.fleet.board.state(v.Slot) == stateLost {
				r.ViolationCount--
				continue
			}
			if len(r.Violations) < 100 {
				r.Violations = append(r.Violations, v)
			}
		}
		if q := p.Delays; q != nil {
			r.Delays = append(r.Delays, *q)
			r.Worst.Count += q.Count
			r.Worst.P50, r.Worst.P99, r.Worst.Max = max(r.Worst.P50, q.P50), max(r.Worst.P99, q.P99), max(r.Worst.Max, q.Max)
		}
	}
	if c.memory {
		for _, p := range final {
			r.Notes = append(r.Notes, fmt.Sprintf("process %d: %d entries, %d MB of heap after a collection, %.1f bytes an entry", p.Process,
				p.Entries, p.Heap>>20, float64(p.Heap)/float64(max(1, p.Entries))))
		}
	}
	if seconds := c.fleet.loaded().Seconds(); seconds > 0 {
		r.PerSecond = float64(r.Acknowledged) / seconds
	}
}

func (r *result) summary() string {
	text := fmt.Sprintf("%.0f s, %d faults, %d acknowledged, %d look-ups, %d violations", r.Duration.Seconds(), r.Faults,
		r.Acknowledged, r.Lookups, r.ViolationCount)
	if r.Failure != "" {
		text += ", FAILED: " + r.Failure
	}
	return text
}

// write writes report.txt and report.json into the directory, if there is one.
func (r *runReport) write(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "report.txt"), []byte(r.text()), 0o644)
}

func (r *runReport) text() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Began %s. %d CPUs (%s), %s, %s; %s; %s.\n", r.Began.UTC().Format(time.DateTime+" UTC"), m.CPUs, m.Processor,
		m.System, m.Go, m.Redis, m.PostgreSQL)
	fmt.Fprintf(&b, "%d processes, bound %s, up to %d revocations a second together.\n\n", r.Processes, r.Bound, r.Rate)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "scenario\tseconds\tfaults\tacknowledged\ta second\tlook-ups\tasked the store\t503\tdelay p50 / p99 / max (ms)\toldest copy\tlost by the store\tviolations")
	var total result
	for _, s := range r.Scenarios {
		fmt.Fprintf(table, "%s\t%.0f\t%d\t%d\t%.0f\t%d\t%d\t%d\t%s\t%s\t%d\t%d%s\n", s.Name, s.Duration.Seconds(), s.Faults, s.Acknowledged,
			s.PerSecond, s.Lookups, s.Asked, s.Errors, s.Worst, s.MaxAge.Round(time.Millisecond), s.LostByStore, s.ViolationCount,
			map[bool]string{true: " FAILED"}[!s.ok()])
		total.Duration += s.Duration
		total.Faults += s.Faults
		total.Acknowledged += s.Acknowledged
		total.Lookups += s.Lookups
		total.Asked += s.Asked
		total.Errors += s.Errors
		total.ViolationCount += s.ViolationCount
	}
	fmt.Fprintf(table, "all\t%.0f\t%d\t%d\t\t%d\t%d\t%d\t\t\t\t%d\n", total.Duration.Seconds(), total.Faults, total.Acknowledged, total.Lookups,
		total.Asked, total.Errors, total.ViolationCount)
	_ = table.Flush()
	b.WriteString("\nThe delay is the time from the return of Revoke in one process until the copy of another one has the entry. " +
		"Each of its\nthree figures is that of the worst process. report.json has all processes.\n")
	for _, s := range r.Scenarios {
		s.details(&b)
	}
	return b.String()
}

func (r *result) details(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s: %s\n", r.Name, r.About)
	fmt.Fprintf(b, "  snapshots %v, %d failed; %d tries to revoke failed; %d unanswered at the end; %d refused wrongly\n", r.Snapshots,
		r.SnapshotsFailed, r.RevokeErrors, r.Unanswered, r.RefusedWrongly)
	for _, note := range r.Notes {
		fmt.Fprintf(b, "  %s\n", note)
	}
	if r.Failure != "" {
		fmt.Fprintf(b, "  FAILED: %s\n", r.Failure)
	}
	for i, v := range r.Violations {
		if i == 10 {
			fmt.Fprintf(b, "  ...\n")
			break
		}
		fmt.Fprintf(b, "  VIOLATION (%s): process %d, revocation %d, %s after it was acknowledged, age of the copy %s\n", v.Kind,
			v.Process, v.Slot, v.After, v.Age)
	}
}

// firstLine returns the first line that a program prints.
func firstLine(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return "no " + program
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func redisVersion() string {
	program := os.Getenv("REDIS_SERVER")
	if program == "" {
		program = "redis-server"
	}
	fields := strings.Fields(firstLine(program, "--version"))
	for _, field := range fields {
		if version, ok := strings.CutPrefix(field, "v="); ok {
			return "Redis " + version
		}
	}
	return strings.Join(fields, " ")
}

// postgresVersion returns the version of the program that pgtest starts.
func postgresVersion() string {
	h := helper{}
	defer func() { _ = recover() }()
	return firstLine(filepath.Join(postgresPrograms(&h), "postgres"), "--version")
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
