package main

import "time"

// scenario is one kind of fault.
type scenario struct {
	name, about string
	run         func(c *chaos) // starts the servers and the processes, and makes the faults
	long, short time.Duration  // for how long faults are made; 0 leaves it out of short runs
}

// scenarios returns all of them.
func scenarios() []scenario {
	return []scenario{
		{
			name: "redis: no fault", about: "nothing is broken, for the ordinary delay",
			run: noFault, long: 45 * time.Second, short: 2 * time.Second,
		}, {
			name: "redis: master", about: "the master is paused for longer than the bound, and killed and started again with its file",
			run: pauseAndKill, long: 90 * time.Second, short: 2 * time.Second,
		}, {
			name: "redis: process partitioned", about: "two of the processes cannot reach the server for a while",
			run: partitionProcess, long: 75 * time.Second, short: 2 * time.Second,
		}, {
			name: "redis: demotion",
			about: "behind a fixed address another server becomes the master; old connections stay open to the former master, " +
				"which is a replica without a master",
			run: demotion, long: 75 * time.Second, short: 2 * time.Second,
		}, {
			name: "redis: trim", about: "the stream is trimmed or lost while processes are stopped (SIGSTOP)",
			run: trim, long: 75 * time.Second, short: 2 * time.Second,
		}, {
			name: "redis: FLUSHALL", about: "the server is emptied under load, so that new records follow at once",
			run: flush, long: 45 * time.Second, short: 2 * time.Second,
		}, {
			name: "redis: frozen look-up", about: "a process is stopped (SIGSTOP) in the middle of a look-up, and the token is revoked meanwhile",
			run: frozenLookup, long: 60 * time.Second, short: 4 * time.Second,
		}, {
			name: "redis: clock steps", about: "the clocks of the processes go forward and back by an hour, while two of them are partitioned",
			run: clockSteps, long: 60 * time.Second, short: 2 * time.Second,
		}, {
			name: "sentinel: fail-over", about: "the master is killed, and comes back as a replica; revocations wait for both replicas",
			run: sentinelFailover, long: 120 * time.Second, short: time.Second,
		}, {
			name: "sentinel: old master partitioned",
			about: "the master, which works, is cut off from everything until there is another one, and is reachable again when " +
				"the clients have left it",
			run: partitionOldMaster, long: 90 * time.Second, short: time.Second,
		}, {
			name: "sentinel: fence",
			about: "the master is cut off together with two processes, which have a fence (WithFence) and go on reaching it, while " +
				"another server becomes the master",
			run: fenceOldMaster, long: 90 * time.Second, short: time.Second,
		}, {
			name: "cluster: fail-over", about: "the masters are killed in turn, that of the stream too; revocations wait for the replica",
			run: clusterFailover, long: 100 * time.Second,
		}, {
			name: "cluster: resharding", about: "slots with entries and that of the stream move to another master under load",
			run: resharding, long: 75 * time.Second,
		}, {
			name:  "cluster: stream unreachable",
			about: "a process writes entries and not their records, because it cannot reach the master of the stream; it tries again",
			run:   streamUnreachable, long: 60 * time.Second, short: time.Second,
		}, {
			name: "postgres: server", about: "the server is paused, all its connections are cut, and it is killed and started again",
			run: postgresFaults, long: 100 * time.Second, short: 2 * time.Second,
		}, {
			name: "postgres: promotion",
			about: "the primary is killed and an asynchronous standby is promoted, without the last commits: what the new primary does not " +
				"have was lost by the store",
			run: promotion, long: 90 * time.Second, short: time.Second,
		}, {
			name: "postgres: long transaction", about: "a transaction stays open and holds the horizon",
			run: longTransaction, long: 10 * time.Minute, short: 2 * time.Second,
		}, {
			name: "redis: many entries", about: "two processes copy a store with very many entries, and read a second snapshot under load",
			run: manyEntries, long: 20 * time.Second,
		},
	}
}
