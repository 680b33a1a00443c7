// Package redisstore keeps a blacklist in Redis, so that many processes share it: a token that one of them revokes is
// refused by all of them at the next request.
//
// Use it where more than one process verifies tokens. For a single process package boltstore is simpler, and durable
// without a server.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true})
//	store, err := redisstore.New(ctx, client)
//
// # Servers and clients
//
// Redis 6.0 or later. The tests ran on Redis 7.0.15. The scripts use nothing newer than 6.0, but neither an older Redis nor
// Valkey has been run, and WAITAOF was tried against a stand-in only.
//
// A standalone server, Sentinel (redis.NewFailoverClient) and Cluster (redis.NewClusterClient) of go-redis v9, whose
// options take TLS, ACL users and URLs. [New] refuses what would fail open: a Ring, reads from replicas (ReadOnly,
// RouteByLatency, RouteRandomly, ReplicaOnly), client-side caching, clients without ContextTimeoutEnabled, servers that
// evict keys, and replicas. It asks INFO, not CONFIG. [Store.Ping] asks again.
//
// Set appendonly yes. Without any file a restart empties the store, which logs everybody out; with snapshots (RDB) alone a
// restart brings back the state of the last one, and whatever was revoked since is not revoked any more. The log warns of
// a server without an append-only file. With appendfsync everysec, Redis' default, an acknowledged revocation survives
// the death of the process, but the last second may be lost with the machine; with appendfsync always, or [WithAOF], it is
// as safe as the disk.
//
// The user's ACL, with the default prefix:
//
//	ACL SETUSER guard on >PASSWORD ~{oapi-guard:* +mget +get +set +eval +evalsha +info +hello
//	with WithReplicas:  +wait
//	with WithAOF:       +waitaof
//	on a Cluster:       +cluster|slots +asking
//
// # What is promised
//
// A revocation that returned without an error is seen by every look-up that begins afterwards and reaches the current
// master. Look-ups go to masters only, and read everything in one step.
//
// It is not lost when one master crashes, if [WithReplicas] covers every replica that may be promoted and none of the
// servers restarts empty. Without it Redis replicates after it has answered, and a fail-over forgets the last
// revocations. The price: while fewer replicas than asked for are there, every revocation is an error, although the master
// has it. That is the time from a crash until the crashed server is back as a replica. Whoever asks for one replica of two
// trades the promise for that: Sentinel prefers the replica that has more, but promises nothing. The setting
// min-replicas-to-write 1 of the server is worth having beside it: it makes a master that lost its replicas refuse writes
// soon, but by itself it does not make any write wait.
//
// What is not promised:
//
//   - An old master that is cut off from the others may go on answering, without the revocations of the new one, until
//     the clients leave it: for Sentinel until the client hears of the fail-over, on a Cluster for cluster-node-timeout
//     (leave cluster-allow-reads-when-down at no). Behind one fixed address, such as a cloud's endpoint, a master that
//     was demoted is noticed within a second of look-ups: the store asks for the role that often, and answers with an
//     error while it is not master.
//   - A restore from an old snapshot is not noticed: the mark is in it, the latest revocations are not. Delete the keys
//     under the prefix after such a restore, which logs everybody out, or revoke per verifier up to now.
//   - While a slot of a Cluster is being moved, a revocation in its buckets may be an error; look-ups are answered.
//
// Every error means "could not know", or "may not be in force", and wraps blacklist.ErrUnavailable; no error is ever
// turned into an answer. What an error says is a fixed text without ids, keys, addresses and passwords; the cause is there
// for errors.Is and errors.As.
//
// # An emptied store
//
// An emptied store must not read as "nothing is revoked". Each bucket holds a mark with a not-before instant, which every
// look-up reads: it refuses every session begun at or before it. New makes the marks on the first start, with the present
// time and [WithClockSkew] on top of it. So the first start logs everybody out once whose session is older, and sessions
// begun in the skew, the first second, log in again. Where a mark is missing later the store was emptied, and the same
// happens: everybody is logged out, nobody is un-revoked. [WithMissingMark] chooses to stay at an error instead until an
// operator calls [Store.MakeMarks].
//
// The marks tell an emptied store from a new one no better than anybody could; they do not notice single keys that
// somebody deletes.
//
// # Time
//
// Whether an entry is over is decided by the clock of the process that looks it up, against the instant in the entry. Redis
// keeps it for five minutes and the skew longer, counted as a duration, so that clocks of the servers that run apart
// drop nothing early.
//
// # Round trips
//
// Look-ups that are under way at the same time share round trips. One that finds no other under way goes out at once. Those
// that come meanwhile go out together, at most 128 in a batch, of which four at a time are under way to each master; nothing
// waits for a timer, nor for a batch to be full. A batch is one MGET, and on a Cluster, where the keys of one command have to be
// of one slot, a pipeline with an MGET for each look-up. An error is one for all look-ups that were on that command, or on a
// connection that breaks or hangs. Revocations are not gathered.
//
// A caller whose context ends leaves its batch at once, and the others are not disturbed. A batch runs in a context
// of its own, so that hooks of the client which trace see no caller's span in it. A look-up that goes out alone does so in
// the caller's context: like every command of go-redis it heeds the deadline, while a cancellation is noticed when the
// reply comes.
//
// # Deadlines
//
// Every call has a deadline of its own ([WithTimeouts]) besides the context's. After five look-ups in a row that failed,
// look-ups fail at once, and one at a time is let through, after a second, to find out whether the store is back
// ([WithBreaker]); look-ups that failed in one batch are one failure. Nothing needs to be restarted then. Revocations
// are always tried.
//
// # Keys
//
// P is the prefix, b one of 256 buckets in two hexadecimal digits: the first byte of SHA-256 over verifier and subject,
// each preceded by its length as four bytes (without a subject the session's id takes its place, else the token's). H is
// the first 24 bytes of the blacklist.Key, in base64url. With [WithHMACKey] both are an HMAC-SHA-256 over that digest. All
// keys of one bucket share a hash tag, so a look-up is one MGET on one master.
//
//	key          value                          of
//	{P:b}:g      1:NOT-BEFORE                   the bucket: its mark, without expiry
//	{P:b}:i:H    CUT-OFF:UNTIL:NONCE            a verifier, in all 256 buckets
//	{P:b}:u:H    CUT-OFF:UNTIL:NONCE            a subject
//	{P:b}:s:H    *:UNTIL:NONCE                  a session
//	{P:b}:t:H    *:UNTIL:NONCE                  a token
//
// Instants are milliseconds since 1970; UNTIL is - for an entry that never ends. A revocation is one script per bucket
// (EVALSHA). An entry takes about 190 bytes of Redis' memory at a million entries (measured: 193, Redis 7.0.15 with
// jemalloc); a verifier's cut-off takes 256 of them.
package redisstore
