package redisstore

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// link is one pinned connection to one server. All replies come from the same server, whatever the
// client learns of a fail-over. After an error the next call uses a new connection.
type link struct {
	client   func(ctx context.Context) (*redis.Client, error) // of the server
	logger   *slog.Logger
	separate bool // of a snapshot only

	mu     sync.Mutex
	conn   *redis.Conn // nil without a connection, and while a call uses it
	closed bool
}

// send sends the commands in one pipeline, and returns an error unless all were answered. Error
// replies are left to the caller, because they concern single commands. go-redis does not notice a
// cancellation while it waits for a reply, so send leaves the connection to a goroutine then, which
// ends with the timeout. The caller must not use the commands after an error.
func (l *link) send(ctx context.Context, timeout time.Duration, cmds ...redis.Cmder) error {
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	conn, err := l.take(ctx)
	if err != nil {
		return err
	}
	var result error
	done := make(chan struct{})
	go func() {
		result = l.exchange(ctx, timeout, conn, cmds)
		close(done)
	}()
	select {
	case <-done:
		l.give(conn, result == nil)
		return result
	case <-ctx.Done():
		go func() {
			<-done
			_ = conn.Close()
		}()
		return unavailable(ctx.Err())
	}
}

// exchange sends the commands and reads the replies. A panic of a hook of the client would end the
// process, because no server recovers for this goroutine.
func (l *link) exchange(ctx context.Context, timeout time.Duration, conn *redis.Conn, cmds []redis.Cmder) (err error) {
	defer func() {
		if recover() != nil {
			l.logger.Error("redisstore: a hook of the client panicked", "stack", string(debug.Stack()))
			err = unavailable(errUnanswered)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err = conn.Pipelined(ctx, func(p redis.Pipeliner) error { return p.BatchProcess(ctx, cmds...) })
	for _, cmd := range cmds {
		if e := cmd.Err(); e != nil && !isReply(e) {
			return unavailable(e)
		}
	}
	if err != nil && !isReply(err) {
		return unavailable(err)
	}
	return nil
}

// isReply reports whether the error is one that the server has replied.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

// take returns the connection. One goroutine at a time calls it.
func (l *link) take(ctx context.Context) (*redis.Conn, error) {
	l.mu.Lock()
	conn, closed := l.conn, l.closed
	l.conn = nil
	l.mu.Unlock()
	switch {
	case closed:
		return nil, blacklist.ErrClosed
	case conn != nil:
		return conn, nil
	}
	client, err := l.client(ctx) // may ask the servers of a Cluster
	if err != nil {
		return nil, unavailable(err)
	}
	return client.Conn(), nil // if the link is closed meanwhile, give closes it
}

// give returns the connection. It is closed if it failed, or the link was closed.
func (l *link) give(conn *redis.Conn, works bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	if !works || l.closed {
		l.drop()
	}
}

// drop closes the connection. The caller holds the mutex.
func (l *link) drop() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// reset makes the next call use a new connection.
func (l *link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

// close closes the connection, at the end of the call that uses it.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.drop()
}
