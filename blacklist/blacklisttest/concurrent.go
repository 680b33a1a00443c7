package blacklisttest

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// together runs f n times at once and returns the first error.
func together(n int, f func(i int) error) error {
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

func exactlyOneFirst(s *scene) {
	const callers, rounds = 16, 25
	for round := range rounds {
		for kind := blacklist.Token; kind <= blacklist.Session; kind++ {
			id := s.id(fmt.Sprint(kind, round))
			end := s.in(long)
			var first atomic.Int32
			err := together(callers, func(i int) error {
				r := blacklist.Revocation{Kind: kind, Identity: id, Until: end.Add(time.Duration(i%3) * time.Hour)}
				before, err := s.store.Revoke(s.ctx, r)
				if err == nil && !before {
					first.Add(1)
				}
				return err
			})
			if n := first.Load(); err != nil || n != 1 {
				s.fail("%d of %d concurrent calls for one %s were told that they were the first, error %v", n, callers, kind, err)
			}
			s.refuses("revoked by many at once", id)
			if s.err != nil {
				return
			}
		}
	}
}

func concurrentRaise(s *scene) {
	const callers, rounds = 16, 10
	for round := range rounds {
		id := s.id(fmt.Sprint(round))
		end := s.in(long)
		err := together(callers, func(i int) error {
			cutOff := s.base.Add(time.Duration((i*7+round)%callers) * time.Millisecond)
			_, err := s.store.Revoke(s.ctx, blacklist.OfSubject(id.Verifier, id.Subject, cutOff, end))
			return err
		})
		if err != nil {
			s.fail("Revoke: %v", err)
		}
		top := s.base.Add((callers - 1) * time.Millisecond)
		s.refuses("begun at the latest of many cut-offs", begun(id, top))
		s.passes("begun after the latest of many cut-offs", begun(id, top.Add(time.Millisecond)))
	}
	if s.own {
		return
	}
	end := s.in(long)
	err := together(callers, func(i int) error {
		_, err := s.store.Revoke(s.ctx, blacklist.OfToken(s.id("ends"), end.Add(time.Duration(i*7%callers)*time.Hour)))
		return err
	})
	if err != nil {
		s.fail("Revoke: %v", err)
	}
	end = end.Add((callers - 1) * time.Hour)
	s.at(end.Add(-time.Millisecond))
	s.refuses("before the latest of many ends", s.id("ends"))
	s.at(end)
	s.passes("at the latest of many ends", s.id("ends"))
}

func concurrentUse(s *scene) {
	const workers, steps = 8, 40
	free := s.id("free")
	shared := s.id("shared")
	end := s.in(long)
	look := func(why string, want bool, id blacklist.Identity) error {
		if revoked, err := s.store.IsRevoked(s.ctx, id); err != nil || revoked != want {
			return fmt.Errorf("%s: IsRevoked(%s) = %t, %w; want %t", why, showID(id), revoked, err, want)
		}
		return nil
	}
	err := together(workers, func(worker int) error {
		for step := range steps {
			id := s.id(fmt.Sprint(worker, "-", step))
			r := blacklist.OfToken(id, end)
			cutOff := s.base.Add(time.Duration(step) * time.Millisecond)
			switch step % 4 {
			case 1:
				r = blacklist.OfSession(id, end)
			case 2:
				r = blacklist.OfSubject(id.Verifier, id.Subject, s.base, end)
			case 3:
				r = blacklist.OfSubject(shared.Verifier, shared.Subject, cutOff, end)
				id = begun(shared, cutOff)
			default:
				if err := look("not revoked yet", false, id); err != nil {
					return err
				}
			}
			if _, err := s.store.Revoke(s.ctx, r); err != nil {
				return fmt.Errorf("Revoke(%s): %w", show(r), err)
			}
			if err := look("revoked", true, id); err != nil {
				return err
			}
			if err := look("never revoked", false, free); err != nil {
				return err
			}
			if err := look("begun after every cut-off", false, begun(shared, s.base.Add(time.Hour))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.fail("%v", err)
	}
	for worker := range workers {
		for step := range steps {
			if step%4 != 3 {
				s.refuses("revoked a while ago", s.id(fmt.Sprint(worker, "-", step)))
			}
		}
	}
}

func closeInUse(s *scene) {
	c, ok := s.store.(io.Closer)
	if !ok {
		return
	}
	a := s.id("a")
	s.revoke(blacklist.OfToken(a, s.in(long)), false)
	var under sync.WaitGroup
	const callers = 8
	under.Add(callers)
	err := together(callers+1, func(i int) error {
		if i == callers {
			under.Wait()
			return c.Close()
		}
		var refused error
		for n := 0; ; n++ {
			revoked, err := s.store.IsRevoked(s.ctx, a)
			if n == 0 {
				under.Done()
			}
			if err == nil && !revoked {
				return fmt.Errorf("IsRevoked(%s) = false without an error", showID(a))
			}
			if err != nil || refused != nil {
				return nil // as it should be, once the store is closed
			}
			// A caller who is told so by Revoke asks once more.
			_, refused = s.store.Revoke(s.ctx, blacklist.OfToken(s.id(fmt.Sprint(i, "-", n)), s.in(long)))
		}
	})
	if err != nil {
		s.fail("%v", err)
	}
}
