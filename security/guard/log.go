package guard

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// Refusal is a request that was not served, for metrics. It contains nothing of the request.
type Refusal struct {
	// Operation is the id of the operation, or "".
	Operation string
	Status    int
	// Reason is a fixed text: why the token was refused, for example, or the detail of the response.
	Reason string
}

// WithObserver sets a function that is called for each request that was not served. It must be fast
// and safe for concurrent use. Package observe has one for OpenTelemetry.
func WithObserver(observer func(ctx context.Context, refusal Refusal)) Option {
	return func(p *Policy) error {
		if observer == nil {
			return errors.New("guard: WithObserver needs a function")
		}
		p.observer = observer
		return nil
	}
}

// report logs a refused request and passes it to the observer.
func (g *Guard) report(ctx context.Context, said summary, err error, who blacklist.Identity, fromHandler bool) {
	p := g.policy
	reason := reasonOf(err, said)
	operation := ""
	if g.operation != nil {
		operation = g.operation.ID
	}
	if p.observer != nil {
		p.observer(ctx, Refusal{operation, said.status, reason})
	}
	level, message := slog.LevelInfo, "request denied"
	switch {
	case said.status >= http.StatusInternalServerError:
		level, message = slog.LevelError, "request failed"
	case said.status == http.StatusUnauthorized && said.code == "":
		return // a request without credentials is no event: clients find out that way
	}
	if !p.logger.Enabled(ctx, level) {
		return
	}
	kind := message + reason
	if said.status >= http.StatusInternalServerError {
		kind += operation // a failure of one operation must not hide that of another
	}
	suppressed, ok := p.limiter.allow(kind)
	if !ok {
		return
	}
	attributes := []slog.Attr{
		slog.String("operation", operation), slog.Int("status", said.status), slog.String("reason", reason),
	}
	if key, ok := blacklist.KeyOf(blacklist.Subject, who); ok {
		attributes = append(attributes, slog.String("subject_hash", hex.EncodeToString(key[:8])))
	}
	if suppressed > 0 {
		attributes = append(attributes, slog.Int("suppressed", suppressed))
	}
	if fromHandler && said.isInternal() {
		// The application's error goes to the application's logger. Nothing else prints it.
		attributes = append(attributes, slog.String("error", err.Error()))
	}
	p.logger.LogAttrs(ctx, level, message, attributes...)
}

// logLimiter lets one record of a kind pass each second, so that a flood of invalid tokens does not
// become a flood of records.
type logLimiter struct {
	now func() time.Time

	mu    sync.Mutex
	kinds map[string]*loggedKind
	// rest is for all kinds that kinds has no room for.
	rest loggedKind
	// swept is the second of the last sweep.
	swept int64
}

// loggedKind is one kind of record: when it last passed, and how many did not since.
type loggedKind struct {
	second     int64
	suppressed int
}

// maxLoggedKinds bounds the kinds. Reasons are constants, so that there are fewer, unless an
// application makes reasons of its requests.
const maxLoggedKinds = 1000

// allow reports whether a record passes now, and how many of its kind were suppressed before it.
func (l *logLimiter) allow(kind string) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	second := l.now().Unix() // behind the lock, so that seconds do not go back between goroutines
	known := l.find(kind, second)
	if known.second == second {
		known.suppressed++
		return 0, false
	}
	suppressed = known.suppressed
	*known = loggedKind{second: second}
	return suppressed, true
}

// find returns what is known of a kind. Above the bound, kinds that did not come in this second leave.
// If that makes no room, the kind shares the rest with others.
func (l *logLimiter) find(kind string, second int64) *loggedKind {
	if known := l.kinds[kind]; known != nil {
		return known
	}
	if len(l.kinds) >= maxLoggedKinds && l.swept != second {
		l.swept = second
		for name, known := range l.kinds {
			if known.second != second {
				l.rest.suppressed += known.suppressed
				delete(l.kinds, name)
			}
		}
	}
	if len(l.kinds) >= maxLoggedKinds {
		return &l.rest
	}
	known := &loggedKind{second: second - 1}
	l.kinds[kind] = known
	return known
}
