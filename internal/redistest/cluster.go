package redistest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is six nodes: three masters, each with a replica.
type Cluster struct {
	Nodes []*Server // the first three are the masters at the start, node i+3 the replica of node i
	t     testing.TB
}

const slots = 16384

// StartCluster starts the nodes, joins them, and waits until every node finds the Cluster whole.
func StartCluster(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	bus := make([]int, 6)
	for i := range 6 {
		bus[i] = FreePort(t)
		c.Nodes = append(c.Nodes, Start(t, append([]Option{WithArgs(
			"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", strconv.Itoa(bus[i]),
			"--cluster-replica-validity-factor", "0",
		)}, opts...)...))
	}
	ids := make([]string, 6)
	for i, n := range c.Nodes {
		ids[i] = fmt.Sprint(n.Do("CLUSTER", "MYID"))
		n.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i < 3 {
			n.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		}
		if i > 0 {
			n.Do("CLUSTER", "MEET", "127.0.0.1", c.Nodes[0].Port, bus[0])
		}
	}
	for i := range 3 {
		Eventually(t, "a node knows its master", func() error {
			_, err := c.Nodes[i+3].do("CLUSTER", "REPLICATE", ids[i])
			return err
		})
	}
	c.WaitWhole(6)
	for i := range 3 {
		c.WaitReplica(c.Nodes[i])
	}
	return c
}

// WaitWhole waits until every node that runs finds the Cluster whole and knows of n nodes that run.
func (c *Cluster) WaitWhole(n int) {
	c.t.Helper()
	Eventually(c.t, "the Cluster is whole", func() error {
		up := 0
		for _, node := range c.Nodes {
			v, err := node.do("CLUSTER", "INFO")
			if err != nil {
				continue
			}
			if !strings.Contains(fmt.Sprint(v), "cluster_state:ok") {
				return errors.New("a node finds it not whole")
			}
			v, err = node.do("CLUSTER", "NODES")
			if err != nil {
				return err
			}
			good := 0
			for line := range strings.Lines(fmt.Sprint(v)) {
				f := strings.Fields(line)
				if len(f) > 7 && !strings.Contains(f[2], "fail") && !strings.Contains(f[2], "handshake") && f[7] == "connected" {
					good++
				}
			}
			if good < n {
				return fmt.Errorf("a node knows %d others", good)
			}
			up++
		}
		if up < n {
			return fmt.Errorf("%d nodes run", up)
		}
		return nil
	})
}

// WaitReplica waits until a replica follows the master.
func (c *Cluster) WaitReplica(master *Server) {
	c.t.Helper()
	Eventually(c.t, "a replica follows", func() error { return master.hasReplicas(1) })
}

// WaitMaster waits until the node is a master.
func (c *Cluster) WaitMaster(node *Server) {
	c.t.Helper()
	Eventually(c.t, "the replica is promoted", func() error {
		if role := node.role(); role != "master" {
			return errors.New(role)
		}
		return nil
	})
}

// Client returns a client that is closed with the test.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	return Closed(t, redis.NewClusterClient(c.Options()))
}

// Options returns options of a client as redisstore wants it, with short timeouts.
func (c *Cluster) Options() *redis.ClusterOptions {
	o := &redis.ClusterOptions{ContextTimeoutEnabled: true, DialTimeout: time.Second, Password: c.Nodes[0].Password}
	for _, n := range c.Nodes {
		o.Addrs = append(o.Addrs, n.Addr())
	}
	return o
}
