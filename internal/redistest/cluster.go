package redistest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/internal/freeport"
)

// Cluster is a Redis Cluster of six nodes: three masters, each with a replica.
type Cluster struct {
	Nodes []*Server // at the start the first three are masters, and node i+3 is the replica of node i
	t     testing.TB
}

const slots = 16384

// StartCluster starts the nodes, joins them, and waits until all nodes report that the Cluster
// works.
func StartCluster(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	bus := make([]int, 6)
	for i := range 6 {
		bus[i] = freeport.New(t)
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
	}
	Eventually(t, "all nodes have met", func() error {
		known, err := c.Nodes[0].connectedNodes()
		if err != nil {
			return err
		}
		for i, n := range c.Nodes {
			if !slices.Contains(known, ids[i]) {
				// A meeting that takes longer than the node timeout, on a busy machine, is given up.
				n.Do("CLUSTER", "MEET", "127.0.0.1", c.Nodes[0].Port, bus[0])
				err = fmt.Errorf("the first node is connected to %d nodes", len(known))
			}
		}
		return err
	})
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

// WaitWhole waits until at least n nodes run, and each of them reports that the Cluster works and
// that n nodes are connected.
func (c *Cluster) WaitWhole(n int) {
	c.t.Helper()
	Eventually(c.t, "the Cluster is whole", func() error {
		running := 0
		for _, node := range c.Nodes {
			info, err := node.do("CLUSTER", "INFO")
			if err != nil {
				continue // it does not run
			}
			if !strings.Contains(fmt.Sprint(info), "cluster_state:ok") {
				return errors.New("a node reports that the Cluster does not work")
			}
			connected, err := node.connectedNodes()
			if err != nil {
				return err
			}
			if len(connected) < n {
				return fmt.Errorf("a node is connected to %d nodes", len(connected))
			}
			running++
		}
		if running < n {
			return fmt.Errorf("%d nodes run", running)
		}
		return nil
	})
}

// connectedNodes returns the ids of the nodes that this node is connected to, its own included.
func (s *Server) connectedNodes() (ids []string, err error) {
	reply, err := s.do("CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(fmt.Sprint(reply)) {
		fields := strings.Fields(line) // id, address, flags, ..., link state at 7
		if len(fields) <= 7 || fields[7] != "connected" {
			continue
		}
		if flags := fields[2]; !strings.Contains(flags, "fail") && !strings.Contains(flags, "handshake") {
			ids = append(ids, fields[0])
		}
	}
	return ids, nil
}

// WaitReplica waits until a replica is connected to the master.
func (c *Cluster) WaitReplica(master *Server) {
	c.t.Helper()
	Eventually(c.t, "a replica is connected", func() error { return master.hasReplicas(1) })
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

// Client returns a client that is closed at the end of the test.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	return Closed(t, redis.NewClusterClient(c.Options()))
}

// Options returns client options that redisstore accepts, with a short timeout for connecting.
func (c *Cluster) Options() *redis.ClusterOptions {
	o := &redis.ClusterOptions{ContextTimeoutEnabled: true, DialTimeout: time.Second, Password: c.Nodes[0].Password}
	for _, n := range c.Nodes {
		o.Addrs = append(o.Addrs, n.Addr())
	}
	return o
}
