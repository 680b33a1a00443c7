package blacklisttest

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(fault string) func(func() time.Time) blacklist.Blacklist {
	return func(clock func() time.Time) blacklist.Blacklist {
		return &model{now: clock, fault: fault, entries: make(map[string]modelEntry)}
	}
}

// TestModelPasses shows that a correct blacklist passes the suite.
func TestModelPasses(t *testing.T) {
	t.Parallel()
	Run(t, func(_ *testing.T, clock func() time.Time) blacklist.Blacklist { return open("")(clock) })
}

func TestModelPassesWithRealClock(t *testing.T) {
	t.Parallel()
	Run(t, func(_ *testing.T, clock func() time.Time) blacklist.Blacklist { return open("")(clock) },
		WithRealClock(200*time.Millisecond))
}

// faults are the faults of the model, each with the checks that must find it.
var faults = map[string][]string{
	"always no":                            {"Token", "Session", "Subject", "Issuer", "ConcurrentUse", "CloseInUse"},
	"always yes":                           {"Empty", "AbsentIDs", "Separators"},
	"forgets sometimes":                    {"Separators"},
	"does not look up: token":              {"Token", "OneLookup"},
	"does not look up: session":            {"Session", "OneLookup"},
	"does not look up: subject":            {"Subject", "OneLookup"},
	"does not look up: issuer":             {"Issuer", "OneLookup"},
	"a cut-off hides entries":              {"OneLookup"},
	"an expired entry hides others":        {"Expiry"},
	"one key space for all issuers":        {"Token", "Session", "Subject", "Issuer"},
	"ids go by the template":               {"TemplateIDs"},
	"cut-offs go by the issuer only":       {"TemplateCutOff"},
	"cut-offs go by issuer and template":   {"TemplateCutOff"},
	"templates are apart from issuers":     {"TemplateCutOff"},
	"one cut-off for all templates":        {"TemplateCutOff"},
	"a template replaces the issuer":       {"Invalid"},
	"one key space for all kinds":          {"Boundaries"},
	"sessions without their subject":       {"Session"},
	"absent ids are looked up":             {"Invalid"},
	"absent sessions are one session":      {"AbsentIDs"},
	"does not validate":                    {"Invalid"},
	"invalid without a sentinel":           {"Invalid"},
	"invalid is not an error":              {"Invalid"},
	"ids in errors":                        {"Invalid"},
	"the past is not an error":             {"Past", "ExpiryBoundary", "LongIDs"},
	"the past is recorded for ever":        {"Past", "ExpiryBoundary"},
	"keys joined without a separator":      {"Boundaries"},
	"keys joined with a colon":             {"Boundaries"},
	"keys joined with NUL":                 {"Boundaries"},
	"keys in lower case":                   {"Separators", "Issuer"},
	"keys in valid UTF-8":                  {"Separators"},
	"keys trimmed":                         {"Separators"},
	"keys truncated at 255 bytes":          {"Separators"},
	"keys truncated at a megabyte":         {"LongIDs"},
	"before is always false":               {"Before", "ExactlyOneFirst", "NeverShortened"},
	"before is always true":                {"Before", "BeforeExpired", "ExactlyOneFirst"},
	"before ignores the cut-off":           {"Before", "NeverLowered", "Milliseconds"},
	"reads and writes in two steps":        {"ExactlyOneFirst", "ConcurrentRaise"},
	"records later":                        {"ConcurrentUse", "Token"},
	"merges with expired entries":          {"BeforeExpired", "NotMergedWithExpired"},
	"the last write wins":                  {"NeverShortened", "NeverLowered", "ForEver"},
	"cut-offs are lowered":                 {"NeverLowered", "Before"},
	"cut-offs are never raised":            {"NeverLowered", "Before"},
	"ends are shortened":                   {"NeverShortened", "NeverLowered"},
	"ends are never prolonged":             {"NeverShortened", "NeverLowered"},
	"for ever gets an end":                 {"NeverShortened", "NeverLowered", "ForEver"},
	"nothing expires":                      {"Expiry", "ExpiryBoundary", "BeforeExpired", "Zones"},
	"ends rounded down":                    {"ExpiryBoundary"},
	"ends a second early":                  {"ExpiryBoundary"},
	"ends a minute late":                   {"Expiry", "ExpiryBoundary"},
	"ends are inclusive":                   {"Expiry", "ExpiryBoundary"},
	"wall clocks":                          {"Zones"},
	"nanoseconds":                          {"ExtremeTimes"},
	"cut-offs in nanoseconds":              {"ExtremeTimes"},
	"cut-offs are exclusive":               {"Subject", "Issuer", "Milliseconds", "OneLookup"},
	"cut-offs to the nanosecond":           {"Milliseconds"},
	"cut-offs to the second":               {"Subject", "Issuer", "Milliseconds"},
	"an unknown start passes":              {"UnknownStart"},
	"entries have a cut-off":               {"Token", "Session"},
	"look-ups ignore the context":          {"DoneContext"},
	"false instead of the context's error": {"DoneContext"},
	"true together with an error":          {"DoneContext"},
	"revocations ignore the context":       {"DoneContext"},
	"nothing recorded and no error":        {"DoneContext"},
	"recorded despite the context's error": {"DoneContext"},
	"another error than the context's":     {"DoneContext"},
	"false after Close":                    {"Close", "CloseInUse"},
	"revokes after Close":                  {"Close"},
	"a second Close fails":                 {"Close"},
	"empties before it closes":             {"CloseInUse"},
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
				err := checks[i].try(open(fault), config{})
				if err == nil {
					t.Fatal("the check did not find the fault")
				}
				t.Log(err)
			})
		}
	}
}

// locatorFaults are the faults of a locatingModel, each with the checks that must find it.
var locatorFaults = map[string][]string{
	"absence is remembered for ever":          {"Token", "Session", "Subject", "Issuer", "ConcurrentUse"},
	"what ended once is absent for ever":      {"BeforeExpired"},
	"the version changes before the entry":    {"ConcurrentUse"},
	"absence ignores the context":             {"DoneContext"},
	"absence outlives Close":                  {"Close"},
	"the place of another token of a session": {"OneLookup"},
}

// TestChecksFindFaultsOfLocators shows that the checks find the faults with IsRevokedAt, and no fault
// in a correct blacklist.Locator.
func TestChecksFindFaultsOfLocators(t *testing.T) {
	t.Parallel()
	locating := func(fault string) func(func() time.Time) blacklist.Blacklist {
		return func(clock func() time.Time) blacklist.Blacklist {
			return &locatingModel{model: open("")(clock).(*model), fault: fault}
		}
	}
	for _, c := range checks {
		if err := c.tryLocated(locating(""), config{}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for fault, names := range locatorFaults {
		for _, name := range names {
			t.Run(fault+"/"+name, func(t *testing.T) {
				i := slices.IndexFunc(checks, func(c check) bool { return c.name == name })
				if err := checks[i].tryLocated(locating(fault), config{}); err == nil {
					t.Fatal("the check did not find the fault")
				}
			})
		}
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

// TestRealClockHidesNoFault shows that waiting for a real clock does not hide an entry that never
// expires.
func TestRealClockHidesNoFault(t *testing.T) {
	t.Parallel()
	for _, c := range checks {
		if c.name != "NeverShortened" {
			continue
		}
		if err := c.try(open("the last write wins"), config{lifetime: 200 * time.Millisecond}); err == nil {
			t.Error("the check did not find the fault")
		}
	}
}
