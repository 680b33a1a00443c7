package redisstore

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := breaker{limit: 3, coolDown: time.Second}
	// pass runs a look-up that is allowed and ends with the result.
	pass := func(result breakerOutcome) (opened, closed bool) {
		t.Helper()
		ok, probe := b.allow(now)
		if !ok {
			t.Fatal("a look-up is refused")
		}
		return b.done(result, probe, now)
	}
	refused := func() {
		t.Helper()
		if ok, _ := b.allow(now); ok {
			t.Fatal("a look-up is allowed")
		}
	}
	for range 10 { // failures, but not three in a row
		pass(failed)
		pass(failed)
		if opened, closed := pass(answered); opened || closed {
			t.Fatal("the breaker opened or closed")
		}
	}
	pass(failed)
	pass(failed)
	pass(abandoned)
	if opened, _ := pass(failed); !opened {
		t.Fatal("three failures in a row did not open the breaker")
	}
	refused()
	now = now.Add(time.Second - 1)
	refused()

	now = now.Add(1)
	ok, probe := b.allow(now)
	if !ok || !probe {
		t.Fatal("no probe is allowed after the cool-down")
	}
	refused() // one probe at a time
	if opened, closed := b.done(failed, false, now); opened || closed {
		t.Fatal("the late failure of an earlier look-up opened the breaker again")
	}
	now = now.Add(time.Second)
	refused() // the probe is still running
	b.done(failed, probe, now)
	refused()

	now = now.Add(time.Second)
	pass(abandoned) // after an abandoned probe the next look-up is a probe
	if _, closed := pass(answered); !closed {
		t.Fatal("a successful probe did not close the breaker")
	}
	pass(failed)
	pass(failed)
	pass(answered)

	off := breaker{}
	for range 10 {
		if ok, probe := off.allow(now); !ok || probe {
			t.Fatal("a breaker that is switched off refuses a look-up")
		}
		off.done(failed, false, now)
	}
}
