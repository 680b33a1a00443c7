package redisstore

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	b := breaker{limit: 3, coolDown: time.Second}
	// pass runs a look-up that ends as told.
	pass := func(o outcome) (opened, closed bool) {
		t.Helper()
		ok, probe := b.allow(now)
		if !ok {
			t.Fatal("refused")
		}
		return b.done(o, probe, now)
	}
	refused := func() {
		t.Helper()
		if ok, _ := b.allow(now); ok {
			t.Fatal("let through")
		}
	}
	for range 10 { // failures that are not in a row
		pass(failed)
		pass(failed)
		if opened, closed := pass(answered); opened || closed {
			t.Fatal("opened or closed")
		}
	}
	pass(failed)
	pass(failed)
	pass(abandoned)
	if opened, _ := pass(failed); !opened {
		t.Fatal("three failures in a row did not open it")
	}
	refused()
	now = now.Add(time.Second - 1)
	refused()

	now = now.Add(1)
	ok, probe := b.allow(now)
	if !ok || !probe {
		t.Fatal("no probe after the cool-down")
	}
	refused() // one probe at a time
	if opened, closed := b.done(failed, false, now); opened || closed {
		t.Fatal("a late failure of before opened it again")
	}
	now = now.Add(time.Second)
	refused() // the probe is still under way
	b.done(failed, probe, now)
	refused()

	now = now.Add(time.Second)
	pass(abandoned) // a probe whose caller went away leaves the place to another
	if _, closed := pass(answered); !closed {
		t.Fatal("a probe that succeeded did not close it")
	}
	pass(failed)
	pass(failed)
	pass(answered)

	off := breaker{}
	for range 10 {
		if ok, probe := off.allow(now); !ok || probe {
			t.Fatal("a breaker that is off refused")
		}
		off.done(failed, false, now)
	}
}
