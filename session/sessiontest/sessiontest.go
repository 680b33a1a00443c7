// Package sessiontest contains the tests that every implementation of [session.Store] must pass. Use
// it in the tests of a store, with one call:
//
//	func TestStore(t *testing.T) {
//		sessiontest.TestStore(t, func(t *testing.T, clock func() time.Time) session.Store {
//			store, err := mystore.Open(t.TempDir(), mystore.WithClock(clock))
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { store.Close() })
//			return store
//		})
//	}
//
// Each check tests one promise of the contract on an empty store. It is a subtest, so go test -run
// can select it. Run the suite with -race as well: many checks call the store from many goroutines.
//
// If the store is a [blacklist.Blacklist] too, the suite tests that revocations and rows are written
// together. If it has a method Close() error, the suite tests it, and calls it before the cleanup of
// the test does.
package sessiontest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/session"
)

// Option sets an option of the tests of this package.
type Option func(*config)

type config struct {
	realClock bool
	allRaces  bool
	early     bool
}

// WithEarlyRevocations is for a store that answers look-ups from memory, where they find a revocation
// a moment before the rows of its transaction are written. That refuses too early, and accepts nothing.
func WithEarlyRevocations() Option {
	return func(c *config) { c.early = true }
}

// WithRealClock is for a store whose clock the tests cannot move, such as that of a server. The
// suite passes time.Now as the clock, and skips the checks that need to move it.
func WithRealClock() Option {
	return func(c *config) { c.realClock = true }
}

// WithAllRaces has [TestManager] run the races of three operations that have thousands of orders, too.
// They take minutes.
func WithAllRaces() Option {
	return func(c *config) { c.allRaces = true }
}

// TestStore tests the contract of stores. open returns an empty store that reads the time from
// clock, and registers its cleanup with t.Cleanup. The clock begins in 2030 and only moves forwards.
// Each check calls open once.
func TestStore(t *testing.T, open func(t *testing.T, clock func() time.Time) session.Store, opts ...Option) {
	t.Helper()
	cfg := newConfig(opts)
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if c.moves && cfg.realClock {
				t.Skip("the check moves the clock, and the store has a real one")
			}
			err := c.try(func(clock func() time.Time) session.Store { return open(t, clock) }, cfg)
			if errors.Is(err, errNotJoint) {
				t.Skip(err)
			}
			if err != nil {
				t.Errorf("%s\n%v", c.promise, err)
			}
		})
	}
}

func newConfig(opts []Option) config {
	var cfg config
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// errNotJoint is the result of checks of a blacklist in a store that is none.
var errNotJoint = errors.New("the store is not a blacklist")

// check is one promise of the contract and the steps that test it.
type check struct {
	name    string
	promise string
	moves   bool // needs a clock that the suite moves
	joint   bool // needs a store that is a blacklist
	run     func(*harness)
}

// try runs the check on an empty store and returns the error of the first step that failed.
func (c check) try(open func(clock func() time.Time) session.Store, cfg config) error {
	testClock := &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 678_901_234, time.UTC)}
	h := &harness{ctx: context.WithValue(context.Background(), foregroundKey{}, true), clock: testClock, realClock: cfg.realClock, early: cfg.early}
	now := testClock.read
	if cfg.realClock {
		now = time.Now
	}
	h.store = open(now)
	if h.store == nil {
		return errors.New("open returned no store")
	}
	h.list, _ = h.store.(blacklist.Blacklist)
	if c.joint && h.list == nil {
		return errNotJoint
	}
	h.start = h.now()
	c.run(h)
	return h.err
}

// checks are the promises of the contract.
var checks = []check{
	{name: "Empty", promise: "A subject without sessions has the epoch 0 and no rows.", run: empty},
	{name: "RoundTrip", promise: "A row comes back with every field as it was put.", run: roundTrip},
	{name: "Replace", promise: "Put writes a row in place of one with the same id.", run: replace},
	{name: "OddIDs", promise: "Different ids stay different, whatever characters they contain.", run: oddIDs},
	{name: "Subjects", promise: "Subjects stay apart, whatever characters their issuers and names contain.", run: subjects},
	{name: "ManySubjects", promise: "Transactions of many subjects at once do not disturb each other.", run: manySubjects},
	{name: "ThousandSessions", promise: "A subject has 1000 sessions, written, listed and ended in chunks.", run: thousandSessions},

	{name: "StepError", promise: "A step that fails has no effect, and Update returns its error.", run: stepError},
	{name: "Visible", promise: "Every transaction and every List that begins after Update sees its writes.", run: visible},
	{name: "Together", promise: "A transaction sees all writes of another or none.", run: together},
	{name: "CountEpoch", promise: "Concurrent transactions that raise the epoch lose nothing.", run: countEpoch},
	{name: "CountGeneration", promise: "Concurrent transactions that raise a generation lose nothing.", run: countGeneration},
	{name: "OneInsert", promise: "Of concurrent inserts of one id, exactly one finds no row.", run: oneInsert},
	{name: "LimitRefuse", promise: "Concurrent log-ins that count with Live never exceed a limit.", run: limitRefuse},
	{name: "LimitEndOldest", promise: "Concurrent log-ins that end the oldest sessions never exceed a limit.", run: limitEndOldest},
	{name: "WriteSkew", promise: "Two transactions that read two rows and write one each run one after the other.", run: writeSkew},
	{name: "EpochFence", promise: "After the epoch was raised, no row is written that read the one before.", run: epochFence},
	{name: "LastRun", promise: "Only the writes of the last run of a step count.", run: lastRun},
	{name: "Now", promise: "Tx.Now is the time of the store in whole milliseconds.", run: storeTime},
	{name: "NowOrder", promise: "Tx.Now is not before a time that an earlier transaction on the same rows read.", run: timeOrder},
	{name: "DoneContext", promise: "If the context is done, every method returns its error and does nothing.", run: doneContext},
	{name: "CancelledStep", promise: "If the context ends during a step, nil means that everything was written.", run: cancelledStep},

	{name: "ListOrder", promise: "List returns the newest sessions first, those that began together by id.", run: listOrder},
	{name: "ListPages", promise: "The pages of List have every row exactly once, and no more rows than the limit.", run: listPages},
	{name: "ListChanging", promise: "The pages of List have every row once while others begin and end.", run: listChanging},
	{name: "ListPosition", promise: "A text that is not a position is ErrPosition.", run: listPosition},
	{name: "OnlyLive", promise: "List and Live return live rows only, Session returns the others too.", run: onlyLive},
	{name: "LiveAgain", promise: "A row that is put with a later deadline is live again.", run: liveAgain},
	{name: "LiveOrder", promise: "Live returns the sessions that began first.", run: liveOrder},
	{name: "Owed", promise: "Owed returns the rows with Owed set, of all subjects.", run: owed},
	{name: "Forget", promise: "Forget deletes all rows of the subject and no other. The epoch stays.", run: forget},
	{name: "ForgetConcurrent", promise: "Forget during log-ins leaves rows that all methods agree on.", run: forgetConcurrent},

	{name: "Expiry", promise: "A session ends at its end and at its idle deadline, to the millisecond.", moves: true, run: expiry},
	{name: "ShortSession", promise: "A session that reaches its deadline is no longer live.", run: shortSession},
	{name: "KeepUntil", promise: "A row stays until KeepUntil, whatever else is written.", moves: true, run: keepUntil},
	{name: "EpochKept", promise: "The epoch stays for an hour after the last row.", run: epochKept},
	{name: "EpochKeptLong", promise: "The epoch stays for an hour after the last row, when rows have expired.", moves: true, run: epochKeptLong},
	{name: "Errors", promise: "The text of an error contains no id and nothing of a row.", run: errorTexts},
	{name: "Close", promise: "Close may be called twice. Afterwards every method returns ErrClosed.", run: closed},

	{name: "JointTx", promise: "The Tx of a store that is a blacklist is a BlacklistTx.", joint: true, run: jointTx},
	{name: "JointVisible", promise: "A revocation of a transaction is in force when Update returns.", joint: true, run: jointVisible},
	{name: "JointStepError", promise: "A step that fails revokes nothing.", joint: true, run: jointStepError},
	{name: "JointInvalid", promise: "An invalid revocation is ErrInvalid, and nothing of the step is written.", joint: true, run: jointInvalid},
	{name: "JointTogether", promise: "The revocation and the row are written together.", joint: true, run: jointTogether},
	{name: "JointMerge", promise: "A revocation never shortens an entry and never lowers a cut-off, in a transaction or not.", joint: true, run: jointMerge},
	{name: "JointForget", promise: "Forget leaves the revocations in force.", joint: true, run: jointForget},
}
