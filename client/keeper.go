package client

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// Keeper keeps the tokens of a [TokenSource]: in memory, in a file, or in a store of the application.
// What it keeps is a short text with secrets. The methods can be called by several goroutines.
type Keeper interface {
	// Load returns what Save saved last, or nil if there is nothing.
	Load(ctx context.Context) ([]byte, error)
	// Save saves data in place of what there was. It removes it if data is nil. It is called between
	// Lock and its unlock only.
	Save(ctx context.Context, data []byte) error
	// Lock waits until nobody else has the lock, at most as long as ctx, and returns the function that
	// releases it. All processes that share the tokens share the lock. The lock is held during a
	// refresh, and ends with its process.
	Lock(ctx context.Context) (unlock func(), err error)
}

// MemoryKeeper is a [Keeper] that keeps tokens until the process ends.
type MemoryKeeper struct {
	mu     sync.Mutex
	data   *[]byte // a pointer, so that fmt does not print it
	locked chan struct{}
}

var _ Keeper = (*MemoryKeeper)(nil)

// NewMemoryKeeper returns a keeper that has nothing.
func NewMemoryKeeper() *MemoryKeeper { return &MemoryKeeper{locked: make(chan struct{}, 1)} }

// Load implements [Keeper].
func (k *MemoryKeeper) Load(context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.data == nil {
		return nil, nil
	}
	return append([]byte(nil), *k.data...), nil
}

// Save implements [Keeper].
func (k *MemoryKeeper) Save(_ context.Context, data []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data = nil
	if data != nil {
		data = append([]byte(nil), data...)
		k.data = &data
	}
	return nil
}

// Lock implements [Keeper].
func (k *MemoryKeeper) Lock(ctx context.Context) (func(), error) {
	select {
	case k.locked <- struct{}{}:
		return sync.OnceFunc(func() { <-k.locked }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("client: waiting for the lock of the tokens: %w", context.Cause(ctx))
	}
}

const redactedKeeper = "client.MemoryKeeper(redacted)"

// Format writes a fixed text.
func (k *MemoryKeeper) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedKeeper) }

// LogValue returns a fixed text.
func (k *MemoryKeeper) LogValue() slog.Value { return slog.StringValue(redactedKeeper) }
