package blacklist

import (
	"context"
	"time"
)

// InProcess is implemented by blacklists whose look-ups answer from memory without waiting, such as
// [Memory] and [None]. The validator sets no deadline for them.
type InProcess interface{ InProcess() }

// Pinger is implemented by stores that can check more of their health than a look-up does.
type Pinger interface {
	// Ping returns an error if the store knows that look-ups or revocations would fail. Each store
	// documents what it checks.
	Ping(ctx context.Context) error
}

// Ping reports whether the blacklist works, for readiness. It calls Ping of a [Pinger], and makes a
// look-up in any other blacklist.
func Ping(ctx context.Context, list Blacklist) error {
	if pinger, ok := list.(Pinger); ok {
		return pinger.Ping(ctx)
	}
	_, err := list.IsRevoked(ctx, Identity{Issuer: "readiness", ID: "readiness", SessionStart: time.Now()})
	return err
}
