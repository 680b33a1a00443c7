package blacklisttest

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// concurrently runs f n times at once and returns the first error.
func concurrently(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func exactlyOneFirst(h *harness) {
	const callers, rounds = 16, 25
	for round := range rounds {
		for kind := blacklist.Token; kind <= blacklist.Session; kind++ {
			id := h.id(fmt.Sprint(kind, round))
			end := h.after(long)
			var first atomic.Int32
			err := concurrently(callers, func(i int) error {
				r := blacklist.Revocation{Kind: kind, Identity: id, Until: end.Add(time.Duration(i%3) * time.Hour)}
				before, err := h.store.Revoke(h.ctx, r)
				if err == nil && !before {
					first.Add(1)
				}
				return err
			})
			if n := first.Load(); err != nil || n != 1 {
				h.fail("%d of %d concurrent calls for one %s returned false, error %v; want 1", n, callers, kind, err)
			}
			h.expectRevoked("revoked by concurrent calls", id)
			if h.err != nil {
				return
			}
		}
	}
}

func concurrentRaise(h *harness) {
	const callers, rounds = 16, 10
	for round := range rounds {
		id := h.id(fmt.Sprint(round))
		end := h.after(long)
		err := concurrently(callers, func(i int) error {
			cutOff := h.base.Add(time.Duration((i*7+round)%callers) * time.Millisecond)
			_, err := h.store.Revoke(h.ctx, blacklist.OfSubject(id.Issuer, id.Subject, cutOff, end))
			return err
		})
		if err != nil {
			h.fail("Revoke: %v", err)
		}
		top := h.base.Add((callers - 1) * time.Millisecond)
		h.expectRevoked("begun at the latest of many cut-offs", begunAt(id, top))
		h.expectNotRevoked("begun after the latest of many cut-offs", begunAt(id, top.Add(time.Millisecond)))
	}
	if h.realClock {
		return
	}
	end := h.after(long)
	err := concurrently(callers, func(i int) error {
		_, err := h.store.Revoke(h.ctx, blacklist.OfToken(h.id("ends"), end.Add(time.Duration(i*7%callers)*time.Hour)))
		return err
	})
	if err != nil {
		h.fail("Revoke: %v", err)
	}
	end = end.Add((callers - 1) * time.Hour)
	h.advanceTo(end.Add(-time.Millisecond))
	h.expectRevoked("before the latest of many ends", h.id("ends"))
	h.advanceTo(end)
	h.expectNotRevoked("at the latest of many ends", h.id("ends"))
}

func concurrentUse(h *harness) {
	const workers, steps = 8, 40
	free := h.id("free")
	shared := h.id("shared")
	end := h.after(long)
	look := func(why string, want bool, id blacklist.Identity) error {
		if revoked, err := h.store.IsRevoked(h.ctx, id); err != nil || revoked != want {
			return fmt.Errorf("%s: IsRevoked(%s) = %t, %w; want %t", why, showID(id), revoked, err, want)
		}
		return nil
	}
	err := concurrently(workers, func(worker int) error {
		for step := range steps {
			id := h.id(fmt.Sprint(worker, "-", step))
			r := blacklist.OfToken(id, end)
			cutOff := h.base.Add(time.Duration(step) * time.Millisecond)
			switch step % 4 {
			case 1:
				r = blacklist.OfSession(id, end)
			case 2:
				r = blacklist.OfSubject(id.Issuer, id.Subject, h.base, end)
			case 3:
				r = blacklist.OfSubject(shared.Issuer, shared.Subject, cutOff, end)
				id = begunAt(shared, cutOff)
			default:
				if err := look("not revoked yet", false, id); err != nil {
					return err
				}
			}
			if _, err := h.store.Revoke(h.ctx, r); err != nil {
				return fmt.Errorf("Revoke(%s): %w", showRevocation(r), err)
			}
			if err := look("revoked", true, id); err != nil {
				return err
			}
			if err := look("never revoked", false, free); err != nil {
				return err
			}
			if err := look("begun after every cut-off", false, begunAt(shared, h.base.Add(time.Hour))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.fail("%v", err)
	}
	for worker := range workers {
		for step := range steps {
			if step%4 != 3 {
				h.expectRevoked("revoked earlier", h.id(fmt.Sprint(worker, "-", step)))
			}
		}
	}
}

func closeInUse(h *harness) {
	c, ok := blacklist.As[io.Closer](h.store)
	if !ok {
		return
	}
	a := h.id("a")
	h.revoke(blacklist.OfToken(a, h.after(long)), false)
	var started sync.WaitGroup
	const callers = 8
	started.Add(callers)
	err := concurrently(callers+1, func(i int) error {
		if i == callers {
			started.Wait()
			return c.Close()
		}
		var revokeErr error
		for n := 0; ; n++ {
			revoked, err := h.store.IsRevoked(h.ctx, a)
			if n == 0 {
				started.Done()
			}
			if err == nil && !revoked {
				return fmt.Errorf("IsRevoked(%s) = false without an error", showID(a))
			}
			if err != nil || revokeErr != nil {
				return nil // the store is closed
			}
			// After an error of Revoke the caller looks up once more.
			_, revokeErr = h.store.Revoke(h.ctx, blacklist.OfToken(h.id(fmt.Sprint(i, "-", n)), h.after(long)))
		}
	})
	if err != nil {
		h.fail("%v", err)
	}
}
