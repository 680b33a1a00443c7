package main

import (
	"sync"
	"time"
)

// findLost marks the revocations since the time that the store does not have.
func (f *fleet) findLost(store storeConfig, since int64) {
	feed, closeStore, err := openStore(f.ctx, store, time.Now)
	f.must(err)
	defer closeStore()
	slots := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range 8 {
		wg.Go(func() {
			for slot := range slots {
				revoked, err := feed.IsRevoked(f.ctx, identity(slot, f.board.start(slot)))
				for try := 0; err != nil && try < 20; try++ { // the machine is busy with the fault
					revoked, err = feed.IsRevoked(f.ctx, identity(slot, f.board.start(slot)))
				}
				mu.Lock()
				if err != nil {
					failed = err
				} else if !revoked {
					f.board.setState(slot, stateLost)
					f.lost++
				}
				mu.Unlock()
			}
		})
	}
	for slot := range f.board.slots() {
		if f.board.state(slot) >= max(since, stateBefore) {
			slots <- slot
		}
	}
	close(slots)
	wg.Wait()
	f.must(failed)
}
