package sqlstore

import (
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
	"github.com/oapi-guard/oapi-guard/internal/pgtest"
)

func TestBlacklist(t *testing.T) {
	eachDialect(t, func(t *testing.T, d *database) {
		blacklisttest.Run(t, func(t *testing.T, clock func() time.Time) blacklist.Blacklist {
			d := d
			if d.dialect == PostgreSQL {
				d = postgres(t, pgtest.Shared(t))
			} else {
				d = sqlite(t, t.TempDir()+"/guard.db")
			}
			options := append(d.options, WithClock(clock))
			if err := Migrate(t.Context(), d.db, d.dialect, options...); err != nil {
				t.Fatal(err)
			}
			return d.open(t, d.db, WithClock(clock))
		})
	})
}
