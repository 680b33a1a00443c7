// The program chaos checks the promise of package replica: a revocation that was acknowledged is
// found by every look-up, in every process, that begins more than the bound later, or the look-up is
// an error.
//
// It starts real servers and ten processes, each with a copy. They revoke, and look up each
// acknowledged revocation as soon as it is older than the bound, and random ones again and again.
// Meanwhile the program breaks something: see [scenarios]. All processes read one monotonic clock. A
// look-up that passes too late is a violation, and the exit status is 1.
//
//	go run ./internal/chaos            # the long run
//	go run ./internal/chaos -short     # a few seconds for each fault
//	go run ./internal/chaos -run trim  # only the scenarios whose names contain the text
//
// It prints a report, and writes it with -out as report.txt and report.json. `make chaos` does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	if config := os.Getenv(workerVariable); config != "" {
		if err := work(config); err != nil {
			fmt.Fprintln(os.Stderr, "chaos: a process ended:", err)
			os.Exit(1)
		}
		return
	}
	ok, err := command()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	short     bool
	run       string
	out       string
	bound     time.Duration
	rate      int
	processes int
	scale     float64
	entries   int
}

// command runs the scenarios and writes the report. It reports whether there is no violation.
func command() (ok bool, err error) {
	var s settings
	flag.BoolVar(&s.short, "short", false, "a few seconds for each scenario")
	flag.StringVar(&s.run, "run", "", "run the scenarios whose names contain one of these texts, with commas between them")
	flag.StringVar(&s.out, "out", "", "write report.txt and report.json into this directory")
	flag.DurationVar(&s.bound, "bound", 2*time.Second, "the bound of the copies")
	flag.IntVar(&s.rate, "rate", 1000, "revocations a second of all processes together")
	flag.IntVar(&s.processes, "processes", 10, "the number of processes")
	flag.Float64Var(&s.scale, "scale", 1, "multiplies how long the scenarios last")
	flag.IntVar(&s.entries, "entries", 10_000_000, "the number of entries of the scenario with many")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	redis.SetLogger(quiet{})
	rep := newRunReport(s)
	for _, sc := range scenarios() {
		if !s.wants(sc) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s %s ... ", time.Now().Format(time.TimeOnly), sc.name)
		result := s.runScenario(ctx, sc)
		fmt.Fprintln(os.Stderr, result.summary())
		rep.Scenarios = append(rep.Scenarios, result)
		if err := rep.write(s.out); err != nil { // after each scenario, so that an end before the last loses none
			return false, err
		}
	}
	if len(rep.Scenarios) == 0 {
		return false, fmt.Errorf("no scenario has one of the texts %q in its name", s.run)
	}
	fmt.Print(rep.text())
	return rep.ok(), nil
}

// wants reports whether the flags choose the scenario.
func (s *settings) wants(sc scenario) bool {
	if s.run == "" {
		return !s.short || sc.short > 0
	}
	for name := range strings.SplitSeq(s.run, ",") {
		if strings.Contains(sc.name, name) {
			return true
		}
	}
	return false
}

// chaos is a running scenario.
type chaos struct {
	helper
	settings
	duration time.Duration // for how long faults are made
	faults   int
	fleet    *fleet
	notes    []string
	lost     int           // revocations that the store has lost
	timeout  time.Duration // of waits for the processes
	memory   bool          // note the memory of an entry
}

// note adds a line to the report.
func (c *chaos) note(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// runScenario runs a scenario with its own servers and processes.
func (s *settings) runScenario(ctx context.Context, sc scenario) (r result) {
	c := &chaos{helper: helper{ctx: ctx}, settings: *s, duration: sc.long, timeout: 3 * time.Minute}
	if s.short {
		c.duration = max(sc.short, time.Second)
	}
	c.duration = time.Duration(float64(c.duration) * s.scale)
	began := time.Now()
	r.Name, r.About = sc.name, sc.about
	defer func() {
		r.Duration = time.Since(began)
		if f, ok := recover().(failure); ok {
			r.Failure = string(f)
			if c.fleet != nil {
				r.add(c, nil)
			}
		}
		c.finish()
	}()
	sc.run(c)
	r.add(c, c.fleet.finish())
	return r
}

// interrupted ends the scenario if the program was told to end.
func (c *chaos) interrupted() {
	if c.ctx.Err() != nil {
		panic(failure("interrupted"))
	}
}
