package redisstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// fakeNode is a node of a Cluster that answers as the test says, so that a client can learn of a
// fail-over between two commands.
type fakeNode struct {
	port int

	mu       sync.Mutex
	keys     map[string]string
	slots    func() string // the reply to CLUSTER SLOTS
	myself   string        // the node's line in the reply to CLUSTER NODES
	replicas int           // the reply to WAIT
	// leaves is set where the replica is promoted at the end of a snapshot, which asks for the node's
	// line the second time.
	leaves bool
	asked  int
	// fault is the reply to the next SET with a value, or "close" to close the connection.
	fault string
}

func startFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	n := &fakeNode{port: listener.Addr().(*net.TCPAddr).Port, keys: make(map[string]string), replicas: 1}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go n.serve(conn)
		}
	}()
	return n
}

func (n *fakeNode) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// change changes the node while it serves.
func (n *fakeNode) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

func (n *fakeNode) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for r := bufio.NewReader(conn); ; {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		reply := n.answer(command)
		if reply == "close" {
			return
		}
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

// readCommand reads an array of bulk strings.
func readCommand(r *bufio.Reader) (command []string, err error) {
	count, err := readLength(r, '*')
	for range count {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command = append(command, string(text[:size]))
	}
	return command, err
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil || line[0] != kind {
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

func (n *fakeNode) answer(command []string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch name := strings.ToLower(strings.Join(command[:min(2, len(command))], " ")); {
	case name == "cluster slots":
		return n.slots()
	case name == "cluster nodes":
		if n.asked++; n.leaves && n.asked%2 == 0 {
			n.replicas = 0
		}
		return bulk(n.myself)
	case strings.HasPrefix(name, "set") && len(command) > 4 && n.fault != "": // the SET of a fence
		fault := n.fault
		if fault == "close" {
			n.fault = "" // once: the client sends all commands again
		}
		return fault
	}
	switch strings.ToLower(command[0]) {
	case "get":
		return n.get(command[1])
	case "mget":
		reply := fmt.Sprintf("*%d\r\n", len(command)-1)
		for _, key := range command[1:] {
			reply += n.get(key)
		}
		return reply
	case "wait":
		return fmt.Sprintf(":%d\r\n", n.replicas)
	case "time":
		return "*2\r\n" + bulk(strconv.FormatInt(time.Now().Unix(), 10)) + bulk("0")
	case "info":
		return bulk("role:master\r\nmaster_replid:r" + strconv.Itoa(n.port) + "\r\nmaxmemory:0\r\nevicted_keys:0\r\n")
	case "scan":
		return "*2\r\n" + bulk("0") + "*0\r\n"
	case "xrange", "xrevrange":
		return "*1\r\n*2\r\n" + bulk("5-1") + "*2\r\n" + bulk(recordField) + bulk("g:1000")
	case "xread":
		time.Sleep(10 * time.Millisecond)
		return "*-1\r\n"
	case "hello":
		return "-ERR unknown command\r\n"
	case "command":
		return "*0\r\n"
	}
	return "+OK\r\n"
}

func (n *fakeNode) get(key string) string {
	if value, ok := n.keys[key]; ok {
		return bulk(value)
	}
	return "$-1\r\n"
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// slotsOf returns the reply to CLUSTER SLOTS where the nodes have equal shares of the slots.
func slotsOf(nodes ...*fakeNode) string {
	reply, share := fmt.Sprintf("*%d\r\n", len(nodes)), clusterSlots/len(nodes)
	for i, n := range nodes {
		reply += fmt.Sprintf("*3\r\n:%d\r\n:%d\r\n*3\r\n%s:%d\r\n%s", i*share, (i+1)*share-1, bulk("127.0.0.1"), n.port, bulk("id"+strconv.Itoa(n.port)))
	}
	return reply
}

// fakeCluster returns a store with a fence on the nodes. Their marks refuse no session.
func fakeCluster(t *testing.T, nodes ...*fakeNode) *Store {
	t.Helper()
	var addresses []string
	for _, n := range nodes {
		addresses = append(addresses, n.address())
	}
	client := redistest.Closed(t, redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, ContextTimeoutEnabled: true}))
	cfg, err := newConfig([]Option{WithLogger(discard()), WithFence(1, 100*time.Millisecond), WithBreaker(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLayout(cfg.prefix, cfg.hmacKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		for _, bucket := range allBuckets() {
			n.keys[l.mark(bucket)] = l.markHead + "1000"
		}
	}
	return newStore(client, cfg, l)
}

// TestFenceVouchesForItsConnectionOnly: a look-up at the old master fails with an error after which
// the client asks which master there is. Entries of the old master and the fence of the new one would
// together accept a token that the new one refuses.
func TestFenceVouchesForItsConnectionOnly(t *testing.T) {
	for name, fault := range map[string]string{
		"the connection is lost":     "close",
		"the old master may be read": "-CLUSTERDOWN The cluster is down and only accepts read commands\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for range 40 { // the client learns of the new master at any time
				old, next := startFakeNode(t), startFakeNode(t)
				before, after := slotsOf(old), slotsOf(next)
				old.slots = func() string { return before }
				next.slots = old.slots
				s := fakeCluster(t, old, next)
				id := user("a")
				if revoked, err := s.IsRevoked(t.Context(), id); revoked || err != nil {
					t.Fatal(revoked, err)
				}
				next.change(func() {
					next.slots = func() string { return after }
					for _, key := range s.layout.lookup(s.layout.bucket(id), id) {
						if strings.Contains(key, "}:t:") {
							next.keys[key] = "*:-:AAAAAAAAAAA:nonce"
						}
					}
				})
				old.change(func() { old.replicas, old.fault = 0, fault })
				if revoked, err := s.IsRevoked(t.Context(), id); err == nil && !revoked {
					t.Fatal("a token that the new master refuses is accepted")
				}
			}
		})
	}
}

// TestSnapshotOfAnUnconfirmedMaster: a copy of a Cluster reads the entries of all masters once, and
// then one stream. It does not answer with the entries of a master whose replica was promoted.
func TestSnapshotOfAnUnconfirmedMaster(t *testing.T) {
	nodes := []*fakeNode{startFakeNode(t), startFakeNode(t)}
	slots := slotsOf(nodes...)
	for i, n := range nodes {
		n.slots = func() string { return slots }
		n.myself = fmt.Sprintf("%d x myself,master - 0 0 %d connected %d-%d\n", i, i, i*clusterSlots/2, (i+1)*clusterSlots/2-1)
	}
	s := fakeCluster(t, nodes...)
	master, err := s.streamMaster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := nodes[0]
	if other.address() == master.Options().Addr {
		other = nodes[1]
	}
	other.change(func() { other.leaves = true })
	r, err := replica.New(s, replica.WithLogger(discard()), replica.WithSnapshotStagger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	redistest.Eventually(t, "a snapshot has failed", func() error {
		if stats := r.Stats(); stats.SnapshotsFailed == 0 {
			return fmt.Errorf("ready = %t", stats.Ready)
		}
		return nil
	})
	if stats := r.Stats(); stats.Ready || !errors.Is(stats.LastError, errUnconfirmed) {
		t.Errorf("ready = %t, %v", stats.Ready, stats.LastError)
	}
	other.change(func() { other.leaves, other.replicas = false, 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.Ready(ctx); err != nil {
		t.Errorf("the copy is not ready although all masters are confirmed: %v; %v", err, r.Stats().LastError)
	}
	if revoked, err := r.IsRevoked(t.Context(), user("a")); revoked || err != nil {
		t.Errorf("revoked = %t, %v", revoked, err)
	}
}
