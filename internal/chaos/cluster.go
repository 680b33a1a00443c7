package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// startCluster starts a Cluster.
func startCluster(c *chaos) (servers *redistest.Cluster, store storeConfig) {
	servers = redistest.StartCluster(c, redistest.WithAOF("everysec"))
	store = storeConfig{Kind: cluster}
	for _, node := range servers.Nodes {
		store.Addrs = append(store.Addrs, node.Addr())
	}
	return servers, store
}

func (c *chaos) slotOf(servers *redistest.Cluster, key string) int {
	return int(c.do(servers.Nodes[0], "CLUSTER", "KEYSLOT", key).(int64))
}

// firstMaster returns the number of the master that has the slot at the start.
func firstMaster(slot int) int { return slot * 3 / 16384 }

// clusterFailover kills a master, lets its replica take over, and starts it again as the replica.
func clusterFailover(c *chaos) {
	servers, store := startCluster(c)
	store.Replicas = 1
	f := c.followRedis(store, nil)
	masters, replicas := []int{0, 1, 2}, []int{3, 4, 5}
	first := firstMaster(c.slotOf(servers, stream))
	f.repeat(func(round int) {
		i := (first + round) % 3
		master, replica := servers.Nodes[masters[i]], servers.Nodes[replicas[i]]
		master.Kill()
		servers.WaitMaster(replica)
		master.Restart()
		servers.WaitWhole(6)
		servers.WaitReplica(replica)
		masters[i], replicas[i] = replicas[i], masters[i]
	})
}

// resharding moves the slots of some buckets to the next master, that of the stream too.
func resharding(c *chaos) {
	servers, store := startCluster(c)
	f := c.followRedis(store, nil)
	at := map[int]int{} // the master of each slot that was moved
	f.repeat(func(int) {
		for _, bucket := range []int{0, rand.IntN(256), rand.IntN(256)} {
			slot := c.slotOf(servers, fmt.Sprintf("{oapi-guard:%02x}:g", bucket))
			from, ok := at[slot]
			if !ok {
				from = firstMaster(slot)
			}
			at[slot] = (from + 1) % 3
			c.moveSlot(servers, slot, from, at[slot])
		}
		c.pause(c.bound)
	})
}

// moveSlot moves a slot as redis-cli does.
func (c *chaos) moveSlot(servers *redistest.Cluster, slot, from, to int) {
	source, target := servers.Nodes[from], servers.Nodes[to]
	sourceID, targetID := c.do(source, "CLUSTER", "MYID"), c.do(target, "CLUSTER", "MYID")
	c.do(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID)
	c.do(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
	for {
		keys := c.do(source, "CLUSTER", "GETKEYSINSLOT", slot, 50).([]any)
		if len(keys) == 0 {
			break
		}
		// After an error some of the keys may have moved.
		_, _ = send(source.Addr(), append([]any{"MIGRATE", "127.0.0.1", target.Port, "", 0, 5000, "KEYS"}, keys...)...)
	}
	for _, node := range []int{to, from, 3 - to - from} {
		c.do(servers.Nodes[node], "CLUSTER", "SETSLOT", slot, "NODE", targetID)
	}
}

// streamUnreachable cuts a process off the master of the stream. Its revocations write their entries
// on the other masters, and fail. They are tried again, and need their records then.
func streamUnreachable(c *chaos) {
	servers, store := startCluster(c)
	store.WriteTimeout = c.bound / 2
	owner := servers.Nodes[firstMaster(c.slotOf(servers, stream))].Addr()
	var p partition
	f := c.followRedis(store, p.routes(c, owner, 1))
	f.repeat(func(int) {
		p.set(true)
		c.pause(c.bound + rand.N(c.bound))
		p.set(false)
	})
}
