package blacklist

import (
	"context"
	"time"
)

// InProcess marks an implementation whose look-ups answer from memory without waiting, so that callers need no deadline
// for them. [Memory] and [None] are such.
type InProcess interface{ InProcess() }

// Pinger is implemented by stores that can say whether they would work, beyond a look-up.
type Pinger interface {
	// Ping returns an error where look-ups or revocations would fail.
	Ping(ctx context.Context) error
}

// Ping reports whether the blacklist can do its work, for readiness: it asks a [Pinger], and any other with a look-up.
func Ping(ctx context.Context, list Blacklist) error {
	if pinger, ok := list.(Pinger); ok {
		return pinger.Ping(ctx)
	}
	_, err := list.IsRevoked(ctx, Identity{Verifier: "readiness", ID: "readiness", SessionStart: time.Now()})
	return err
}
