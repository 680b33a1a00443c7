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

// checkClient refuses the clients that would let a revoked token pass: those that may read from a replica or from a
// cache, those that spread keys without a word when a server is down, and those that ignore the deadline. Each message
// names the fix.
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
		return errors.New("redisstore: a Ring moves keys to another server when one is down and then finds nothing " +
			"revoked: use redis.NewClusterClient, or redis.NewFailoverClient for Sentinel")
	default:
		return fmt.Errorf("redisstore: a client of type %T: use redis.NewClient, redis.NewFailoverClient or "+
			"redis.NewClusterClient, and hooks instead of a wrapper", client)
	}
}

func checkOptions(o *redis.Options, wait time.Duration) error {
	switch {
	case o.ClientSideCacheConfig != nil || o.ClientSideCache != nil:
		return errors.New("redisstore: client-side caching answers from an old state: use a client of its own, without " +
			"ClientSideCacheConfig and ClientSideCache")
	case !o.ContextTimeoutEnabled:
		return errContextTimeout
	}
	return checkReadTimeout(o.ReadTimeout, o.WriteTimeout, wait)
}

func checkClusterOptions(o *redis.ClusterOptions, wait time.Duration) error {
	switch {
	case o.ReadOnly || o.RouteByLatency || o.RouteRandomly:
		return errors.New("redisstore: replicas may lack the latest revocations: leave ReadOnly, RouteByLatency and " +
			"RouteRandomly false, and ReplicaOnly of a Sentinel client too")
	case o.ClusterSlots != nil:
		// Without CLUSTER SLOTS the servers are no Cluster and do not send a client that asks a demoted master to the
		// new one. NewFailoverClusterClient sets it too.
		return errors.New("redisstore: a ClusterClient with ClusterSlots may ask a master that was demoted: use " +
			"redis.NewFailoverClient for Sentinel, or a Cluster that tells its slots itself")
	case !o.ContextTimeoutEnabled:
		return errContextTimeout
	}
	return checkReadTimeout(o.ReadTimeout, o.WriteTimeout, wait)
}

var errContextTimeout = errors.New("redisstore: the client ignores deadlines, so a server that hangs would hang every " +
	"request: set ContextTimeoutEnabled: true in its options")

// checkReadTimeout gets the timeouts as go-redis keeps them: negative means no deadline at all, the context's included.
func checkReadTimeout(read, write, wait time.Duration) error {
	switch {
	case read < 0 || write < 0:
		return errors.New("redisstore: the client sets no deadline on its connections, so a server that hangs would hang " +
			"every request: leave ReadTimeout and WriteTimeout at their defaults, not -2")
	case wait > 0 && read > 0 && read <= wait:
		return fmt.Errorf("redisstore: the client's ReadTimeout %v would end the wait for replicas or disks, %v: make it longer",
			read, wait)
	}
	return nil
}

// info is what INFO says of a server, by field.
type info map[string]string

func parseInfo(text string) info {
	fields := make(info, 160)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// version returns the version of Redis that the server is, or says it is compatible with: Valkey reports 7.2.4.
func (i info) version() (major, minor int) {
	parts := strings.SplitN(i["redis_version"], ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}

// check returns why the server cannot hold a blacklist.
func (i info) check(cluster, aof bool) error {
	if i["loading"] == "1" {
		return &storeError{text: "it is still loading its data"}
	}
	if i["role"] != "master" {
		return errNoMaster
	}
	major, minor := i.version()
	switch {
	case major < 6:
		return fmt.Errorf("redisstore: Redis 6 or later is needed, the server says it is %d.%d", major, minor)
	case aof && (major < 7 || major == 7 && minor < 2):
		return fmt.Errorf("redisstore: WithAOF needs WAITAOF, so Redis 7.2 or later; the server says it is %d.%d: use WithReplicas",
			major, minor)
	case i["maxmemory"] != "0" && i["maxmemory_policy"] != "noeviction":
		// INFO, not CONFIG: an ACL often forbids CONFIG, and so do those who run Redis for others.
		return fmt.Errorf("redisstore: the server evicts keys when it is full, and with them revocations: set " +
			"maxmemory-policy noeviction, or maxmemory 0")
	case !cluster && i["cluster_enabled"] == "1":
		return errors.New("redisstore: the server is a node of a Cluster: use redis.NewClusterClient")
	case cluster && i["cluster_enabled"] != "1":
		return errors.New("redisstore: the server is no node of a Cluster: use redis.NewClient")
	}
	return nil
}

// checkServers asks every master. Where warn is set it also says in the log what is not durable.
func (s *Store) checkServers(ctx context.Context, warn bool) error {
	one := func(ctx context.Context, c *redis.Client) error {
		if s.cluster != nil {
			// ClusterOptions.NewClient may have made the nodes' clients with options of its own.
			if err := checkOptions(c.Options(), s.cfg.wait()); err != nil {
				return err
			}
		}
		text, err := c.Info(ctx).Result()
		if err != nil {
			return unavailable(err)
		}
		i := parseInfo(text)
		if err := i.check(s.cluster != nil, s.cfg.aof); err != nil {
			return err
		}
		if warn && i["aof_enabled"] != "1" {
			s.cfg.log.Warn("redisstore: the server keeps no append-only file: after a restart without any file everybody "+
				"is logged out, and after one from a snapshot (RDB) whatever was revoked since the snapshot is forgotten",
				"fix", "appendonly yes")
		}
		return nil
	}
	if s.cluster == nil {
		return one(ctx, s.single)
	}
	err := s.cluster.ForEachMaster(ctx, one)
	var plain redis.Error
	if err != nil && (errors.As(err, &plain) || !isOurs(err)) {
		return unavailable(err)
	}
	return err
}

// isOurs tells an error of this package from one of go-redis.
func isOurs(err error) bool {
	var own *storeError
	return errors.As(err, &own) || strings.HasPrefix(err.Error(), "redisstore: ")
}
