// Package redisstore keeps a blacklist and sessions in Redis that many processes share: after one of
// them revokes a token or ends a session, all of them refuse it with the next request.
//
// Use it if more than one process verifies tokens. For a single process package boltstore is
// simpler and needs no server.
//
//	client := redis.NewClient(&redis.Options{Addr: "redis.internal:6379", ContextTimeoutEnabled: true})
//	store, err := redisstore.New(ctx, client)
//
// The [Store] is a blacklist.Blacklist and a session.Store. A transaction on sessions may revoke as
// well: a row and its entry in the blacklist are written together or not at all.
//
// # Guarantees
//
// A revocation that returned without an error is visible to every look-up that begins afterwards
// and reaches the current master. Look-ups read from masters only, and read everything in one step.
//
// With [WithReplicas] for every replica that may be promoted, an acknowledged revocation survives
// the crash of one master, if no server restarts empty. Without it Redis replicates after it has
// answered, and a fail-over loses the last revocations. The price of WithReplicas: while fewer
// replicas than required are connected, every revocation returns an error, although the master has
// recorded it. Requiring one replica of two avoids that and gives up the guarantee: Sentinel
// prefers the replica with more data, but does not promise it. The server's min-replicas-to-write 1
// helps, because a master without replicas soon refuses writes, but it does not make a write wait.
//
// An error of a look-up means "unavailable", never "not revoked". An error of a revocation means
// that it may not be in force. Errors wrap blacklist.ErrUnavailable. Their texts are fixed and
// contain no ids, keys, addresses or passwords; the cause is available to errors.Is and errors.As.
//
// The same holds for sessions. A transaction that returned without an error is visible to every
// transaction and every List that begins afterwards and reaches the current master. It waits for
// replicas and disks like a revocation. The transactions of one subject have the effect of running
// one after the other, and those of different subjects never wait for each other. After an error the
// writes may be in force. Such errors also wrap session.ErrUnavailable.
//
// Not guaranteed:
//
//   - An old master that is cut off from the others may continue to answer, without the newest
//     revocations, until the clients leave it. With Sentinel that is when the client learns of the
//     fail-over, on a Cluster after cluster-node-timeout (keep cluster-allow-reads-when-down at no).
//     One that is reachable again within that time answers what was sent to it meanwhile, too.
//     [WithFence] makes its answers errors.
//     Behind a fixed address, such as a cloud endpoint, connections to a demoted master may stay open.
//     In front of what it reads the store sends a command that changes nothing and that a replica
//     refuses. go-redis then connects again. So a demoted master gives no answer, unless it accepts
//     writes (replica-read-only no).
//   - A restore from an older snapshot is not detected: it contains the marks, but not the newest
//     revocations. After such a restore delete the keys under the prefix, which logs everybody out,
//     or revoke per issuer up to now.
//   - Eviction that is switched on while the store is running removes revocations for at most a
//     second: then all calls return errors. See "Eviction".
//   - Keys that somebody deletes one by one are not missed.
//   - While a Cluster moves a slot, revocations in its buckets may return errors. Look-ups work.
//
// # Servers and clients
//
// Redis 6.2 or later. The tests run on Redis 7.0.15. The scripts use commands of 6.2 only, but
// older versions and Valkey were not tested, and WAITAOF was tested with a simulated reply only.
//
// The store works with a single server, Sentinel (redis.NewFailoverClient) and Cluster
// (redis.NewClusterClient) of go-redis v9, whose options take TLS, ACL users and URLs. [New]
// refuses a Ring, reads from replicas (ReadOnly, RouteByLatency, RouteRandomly, ReplicaOnly),
// client-side caching, clients without ContextTimeoutEnabled, servers that evict keys, and
// replicas: with any of them a revoked token could be accepted, or a request could hang. New uses
// INFO, not CONFIG.
// [Store.Ping] checks again.
//
// Set appendonly yes. Without any file a restart empties the store, which logs everybody out. With
// snapshots (RDB) only, a restart loses the revocations made since the last snapshot. The log warns
// of a server without an append-only file. With appendfsync everysec, the default of Redis, a server
// that is killed and a machine that crashes may lose the acknowledged revocations of the last two
// seconds: Redis puts off writes to the file while an fsync runs. It writes all when it is told to
// end (SIGTERM). With appendfsync always, or [WithAOF], a revocation is as safe as the disk.
//
// The ACL of the user, with the default prefix:
//
//	ACL SETUSER guard on >PASSWORD ~{oapi-guard:* +mget +get +set +xadd +eval +evalsha
//	                              +info +hello
//	for sessions:                 +time +hget +hset +hdel +zadd +zrem +zrange +zrevrange
//	                              +zrangebyscore +zcount +sadd +srem +srandmember +pexpire +pttl +unlink
//	for copies:                   +time +xread +xrange +xrevrange +scan; on a Cluster +cluster|nodes
//	with WithReplicas, WithFence: +wait
//	with WithAOF:                 +waitaof
//	with a database other than 0: +select
//	on a Cluster:                 +cluster|slots +asking
//
// # Eviction
//
// A server that evicts keys loses revocations. [New] refuses it. Once a second a call also asks each
// master for its settings and for evicted_keys. While maxmemory-policy is not noeviction and
// maxmemory is not 0, and after keys were evicted since the process asked first, all calls return
// errors. Then correct the settings, delete the keys under the prefix, which logs everybody out, and
// run CONFIG RESETSTAT, which sets evicted_keys to 0. A process that is started later does not know
// what was evicted before; its log warns of evicted keys.
//
// # An emptied store
//
// An emptied store must not mean "nothing is revoked". Each bucket contains a mark, a time that
// every look-up reads: sessions that began at or before it are refused. New makes the marks on the
// first start, at the current time plus [WithClockSkew], one second by default. So the first start
// logs out all existing sessions, and a session that begins within that second is refused as well
// and has to begin again. If a mark is missing later, the store was emptied and the same happens:
// everybody is logged out, and no revoked token is accepted. With [WithMissingMark] look-ups return
// errors instead until an operator calls [Store.MakeMarks].
//
// The sessions of an emptied store are over. A transaction makes a missing mark first, or returns an
// error, like a look-up. So no row is in a bucket without a mark.
//
// # Another key or prefix
//
// A process with another HMAC key, or without one, reads no mark: each mark contains a check value
// of the prefix and the key. New, Ping, look-ups and revocations then return errors, so that no
// revocation succeeds without an effect on the other processes. A process with another prefix begins
// another blacklist. A tool that works on an existing blacklist therefore sets
// WithMissingMark(Refuse): with a mistyped prefix all its calls return errors.
//
// Marks of format version 1 are errors too. That version was never released, so there is no
// migration: delete the keys under the prefix, which logs everybody out, or set another prefix.
//
// # Time
//
// The clock of the process that looks up a token decides whether an entry has expired. Redis keeps
// an entry for its remaining lifetime plus five minutes and the skew. The lifetime is a duration,
// so a server whose clock is wrong does not remove entries early.
//
// For sessions the time is that of the master (TIME), so that processes with different clocks judge
// alike. Keep the clocks of the servers synchronized: after a fail-over the clock of the new master
// counts.
//
// # Round trips
//
// Look-ups that run at the same time share round trips. A look-up that finds no other is sent at
// once. Those that come meanwhile are sent together, at most 128 in a batch and four batches at a
// time to each master. No timer delays a batch, and no batch waits to be full. A batch is one MGET,
// with the command that a replica refuses in front of it.
// On a Cluster, where all keys of a command must belong to one slot, it is a pipeline with one MGET
// per look-up. An error concerns all look-ups of the command, or of the connection that failed.
// Revocations are not batched.
//
// A transaction takes two round trips: one script reads, and one script compares what was read and
// writes. If something was changed meanwhile, the step runs again, until the write timeout ends.
// Among many callers of one process those that have to run again take turns. A step that writes
// nothing takes one round trip.
//
// A caller whose context ends leaves its batch at once; the other look-ups continue. A batch has a
// separate context, so hooks of the client that trace see no span of a caller. A look-up that is
// sent alone uses the context of its caller. As for every command of go-redis, the deadline
// applies, and a cancellation takes effect when the reply arrives.
//
// # Copies
//
// Package replica keeps a copy of the store in each process: replica.New(store). For this every
// revocation and every new mark appends a record to a stream, whether there are copies or not: a
// process that wrote entries only would break the promise of all copies. On a single server and with
// Sentinel the script that writes the entry writes the record, without another round trip. On a
// Cluster the record follows the entry in a second round trip, also for sessions, and all
// revocations need the master of the stream. [WithFeedLength] bounds the stream.
//
// A copy uses one connection of the pool. Each read also asks the server for its role, its
// replication id, its first record and a mark. It begins anew with a scan of all keys of the
// database after a fail-over, a restart of the server, and when the server was emptied or records
// were trimmed. On a Cluster the scan fails while a slot is being moved. Until it succeeds the copy
// grows too old, and look-ups ask the store.
//
// # Deadlines
//
// Every call has a deadline ([WithTimeouts]) besides that of the context. After five failed
// look-ups in a row, look-ups fail at once. After a second one look-up at a time is tried again,
// until one succeeds ([WithBreaker]). Failed look-ups of one batch count as one failure. Nothing
// has to be restarted. Revocations are always tried.
//
// # Keys
//
// P is the prefix. b is one of 256 buckets in two hexadecimal digits: the first byte of SHA-256
// over issuer and subject, each preceded by its length in four bytes. The session replaces an
// absent subject, and the token id an absent session. H is the first 24 bytes of the blacklist.Key
// in base64url. With [WithHMACKey] both are an HMAC-SHA-256 over that digest. All keys of one
// bucket share a hash tag, so a look-up is one MGET on one master.
//
//	key          value                          of
//	{P:b}:g      2:CHECK:NOT-BEFORE             the mark of the bucket, never expires
//	{P:b}:i:H    CUT-OFF:UNTIL:PLACE:NONCE      an issuer or a template, in all 256 buckets
//	{P:b}:u:H    CUT-OFF:UNTIL:PLACE:NONCE      a subject
//	{P:b}:s:H    *:UNTIL:PLACE:NONCE            a session
//	{P:b}:t:H    *:UNTIL:PLACE:NONCE            a token
//	{P:00}:f     stream of records              the feed of copies
//	{P:00}:w     never exists                   the command that a replica refuses (SET with XX)
//	{P:b}:c      empty, for a minute            the write that replicas confirm (WithFence)
//	{P:b}:r:H    hash: session id to KEEP:ROW   the rows of a subject; the field "" is its record,
//	                                            EPOCH:VERSION:LIFE
//	{P:b}:b:H    sorted set of session ids      the live rows of a subject, by their beginning
//	{P:b}:d:H    sorted set of session ids      all rows of a subject, by the time to examine them
//	{P:b}:o      set of H:SESSION-ID            the rows whose entry in the blacklist is owed
//
// Times are milliseconds since 1970. UNTIL is - for an entry that never ends. CHECK is the first 12
// bytes of SHA-256 over "mark of P", or of the HMAC over that digest, in base64url. PLACE is
// blacklist.PlaceOf in base64url, with the first 16 bytes of the same over "place of P" as the key.
// So a copy of the store can be made from a scan of the keys, without the ids. A revocation is one
// script per bucket (EVALSHA). An entry takes about 210 bytes of memory at a million entries
// (measured: 209, Redis 7.0.15 with jemalloc). The cut-off of an issuer takes 256 entries.
//
// # Sessions in Redis
//
// ROW is session.Row as JSON. It contains the subject, the session id, the client and the device,
// among them the address, in clear, also with [WithHMACKey], which hashes the keys of the subject
// only. No row contains a token. Protect the server and its files accordingly.
//
// KEEP is Row.KeepUntil plus five minutes. The index by deadline has the earlier of the end and the
// idle deadline, and afterwards KEEP. Every commit examines a few rows whose time has come: those
// that are over leave the index by beginning, and those past KEEP are deleted. The keys of a subject
// expire an hour after KEEP of its last row.
//
// A session takes about 1.3 KB of memory at a million sessions of as many subjects, with a device
// whose User-Agent has 100 characters (measured: 1,315 bytes).
//
// A subject can have 100,000 sessions. The longest script then took 3.6 ms (a hundred sessions ended
// and revoked in one step: 2.1 ms; a page of List: 0.6 ms; Redis 7.0.15). Redis frees the keys of a
// subject when they expire, which takes 60 ms at 100,000 sessions: set lazyfree-lazy-expire yes, and
// another thread does it.
package redisstore
