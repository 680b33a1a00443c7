package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
)

// workerVariable is the variable of the environment that makes the program a worker.
const workerVariable = "OAPI_GUARD_CHAOS_WORKER"

// workerConfig is its value, as JSON.
type workerConfig struct {
	ID, Processes int
	Board         string
	Bound         time.Duration
	Capacity      int
	Stagger       time.Duration
	Victims       bool // look up victims too
	Store         storeConfig
}

// worker is one process: a copy of the store, callers that revoke, and callers that look up.
type worker struct {
	cfg   workerConfig
	board *board
	copy  *replica.Replica
	step  atomic.Int64 // of the clock, in nanoseconds

	stopping atomic.Bool
	callers  sync.WaitGroup

	// located are the places of some revocations, by their slot.
	located sync.Map

	counts counters
	delays delays
	faults faults
	asked  atomic.Int64
	maxAge atomic.Int64
}

type counters struct {
	acknowledged, revokeErrors, lookups, errors, refusedWrongly atomic.Int64
}

// The kinds of violations.
const (
	late   = "late"   // accepted by a look-up that began more than the bound after the revocation
	atOnce = "own"    // accepted in the process that has revoked
	frozen = "frozen" // accepted after the bound, by a look-up during which the process was stopped
)

// violation is an acknowledged revocation that a look-up did not find.
type violation struct {
	Kind    string
	Slot    int // or the number of the victim
	Process int
	After   time.Duration // the revocation
	Age     time.Duration // of the copy, afterwards
}

// faults are the violations. The first ones are kept.
type faults struct {
	mu    sync.Mutex
	list  []violation
	count int
}

func (f *faults) add(v violation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; len(f.list) < maxViolations {
		f.list = append(f.list, v)
	}
}

// first returns the first violations, so many at most, and how many there were.
func (f *faults) first(most int) (list []violation, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list[:min(most, len(f.list))]), f.count
}

// maxViolations is how many violations of a process the program keeps. A status has the first ten
// only, for the report of a scenario that ends early.
const maxViolations = 5000

// report is what a worker prints, one JSON object a line.
type report struct {
	Process                                            int
	Ready, Final                                       bool
	Fresh                                              bool
	Age, MaxAge                                        time.Duration
	Entries                                            int
	Acknowledged, RevokeErrors, Lookups, Errors, Asked int64
	RefusedWrongly                                     int64
	Unanswered                                         int // revocations without an answer at the end
	Snapshots                                          map[replica.Reason]uint64
	SnapshotsFailed                                    uint64
	SnapshotTook                                       time.Duration
	Heap                                               uint64
	Violations                                         []violation
	ViolationCount                                     int
	Delays                                             *quantiles
	LastError                                          string
}

// work runs a worker until standard input ends.
func work(config string) error {
	w := &worker{}
	if err := json.Unmarshal([]byte(config), &w.cfg); err != nil {
		return err
	}
	var err error
	if w.board, err = openBoard(w.cfg.Board); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, closeStore, err := openStore(ctx, w.cfg.Store, w.wall)
	for err != nil && ctx.Err() == nil { // the machine is busy
		time.Sleep(100 * time.Millisecond)
		store, closeStore, err = openStore(ctx, w.cfg.Store, w.wall)
	}
	if err != nil {
		return err
	}
	defer closeStore()
	opts := []replica.Option{
		replica.WithBound(w.cfg.Bound), replica.WithClock(w.wall), replica.WithLogger(quietLogger()),
		replica.WithMarkInterval(5 * time.Second),
	}
	if w.cfg.Capacity > 0 {
		opts = append(opts, replica.WithCapacity(w.cfg.Capacity))
	}
	if w.copy, err = replica.New(&counted{store, &w.asked}, opts...); err != nil {
		return err
	}
	defer func() { _ = w.copy.Close() }()
	if err := w.copy.Ready(context.Background()); err != nil {
		return err
	}
	w.print(report{Ready: true})
	w.run()
	return nil
}

func (w *worker) wall() time.Time { return time.Now().Add(time.Duration(w.step.Load())) }

// run starts the callers, and obeys the commands on standard input.
func (w *worker) run() {
	w.startWriters()
	presenting := w.startPresenting()
	stopDelays := w.startDelays()
	if w.cfg.Victims {
		go w.lookUpVictims()
	}
	go w.watch()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "clock":
			seconds, _ := strconv.Atoi(argument)
			w.step.Store(int64(time.Duration(seconds) * time.Second))
		case "finish":
			w.stopping.Store(true)
			w.callers.Wait()
			presenting.stop()
			stopDelays()
			r := w.status()
			r.Final, r.Unanswered = true, w.lookUpAll()
			r.Lookups, r.Errors = w.counts.lookups.Load(), w.counts.errors.Load()
			r.Delays = w.delays.quantiles()
			r.Heap = heap()
			r.Violations, r.ViolationCount = w.faults.first(maxViolations)
			w.print(r)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

var printing sync.Mutex

func (w *worker) print(r report) {
	r.Process = w.cfg.ID
	text, err := json.Marshal(r)
	if err != nil {
		text = []byte(fmt.Sprintf(`{"LastError":%q}`, err))
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// watch prints the status ten times a second.
func (w *worker) watch() {
	for i := 0; ; i++ {
		time.Sleep(20 * time.Millisecond)
		if age := int64(w.copy.Stats().Age); age > w.maxAge.Load() {
			w.maxAge.Store(age)
		}
		if i%5 == 0 {
			w.print(w.status())
		}
	}
}

func (w *worker) status() report {
	s := w.copy.Stats()
	r := report{
		Fresh: s.Fresh, Age: s.Age, MaxAge: time.Duration(w.maxAge.Load()), Entries: s.Entries,
		Acknowledged: w.counts.acknowledged.Load(), RevokeErrors: w.counts.revokeErrors.Load(),
		Lookups: w.counts.lookups.Load(), Errors: w.counts.errors.Load(), Asked: w.asked.Load(),
		RefusedWrongly: w.counts.refusedWrongly.Load(),
		Snapshots:      s.Snapshots, SnapshotsFailed: s.SnapshotsFailed, SnapshotTook: s.SnapshotTook,
	}
	r.Violations, r.ViolationCount = w.faults.first(10)
	if s.LastError != nil {
		r.LastError = s.LastError.Error()
	}
	return r
}

// counted is the store of a copy. It counts the look-ups that a copy asks, and refuses those that
// only concern the copy.
type counted struct {
	replica.Feed
	asked *atomic.Int64
}

type copyOnly struct{}

var onlyCopy = context.WithValue(context.Background(), copyOnly{}, true)

func (c *counted) IsRevoked(ctx context.Context, id blacklist.Identity) (bool, error) {
	if ctx.Value(copyOnly{}) != nil {
		return false, blacklist.ErrUnavailable
	}
	c.asked.Add(1)
	return c.Feed.IsRevoked(ctx, id)
}

const issuer = "https://chaos.example"

// identity returns the token whose revocation has the slot.
func identity(slot int, start time.Time) blacklist.Identity {
	n := strconv.Itoa(slot)
	id := blacklist.Identity{Issuer: issuer, ID: "t" + n, Session: "s" + n, Subject: "u" + n, SessionStart: start}
	if slot%4000 == 3999 {
		id.Issuer += "/" + n
	}
	return id
}

// revocation returns the revocation of the slot: mostly of a token, and sometimes of a session, a
// subject or an issuer.
func revocation(slot int, start time.Time) blacklist.Revocation {
	id, until := identity(slot, start), time.Now().Add(24*time.Hour)
	switch {
	case slot%4000 == 3999:
		return blacklist.OfIssuer(id.Issuer, start, until)
	case slot%10 == 0:
		return blacklist.OfSession(id, until)
	case slot%10 == 1:
		return blacklist.OfSubject(id.Issuer, id.Subject, start, until)
	default:
		return blacklist.OfToken(id, until)
	}
}

// victim returns a token whose id is so long that a look-up in the copy takes milliseconds. A
// process that is stopped at any time is stopped in the middle of such a look-up.
func victim(n int) blacklist.Identity {
	return blacklist.Identity{Issuer: issuer, ID: strconv.Itoa(n) + strings.Repeat("x", 8<<20), SessionStart: time.Now().Add(time.Hour)}
}

// writers is the number of callers that revoke, in each process.
const writers = 4

// startWriters starts the callers that revoke, at the rate that the board has.
func (w *worker) startWriters() {
	for n := range writers {
		w.callers.Go(func() {
			next := time.Now()
			for !w.stopping.Load() {
				rate := w.board.rate()
				if rate == 0 {
					time.Sleep(5 * time.Millisecond)
					continue
				}
				interval := time.Duration(w.cfg.Processes*writers) * time.Second / time.Duration(rate)
				if next = next.Add(interval); time.Since(next) > 5*interval {
					next = time.Now().Add(interval * time.Duration(n) / writers) // no burst after a fault
				}
				time.Sleep(time.Until(next))
				w.revoke()
			}
		})
	}
}

// revoke makes a revocation, and tries it again until it is acknowledged.
func (w *worker) revoke() {
	slot, ok := w.board.begin(w.cfg.ID)
	if !ok {
		time.Sleep(time.Second)
		return
	}
	start := w.board.start(slot)
	located := w.copy.Locate(identity(slot, start))
	_, _ = w.copy.IsRevokedAt(onlyCopy, located)
	for giveUp := time.Now().Add(30 * time.Second); ; {
		_, err := w.copy.Revoke(context.Background(), revocation(slot, start))
		now := monotonic()
		if err == nil {
			w.board.setState(slot, now)
			break
		}
		w.counts.revokeErrors.Add(1)
		if w.stopping.Load() || time.Now().After(giveUp) {
			w.board.setState(slot, stateFailed)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.counts.acknowledged.Add(1)
	if revoked, err := w.copy.IsRevokedAt(context.Background(), located); err == nil && !revoked {
		w.faults.add(violation{Kind: atOnce, Slot: slot, Process: w.cfg.ID, Age: w.copy.Stats().Age})
	}
}
