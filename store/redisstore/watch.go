package redisstore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// watchInterval is how often the state of a master is asked for.
const watchInterval = time.Second

// watches has a serverWatch for each master that was asked something, by its address. A fail-over
// client has one address for all masters.
type watches struct {
	mu        sync.Mutex
	byAddress map[string]*serverWatch
}

func (w *watches) of(node *redis.Client) *serverWatch {
	address := node.Options().Addr
	w.mu.Lock()
	defer w.mu.Unlock()
	watch := w.byAddress[address]
	if watch == nil {
		watch = &serverWatch{}
		if w.byAddress == nil {
			w.byAddress = make(map[string]*serverWatch)
		}
		w.byAddress[address] = watch
	}
	return watch
}

// masterProbe is a command in front of commands that read. It writes nothing, because its key does
// not exist, and a replica refuses it like every write. go-redis then closes the connection and sends
// all commands again on another one.
//
// Behind a fixed address old connections may lead to a former master, and new ones to the present
// one. The watch of the address may ask on a new connection, while look-ups use old ones.
type masterProbe struct{ cmd *redis.StatusCmd } // nil on a Cluster, whose replicas redirect reads

func (s *Store) newMasterProbe(ctx context.Context) masterProbe {
	if s.cluster != nil {
		return masterProbe{}
	}
	return masterProbe{redis.NewStatusCmd(ctx, "set", s.layout.probe(), "", "xx")}
}

func (p masterProbe) commands() []redis.Cmder {
	if p.cmd == nil {
		return nil
	}
	return []redis.Cmder{p.cmd}
}

// refused returns the error of a replica. Other errors are of a master that accepts no writes for
// some reason, and can be read.
func (p masterProbe) refused() error {
	if p.cmd != nil && redis.IsReadOnlyError(p.cmd.Err()) {
		return p.cmd.Err()
	}
	return nil
}

// serverWatch decides when a command also asks its server for its state, and remembers the answer.
//
// A master that was demoted behind a fixed address would answer without the newest revocations, and
// so would the replica of a Sentinel client with ReplicaOnly, which its options do not show. A
// server whose policy was changed evicts revocations.
type serverWatch struct {
	mu   sync.Mutex
	next time.Time
	bad  bool // the last answer was an error: every command asks

	// history is the master_replid for which evicted counts. Another master has another one.
	history string
	evicted int64
}

// due reports whether the next command has to ask.
func (w *serverWatch) due(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wait := w.next.Sub(now); !w.bad && wait > 0 && wait <= watchInterval { // longer if the clock was set back
		return false
	}
	w.next = now.Add(watchInterval)
	return true
}

// stateQuery asks a server for the parts of its state that may change. INFO with several sections
// needs Redis 7.
type stateQuery [3]*redis.StringCmd

func newStateQuery(ctx context.Context) (q stateQuery) {
	for i, section := range [len(q)]string{"replication", "memory", "stats"} {
		q[i] = redis.NewStringCmd(ctx, "info", section)
	}
	return q
}

// answer returns an error unless the server answered and can keep revocations.
func (w *serverWatch) answer(q stateQuery, cluster bool) error {
	state := make(info)
	for _, cmd := range q {
		text, err := cmd.Result()
		if err != nil {
			return w.remember(err)
		}
		state.add(text)
	}
	return w.check(state, cluster)
}

// check returns an error if a server in this state cannot keep revocations.
func (w *serverWatch) check(state info, cluster bool) error {
	switch {
	case !cluster && state["role"] != "master": // a node of a Cluster refuses the keys of others
		return w.remember(errNoMaster)
	case state.evicts():
		return w.remember(errEvicts)
	case w.hasEvicted(state):
		return w.remember(errEvicted)
	}
	return w.remember(nil)
}

// hasEvicted reports whether the server has evicted keys since this process asked it first. It is
// false again after CONFIG RESETSTAT.
func (w *serverWatch) hasEvicted(state info) bool {
	evicted, err := strconv.ParseInt(state["evicted_keys"], 10, 64)
	if err != nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if history := state["master_replid"]; history != w.history || evicted < w.evicted {
		w.history, w.evicted = history, evicted
	}
	return evicted > w.evicted
}

func (w *serverWatch) remember(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = err != nil
	return err
}

var (
	errEvicts = &storeError{text: "the server evicts keys when its memory is full: set maxmemory-policy noeviction, " +
		"or maxmemory 0"}
	errEvicted = &storeError{text: "the server has evicted keys, and revocations may be among them: delete the keys " +
		"under the prefix, which logs everybody out, and then run CONFIG RESETSTAT"}
)
