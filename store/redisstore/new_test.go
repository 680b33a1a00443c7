package redisstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/session"
)

// TestNewRefusesClients: with each of these clients a revoked token could be accepted, or a request
// could hang. New refuses them without asking a server.
func TestNewRefusesClients(t *testing.T) {
	single := func(change func(*redis.Options)) redis.UniversalClient {
		o := &redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true}
		change(o)
		return redistest.Closed(t, redis.NewClient(o))
	}
	cluster := func(change func(*redis.ClusterOptions)) redis.UniversalClient {
		o := &redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true}
		change(o)
		return redistest.Closed(t, redis.NewClusterClient(o))
	}
	sentinel := &redis.FailoverOptions{SentinelAddrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true}
	replicaOnly := *sentinel
	replicaOnly.ReplicaOnly = true
	for _, tt := range []struct {
		name   string
		client redis.UniversalClient
		fix    string // the error names it
	}{
		{name: "nil", client: nil, fix: "nil"},
		{name: "nil client", client: (*redis.Client)(nil), fix: "nil"},
		{name: "nil Cluster client", client: (*redis.ClusterClient)(nil), fix: "nil"},
		{name: "ring", client: redistest.Closed(t, redis.NewRing(&redis.RingOptions{})), fix: "use redis.NewClusterClient"},
		{name: "wrapper", client: wrapper{single(func(*redis.Options) {})}, fix: "hooks instead of a wrapper"},
		{name: "no deadlines", client: single(func(o *redis.Options) { o.ContextTimeoutEnabled = false }), fix: "ContextTimeoutEnabled: true"},
		{name: "no read deadline", client: single(func(o *redis.Options) { o.ReadTimeout = -2 }), fix: "ReadTimeout"},
		{name: "no write deadline", client: single(func(o *redis.Options) { o.WriteTimeout = -2 }), fix: "WriteTimeout"},
		{name: "read timeout below WAIT's", client: single(func(o *redis.Options) { o.ReadTimeout = time.Second }), fix: "longer"},
		{name: "cache", client: single(func(o *redis.Options) { o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{} }), fix: "separate client"},
		{name: "Cluster: no deadlines", client: cluster(func(o *redis.ClusterOptions) { o.ContextTimeoutEnabled = false }), fix: "ContextTimeoutEnabled"},
		{name: "Cluster: read only", client: cluster(func(o *redis.ClusterOptions) { o.ReadOnly = true }), fix: "leave ReadOnly"},
		{name: "Cluster: by latency", client: cluster(func(o *redis.ClusterOptions) { o.RouteByLatency = true }), fix: "RouteByLatency"},
		{name: "Cluster: randomly", client: cluster(func(o *redis.ClusterOptions) { o.RouteRandomly = true }), fix: "RouteRandomly"},
		{name: "Cluster: read timeout", client: cluster(func(o *redis.ClusterOptions) { o.ReadTimeout = -2 }), fix: "ReadTimeout"},
		{name: "Sentinel as Cluster", client: redistest.Closed(t, redis.NewFailoverClusterClient(sentinel)), fix: "use redis.NewFailoverClient"},
		{name: "Sentinel as Cluster, replicas", client: redistest.Closed(t, redis.NewFailoverClusterClient(&replicaOnly)), fix: "ReplicaOnly"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(t.Context(), tt.client, WithReplicas(1, time.Second))
			if err == nil || !strings.Contains(err.Error(), tt.fix) || !strings.HasPrefix(err.Error(), "redisstore: ") {
				t.Errorf("error %v, want one that names %q", err, tt.fix)
			}
			if errors.Is(err, blacklist.ErrUnavailable) {
				t.Errorf("the error %v wraps ErrUnavailable, but no server was asked", err)
			}
		})
	}
}

type wrapper struct{ redis.UniversalClient }

func TestNewRefusesOptions(t *testing.T) {
	client := redistest.Closed(t, redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true}))
	for _, tt := range []struct {
		name   string
		option Option
		text   string // the error contains it
	}{
		{name: "nil", option: nil, text: "option 0"},
		{name: "empty prefix", option: WithPrefix(""), text: "WithPrefix"},
		{name: "long prefix", option: WithPrefix(strings.Repeat("x", 65)), text: "WithPrefix"},
		{name: "brace", option: WithPrefix("a{b"), text: "brace"},
		{name: "closing brace", option: WithPrefix("a}"), text: "brace"},
		{name: "space", option: WithPrefix("a b"), text: "space"},
		{name: "not ASCII", option: WithPrefix("é"), text: "ASCII"},
		{name: "short secret", option: WithHMACKey(make([]byte, 31)), text: "32"},
		{name: "empty secret", option: WithHMACKey(nil), text: "32"},
		{name: "secret of zeros", option: WithHMACKey(make([]byte, 32)), text: "same"},
		{name: "no look-up time", option: WithTimeouts(0, time.Second), text: "WithTimeouts"},
		{name: "no write time", option: WithTimeouts(time.Second, -1), text: "WithTimeouts"},
		{name: "negative failures", option: WithBreaker(-1, time.Second), text: "WithBreaker"},
		{name: "no cool-down", option: WithBreaker(1, 0), text: "WithBreaker"},
		{name: "nothing in flight", option: WithMaxInFlight(0), text: "WithMaxInFlight"},
		{name: "negative replicas", option: WithReplicas(-1, time.Second), text: "WithReplicas"},
		{name: "wait for ever", option: WithReplicas(1, 0), text: "WithReplicas"},
		{name: "wait beyond the write", option: WithReplicas(1, 2*time.Second), text: "WithTimeouts"},
		{name: "a fence of negative replicas", option: WithFence(-1, time.Second), text: "WithFence"},
		{name: "a fence that waits for ever", option: WithFence(1, 0), text: "WithFence"},
		{name: "a fence beyond the look-up", option: WithFence(1, time.Second), text: "WithTimeouts"},
		{name: "disk, for ever", option: WithAOF(0, 0), text: "WithAOF"},
		{name: "disk, beyond", option: WithAOF(0, time.Minute), text: "WithTimeouts"},
		{name: "policy", option: WithMissingMark(7), text: "WithMissingMark"},
		{name: "negative skew", option: WithClockSkew(-1), text: "WithClockSkew"},
		{name: "skew of an hour", option: WithClockSkew(time.Hour), text: "WithClockSkew"},
		{name: "a feed of 999 records", option: WithFeedLength(999), text: "WithFeedLength"},
		{name: "clock", option: WithClock(nil), text: "WithClock"},
		{name: "logger", option: WithLogger(nil), text: "WithLogger"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(t.Context(), client, tt.option)
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want one that contains %q", err, tt.text)
			}
		})
	}
}

func TestNewAndPingRefuseServersThatEvict(t *testing.T) {
	s := redistest.Start(t)
	s.Do("CONFIG", "SET", "maxmemory", "100mb")
	for _, tt := range []struct {
		policy  string
		refused bool
	}{
		{policy: "allkeys-lru", refused: true},
		{policy: "volatile-ttl", refused: true},
		{policy: "noeviction", refused: false},
	} {
		s.Do("CONFIG", "SET", "maxmemory-policy", tt.policy)
		_, err := New(t.Context(), s.Client(t), WithLogger(discard()))
		if (err != nil) != tt.refused || tt.refused && !strings.Contains(err.Error(), "noeviction") {
			t.Errorf("%s: error %v, want one = %v", tt.policy, err, tt.refused)
		}
	}
	// A change while the store is running: Ping reports it.
	store := open(t, s.Client(t))
	if err := store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	mustBeUnavailable(t, store.Ping(t.Context()))
	s.Do("CONFIG", "SET", "maxmemory", "0")
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("no maxmemory: %v", err)
	}
}

func TestNewRefusesOldServersForWithAOF(t *testing.T) {
	s := redistest.Start(t)
	_, err := New(t.Context(), s.Client(t), WithLogger(discard()), WithAOF(0, time.Second))
	if err == nil || !strings.Contains(err.Error(), "7.2") {
		if major, minor := parseInfo(s.Do("INFO").(string)).version(); major < 7 || major == 7 && minor < 2 {
			t.Errorf("WAITAOF on Redis %d.%d: error %v", major, minor, err)
		}
	}
}

func TestNewRefusesReplicas(t *testing.T) {
	s := redistest.Start(t)
	s.Do("REPLICAOF", "127.0.0.1", "1")
	_, err := New(t.Context(), s.Client(t))
	mustBeUnavailable(t, err)
	if !strings.Contains(err.Error(), "replica") {
		t.Errorf("error %v does not name the replica", err)
	}
}

func TestCheckServer(t *testing.T) {
	good := func(change ...string) info {
		i := info{"role": "master", "redis_version": "7.2.4", "maxmemory": "0", "cluster_enabled": "0"}
		for n := 0; n < len(change); n += 2 {
			i[change[n]] = change[n+1]
		}
		return i
	}
	for _, tt := range []struct {
		name    string
		info    info
		cluster bool
		aof     bool
		wantErr string // the error contains it; "" for no error
	}{
		{name: "master", info: good()},
		{name: "master, AOF", info: good(), aof: true},
		{name: "empty reply", info: info{}, wantErr: "replica"},
		{name: "Redis 5", info: good("redis_version", "5.0.14"), wantErr: "5.0"},
		{name: "no version", info: good("redis_version", ""), wantErr: "0.0"},
		{name: "Redis 6.0", info: good("redis_version", "6.0.16"), wantErr: "6.2"},
		{name: "Redis 6.2", info: good("redis_version", "6.2.0")},
		{name: "Redis 7.0, AOF", info: good("redis_version", "7.0.15"), aof: true, wantErr: "WithReplicas"},
		{name: "Redis 8, AOF", info: good("redis_version", "8.0.1"), aof: true},
		{name: "no maxmemory in the reply", info: good("maxmemory", ""), wantErr: "noeviction"},
		{name: "maxmemory, evicts", info: good("maxmemory", "1", "maxmemory_policy", "allkeys-random"), wantErr: "noeviction"},
		{name: "maxmemory, does not evict", info: good("maxmemory", "1", "maxmemory_policy", "noeviction")},
		{name: "loading", info: good("loading", "1"), wantErr: "loading"},
		{name: "replica", info: good("role", "slave"), wantErr: "replica"},
		{name: "node of a Cluster, plain client", info: good("cluster_enabled", "1"), wantErr: "NewClusterClient"},
		{name: "single server, Cluster client", info: good(), cluster: true, wantErr: "redis.NewClient"},
		{name: "node of a Cluster, Cluster client", info: good("cluster_enabled", "1"), cluster: true},
	} {
		err := tt.info.checkServer(tt.cluster, tt.aof)
		if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.wantErr)
		}
	}
}

// TestNewWarns: New logs a warning for a server without an append-only file and for new marks.
func TestNewWarns(t *testing.T) {
	var log bytes.Buffer
	logger := WithLogger(slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := New(t.Context(), redistest.Start(t).Client(t), logger); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "append-only") {
		t.Errorf("no warning of the missing append-only file: %s", log.String())
	}
	if !strings.Contains(log.String(), "missing marks were made") {
		t.Errorf("no warning of new marks: %s", log.String())
	}
	log.Reset()
	s := redistest.Start(t, redistest.WithAOF("everysec"))
	if _, err := New(t.Context(), s.Client(t), WithLogger(discard())); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), s.Client(t), logger); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("a warning although there are a file and marks: %s", log.String())
	}
}

// acl is the ACL of the package documentation.
var acl = []any{"ACL", "SETUSER", "guard", "reset", "on", ">" + password, "~{oapi-guard:*",
	"+mget", "+get", "+set", "+xadd", "+eval", "+evalsha", "+info", "+hello"}

// sessionACL is what sessions need too.
var sessionACL = []any{"+time", "+hget", "+hset", "+hdel", "+zadd", "+zrem", "+zrange", "+zrevrange", "+zrangebyscore", "+zcount",
	"+sadd", "+srem", "+srandmember", "+pexpire", "+pttl", "+unlink"}

// copyACL is what copies of the store need too.
var copyACL = []any{"+time", "+xread", "+xrange", "+xrevrange", "+scan"}

// mustBeCopied checks that a copy of the store follows it.
func mustBeCopied(t *testing.T, s *Store) {
	t.Helper()
	f := startFollower(t, s)
	revoke(t, s, blacklist.OfToken(user("copied"), inAnHour()))
	mustRead(t, f, 1)
	if _, err := f.Marks(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDocumentedACLIsEnough: the store works with exactly the commands that the documentation
// lists, and returns an error that names the ACL with fewer.
func TestDocumentedACLIsEnough(t *testing.T) {
	run := func(t *testing.T, client redis.UniversalClient, replicas int) *Store {
		s := open(t, client, WithReplicas(replicas, time.Second))
		revoke(t, s, blacklist.OfToken(user("a"), inAnHour()))
		revoke(t, s, blacklist.OfIssuer("https://other.example", time.Now(), inAnHour()))
		if !isRevoked(t, s, user("a")) || isRevoked(t, s, user("b")) {
			t.Error("wrong answers")
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		return s
	}
	client := func(t *testing.T, srv *redistest.Server, database int) *redis.Client {
		o := srv.Options()
		o.Username, o.Password, o.DB = "guard", password, database
		return redistest.Closed(t, redis.NewClient(o))
	}
	t.Run("standalone", func(t *testing.T) {
		srv := redistest.Start(t)
		srv.Do(acl...)
		for name, err := range sessionErrors(t, run(t, client(t, srv, 0), 0)) {
			mustBeUnavailable(t, err) // sessions need more
			if !strings.Contains(err.Error(), "ACL") {
				t.Errorf("%s: error %v does not name the ACL", name, err)
			}
		}
		srv.Do(with(acl, sessionACL...)...)
		mustKeepSessions(t, run(t, client(t, srv, 0), 0))
		f, err := run(t, client(t, srv, 0), 0).Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = f.Snapshot(t.Context(), func(replica.Batch) error { return nil })
		mustBeUnavailable(t, err) // copies need more
		if !strings.Contains(err.Error(), "ACL") {
			t.Errorf("Snapshot: error %v does not name the ACL", err)
		}
		_ = f.Close()
		srv.Do(with(acl, copyACL...)...)
		mustBeCopied(t, run(t, client(t, srv, 0), 0))

		srv.Do("ACL", "SETUSER", "guard", "-evalsha")
		_, err = New(t.Context(), client(t, srv, 0), WithPrefix("elsewhere"))
		mustBeUnavailable(t, err)
		_, err = open(t, client(t, srv, 0)).Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
		mustBeUnavailable(t, err)
		if !strings.Contains(err.Error(), "ACL") {
			t.Errorf("error %v does not name the ACL", err)
		}
	})
	t.Run("database 1", func(t *testing.T) {
		srv := redistest.Start(t)
		srv.Do(with(acl, sessionACL...)...)
		_, err := New(t.Context(), client(t, srv, 1))
		mustBeUnavailable(t, err) // a database needs a right
		srv.Do(with(with(acl, sessionACL...), "+select")...)
		mustKeepSessions(t, run(t, client(t, srv, 1), 0))
	})
	t.Run("cluster", func(t *testing.T) {
		c := redistest.StartCluster(t)
		for _, n := range c.Nodes {
			n.Do(with(with(acl, sessionACL...), "+wait", "+cluster|slots", "+asking")...)
		}
		o := c.Options()
		o.Username, o.Password = "guard", password
		mustKeepSessions(t, run(t, redistest.Closed(t, redis.NewClusterClient(o)), 1))
		mustRefuse(t, c.Nodes[0].Client(t), "NewClusterClient")
		for _, n := range c.Nodes {
			n.Do(with(with(acl, copyACL...), "+wait", "+cluster|slots", "+cluster|nodes", "+asking")...)
		}
		mustBeCopied(t, run(t, redistest.Closed(t, redis.NewClusterClient(o)), 1))
	})
}

func with(rules []any, more ...any) []any { return append(rules[:len(rules):len(rules)], more...) }

// mustKeepSessions calls all methods of a store of sessions, with rows of every kind.
func mustKeepSessions(t *testing.T, s *Store) {
	t.Helper()
	for name, err := range sessionErrors(t, s) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	subject := benchSubject(7)
	long := benchRow(subject, "b", time.Now())
	over := benchRow(subject, "a", time.Now())
	over.IdleDeadline = time.Now().Add(-time.Second)
	owed := benchRow(subject, "c", time.Now())
	owed.Owed = true
	past := benchRow(subject, "d", time.Now())
	past.End, past.Owed = time.Now().Add(-24*time.Hour), true
	for _, row := range []session.Row{long, over, owed, past, long} {
		if err := begin(t.Context(), s, row); err != nil {
			t.Fatal(err)
		}
	}
	if err := end(t.Context(), s, subject, "b"); err != nil {
		t.Fatal(err)
	}
	if rows, _, err := s.List(t.Context(), subject, "", 1); err != nil || len(rows) != 1 || rows[0].ID != "c" {
		t.Errorf("List returned %d rows, %v", len(rows), err)
	}
	if _, _, err := s.List(t.Context(), subject, session.PositionAfter(owed), 1); err != nil {
		t.Error(err)
	}
	err := s.Update(t.Context(), subject, func(tx session.Tx) error { _, err := tx.Live(1); return err })
	if err != nil {
		t.Error(err)
	}
	for range 2 { // the first finds that d is gone
		if rows, err := s.Owed(t.Context(), 10); err != nil || len(rows) != 1 {
			t.Errorf("Owed returned %d rows, %v", len(rows), err)
		}
	}
}

func mustRefuse(t *testing.T, client redis.UniversalClient, fix string) {
	t.Helper()
	if _, err := New(t.Context(), client); err == nil || !strings.Contains(err.Error(), fix) {
		t.Errorf("error %v, want one that names %q", err, fix)
	}
}

func TestCallsAfterCloseReturnErrClosed(t *testing.T) {
	s := open(t, redistest.Start(t).Client(t))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, lookup := s.IsRevoked(t.Context(), user("a"))
	_, write := s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
	for _, err := range []error{lookup, write, s.Ping(t.Context()), s.MakeMarks(t.Context())} {
		if !errors.Is(err, blacklist.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
	for name, err := range sessionErrors(t, s) {
		if !errors.Is(err, session.ErrClosed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := s.single.Ping(t.Context()).Err(); err != nil {
		t.Errorf("Close of the store closed the client of the caller: %v", err)
	}
}

func TestCancelledCallersDoNotOpenTheBreaker(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * defaultFailures {
		_, err := s.IsRevoked(ctx, user("a"))
		mustBeUnavailable(t, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	_, err := s.Revoke(ctx, blacklist.OfToken(user("a"), inAnHour()))
	mustBeUnavailable(t, err)
	srv.Pause()
	for range 2 * defaultFailures { // callers that cancel while the server hangs
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := s.IsRevoked(ctx, user("a"))
		mustBeUnavailable(t, err)
	}
	srv.Resume()
	if isRevoked(t, s, user("a")) { // an error if the breaker had opened
		t.Error("a cancelled call revoked the token")
	}
}
