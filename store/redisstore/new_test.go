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
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// TestClientsRefused: each of these clients would let a revoked token pass, or hang with its server. None needs a server
// to be refused.
func TestClientsRefused(t *testing.T) {
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
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		fix    string
	}{
		{"nil", nil, "nil"},
		{"nil client", (*redis.Client)(nil), "nil"},
		{"nil Cluster client", (*redis.ClusterClient)(nil), "nil"},
		{"ring", redistest.Closed(t, redis.NewRing(&redis.RingOptions{})), "use redis.NewClusterClient"},
		{"wrapper", wrapper{single(func(*redis.Options) {})}, "hooks instead of a wrapper"},
		{"no deadlines", single(func(o *redis.Options) { o.ContextTimeoutEnabled = false }), "ContextTimeoutEnabled: true"},
		{"no read deadline", single(func(o *redis.Options) { o.ReadTimeout = -2 }), "ReadTimeout"},
		{"no write deadline", single(func(o *redis.Options) { o.WriteTimeout = -2 }), "WriteTimeout"},
		{"read timeout below WAIT's", single(func(o *redis.Options) { o.ReadTimeout = time.Second }), "longer"},
		{"cache", single(func(o *redis.Options) { o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{} }), "client of its own"},
		{"Cluster: no deadlines", cluster(func(o *redis.ClusterOptions) { o.ContextTimeoutEnabled = false }), "ContextTimeoutEnabled"},
		{"Cluster: read only", cluster(func(o *redis.ClusterOptions) { o.ReadOnly = true }), "leave ReadOnly"},
		{"Cluster: by latency", cluster(func(o *redis.ClusterOptions) { o.RouteByLatency = true }), "RouteByLatency"},
		{"Cluster: randomly", cluster(func(o *redis.ClusterOptions) { o.RouteRandomly = true }), "RouteRandomly"},
		{"Cluster: read timeout", cluster(func(o *redis.ClusterOptions) { o.ReadTimeout = -2 }), "ReadTimeout"},
		{"Sentinel as Cluster", redistest.Closed(t, redis.NewFailoverClusterClient(sentinel)), "use redis.NewFailoverClient"},
		{"Sentinel as Cluster, replicas", redistest.Closed(t, redis.NewFailoverClusterClient(&replicaOnly)), "ReplicaOnly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(t.Context(), c.client, WithReplicas(1, time.Second))
			if err == nil || !strings.Contains(err.Error(), c.fix) || !strings.HasPrefix(err.Error(), "redisstore: ") {
				t.Errorf("error %v, want one that names %q", err, c.fix)
			}
			if errors.Is(err, blacklist.ErrUnavailable) {
				t.Errorf("the error %v says that a server is down, and none was asked", err)
			}
		})
	}
}

type wrapper struct{ redis.UniversalClient }

func TestOptionsRefused(t *testing.T) {
	client := redistest.Closed(t, redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true}))
	for name, c := range map[string]struct {
		opt Option
		fix string
	}{
		"nil":                   {nil, "option 0"},
		"empty prefix":          {WithPrefix(""), "WithPrefix"},
		"long prefix":           {WithPrefix(strings.Repeat("x", 65)), "WithPrefix"},
		"brace":                 {WithPrefix("a{b"), "brace"},
		"closing brace":         {WithPrefix("a}"), "brace"},
		"space":                 {WithPrefix("a b"), "space"},
		"not ASCII":             {WithPrefix("é"), "ASCII"},
		"short secret":          {WithHMACKey(make([]byte, 31)), "32"},
		"empty secret":          {WithHMACKey(nil), "32"},
		"secret of zeros":       {WithHMACKey(make([]byte, 32)), "same"},
		"no look-up time":       {WithTimeouts(0, time.Second), "WithTimeouts"},
		"no write time":         {WithTimeouts(time.Second, -1), "WithTimeouts"},
		"negative failures":     {WithBreaker(-1, time.Second), "WithBreaker"},
		"no cool-down":          {WithBreaker(1, 0), "WithBreaker"},
		"nothing in flight":     {WithMaxInFlight(0), "WithMaxInFlight"},
		"negative replicas":     {WithReplicas(-1, time.Second), "WithReplicas"},
		"wait for ever":         {WithReplicas(1, 0), "WithReplicas"},
		"wait beyond the write": {WithReplicas(1, 2*time.Second), "WithTimeouts"},
		"disk, for ever":        {WithAOF(0, 0), "WithAOF"},
		"disk, beyond":          {WithAOF(0, time.Minute), "WithTimeouts"},
		"policy":                {WithMissingMark(7), "WithMissingMark"},
		"negative skew":         {WithClockSkew(-1), "WithClockSkew"},
		"skew of an hour":       {WithClockSkew(time.Hour), "WithClockSkew"},
		"clock":                 {WithClock(nil), "WithClock"},
		"logger":                {WithLogger(nil), "WithLogger"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), client, c.opt)
			if err == nil || !strings.Contains(err.Error(), c.fix) {
				t.Errorf("error %v, want one that names %q", err, c.fix)
			}
		})
	}
}

// TestServersRefused: servers that cannot hold a blacklist.
func TestServersRefused(t *testing.T) {
	s := redistest.Start(t)
	s.Do("CONFIG", "SET", "maxmemory", "100mb")
	for policy, ok := range map[string]bool{"allkeys-lru": false, "volatile-ttl": false, "noeviction": true} {
		s.Do("CONFIG", "SET", "maxmemory-policy", policy)
		_, err := New(t.Context(), s.Client(t), WithLogger(discard()))
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "noeviction") {
			t.Errorf("%s: error %v", policy, err)
		}
	}
	// Somebody changes it later: readiness says so.
	s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	store := open(t, s.Client(t))
	if err := store.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	mustFail(t, store.Ping(t.Context()))
	s.Do("CONFIG", "SET", "maxmemory", "0")
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("no maxmemory: %v", err)
	}

	_, err := New(t.Context(), s.Client(t), WithLogger(discard()), WithAOF(0, time.Second))
	if err == nil || !strings.Contains(err.Error(), "7.2") {
		if major, minor := parseInfo(s.Do("INFO").(string)).version(); major < 7 || major == 7 && minor < 2 {
			t.Errorf("WAITAOF on Redis %d.%d: error %v", major, minor, err)
		}
	}

	s.Do("REPLICAOF", "127.0.0.1", "1")
	_, err = New(t.Context(), s.Client(t))
	mustFail(t, err)
	if !strings.Contains(err.Error(), "replica") {
		t.Errorf("a replica: error %v", err)
	}
}

func TestInfoCheck(t *testing.T) {
	good := func(change ...string) info {
		i := info{"role": "master", "redis_version": "7.2.4", "maxmemory": "0", "cluster_enabled": "0"}
		for n := 0; n < len(change); n += 2 {
			i[change[n]] = change[n+1]
		}
		return i
	}
	for _, c := range []struct {
		name         string
		info         info
		cluster, aof bool
		want         string // "" for none
	}{
		{"good", good(), false, false, ""},
		{"good, AOF", good(), false, true, ""},
		{"nothing", info{}, false, false, "replica"},
		{"old", good("redis_version", "5.0.14"), false, false, "5.0"},
		{"no version", good("redis_version", ""), false, false, "0.0"},
		{"version 6", good("redis_version", "6.0.0"), false, false, ""},
		{"AOF on 7.0", good("redis_version", "7.0.15"), false, true, "WithReplicas"},
		{"AOF on 8", good("redis_version", "8.0.1"), false, true, ""},
		{"memory not told", good("maxmemory", ""), false, false, "noeviction"},
		{"bounded, evicts", good("maxmemory", "1", "maxmemory_policy", "allkeys-random"), false, false, "noeviction"},
		{"bounded, does not", good("maxmemory", "1", "maxmemory_policy", "noeviction"), false, false, ""},
		{"loading", good("loading", "1"), false, false, "loading"},
		{"replica", good("role", "slave"), false, false, "replica"},
		{"node for a client", good("cluster_enabled", "1"), false, false, "NewClusterClient"},
		{"server for a Cluster client", good(), true, false, "redis.NewClient"},
		{"node for a Cluster client", good("cluster_enabled", "1"), true, false, ""},
	} {
		err := c.info.check(c.cluster, c.aof)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// TestWarnsOfLoss: a server that keeps no append-only file is used, with a warning; so are new marks.
func TestWarnsOfLoss(t *testing.T) {
	var log bytes.Buffer
	logger := WithLogger(slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := New(t.Context(), redistest.Start(t).Client(t), logger); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "append-only") {
		t.Errorf("no file, and no warning: %s", log.String())
	}
	if !strings.Contains(log.String(), "marks were missing") {
		t.Errorf("new marks, and no warning: %s", log.String())
	}
	log.Reset()
	s := redistest.Start(t, redistest.WithAOF())
	if _, err := New(t.Context(), s.Client(t), WithLogger(discard())); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), s.Client(t), logger); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("a file and marks, and a warning: %s", log.String())
	}
}

// acl is what the package documentation says that the user needs.
var acl = []any{"ACL", "SETUSER", "guard", "reset", "on", ">" + password, "~{oapi-guard:*",
	"+mget", "+get", "+set", "+eval", "+evalsha", "+info", "+wait", "+hello"}

// TestACL: the commands that the documentation lists are enough, CONFIG is not among them, and less is an error.
func TestACL(t *testing.T) {
	run := func(t *testing.T, client redis.UniversalClient, replicas int) {
		s := open(t, client, WithReplicas(replicas, time.Second))
		revoke(t, s, blacklist.OfToken(user("a"), inAnHour()))
		revoke(t, s, blacklist.OfVerifier("https://other.example", time.Now(), inAnHour()))
		if !isRevoked(t, s, user("a")) || isRevoked(t, s, user("b")) {
			t.Error("wrong answers")
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Run("standalone", func(t *testing.T) {
		srv := redistest.Start(t)
		srv.Do(acl...)
		o := srv.Options()
		o.Username, o.Password = "guard", password
		run(t, redistest.Closed(t, redis.NewClient(o)), 0)

		srv.Do("ACL", "SETUSER", "guard", "-evalsha")
		_, err := New(t.Context(), redistest.Closed(t, redis.NewClient(o)), WithPrefix("elsewhere"))
		mustFail(t, err)
		s := open(t, redistest.Closed(t, redis.NewClient(o)))
		_, err = s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
		mustFail(t, err)
		if !strings.Contains(err.Error(), "ACL") {
			t.Errorf("error %v does not name the ACL", err)
		}
	})
	t.Run("cluster", func(t *testing.T) {
		c := redistest.StartCluster(t)
		for _, n := range c.Nodes {
			n.Do(append(acl[:len(acl):len(acl)], "+cluster|slots", "+asking")...)
		}
		o := c.Options()
		o.Username, o.Password = "guard", password
		run(t, redistest.Closed(t, redis.NewClusterClient(o)), 1)
		mustRefuse(t, c.Nodes[0].Client(t), "NewClusterClient")
	})
}

func mustRefuse(t *testing.T, client redis.UniversalClient, fix string) {
	t.Helper()
	if _, err := New(t.Context(), client); err == nil || !strings.Contains(err.Error(), fix) {
		t.Errorf("error %v, want one that names %q", err, fix)
	}
}

func TestClosed(t *testing.T) {
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
	if err := s.single.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the client is the caller's, and was closed: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * defaultFailures {
		_, err := s.IsRevoked(ctx, user("a"))
		mustFail(t, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	_, err := s.Revoke(ctx, blacklist.OfToken(user("a"), inAnHour()))
	mustFail(t, err)
	srv.Pause()
	for range 2 * defaultFailures { // those who go while the server hangs
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := s.IsRevoked(ctx, user("a"))
		mustFail(t, err)
	}
	srv.Resume()
	if isRevoked(t, s, user("a")) { // and the breaker has not opened: those who gave up say nothing about the store
		t.Error("revoked by a caller that had gone")
	}
}
