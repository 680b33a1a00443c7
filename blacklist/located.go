package blacklist

import (
	"context"
	"reflect"
	"sync/atomic"
)

// Locator is implemented by blacklists in the memory of the process that find entries by hashes of
// ids, such as [Memory]. The same token comes many times. A caller that asks for it again and again
// has its ids hashed once: it keeps what Locate returned, and calls IsRevokedAt.
//
// [LocatorOf] finds out whether a blacklist is one.
type Locator interface {
	Blacklist
	// Locate returns the identity with the places of its entries in this blacklist, which is the
	// Owner. They never change.
	Locate(id Identity) *Located
	// IsRevokedAt is IsRevoked for an identity that Locate of the same blacklist returned.
	IsRevokedAt(ctx context.Context, located *Located) (bool, error)
}

// LocatorOf returns the blacklist itself if it is a [Locator], or nil. One that it wraps ([Wrapper])
// does not count, and neither does one that it embeds: its IsRevoked may decide more than theirs.
func LocatorOf(list Blacklist) Locator {
	locator, ok := list.(Locator)
	if !ok || !reflect.ValueOf(list).Comparable() {
		return nil
	}
	if probe := locator.Locate(Identity{Issuer: "issuer"}); probe == nil || probe.Owner != list {
		return nil // the methods of a Locator that is embedded
	}
	return locator
}

// Located is an [Identity] with the places of its entries in one blacklist, and with what that
// blacklist remembers of the last look-up. It is safe for concurrent use.
type Located struct {
	// Owner is the blacklist whose IsRevokedAt takes it.
	Owner    Blacklist
	Identity Identity
	// Places are the places of the entries of the kinds Token, Session, Subject and Issuer, in this
	// order. That of a kind that the identity does not have is 0.
	Places [Issuer]uint64

	// absent is one more than the version of the blacklist in which there was no entry, or 0.
	absent atomic.Uint64
}

// IsAbsent reports whether there was no entry for the identity in the version of the blacklist. A
// nil Located remembers nothing.
//
// A blacklist that uses this has a version that changes with each entry that comes, after look-ups
// can find it and before the call that recorded it returns.
func (l *Located) IsAbsent(version uint64) bool { return l != nil && l.absent.Load() == version+1 }

// SetAbsent remembers that a look-up that began in the version found no entry: not even one that has
// ended, because a clock may be set back.
func (l *Located) SetAbsent(version uint64) {
	if l != nil {
		l.absent.Store(version + 1)
	}
}
