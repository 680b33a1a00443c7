package redisstore

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// master is a server that a snapshot reads.
type master struct {
	link  *link
	state string // on a Cluster: its replication id, its slots and the epoch of its configuration
}

type masters []*master

var (
	errSlotsMissing = &storeError{text: "the Cluster is incomplete, or the client does not know all masters"}
	errSlotsMoving  = &storeError{text: "a slot is being moved"}
)

// masters returns the servers to read, with their states. On a single server that is the one of the
// stream, on its connection. A snapshot of a Cluster needs all slots and none that is being moved: a
// scan may miss keys of such a slot.
func (f *follower) masters(ctx context.Context) (masters, error) {
	if f.store.cluster == nil {
		return masters{{link: f.stream}}, nil
	}
	var mu sync.Mutex
	var all masters
	err := f.store.cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		client := func(context.Context) (*redis.Client, error) { return node, nil }
		mu.Lock()
		defer mu.Unlock()
		all = append(all, &master{link: &link{client: client, logger: f.store.cfg.logger, separate: true}})
		return nil
	})
	if err != nil {
		return all, unavailable(err)
	}
	found := 0
	for _, m := range all {
		n, err := f.readState(ctx, m, &m.state)
		if err != nil {
			f.store.cluster.ReloadState(ctx)
			return all, err
		}
		found += n
	}
	if found != clusterSlots {
		f.store.cluster.ReloadState(ctx)
		return all, errSlotsMissing
	}
	return all, nil
}

// verify returns an error unless all masters have the same state as before, and replicas confirm
// each of them if there is a fence. The reads that follow have one for the master of the stream only.
func (f *follower) verify(ctx context.Context, all masters) error {
	if f.store.cluster == nil {
		return nil
	}
	for _, m := range all {
		var state string
		if _, err := f.readState(ctx, m, &state); err != nil {
			return err
		}
		if state != m.state {
			f.store.cluster.ReloadState(ctx)
			return errNotOneState
		}
	}
	return f.confirm(ctx, all)
}

// confirm sends a fence to each master that has a bucket.
func (f *follower) confirm(ctx context.Context, all masters) error {
	if f.store.cfg.fence == 0 {
		return nil
	}
	keys := make(map[*redis.Client]string) // one of each master
	for _, bucket := range allBuckets() {
		key := f.store.layout.mark(bucket)
		node, err := f.store.cluster.MasterForKey(ctx, key)
		if err != nil {
			return unavailable(err)
		}
		keys[node] = key
	}
	for _, m := range all {
		node, err := m.link.client(ctx)
		if err != nil {
			return unavailable(err)
		}
		key, ok := keys[node]
		if !ok {
			continue
		}
		delete(keys, node)
		fence := f.store.newFence(ctx, key)
		if err := m.link.send(ctx, f.store.cfg.writeTimeout, fence.commands()...); err != nil {
			return err
		}
		if err := fence.refused(); err != nil {
			return unavailable(err)
		}
	}
	if len(keys) > 0 { // the client has learned of other masters meanwhile
		return errNotOneState
	}
	return nil
}

// close closes the connections that only the snapshot uses.
func (all masters) close() {
	for _, m := range all {
		if m.link.separate {
			m.link.close()
		}
	}
}

const clusterSlots = 16384

// readState asks a node of a Cluster for its state, and returns its number of slots.
func (f *follower) readState(ctx context.Context, m *master, state *string) (slots int, err error) {
	nodes := redis.NewStringCmd(ctx, "cluster", "nodes")
	info := redis.NewStringCmd(ctx, "info", "replication")
	if err := m.link.send(ctx, f.store.cfg.writeTimeout, nodes, info); err != nil {
		return 0, err
	}
	if err := cmp.Or(errorOf(nodes), errorOf(info)); err != nil {
		return 0, unavailable(err)
	}
	replication := parseInfo(info.Val())
	if replication["role"] != "master" {
		return 0, errNoMaster
	}
	myself, slots, err := parseMyself(nodes.Val())
	if err != nil {
		return 0, err
	}
	*state = replication["master_replid"] + " " + myself
	return slots, nil
}

// parseMyself reads the line about the node itself in the reply to CLUSTER NODES: the fields id,
// address, flags, master, two times, epoch and link, and then the slots. It returns the id, the epoch
// and the slots, which change when a slot moves, and the number of slots.
func parseMyself(reply string) (myself string, slots int, err error) {
	for line := range strings.Lines(reply) {
		fields := strings.Fields(line)
		if len(fields) < 8 || !strings.Contains(fields[2], "myself") {
			continue
		}
		for _, each := range fields[8:] {
			if strings.HasPrefix(each, "[") {
				return "", 0, errSlotsMoving
			}
			first, last, isRange := strings.Cut(each, "-")
			if !isRange {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err1 != nil || err2 != nil {
				return "", 0, unavailable(errReplyFormat)
			}
			slots += to - from + 1
		}
		return strings.Join(append([]string{fields[0], fields[6]}, fields[8:]...), " "), slots, nil
	}
	return "", 0, unavailable(errReplyFormat)
}
