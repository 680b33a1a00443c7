package sessiontest

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openModel returns a model with a fault, or one that is correct.
func openModel(fault string, joint bool) func(func() time.Time) session.Store {
	return func(clock func() time.Time) session.Store {
		if !joint {
			return newModel(clock, fault)
		}
		m, err := newJointModel(clock, fault)
		if err != nil {
			return nil
		}
		return m
	}
}

// TestModelsPass shows that correct stores pass the suite.
func TestModelsPass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		joint bool
		opts  []Option
	}{
		{name: "store"},
		{name: "store that is a blacklist", joint: true},
		{name: "real clock", joint: true, opts: []Option{WithRealClock()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			TestStore(t, func(_ *testing.T, clock func() time.Time) session.Store { return openModel("", tt.joint)(clock) }, tt.opts...)
		})
	}
}

// faults are the faults of the model, each with the checks that must find it.
var faults = map[string][]string{
	"the epoch starts at 1":               {"Empty"},
	"loses the second row":                {"Together", "Replace", "ThousandSessions", "LastRun"},
	"keeps the first row":                 {"Replace", "CountGeneration", "LiveAgain"},
	"times in seconds":                    {"RoundTrip"},
	"devices truncated":                   {"RoundTrip"},
	"ASCII only":                          {"RoundTrip"},
	"the epoch is a float64":              {"Replace"},
	"the epoch is set once":               {"Replace", "CountEpoch"},
	"one key space for all issuers":       {"Subjects", "Forget"},
	"subjects joined without a separator": {"Subjects"},
	"subjects joined with a colon":        {"Subjects"},
	"subjects joined with NUL":            {"Subjects"},
	"subjects in lower case":              {"Subjects"},
	"subjects trimmed":                    {"Subjects"},
	"subjects truncated":                  {"Subjects"},
	"ids in lower case":                   {"OddIDs"},
	"ids trimmed":                         {"OddIDs"},
	"ids up to a dot":                     {"OddIDs"},
	"ids up to NUL":                       {"OddIDs"},
	"one buffer for all":                  {"ManySubjects"},
	"at most 900 rows":                    {"ThousandSessions"},

	"no rollback":                                   {"StepError", "LimitRefuse", "Owed"},
	"no rollback of the epoch":                      {"StepError"},
	"another error for the step's":                  {"StepError"},
	"no error for the step's":                       {"StepError"},
	"does not notice conflicts":                     {"CountEpoch", "CountGeneration", "OneInsert", "LimitRefuse", "LimitEndOldest", "WriteSkew", "EpochFence"},
	"notices conflicts of rows that it writes only": {"LimitRefuse", "LimitEndOldest", "WriteSkew", "EpochFence"},
	"the epoch makes no conflict":                   {"CountEpoch", "EpochFence"},
	"reads without a snapshot":                      {"Together"},
	"writes row by row":                             {"Together"},
	"writes later":                                  {"Visible"},
	"List is late":                                  {"Visible"},
	"keeps the writes of all runs":                  {"LastRun"},
	"Now in nanoseconds":                            {"Now"},
	"Now in seconds":                                {"Now"},
	"Now is cached":                                 {"Now"},
	"Now before the transaction":                    {"NowOrder"},
	"ignores the context":                           {"DoneContext"},
	"unavailable when the context is done":          {"DoneContext"},
	"nil when the context ended":                    {"CancelledStep"},
	"half when the context ended":                   {"CancelledStep"},

	"List is oldest first":             {"ListOrder", "ListPages"},
	"List breaks ties the other way":   {"ListOrder"},
	"List is by the last refresh":      {"ListOrder"},
	"List ignores the limit":           {"ListPages"},
	"List has one page":                {"ListPages", "ListChanging"},
	"List skips what began together":   {"ListPages", "ListChanging"},
	"List repeats what began together": {"ListPages"},
	"List counts rows":                 {"ListChanging"},
	"any position":                     {"ListPosition"},
	"a position without a sentinel":    {"ListPosition"},
	"ended rows are live":              {"OnlyLive", "ListPages"},
	"idle rows are live":               {"OnlyLive", "LiveAgain", "Expiry", "ShortSession"},
	"rows after their end are live":    {"OnlyLive"},
	"Session hides what has ended":     {"OnlyLive", "KeepUntil"},
	"live by the first put":            {"LiveAgain"},
	"Live is newest first":             {"LiveOrder", "ThousandSessions"},
	"Live is by the last refresh":      {"LiveOrder"},
	"Live is to the second":            {"LiveOrder"},
	"Live applies the limit first":     {"OnlyLive"},
	"nothing is owed":                  {"Owed", "RoundTrip"},
	"owed for ever":                    {"Owed"},
	"Owed ignores the limit":           {"Owed"},
	"Forget forgets the epoch":         {"Forget", "EpochKept"},
	"Forget deletes some rows":         {"ThousandSessions"},
	"Forget deletes live rows":         {"Forget"},
	"Forget leaves the index":          {"Forget", "ForgetConcurrent"},
	"Forget leaves what is owed":       {"Forget"},
	"Forget deletes by prefix":         {"Forget"},
	"Forget writes the epoch back":     {"ForgetConcurrent"},

	"rows live too long":                             {"Expiry", "OnlyLive"},
	"rows live too short":                            {"Expiry"},
	"nothing expires":                                {"Expiry", "ShortSession"},
	"deletes rows at their end":                      {"KeepUntil"},
	"deletes rows at their deadline":                 {"KeepUntil"},
	"deletes ended rows":                             {"KeepUntil"},
	"the epoch goes with the last row":               {"EpochKept", "EpochKeptLong"},
	"SetEpoch shortens the life of the epoch":        {"EpochKeptLong"},
	"a row shortens the life of the epoch":           {"EpochKeptLong"},
	"ids in errors":                                  {"Errors"},
	"the position in errors":                         {"Errors"},
	"works after Close":                              {"Close"},
	"another error after Close":                      {"Close"},
	"a second Close fails":                           {"Close"},
	"a plain Tx":                                     {"JointTx"},
	"revokes nothing":                                {"JointVisible", "JointTogether"},
	"revokes the first only":                         {"JointVisible"},
	"revokes the session id of all subjects":         {"JointVisible"},
	"a step that fails revokes":                      {"JointStepError"},
	"an invalid revocation is no error":              {"JointInvalid"},
	"notices an invalid revocation after the commit": {"JointInvalid"},
	"the row before the entry":                       {"JointTogether"},
	"the entry before the row":                       {"JointTogether"},
	"shortens entries":                               {"JointMerge"},
	"lowers cut-offs":                                {"JointMerge"},
	"Forget forgets revocations":                     {"JointForget"},
}

// TestChecksFindFaults shows that the checks find the faults.
func TestChecksFindFaults(t *testing.T) {
	t.Parallel()
	for fault, names := range faults {
		for _, name := range names {
			t.Run(fault+"/"+name, func(t *testing.T) {
				i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
				if i < 0 {
					t.Fatal("there is no such check")
				}
				expectFault(t, checks[i], fault)
			})
		}
	}
}

// expectFault runs the check until it finds the fault: some faults need two goroutines that meet.
func expectFault(t *testing.T, c check, fault string) {
	t.Helper()
	const runs = 20
	for range runs {
		if err := c.try(openModel(fault, c.joint), config{}); err != nil && !errors.Is(err, errNotJoint) {
			t.Log(err)
			return
		}
	}
	t.Error("the check did not find the fault")
}

// TestEveryFieldIsChecked shows that a store that loses one field of a row fails.
func TestEveryFieldIsChecked(t *testing.T) {
	t.Parallel()
	i := slices.IndexFunc(checks, func(c check) bool { return c.name == "RoundTrip" })
	for _, field := range reflect.VisibleFields(reflect.TypeFor[session.Row]()) {
		t.Run(field.Name, func(t *testing.T) { expectFault(t, checks[i], dropPrefix+field.Name) })
	}
}

// TestEveryCheckFindsAFault shows that every check finds at least one fault.
func TestEveryCheckFindsAFault(t *testing.T) {
	finds := make(map[string]bool)
	for _, names := range faults {
		for _, name := range names {
			finds[name] = true
		}
	}
	seen := make(map[string]bool)
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

// TestManagerOnModel runs the checks of the manager on a store that is a blacklist.
func TestManagerOnModel(t *testing.T) {
	t.Parallel()
	testManager(t, func(_ *testing.T, clock func() time.Time) session.Store { return openModel("", true)(clock) }, config{}, true)
}
