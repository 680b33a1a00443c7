package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// startRedis starts a server with an append-only file.
func (c *chaos) startRedis(options ...redistest.Option) *redistest.Server {
	return redistest.Start(c, append([]redistest.Option{redistest.WithAOF("everysec")}, options...)...)
}

// followRedis makes the marks on the server and starts the processes.
func (c *chaos) followRedis(store storeConfig, change func(i int, cfg *workerConfig)) *fleet {
	c.prepare(store)
	c.fleet = c.startFleet(c.processes, func(i int) workerConfig {
		cfg := workerConfig{Store: store}
		if change != nil {
			change(i, &cfg)
		}
		return cfg
	})
	return c.fleet
}

func noFault(c *chaos) {
	srv := c.startRedis()
	c.followRedis(storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}, nil)
	c.pause(c.duration)
}

func pauseAndKill(c *chaos) {
	srv := c.startRedis(redistest.WithAOF("always"))
	f := c.followRedis(storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}, nil)
	f.repeat(func(round int) {
		srv.Pause()
		c.pause(c.bound/2 + rand.N(c.bound))
		srv.Resume()
		f.settle()
		srv.Kill()
		c.pause(rand.N(c.bound * 3 / 2))
		srv.Restart()
	})
}

// partition cuts some processes off their server.
type partition struct{ proxies []*proxy }

// routes makes the first n processes reach the server through a proxy each.
func (p *partition) routes(c *chaos, server string, n int) func(i int, cfg *workerConfig) {
	return func(i int, cfg *workerConfig) {
		if i < n {
			proxy := startProxy(&c.helper, server)
			p.proxies = append(p.proxies, proxy)
			cfg.Store.Routes = map[string]string{server: proxy.addr()}
		}
	}
}

func (p *partition) set(cut bool) {
	for _, proxy := range p.proxies {
		proxy.setCut(cut)
	}
}

func partitionProcess(c *chaos) {
	srv := c.startRedis()
	var p partition
	f := c.followRedis(storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}, p.routes(c, srv.Addr(), 2))
	f.repeat(func(int) {
		p.set(true)
		c.pause(c.bound/4 + rand.N(2*c.bound))
		p.set(false)
	})
}

// demotion changes the master behind a fixed address. New connections go to the new master. The
// former one becomes a replica of nothing, and keeps its connections and its replication id.
func demotion(c *chaos) {
	master := c.startRedis()
	address := startProxy(&c.helper, master.Addr())
	f := c.followRedis(storeConfig{Kind: standalone, Addrs: []string{address.addr()}}, nil)
	f.repeat(func(int) {
		next := c.startRedis(redistest.WithArgs("--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port)))
		c.eventually("the new server has the data", func() error {
			if info := fmt.Sprint(c.do(next, "INFO", "replication")); !strings.Contains(info, "master_link_status:up") {
				return errors.New("the link is down")
			}
			return nil
		})
		f.settle() // the first replica changes the replication id, which is a gap
		c.do(master, "CLIENT", "PAUSE", 5000, "WRITE")
		c.eventually("the new server has all data", func() error {
			from, to := c.replicationOffset(master), c.replicationOffset(next)
			if from != to {
				return fmt.Errorf("%s and %s", from, to)
			}
			return nil
		})
		c.do(next, "REPLICAOF", "NO", "ONE")
		c.do(master, "REPLICAOF", "127.0.0.1", 1) // nothing listens there
		c.do(master, "CLIENT", "UNPAUSE")
		c.pause(c.bound / 4) // until the address follows
		address.retarget(next.Addr())
		old := master
		c.Cleanup(old.Kill)
		master = next
		c.pause(c.bound * 2)
	})
}

// replicationOffset returns how much of the replication stream the server has.
func (c *chaos) replicationOffset(s *redistest.Server) string {
	for line := range strings.Lines(fmt.Sprint(c.do(s, "INFO", "replication"))) {
		for _, name := range []string{"slave_repl_offset:", "master_repl_offset:"} {
			if offset, ok := strings.CutPrefix(strings.TrimSpace(line), name); ok {
				return offset
			}
		}
	}
	return ""
}

// stream is the stream of records of the default prefix.
const stream = "{oapi-guard:00}:f"

// trim trims the stream while two processes are stopped. Every other time the stream was lost before,
// and begins anew without a revocation.
func trim(c *chaos) {
	srv := c.startRedis()
	f := c.followRedis(storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}, nil)
	f.repeat(func(round int) {
		if round%2 == 1 {
			f.board.setRate(0)
			c.pause(c.bound / 2)
			c.do(srv, "DEL", stream)
			c.pause(c.bound / 2)
			f.fresh()
		}
		stopped := []*process{f.all[round%len(f.all)], f.all[(round+1)%len(f.all)]}
		for _, p := range stopped {
			p.stop()
		}
		if round%2 == 1 {
			c.pause(c.bound / 2) // until their last reads have waited in vain
			f.board.setRate(c.rate)
		}
		c.pause(c.bound/4 + rand.N(c.bound))
		c.do(srv, "XTRIM", stream, "MAXLEN", round/2%2)
		for _, p := range stopped {
			p.resume()
		}
		c.pause(c.bound)
	})
}

func flush(c *chaos) {
	srv := c.startRedis()
	f := c.followRedis(storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}, nil)
	f.repeat(func(int) {
		c.do(srv, "FLUSHALL")
		c.pause(c.bound + rand.N(c.bound))
	})
}

// frozenLookup stops one process in the middle of a look-up of a victim, revokes the victim, and
// lets the process continue after more than the bound.
func frozenLookup(c *chaos) {
	srv := c.startRedis()
	store := storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}
	f := c.followRedis(store, func(i int, cfg *workerConfig) { cfg.Victims = i == 0 })
	feed, closeStore, err := openStore(c.ctx, store, time.Now)
	c.must(err)
	c.Cleanup(closeStore)
	f.repeat(func(round int) {
		if round >= maxVictims {
			return
		}
		c.pause(rand.N(50 * time.Millisecond))
		f.all[0].stop()
		_, err := feed.Revoke(c.ctx, blacklist.OfToken(victim(round), time.Now().Add(24*time.Hour)))
		c.must(err)
		f.board.setVictim(round, monotonic())
		c.pause(c.bound + c.bound/10)
		f.all[0].resume()
		c.pause(200 * time.Millisecond)
	})
}

func clockSteps(c *chaos) {
	srv := c.startRedis()
	var p partition
	f := c.followRedis(storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}, p.routes(c, srv.Addr(), 2))
	step := func(round int) {
		for i, process := range f.all {
			// An hour ahead, right, an hour behind, right, and each process at another point.
			process.send("clock " + strconv.Itoa([]int{3600, 0, -3600, 0}[(round+i)%4]))
		}
	}
	f.repeat(func(round int) {
		p.set(round%2 == 0)
		step(2 * round)
		c.pause(c.bound/2 + rand.N(c.bound))
		step(2*round + 1)
		c.pause(c.bound/2 + rand.N(c.bound))
		p.set(false)
		f.settle()
	})
}

// hostPort returns the address of a port of this machine.
func hostPort(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
