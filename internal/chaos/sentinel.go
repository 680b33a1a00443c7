package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

func sentinelFailover(c *chaos) {
	servers := redistest.StartSentinel(c)
	f := c.followRedis(storeConfig{Kind: sentinel, Addrs: servers.Sentinels.Addrs(), Replicas: 2}, nil)
	master := servers.Nodes[0]
	f.repeat(func(int) {
		master.Kill()
		c.pause(rand.N(c.bound / 2))
		master = servers.Rejoin(master, servers.WaitFailover(master))
	})
}

// proxied is a master with two replicas and three Sentinels. Everybody reaches each server through
// its proxy only, other servers and Sentinels too.
type proxied struct {
	*chaos
	nodes     []*redistest.Server
	proxies   []*proxy
	sentinels redistest.Quorum
	epoch     int // the fail-overs that are known
}

func startProxied(c *chaos) *proxied {
	p := &proxied{chaos: c}
	for i := range 3 {
		proxy := startProxy(&c.helper, "")
		args := []string{"--replica-announce-ip", "127.0.0.1", "--replica-announce-port", strconv.Itoa(proxy.port()), "--repl-timeout", "5"}
		if i > 0 {
			args = append(args, "--replicaof", "127.0.0.1 "+strconv.Itoa(p.proxies[0].port()))
		}
		node := c.startRedis(redistest.WithArgs(args...))
		proxy.retarget(node.Addr())
		p.nodes, p.proxies = append(p.nodes, node), append(p.proxies, proxy)
	}
	c.eventually("two replicas are connected", func() error { return p.complete(0) })
	p.sentinels = redistest.StartQuorum(p, p.proxies[0].port(), "", time.Second)
	return p
}

// master returns the number of the node that is the master for all Sentinels.
func (p *proxied) master() (int, error) {
	return p.sentinels.Master(p.proxies[0].port(), p.proxies[1].port(), p.proxies[2].port())
}

// failedOver expects that there were so many fail-overs since the last call. Sentinels on a machine
// that is too busy replace a master that works: it goes on answering, which the store does not
// promise anything about, and the scenario shows nothing.
func (p *proxied) failedOver(what string, times int) {
	epoch, err := p.sentinels.FailOvers()
	p.must(err)
	if made := epoch - p.epoch; made != times {
		p.Fatalf("%s: %d fail-overs, want %d; the machine may be too busy for the timeouts of the Sentinels", what, made, times)
	}
	p.epoch = epoch
}

// preferred returns an error unless a fail-over that the first Sentinel makes leads to the node: it
// leaves out a replica that it has not reached for a while, and a priority that it has not read yet.
func (p *proxied) preferred(i int) error {
	reply, err := send(p.sentinels[0].Addr(), "SENTINEL", "REPLICAS", redistest.MasterName)
	if err != nil {
		return err
	}
	replicas, _ := reply.([]any)
	for _, r := range replicas {
		r, _ := r.(map[any]any)
		if r["port"] == strconv.Itoa(p.proxies[i].port()) && r["flags"] == "slave" && r["slave-priority"] == "1" &&
			r["master-link-status"] == "ok" {
			return nil
		}
	}
	return fmt.Errorf("SENTINEL REPLICAS replies %v", reply)
}

// complete returns an error unless the node is a master with two replicas.
func (p *proxied) complete(i int) error {
	reply, err := send(p.nodes[i].Addr(), "INFO", "replication")
	if err != nil {
		return err
	}
	info := fmt.Sprint(reply)
	if n := strings.Count(info, "state=online"); n != 2 || !strings.Contains(info, "role:master") {
		return fmt.Errorf("%d replicas", n)
	}
	return nil
}

// partitionOldMaster cuts off the master. It works, and would answer everybody who reached it. What
// was sent to it meanwhile arrives when it is reachable again, before it learns that it is no master.
// That is when the clients have learned it: within the bound of the fail-over it answers clients
// that have not left it, about which the store promises nothing without a fence.
func partitionOldMaster(c *chaos) {
	p := startProxied(c)
	f := c.followRedis(storeConfig{Kind: sentinel, Addrs: p.sentinels.Addrs(), Replicas: 1}, nil)
	f.repeat(func(int) {
		old := 0
		c.eventually("the Sentinels agree", func() (err error) { old, err = p.master(); return err })
		p.cutOff(f, old, c.bound+rand.N(c.bound))
	})
}

// cutOff cuts off the master until another one was there for the pause, and waits until all servers
// are together again.
func (p *proxied) cutOff(f *fleet, old int, pause time.Duration) {
	p.failedOver("before the partition", 0)
	cut := monotonic()
	p.proxies[old].setCut(true)
	master := old
	p.eventually("there is another master", func() (err error) {
		if master, err = p.master(); err == nil && master == old {
			err = errors.New("the same")
		}
		return err
	})
	// A revocation waits for one of the two replicas, and Sentinel does not promise to choose it.
	f.findLost(storeConfig{Kind: standalone, Addrs: []string{p.nodes[master].Addr()}}, cut-int64(2*time.Second))
	p.pause(pause)
	p.proxies[old].setCut(false)
	p.eventually("the former master is a replica", func() error {
		now, err := p.master()
		if err == nil {
			err = p.complete(now)
		}
		return err
	})
	p.failedOver("the fail-over of the partition", 1)
}

// fenceOldMaster cuts off the master together with two processes, which go on reaching it. All have a
// fence: a master without a replica gives no answer. The fail-over back to the first master, which
// Sentinel makes without stopping the other one first, needs it too.
func fenceOldMaster(c *chaos) {
	const cutOff = 2
	p := startProxied(c)
	c.do(p.nodes[0], "CONFIG", "SET", "replica-priority", 1) // a fail-over leads back to it
	store := storeConfig{Kind: sentinel, Addrs: p.sentinels.Addrs(), Replicas: 1, Fence: 1}
	f := c.followRedis(store, func(i int, cfg *workerConfig) {
		if i < cutOff {
			cfg.Store.Kind, cfg.Store.Addrs = standalone, []string{p.nodes[0].Addr()}
		}
	})
	f.repeat(func(int) {
		p.cutOff(f, 0, c.bound+rand.N(2*c.bound))
		p.eventually("a Sentinel would choose the former master", func() error { return p.preferred(0) })
		back := monotonic()
		p.eventually("the fail-over back begins", func() error {
			_, err := send(p.sentinels[0].Addr(), "SENTINEL", "FAILOVER", redistest.MasterName)
			return err
		})
		p.eventually("the former master is the master again", func() error {
			now, err := p.master()
			if err == nil && now != 0 {
				err = errors.New("another one")
			}
			return err
		})
		p.failedOver("the fail-over back", 1)
		// It may lack what waited for the other replica.
		f.findLost(storeConfig{Kind: standalone, Addrs: []string{p.nodes[0].Addr()}}, back-int64(2*time.Second))
		c.eventually("the replicas are connected", func() error { return p.complete(0) })
	})
}
