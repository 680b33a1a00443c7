package replica_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/blacklist/replica/internal/fakefeed"
)

// TestPromiseHoldsUnderFaults revokes tokens at random processes while the store is trimmed,
// exchanged, silent and away and the wall clock steps. Every revocation that returned is found by
// every process after the bound, or the look-up is an error; in its process at once.
func TestPromiseHoldsUnderFaults(t *testing.T) {
	const (
		processes = 3
		short     = 200 * time.Millisecond
		steps     = 20_000 // milliseconds
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 0))
		f := newFixture(t, func(s *fakefeed.Store) { s.Limit = 4 }, replica.WithBound(short))
		list := []*replica.Replica{f.r}
		for len(list) < processes {
			list = append(list, f.another(replica.WithBound(short)))
		}
		type revoked struct {
			id blacklist.Identity
			at time.Time
			// located are its places in each process, which was asked for the token before.
			located map[*replica.Replica]*blacklist.Located
		}
		var all []revoked
		var answers, errors int
		look := func(r *replica.Replica, one revoked) {
			begun := time.Now()
			found, err := r.IsRevoked(t.Context(), one.id)
			if random.IntN(2) == 0 {
				found, err = r.IsRevokedAt(t.Context(), one.located[r])
			}
			switch {
			case err != nil:
				errors++
			case !found && begun.Sub(one.at) > short:
				t.Errorf("a token revoked %s ago is not revoked", begun.Sub(one.at))
			default:
				answers++
			}
		}
		for i := range steps {
			time.Sleep(time.Millisecond)
			switch random.IntN(800) {
			case 0:
				f.store.Trim()
			case 1:
				f.store.Exchange()
			case 2:
				f.store.SetSilent(true)
			case 3, 4:
				f.store.SetSilent(false)
			case 5:
				f.store.SetDown(errAway)
			case 6, 7, 8:
				f.store.SetDown(nil)
			case 9:
				f.wallStep.Store([]int64{0, int64(time.Hour), -int64(time.Hour)}[random.IntN(3)])
			}
			r := list[random.IntN(processes)]
			one := revoked{id: numbered(i), located: make(map[*replica.Replica]*blacklist.Located)}
			for _, r := range list {
				one.located[r] = r.Locate(one.id)
				if found, _ := r.IsRevokedAt(t.Context(), one.located[r]); found {
					t.Error("a token that was not revoked yet is")
				}
			}
			if _, err := r.Revoke(t.Context(), blacklist.OfToken(one.id, time.Now().Add(24*time.Hour))); err == nil {
				one.at = time.Now()
				all = append(all, one)
				if found, err := r.IsRevoked(t.Context(), one.id); err != nil || !found {
					t.Errorf("the process that revoked: %t, %v", found, err)
				}
			}
			for range 3 {
				if len(all) > 0 {
					look(list[random.IntN(processes)], all[random.IntN(len(all))])
					look(list[random.IntN(processes)], all[max(0, len(all)-1-random.IntN(400))])
				}
			}
			if t.Failed() {
				return
			}
		}
		t.Logf("%d revocations, %d answers, %d errors; %v", len(all), answers, errors, f.r.Stats().Snapshots)
		if len(all) < steps/10 || answers < steps || f.r.Stats().Snapshots[replica.Gap] == 0 {
			t.Error("the run shows nothing")
		}
	})
}
