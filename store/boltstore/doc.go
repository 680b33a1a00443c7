// Package boltstore keeps a blacklist in a file (go.etcd.io/bbolt).
//
// Use it for a service of one process: revocations survive a restart, and no server is needed. For
// several processes use package redisstore.
//
//	store, err := boltstore.Open("/var/lib/service/blacklist.db")
//
// # Guarantees
//
// A revocation that returned without an error survives the end of the process at any moment,
// kill -9 included, and a crash of the machine if the disk honours fsync. Concurrent revocations
// share one fsync. A look-up reads a snapshot and does not wait for writers, except for the moment
// in which bbolt maps a file that has grown.
//
// One process can open the file at a time; a second one gets an error. The file contains hashes of
// ids, never tokens or ids. It is created with mode 0600, and Open refuses a file that the group or
// others can write, because they could remove a revocation.
//
// # An empty file
//
// A new file must not mean "nothing is revoked". A file that [Open] creates contains a mark: the
// time of its creation. Every look-up refuses sessions that began at or before the mark, so
// deleting the file logs everybody out. [WithExistingFile] makes a missing file an error instead.
//
// An older copy of the file that is put back in place is not detected: the revocations made since
// the copy are lost. Delete the file instead.
//
// A file of format version 1 is refused. That version was never released, so there is no migration:
// delete the file, which logs everybody out.
//
// # Damage
//
// Open reads the whole file, about a second for a million entries. It checks that every page is
// valid and is used once, that the newest commit is present, and the checksum, order and number of
// all entries. Look-ups check what they read. Damage is an error and never "not revoked". A file
// that Open reports as damaged can be deleted, which logs everybody out.
//
// Damage to the disk while the file is open is found when the damaged part is read: for an entry
// always, for a page in most cases. If only the key of an entry changed in a page that is otherwise
// valid, the entry looks as if it never existed, until the next Open counts the entries.
//
// # Space
//
// Each write removes some expired entries. The file does not shrink; bbolt uses the free pages
// again. A million entries take about 380 bytes each. When the disk is full, revocations fail and
// look-ups still answer.
//
// # Time
//
// The clock of the process decides whether an entry has expired. If that clock jumps far ahead
// while a revocation is written, entries that seem expired are removed, and they do not return when
// the clock is set back.
package boltstore
