package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// checkClient refuses clients with which a revoked token could be accepted or a request could hang:
// clients that read from replicas or a cache, that move keys when a server is down, or that ignore
// deadlines. Each message names the fix.
func checkClient(client redis.UniversalClient, wait time.Duration) error {
	switch c := client.(type) {
	case nil:
		return errors.New("redisstore: the client is nil")
	case *redis.Client:
		if c == nil {
			return errors.New("redisstore: the client is nil")
		}
		return checkOptions(c.Options(), wait)
	case *redis.ClusterClient:
		if c == nil {
			return errors.New("redisstore: the client is nil")
		}
		return checkClusterOptions(c.Options(), wait)
	case *redis.Ring:
		return errors.New("redisstore: a Ring moves keys to another server when one is down, and finds no revocation " +
			"there: use redis.NewClusterClient, or redis.NewFailoverClient for Sentinel")
	default:
		return fmt.Errorf("redisstore: a client of type %T is not supported: use redis.NewClient, redis.NewFailoverClient "+
			"or redis.NewClusterClient, and hooks instead of a wrapper", client)
	}
}

func checkOptions(o *redis.Options, wait time.Duration) error {
	switch {
	case o.ClientSideCacheConfig != nil || o.ClientSideCache != nil:
		return errors.New("redisstore: client-side caching may return an old state: use a separate client without " +
			"ClientSideCacheConfig and ClientSideCache")
	case !o.ContextTimeoutEnabled:
		return errContextTimeout
	}
	return checkTimeouts(o.ReadTimeout, o.WriteTimeout, wait)
}

func checkClusterOptions(o *redis.ClusterOptions, wait time.Duration) error {
	switch {
	case o.ReadOnly || o.RouteByLatency || o.RouteRandomly:
		return errors.New("redisstore: replicas may lack the newest revocations: leave ReadOnly, RouteByLatency and " +
			"RouteRandomly false, and ReplicaOnly of a Sentinel client too")
	case o.ClusterSlots != nil:
		// Without CLUSTER SLOTS the servers are not a Cluster, and a demoted master does not
		// redirect to the new one. NewFailoverClusterClient sets ClusterSlots.
		return errors.New("redisstore: a ClusterClient with ClusterSlots may read from a demoted master: use " +
			"redis.NewFailoverClient for Sentinel, or a Cluster without ClusterSlots")
	case !o.ContextTimeoutEnabled:
		return errContextTimeout
	}
	return checkTimeouts(o.ReadTimeout, o.WriteTimeout, wait)
}

var errContextTimeout = errors.New("redisstore: the client ignores deadlines, so requests would hang with the server: " +
	"set ContextTimeoutEnabled: true in its options")

// checkTimeouts receives the timeouts as go-redis stores them. A negative one also switches off the
// deadline of the context.
func checkTimeouts(read, write, wait time.Duration) error {
	switch {
	case read < 0 || write < 0:
		return errors.New("redisstore: the client sets no deadline on its connections, so requests would hang with " +
			"the server: do not set ReadTimeout and WriteTimeout to -2")
	case wait > 0 && read > 0 && read <= wait:
		return fmt.Errorf("redisstore: the client's ReadTimeout %v ends before the wait of %v for replicas or disks: "+
			"make it longer", read, wait)
	}
	return nil
}

// info contains the fields of the reply to INFO.
type info map[string]string

func parseInfo(text string) info {
	fields := make(info, 160)
	fields.add(text)
	return fields
}

func (i info) add(text string) {
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			i[name] = value
		}
	}
}

// evicts reports whether the server evicts keys when its memory is full. The fields come from INFO,
// not CONFIG: ACLs and managed services often forbid CONFIG.
func (i info) evicts() bool { return i["maxmemory"] != "0" && i["maxmemory_policy"] != "noeviction" }

// version returns the version of Redis with which the server is compatible: Valkey reports 7.2.4.
func (i info) version() (major, minor int) {
	parts := strings.SplitN(i["redis_version"], ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}

// checkServer returns why the server cannot store a blacklist.
func (i info) checkServer(cluster, aof bool) error {
	if i["loading"] == "1" {
		return &storeError{text: "the server is still loading its data"}
	}
	if i["role"] != "master" {
		return errNoMaster
	}
	major, minor := i.version()
	switch {
	case major < 6 || major == 6 && minor < 2:
		return fmt.Errorf("redisstore: Redis 6.2 or later is needed, the server reports %d.%d", major, minor)
	case aof && (major < 7 || major == 7 && minor < 2):
		return fmt.Errorf("redisstore: WithAOF needs Redis 7.2 or later, the server reports %d.%d: use WithReplicas",
			major, minor)
	case i.evicts():
		return errors.New("redisstore: the server evicts keys when its memory is full, so revocations would be lost: " +
			"set maxmemory-policy noeviction, or maxmemory 0")
	case !cluster && i["cluster_enabled"] == "1":
		return errors.New("redisstore: the server is a node of a Cluster: use redis.NewClusterClient")
	case cluster && i["cluster_enabled"] != "1":
		return errors.New("redisstore: the server is not a node of a Cluster: use redis.NewClient")
	}
	return nil
}

// checkServers checks every master. If warn is set, it logs a warning for each that is not durable.
func (s *Store) checkServers(ctx context.Context, warn bool) error {
	check := func(ctx context.Context, c *redis.Client) error { return s.checkMaster(ctx, c, warn) }
	if s.cluster == nil {
		return check(ctx, s.single)
	}
	err := s.cluster.ForEachMaster(ctx, check)
	var reply redis.Error
	if err != nil && (errors.As(err, &reply) || !isOurs(err)) {
		return unavailable(err)
	}
	return err
}

func (s *Store) checkMaster(ctx context.Context, c *redis.Client, warn bool) error {
	if s.cluster != nil {
		// ClusterOptions.NewClient may have made the client of this node with other options.
		if err := checkOptions(c.Options(), s.cfg.wait()); err != nil {
			return err
		}
	}
	text, err := c.Info(ctx).Result()
	if err != nil {
		return unavailable(err)
	}
	i := parseInfo(text)
	if err := i.checkServer(s.cluster != nil, s.cfg.aof); err != nil {
		return err
	}
	if warn && i["evicted_keys"] != "0" {
		s.cfg.logger.Warn("redisstore: the server has evicted keys since it was started or since CONFIG RESETSTAT: "+
			"if revocations were among them, delete the keys under the prefix, which logs everybody out", "evicted_keys", i["evicted_keys"])
	}
	if err := s.watches.of(c).check(i, s.cluster != nil); err != nil {
		return err
	}
	if warn && i["aof_enabled"] != "1" {
		s.cfg.logger.Warn("redisstore: the server has no append-only file: a restart without any file logs everybody out, "+
			"and a restart from a snapshot (RDB) loses the revocations made since the snapshot", "fix", "appendonly yes")
	}
	return nil
}

// isOurs reports whether an error is one of this package, and not of go-redis.
func isOurs(err error) bool {
	var stored *storeError
	return errors.As(err, &stored) || strings.HasPrefix(err.Error(), "redisstore: ")
}
