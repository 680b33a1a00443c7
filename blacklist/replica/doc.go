// Package replica keeps an exact copy of a shared blacklist in every process, so that a look-up
// costs about what one in [blacklist.Memory] costs instead of a round trip.
//
// Use it if many processes verify tokens, the store has a [Feed], and the round trip of each
// look-up matters. The store stays the truth: revocations go to it, and it answers whenever the
// copy cannot.
//
//	list, err := replica.New(store)
//	validator, err := security.NewValidator(verifier, list)
//
// # Guarantees
//
// A look-up that begins more than the bound after a revocation returned without an error finds it,
// in every process, or returns an error. The bound is two seconds by default, see [WithBound]. In
// the process that revoked, the revocation is in force at once. In the others the usual delay is
// one network hop: [Replica.Stats] counts the delays.
//
// The copy measures its age and does not trust it to be small. The age counts from the beginning of
// the last read that returned everything, and is compared after each look-up. So a process that was
// suspended in the middle of a look-up does not answer from an old copy. The age is the larger of
// the times that the monotonic clock and the wall clock show: the monotonic clock stands still
// while a machine is suspended, and the wall clock may be set back.
//
// If the copy is older than the bound, look-ups ask the store, [DefaultLookups] at a time. The
// others, and all while the store does not answer, return errors that wrap
// [blacklist.ErrUnavailable]. The same holds until the first snapshot is complete. An answer
// "revoked" from the copy is final at any age.
//
// The copy is exact: it contains every entry with its place and a part of its digest, and no Bloom
// filter decides. It refuses more than the store in one case only: the newest mark counts for all
// sessions, which matters after a store was emptied in part.
//
// Not guaranteed:
//
//   - What the store itself does not promise, such as what an isolated old master answers.
//   - Revocations of a process that writes no records, such as one of an older version of a store.
//     Update all processes before the first one uses a Replica.
//   - A mark that was made without a record is in force after [WithMarkInterval] and the bound.
//
// # Time
//
// An entry ends when both the clock of the process and that of the feed say so. Then the store is
// asked about it, and after five more minutes the copy forgets it. So a clock that is ahead, here
// or in the store, does not end an entry early. Cut-offs only rise while an entry is in force.
//
// # Gaps
//
// A feed says if it may have lost records, for example after a fail-over, or if it was trimmed. The
// Replica then reads a new snapshot and merges it into the copy, which keeps everything it has.
// Until that is complete the age does not count again. Processes wait for a random time first, see
// [WithSnapshotStagger].
//
// # Size
//
// An entry takes 43 to 96 bytes, and each entry of the capacity another two. A copy that is full
// drops nothing. It asks the store for everything that it does not find, and logs an error each
// minute. When entries have expired it reads a new snapshot.
package replica
