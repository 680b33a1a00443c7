package redisstore

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// How a store notices that its master is an old one (WithFence):
//
// A master that is cut off from its replicas does not know that one of them was promoted. It goes on
// answering, without the revocations that the new master gets. So behind the commands that read, on
// the same connection, come a write and WAIT. The replicas that answer follow this master, and did
// so after the reads: none of them had been promoted. What the commands read does not count unless
// enough replicas answer. A fence is for one connection: what another one reads has its own.

// fenceInterval is the time between two fences of a follower. Records that it reads meanwhile are
// applied at once, but the age of the copy counts from the last read with a fence.
const fenceInterval = 50 * time.Millisecond

// fenceLife is how long the key of a fence exists.
const fenceLife = time.Minute

// fence is a write and WAIT behind commands that read. The zero fence has no commands.
type fence struct {
	replicas int
	write    *redis.StatusCmd
	wait     *redis.IntCmd
}

// newFence returns the fence behind reads of keys like this one, in whose slot it writes; the zero
// fence without WithFence.
func (s *Store) newFence(ctx context.Context, key string) fence {
	if s.cfg.fence == 0 {
		return fence{}
	}
	tag, _, _ := strings.Cut(cmp.Or(key, s.layout.stream()), "}")
	return fence{
		replicas: s.cfg.fence,
		write:    redis.NewStatusCmd(ctx, "set", tag+fenceKey, "", "px", fenceLife.Milliseconds()),
		wait:     redis.NewIntCmd(ctx, "wait", s.cfg.fence, s.cfg.fenceWait.Milliseconds()),
	}
}

// fenceKey is what follows the tag of a bucket in the key of its fence.
const fenceKey = "}:c"

func (f fence) commands() []redis.Cmder {
	if f.replicas == 0 {
		return nil
	}
	return []redis.Cmder{f.write, f.wait}
}

// refused returns an error unless enough replicas follow the server that was read.
func (f fence) refused() error {
	if f.replicas == 0 {
		return nil
	}
	if err := cmp.Or(f.write.Err(), f.wait.Err()); err != nil {
		return err
	}
	if f.wait.Val() < int64(f.replicas) {
		return errUnconfirmed
	}
	return nil
}

var errUnconfirmed = &storeError{text: "too few replicas confirm that the server is still their master: " +
	"it may have been replaced, or replicas are missing (WithFence)"}
