package sqlstore

import (
	"context"
	"database/sql"
)

const (
	oldestPostgreSQL = 13_00_00
	oldestSQLite     = 3_035_000

	// leastBusyTimeout is in milliseconds.
	leastBusyTimeout = 1000
)

// check checks the database, its settings and the version of the tables.
func (s *Store) check(ctx context.Context, warn func(string, ...any)) error {
	if s.db.Stats().MaxOpenConnections == 0 {
		warn("sqlstore: the number of connections is not limited: call SetMaxOpenConns")
	}
	conn, err := liveConn(ctx, s.db)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = conn.Close() }()
	if s.cfg.dialect == PostgreSQL {
		err = checkPostgreSQL(ctx, conn, warn)
	} else {
		err = checkSQLite(ctx, conn, warn)
	}
	if err != nil {
		return unavailable(err)
	}
	return s.checkVersion(ctx, conn)
}

// liveConn returns a connection that answers. After a restart of the server all idle connections are
// lost: a ping closes such a connection, and the next one meets another.
func liveConn(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	for lost := db.Stats().Idle; ; lost-- {
		err := db.PingContext(ctx)
		if err == nil {
			return db.Conn(ctx)
		}
		if lost <= 0 || !isConnection(err) {
			return nil, err
		}
	}
}

func checkPostgreSQL(ctx context.Context, conn *sql.Conn, warn func(string, ...any)) error {
	var version int
	var commit, fsync string
	var standby bool
	err := conn.QueryRowContext(ctx, `SELECT CAST(current_setting('server_version_num') AS integer), `+
		`current_setting('synchronous_commit'), current_setting('fsync'), pg_is_in_recovery()`).
		Scan(&version, &commit, &fsync, &standby)
	switch {
	case err != nil:
		return err
	case version < oldestPostgreSQL:
		return errOldServer
	case standby:
		return errStandby
	case commit == "off":
		return errAsync
	}
	if fsync == "off" {
		warn("sqlstore: fsync is off: a crash of the machine loses revocations, or the whole database")
	}
	return nil
}

func checkSQLite(ctx context.Context, conn *sql.Conn, warn func(string, ...any)) error {
	var version string
	var timeout, synchronous int
	var journal string
	for _, setting := range []struct {
		query string
		value any
	}{
		{"SELECT sqlite_version()", &version},
		{"PRAGMA busy_timeout", &timeout},
		{"PRAGMA synchronous", &synchronous},
		{"PRAGMA journal_mode", &journal},
	} {
		if err := conn.QueryRowContext(ctx, setting.query).Scan(setting.value); err != nil {
			return err
		}
	}
	const off, normal = 0, 1
	switch {
	case versionNumber(version) < oldestSQLite:
		return errOldServer
	case synchronous == off:
		return errNoSync
	case timeout < leastBusyTimeout:
		return errNoTimeout
	}
	if journal != "wal" {
		warn("sqlstore: the journal is not WAL, so look-ups wait for writers: PRAGMA journal_mode = WAL")
	} else if synchronous == normal {
		warn("sqlstore: PRAGMA synchronous is NORMAL: a crash of the machine loses the last revocations; FULL keeps them")
	}
	return nil
}

// versionNumber returns 3035000 for 3.35.0.
func versionNumber(text string) int {
	number, field := 0, 0
	parts := 1
	for _, r := range text {
		switch {
		case r == '.' && parts < 3:
			number, field = number*1000+field, 0
			parts++
		case r >= '0' && r <= '9':
			field = field*10 + int(r-'0')
		default:
			return 0
		}
	}
	return number*1000 + field
}

// checkVersion checks the version of the tables.
func (s *Store) checkVersion(ctx context.Context, conn *sql.Conn) error {
	exists, name := `SELECT to_regclass($1) IS NOT NULL`, s.cfg.render("{schema}")
	if s.cfg.dialect == SQLite {
		exists = `SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?1`
	}
	var found bool
	if err := conn.QueryRowContext(ctx, exists, name).Scan(&found); err != nil {
		return unavailable(err)
	}
	if !found {
		return errNoSchema
	}
	var version sql.NullInt64
	if err := conn.QueryRowContext(ctx, s.cfg.render(selectVersion)).Scan(&version); err != nil {
		return unavailable(err)
	}
	switch {
	case version.Int64 == 0:
		return errNoSchema
	case version.Int64 < schemaVersion:
		return errOldSchema
	case version.Int64 > schemaVersion:
		return errNewSchema
	}
	return nil
}
