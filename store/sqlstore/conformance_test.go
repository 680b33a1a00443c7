package sqlstore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
	"github.com/oapi-guard/oapi-guard/internal/race"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/session/sessiontest"
)

func TestBlacklist(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
			return openNew(t, d.dialect, clock)
		})
	})
}

func TestSessions(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		t.Parallel()
		var options []sessiontest.Option
		if d.dialect == PostgreSQL {
			options = append(options, sessiontest.WithRealClock())
		}
		sessiontest.TestStore(t, func(t *testing.T, clock func() time.Time) session.Store {
			return openNew(t, d.dialect, clock)
		}, options...)
	})
}

func TestManagerConformance(t *testing.T) {
	race.Skip(t) // package session runs the suite with it
	eachDialect(t, func(t *testing.T, d *database) {
		t.Parallel()
		var options []sessiontest.Option
		if d.dialect == PostgreSQL {
			options = append(options, sessiontest.WithRealClock())
		}
		sessiontest.TestManager(t, func(t *testing.T, clock func() time.Time) session.Store {
			return openNew(t, d.dialect, clock)
		}, options...)
	})
}

// openNew returns a store on new tables. Their mark is an hour older than the clock.
func openNew(t *testing.T, dialect Dialect, clock func() time.Time) *Store {
	t.Helper()
	var d *database
	if dialect == PostgreSQL {
		d = postgres(t, pgtest.Shared(t))
	} else {
		d = sqlite(t, filepath.Join(t.TempDir(), "guard.db"))
	}
	past := WithClock(func() time.Time { return clock().Add(-time.Hour) })
	if err := Migrate(t.Context(), d.db, d.dialect, append(d.options, past)...); err != nil {
		t.Fatal(err)
	}
	return d.open(t, d.db, WithClock(clock))
}
