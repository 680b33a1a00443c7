// Package boltstore keeps a blacklist in a file (go.etcd.io/bbolt): embedded, durable, for one process.
//
//	store, err := boltstore.Open("/var/lib/service/blacklist.db")
//
// # What is promised
//
// A revocation that returned without an error survives the death of the process at any moment, kill -9 included, and the death of
// the machine as far as the disk honours fsync. Concurrent revocations share an fsync: while one is written the others gather, and a
// single caller waits for nobody. Look-ups read a snapshot and do not wait for writers, but for the moment in which a growing file is
// mapped anew.
//
// One process has the file at a time: another one that opens it gets an error. The file holds hashes of ids, never tokens or ids; it is
// made with mode 0600, because whoever can write it can take a revocation back.
//
// # An empty file
//
// An emptied store must not read as "nothing is revoked". A file that [Open] makes holds the moment when it was made, and every look-up
// refuses sessions begun at or before it: whoever deletes the file logs everybody out. [WithExistingFile] makes a missing file an error
// instead. An old copy of the file that is put back in its place cannot be told from the file: the revocations since are lost.
//
// # Damage
//
// Open reads the whole file, about a second for a million entries: every page, that nothing is used twice or lost, that the newest
// commit is there, and then the checksum of every entry, their order and their number. Look-ups check what they read. What is found
// damaged is an error and never "not revoked". A file that Open calls damaged can be deleted, which logs everybody out.
//
// What goes bad on the disk while the file is open shows where it is read: a damaged entry as an error, a damaged page mostly as one.
// A key that has changed in an otherwise sound page cannot be told from one that was never there, until Open counts again.
//
// # Space
//
// Expired entries leave in small steps, a few with each write. The file does not shrink; its free pages are used again. An entry takes
// some 360 bytes at a million entries.
package boltstore
