package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"hash/fnv"
	"math"
	"strings"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/millis"
)

// Migrate makes the tables, or brings them to the version of this package, in one transaction. It
// changes nothing if they are up to date. Several processes may call it at the same time: they wait
// for each other.
//
// If the mark is missing, because the tables are new or were emptied, Migrate makes one: all
// sessions that began before now, or within [WithClockSkew] from now, are refused. Call Migrate
// once when the service starts, or run it as a separate step with a user that owns the tables.
func Migrate(ctx context.Context, db *sql.DB, dialect Dialect, options ...Option) error {
	c, err := newConfig(dialect, options)
	if err != nil {
		return err
	}
	if db == nil {
		return errors.New("sqlstore: Migrate needs a database")
	}
	made, err := c.migrate(ctx, db)
	if err != nil {
		return err
	}
	if made {
		c.logger.Warn("sqlstore: the mark was made, because the tables are new or were emptied: "+
			"sessions that began before are refused", "refused_before", c.now().Add(c.skew))
	}
	return nil
}

func (c *config) migrate(ctx context.Context, db *sql.DB) (madeMark bool, err error) {
	// A connection instead of a sql.Tx: SQLite needs BEGIN IMMEDIATE here, because the first
	// statement, CREATE TABLE IF NOT EXISTS, takes no lock where the table exists.
	conn, err := liveConn(ctx, db)
	if err != nil {
		return false, unavailable(err)
	}
	defer func() { _ = conn.Close() }()
	m := &migration{c: c, conn: conn}
	m.begin(ctx)
	m.toVersion(ctx)
	m.genesis(ctx)
	m.mark(ctx)
	if m.err == nil {
		m.exec(ctx, "COMMIT")
	}
	if m.err != nil {
		// The context may be done. A connection that cannot roll back is not used again.
		if _, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
			_ = conn.Raw(func(any) error { return errBadConn })
		}
		return false, unavailable(m.err)
	}
	return m.made, nil
}

// migration is the transaction of Migrate. After an error its methods do nothing.
type migration struct {
	c    *config
	conn *sql.Conn
	made bool // the mark was made
	err  error
}

func (m *migration) exec(ctx context.Context, text string, args ...any) sql.Result {
	if m.err != nil {
		return nil
	}
	var result sql.Result
	result, m.err = m.conn.ExecContext(ctx, m.c.render(text), args...)
	return result
}

// begin begins the transaction and waits for other migrations of the same tables.
func (m *migration) begin(ctx context.Context) {
	if m.c.dialect == SQLite {
		m.exec(ctx, "BEGIN IMMEDIATE")
		return
	}
	m.exec(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED")
	m.exec(ctx, "SELECT pg_advisory_xact_lock($1)", m.c.lockNumber())
}

// lockNumber is the number of the advisory lock.
func (c *config) lockNumber() int64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("oapi-guard sqlstore " + c.schema + "." + c.prefix))
	return int64(hash.Sum64())
}

// toVersion makes the table of the version and runs the migrations that are missing.
func (m *migration) toVersion(ctx context.Context) {
	m.exec(ctx, createVersion)
	if m.err != nil {
		return
	}
	var version sql.NullInt64
	if m.err = m.conn.QueryRowContext(ctx, m.c.render(selectVersion)).Scan(&version); m.err != nil {
		return
	}
	if version.Int64 > schemaVersion {
		m.err = errNewSchema
	}
	if m.err != nil || version.Int64 == schemaVersion {
		return
	}
	for _, statements := range migrations[version.Int64:] {
		for _, text := range statements {
			m.exec(ctx, text)
		}
	}
	if m.changes(m.exec(ctx, updateVersion, schemaVersion)) == 0 {
		m.exec(ctx, insertVersion, schemaVersion)
	}
}

// genesis makes the first record if there is none. A record that was there before is lost then, so
// followers must notice.
func (m *migration) genesis(ctx context.Context) {
	if m.c.dialect == PostgreSQL {
		m.exec(ctx, deleteOthers)
	}
	result := m.exec(ctx, insertGenesis, int64(math.MinInt64), int64(millis.Never), millis.Floor(m.c.now()))
	if m.changes(result) > 0 {
		id := make([]byte, 16)
		rand.Read(id) // never returns an error
		m.exec(ctx, setRecordsID, id)
	}
}

// mark makes the mark if it is missing.
func (m *migration) mark(ctx context.Context) {
	var places blacklist.PlaceKey
	rand.Read(places[:]) // never returns an error
	m.exec(ctx, setPlaceKey, places[:])
	notBefore, never := millis.Floor(m.c.now().Add(m.c.skew)), int64(millis.Never)
	if m.changes(m.exec(ctx, insertMark, notBefore, never)) > 0 {
		m.exec(ctx, insertMarkRecord, notBefore, never, millis.Floor(m.c.now()))
		m.made = true
	}
}

// changes returns the number of rows that a statement has changed.
func (m *migration) changes(result sql.Result) (n int64) {
	if m.err == nil {
		n, m.err = result.RowsAffected()
	}
	return n
}

// schemaText returns the statements that Migrate runs on a new database.
func (c *config) schemaText() string {
	statements := []string{createVersion}
	for _, version := range migrations {
		statements = append(statements, version...)
	}
	return c.render(strings.Join(statements, ";\n")) + ";\n"
}
