package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MasterName is what the Sentinels call the master.
const MasterName = "guard"

// Sentinels is a master with two replicas, watched by three Sentinels.
type Sentinels struct {
	Nodes     []*Server // the first is the master at the start
	Sentinels []*Server
	t         testing.TB
}

// StartSentinel starts the servers and waits until the Sentinels know each other and both replicas follow.
func StartSentinel(t testing.TB, opts ...Option) *Sentinels {
	t.Helper()
	s := &Sentinels{t: t}
	master := Start(t, opts...)
	s.Nodes = append(s.Nodes, master)
	for range 2 {
		r := newServer(t, opts...)
		r.launch("--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port))
		s.Nodes = append(s.Nodes, r)
	}
	Eventually(t, "two replicas follow", func() error { return master.hasReplicas(2) })
	for i := range 3 {
		s.Sentinels = append(s.Sentinels, startSentinel(t, master, i))
	}
	Eventually(t, "every Sentinel knows two replicas and two other Sentinels", func() error {
		for _, sn := range s.Sentinels {
			v, err := sn.do("SENTINEL", "MASTER", MasterName)
			if err != nil {
				return err
			}
			text := fmt.Sprint(v)
			if !strings.Contains(text, "num-slaves:2") || !strings.Contains(text, "num-other-sentinels:2") {
				return errors.New(text)
			}
		}
		return nil
	})
	return s
}

// startSentinel starts the i-th Sentinel. Each waits a little longer than the one before it, so that they do not all ask
// for the others' votes in the same moment: then none gets them, and they wait for seconds.
func startSentinel(t testing.TB, master *Server, i int) *Server {
	t.Helper()
	s := newServer(t)
	conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds %s %d\nsentinel failover-timeout %s 3000\nsentinel parallel-syncs %s 2\n",
		s.Port, s.dir, MasterName, master.Port, MasterName, 400+200*i, MasterName, MasterName)
	if master.Password != "" {
		conf += fmt.Sprintf("sentinel auth-pass %s %s\n", MasterName, master.Password)
	}
	path := filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run([]string{path, "--sentinel"})
	s.WaitReady()
	return s
}

// Client returns a fail-over client that is closed with the test.
func (s *Sentinels) Client(t testing.TB) *redis.Client {
	t.Helper()
	return Closed(t, redis.NewFailoverClient(s.Options()))
}

// Options returns options of a client as redisstore wants it, with short timeouts.
func (s *Sentinels) Options() *redis.FailoverOptions {
	o := &redis.FailoverOptions{
		MasterName: MasterName, Password: s.Nodes[0].Password, ContextTimeoutEnabled: true, DialTimeout: time.Second,
	}
	for _, sn := range s.Sentinels {
		o.SentinelAddrs = append(o.SentinelAddrs, sn.Addr())
	}
	return o
}

// agreed returns the node that all Sentinels name as the master and that finds itself one.
func (s *Sentinels) agreed() (*Server, error) {
	var master *Server
	for _, sn := range s.Sentinels {
		v, err := sn.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
		if err != nil {
			return nil, err
		}
		for _, n := range s.Nodes {
			if strings.Contains(fmt.Sprint(v), " "+strconv.Itoa(n.Port)+"]") {
				if master != nil && master != n {
					return nil, errors.New("the Sentinels do not agree")
				}
				master = n
			}
		}
	}
	if master == nil {
		return nil, errors.New("the Sentinels name no node")
	}
	if role := master.role(); role != "master" {
		return nil, errors.New(role)
	}
	return master, nil
}

// WaitFailover waits until all Sentinels name another master than the given, and returns it.
func (s *Sentinels) WaitFailover(old *Server) *Server {
	s.t.Helper()
	var master *Server
	Eventually(s.t, "the Sentinels name another master", func() (err error) {
		if master, err = s.agreed(); err == nil && master == old {
			err = errors.New("still the old one")
		}
		return err
	})
	return master
}

// Rejoin starts a killed server again as a replica of the master, without waiting for the Sentinels to tell it, and waits
// until two replicas follow the master. It returns that: the Sentinels may change their minds once more.
func (s *Sentinels) Rejoin(old, master *Server) *Server {
	s.t.Helper()
	old.Restart("--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port))
	Eventually(s.t, "two replicas follow the master", func() (err error) {
		if master, err = s.agreed(); err == nil {
			err = master.hasReplicas(2)
		}
		return err
	})
	return master
}

func (s *Server) hasReplicas(n int) error {
	v, err := s.do("INFO", "replication")
	if err != nil {
		return err
	}
	if got := strings.Count(fmt.Sprint(v), "state=online"); got != n {
		return fmt.Errorf("%d replicas follow, not %d", got, n)
	}
	return nil
}

func (s *Server) role() string {
	v, err := s.do("INFO", "replication")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(fmt.Sprint(v)) {
		if role, ok := strings.CutPrefix(strings.TrimSpace(line), "role:"); ok {
			return role
		}
	}
	return ""
}
