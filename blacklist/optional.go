package blacklist

import (
	"context"
	"time"
)

// InProcess is implemented by blacklists whose look-ups answer from memory without waiting, such as
// [Memory] and [None], and by those that set a deadline themselves when a look-up has to wait, such as
// package replica. The validator sets no deadline for them.
type InProcess interface{ InProcess() }

// Wrapper is implemented by blacklists that pass their calls to another one, such as those of package
// observe. Unwrap returns the other one, so that its optional methods are not hidden.
type Wrapper interface{ Unwrap() Blacklist }

// As returns the first of list, what it wraps, and so on, that is a T: an optional interface of this
// package, for example.
func As[T any](list Blacklist) (T, bool) {
	for list != nil {
		if found, ok := list.(T); ok {
			return found, true
		}
		wrapper, ok := list.(Wrapper)
		if !ok {
			break
		}
		list = wrapper.Unwrap()
	}
	var none T
	return none, false
}

// Pinger is implemented by stores that can check more of their health than a look-up does.
type Pinger interface {
	// Ping returns an error if the store knows that look-ups or revocations would fail. Each store
	// documents what it checks.
	Ping(ctx context.Context) error
}

// Ping reports whether the blacklist works, for readiness. It calls Ping of a [Pinger], also of one
// that is wrapped, and makes a look-up in any other blacklist.
func Ping(ctx context.Context, list Blacklist) error {
	if pinger, ok := As[Pinger](list); ok {
		return pinger.Ping(ctx)
	}
	_, err := list.IsRevoked(ctx, Identity{Issuer: "readiness", ID: "readiness", SessionStart: time.Now()})
	return err
}
