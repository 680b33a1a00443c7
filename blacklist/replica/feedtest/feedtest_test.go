package feedtest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/internal/fakefeed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(fault fakefeed.Fault) func() Store {
	return func() Store {
		s := fakefeed.New(time.Now)
		s.Fault, s.Limit = fault, 30
		return Store{
			Feed: s, Clients: []blacklist.Blacklist{s, s}, Limit: s.Limit,
			MakeMark: func(context.Context) error { s.MakeMark(); return nil },
			Gaps: map[string]func(context.Context) error{
				"trimmed": func(context.Context) error { s.Trim(); return nil },
				"emptied": func(context.Context) error { s.Empty(); return nil },
			},
		}
	}
}

// TestFakePasses shows that a correct feed passes the suite.
func TestFakePasses(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) Store { return open("")() })
}

// TestStoreWithoutMarksPasses: such a store has no MakeMark.
func TestStoreWithoutMarksPasses(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) Store {
		s := open("")()
		s.MakeMark, s.Clients = nil, nil
		return s
	})
}

// faults are the faults of the fake, each with the checks that must find it.
var faults = map[fakefeed.Fault][]string{
	fakefeed.NoRecords:              {"Records", "Complete", "Followers", "Wakes"},
	fakefeed.NoRecordIfBefore:       {"RecordsAgain"},
	fakefeed.RecordBeforeEntry:      {"ConcurrentWriters"},
	fakefeed.LosesConcurrentRecords: {"ConcurrentWriters", "Complete"},
	fakefeed.MarksWithoutRecord:     {"RecordOfMark"},
	fakefeed.NamesWithoutAbsentIDs:  {"Names"},
	fakefeed.LittleEndianNames:      {"Snapshot", "Records"},
	fakefeed.AnotherPlaceKey:        {"Snapshot", "Records"},
	fakefeed.PositionAfterEntries:   {"ConcurrentWriters"},
	fakefeed.SnapshotWithoutMarks:   {"SnapshotMarks"},
	fakefeed.SnapshotWithoutCutOffs: {"Snapshot"},
	fakefeed.FirstBatchOnly:         {"Snapshot"},
	fakefeed.ApplyErrorIgnored:      {"SnapshotApplyError"},
	fakefeed.AlwaysComplete:         {"Complete"},
	fakefeed.NeverComplete:          {"Complete", "Wait"},
	fakefeed.NeverConfirmed:         {"Complete"},
	fakefeed.PositionMovesOnError:   {"Context"},
	fakefeed.WaitsForever:           {"Wait"},
	fakefeed.NeverWaits:             {"Wait"},
	fakefeed.WakesLate:              {"Wakes"},
	fakefeed.IgnoresContext:         {"Context", "SnapshotContext"},
	fakefeed.TrimUnnoticed:          {"Gap"},
	fakefeed.ExchangeUnnoticed:      {"Gap"},
	fakefeed.CloseTwiceFails:        {"Close"},
	fakefeed.ReadsAfterClose:        {"Close"},
	fakefeed.CloseDoesNotWake:       {"Close"},
	fakefeed.NoTime:                 {"Snapshot", "Records"},
	fakefeed.OneFollower:            {"Followers"},
	fakefeed.MarksForgotten:         {"SnapshotMarks"},
	fakefeed.MarksFail:              {"SnapshotMarks"},
	fakefeed.Prefetches:             {"Records", "Complete"},
}

// TestChecksFindFaults shows that the checks find the faults.
func TestChecksFindFaults(t *testing.T) {
	for fault, names := range faults {
		for _, name := range names {
			t.Run(string(fault)+"/"+name, func(t *testing.T) {
				for _, c := range checks {
					if c.name != name {
						continue
					}
					synctest.Test(t, func(t *testing.T) {
						err := c.try(t.Context(), open(fault))
						if err == nil {
							t.Fatal("the check did not find the fault")
						}
						t.Log(err)
					})
					return
				}
				t.Fatal("there is no such check")
			})
		}
	}
}

// TestEveryCheckFindsAFault shows that every check finds at least one fault.
func TestEveryCheckFindsAFault(t *testing.T) {
	finds, seen := make(map[string]bool), make(map[string]bool)
	for _, names := range faults {
		for _, name := range names {
			finds[name] = true
		}
	}
	for _, c := range checks {
		if !finds[c.name] {
			t.Errorf("%s finds no fault", c.name)
		}
		if seen[c.name] || c.promise == "" {
			t.Errorf("%s is a duplicate, or has no promise", c.name)
		}
		seen[c.name] = true
	}
}
