// Package boltstore keeps a blacklist and sessions in a file (go.etcd.io/bbolt).
//
// Use it for a service of one process: revocations and sessions survive a restart, and no server is
// needed. For several processes use package redisstore.
//
//	store, err := boltstore.Open("/var/lib/service/blacklist.db")
//
// The store is a blacklist.Blacklist and a session.Store. An application that keeps no sessions
// uses the blacklist alone.
//
// # Guarantees
//
// A revocation or an Update that returned without an error survives the end of the process at any
// moment, kill -9 included, and a crash of the machine if the disk honours fsync. Concurrent writes
// share one fsync. List reads a snapshot and does not wait for writers, except for the moment in
// which bbolt maps a file that has grown.
//
// # Look-ups
//
// The store keeps a copy of all revocations in memory. It covers at least what the file covers;
// after the clock was set back far it can refuse for longer than the file, until the next Open.
// Open reads it from the file, and each commit changes both. A look-up reads only the copy: it
// takes no lock, makes no system call for a token that is not revoked, and never waits, so the
// store is a blacklist.InProcess and the validator sets no deadline. It costs about as much as one
// in blacklist.Memory.
//
// A look-up that begins after Revoke or Update has returned finds the revocation. One that begins
// earlier may find it when its commit begins. If a commit fails, it is unknown whether the file has
// its revocations. They count as revoked until the store has read their entries again, which it does
// at once and, if that fails, before the next write. OnChange calls a function after each commit
// with revocations.
//
// An entry takes about 70 bytes of memory (43 to 96), and the filter in front of the entries two more
// for each entry for which there is room. The room doubles when it is used up. The write that does
// it takes about 0.2 seconds longer for each million entries; look-ups do not wait for it.
//
// One process can open the file at a time; a second one gets an error. It is created with mode
// 0600, and Open refuses a file that the group or others can write, because they could remove a
// revocation.
//
// # Sessions
//
// All transactions run one after the other. The transaction of a step is a session.BlacklistTx: its
// rows and its revocations are written together or not at all. Update runs the step twice: on a
// snapshot, in the goroutine of the caller, and, if it wrote something, in the transaction that is
// committed. A step that only reads therefore needs no commit and no fsync. A step that returns an
// error or panics leaves nothing, and the other steps of its commit are not affected.
//
// Revocations go first in the queue, and so do steps that revoked something when they ran on the
// snapshot, such as a log-out. Steps and other writes follow in their order.
//
// A refresh writes one row and no other key. The revocation of a session is one entry.
//
// # What the file contains
//
// The blacklist contains hashes of ids, never tokens or ids. Rows of sessions contain in clear text
// what session.Row has: the issuer, the subject, the session id, the client id and the device, with
// its name, user agent and address. They contain no token. Protect the file and its copies as other
// personal data. Forget deletes the rows of a subject; bbolt overwrites the freed pages only when
// it uses them again.
//
// # An empty file
//
// A new file must not mean "nothing is revoked". A file that [Open] creates contains a mark: the
// time of its creation. Every look-up refuses sessions that began at or before the mark, so
// deleting the file logs everybody out. [WithExistingFile] makes a missing file an error instead.
//
// An older copy of the file that is put back in place is not detected: the revocations and sessions
// written since the copy are lost. Delete the file instead.
//
// A file of format version 1 is refused. That version was never released, so there is no migration:
// delete the file, which logs everybody out. A file of version 2 that has no buckets for sessions
// gets them when it is opened.
//
// # Damage
//
// Open reads the whole file, some seconds for a million entries or sessions. It checks that every
// page is valid and is used once, that the newest commit is present, and the checksum, order and
// number of all entries, rows, indexes and epochs. Writes and reads of sessions check what they
// read. Damage is an error and never "not revoked" or "no session". A damaged row fails the calls
// that concern its subject. A file that Open reports as damaged can be deleted, which logs everybody
// out.
//
// Look-ups do not read the file. So damage to the disk while the file is open does not change their
// answers: they are those from before the damage, and new revocations count as soon as they are
// written. Look-ups do not find damage either. It is found when a write, a read of sessions or the
// next Open reads the damaged part: for an entry or a row always, for a page in most cases. If only
// the key of an entry changed in a page that is otherwise valid, Open finds it by the number of
// entries. After damage on which bbolt stops, all calls return an error, look-ups too, until the
// process is started again. Ping makes a commit, so readiness notices it.
//
// # Space
//
// Each write removes some expired entries, rows and epochs. The file does not shrink; bbolt uses
// the free pages again. A million entries take about 380 bytes each, and sessions with a browser's
// user agent 1.2 to 1.7 KB each. A new file takes 1 MiB.
//
// The store keeps a reserve of pages that are on the disk already: 512 KiB, in a large file 1/128
// of it. It extends the file itself, so a commit never finds the disk full while it writes. When
// the disk is full, new sessions fail first. Refreshes, log-outs and revocations go on until they
// have used as much as the reserve again, and then fail too. Look-ups and List still work. Every
// write, also one that fails, removes expired data, for which the reserve is enough. So the file
// gets room again without an operator once its data expires. Ping returns an error as soon as there
// is no room for a new session. Pages cannot be reserved on a file system that copies pages when it
// writes, such as Btrfs or ZFS.
//
// # Time
//
// The clock of the process decides whether an entry has expired and whether a session is live. It
// may be wrong for a moment: set months ahead, and corrected. The store has a second witness, the
// time that has passed since it was opened (the monotonic clock of package time).
//
//   - Look-ups do not trust a wall clock that jumped ahead by more than a second: an entry is in
//     force until its end has passed also without the jump. If the clock stays ahead for 10 to 20
//     minutes, the store believes it. Meanwhile an entry may be in force for longer than it has to.
//   - Entries, rows and epochs are removed only if they had expired in all readings of at least 10
//     minutes. In the first 10 minutes after Open nothing is removed. The store makes a reading each
//     minute. Writes, and look-ups that find an entry, make more.
//   - Tx.Now, and whether a session is live, follow the wall clock: tokens expire by it too. So
//     sessions seem to be over while it is ahead. Their rows stay, and they are live again
//     afterwards.
//   - If the clock is ahead when the process starts, look-ups believe it until it is corrected.
//     Nothing is removed meanwhile, unless that takes 10 minutes or more.
//
// The times of a clock that was set with [WithClock] may lack the monotonic reading. Then look-ups
// trust them, and the rule for removals still holds: an expired entry leaves after two readings
// that are at least 10 minutes apart.
package boltstore
