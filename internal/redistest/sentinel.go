package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MasterName is the name of the master for the Sentinels.
const MasterName = "guard"

// Sentinels is a master with two replicas, monitored by three Sentinels.
type Sentinels struct {
	Nodes     []*Server // at the start the first is the master
	Sentinels Quorum
	t         testing.TB
}

// StartSentinel starts the servers, and waits until the replicas are connected and the Sentinels
// know all servers.
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
	Eventually(t, "two replicas are connected", func() error { return master.hasReplicas(2) })
	s.Sentinels = StartQuorum(t, master.Port, master.Password, 400*time.Millisecond)
	return s
}

// Quorum is three Sentinels that monitor a master.
type Quorum []*Server

// StartQuorum starts Sentinels that monitor the master behind the port, and waits until they know its
// two replicas and each other. A server is down when it has not answered for downAfter, or up to
// twice as long: the Sentinels have different timeouts, so that they do not ask for votes at the same
// time. Then none would win, and they would wait for seconds.
func StartQuorum(t testing.TB, port int, password string, downAfter time.Duration) Quorum {
	t.Helper()
	var q Quorum
	for i := range 3 {
		s := newServer(t)
		conf := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\n"+
			"sentinel down-after-milliseconds %s %d\nsentinel failover-timeout %s 3000\nsentinel parallel-syncs %s 2\n",
			s.Port, s.dir, MasterName, port, MasterName, (downAfter + time.Duration(i)*downAfter/2).Milliseconds(), MasterName, MasterName)
		if password != "" {
			conf += fmt.Sprintf("sentinel auth-pass %s %s\n", MasterName, password)
		}
		path := filepath.Join(s.dir, "sentinel.conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		s.run([]string{path, "--sentinel"})
		s.WaitReady()
		q = append(q, s)
	}
	Eventually(t, "every Sentinel knows two replicas and two other Sentinels", func() error {
		for _, s := range q {
			m, err := s.monitored()
			if err != nil {
				return err
			}
			if m["num-slaves"] != "2" || m["num-other-sentinels"] != "2" {
				return fmt.Errorf("SENTINEL MASTER replies %v", m)
			}
		}
		return nil
	})
	return q
}

// Addrs returns host:port of each.
func (q Quorum) Addrs() (addrs []string) {
	for _, s := range q {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Master returns which of the ports all Sentinels give the master, when none of them takes part in a
// fail-over. The one that leads a fail-over names the new master before the end. If that one is lost
// before the end, and the others go back to the former master, it is not told, and waits for the lost
// one as long as that is away (Redis 7.0.15).
func (q Quorum) Master(ports ...int) (int, error) {
	var seen []string
	for _, s := range q {
		m, err := s.monitored()
		if err != nil {
			return 0, err
		}
		seen = append(seen, fmt.Sprint(m["port"], " ", m["flags"]))
	}
	for i, port := range ports {
		if all := fmt.Sprint(port, " master"); !slices.ContainsFunc(seen, func(text string) bool { return text != all }) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("the Sentinels see %q, want one of %d", seen, ports)
}

// FailOvers returns the number of fail-overs that the first Sentinel knows of.
func (q Quorum) FailOvers() (int, error) {
	m, err := q[0].monitored()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fmt.Sprint(m["config-epoch"]))
}

// monitored returns what a Sentinel knows of the master.
func (s *Server) monitored() (map[any]any, error) {
	reply, err := s.do("SENTINEL", "MASTER", MasterName)
	if err != nil {
		return nil, err
	}
	m, ok := reply.(map[any]any)
	if !ok {
		return nil, fmt.Errorf("SENTINEL MASTER replies %v", reply)
	}
	return m, nil
}

// Client returns a fail-over client that is closed at the end of the test.
func (s *Sentinels) Client(t testing.TB) *redis.Client {
	t.Helper()
	return Closed(t, redis.NewFailoverClient(s.Options()))
}

// Options returns client options that redisstore accepts, with a short timeout for connecting.
func (s *Sentinels) Options() *redis.FailoverOptions {
	return &redis.FailoverOptions{
		MasterName: MasterName, Password: s.Nodes[0].Password, ContextTimeoutEnabled: true, DialTimeout: time.Second,
		SentinelAddrs: s.Sentinels.Addrs(),
	}
}

// agreed returns the node that is the master for all Sentinels and whose role is master.
func (s *Sentinels) agreed() (*Server, error) {
	var ports []int
	for _, n := range s.Nodes {
		ports = append(ports, n.Port)
	}
	i, err := s.Sentinels.Master(ports...)
	if err != nil {
		return nil, err
	}
	if role := s.Nodes[i].role(); role != "master" {
		return nil, errors.New(role)
	}
	return s.Nodes[i], nil
}

// WaitFailover waits until a fail-over from old has ended for all Sentinels, and returns the master.
func (s *Sentinels) WaitFailover(old *Server) *Server {
	s.t.Helper()
	var master *Server
	Eventually(s.t, "the Sentinels have another master", func() (err error) {
		if master, err = s.agreed(); err == nil && master == old {
			err = errors.New("they still have the old one")
		}
		return err
	})
	return master
}

// Rejoin starts a killed server again as a replica of the master and waits until the master has two
// replicas. It returns the master, because the Sentinels may have chosen another one meanwhile.
func (s *Sentinels) Rejoin(old, master *Server) *Server {
	s.t.Helper()
	old.Restart("--replicaof", "127.0.0.1 "+strconv.Itoa(master.Port))
	Eventually(s.t, "the master has two replicas", func() (err error) {
		if master, err = s.agreed(); err == nil {
			err = master.hasReplicas(2)
		}
		return err
	})
	return master
}

// hasReplicas returns an error unless n replicas are connected.
func (s *Server) hasReplicas(n int) error {
	v, err := s.do("INFO", "replication")
	if err != nil {
		return err
	}
	if got := strings.Count(fmt.Sprint(v), "state=online"); got != n {
		return fmt.Errorf("%d replicas are connected, want %d", got, n)
	}
	return nil
}

// role returns the role of the server, or the text of an error.
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
