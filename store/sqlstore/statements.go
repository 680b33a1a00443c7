package sqlstore

import (
	"context"
	"database/sql"
)

// The statements of both dialects. A lock of a row and the clock are in one statement, and the
// clock is read after the lock was granted: the rows come from a materialized part, which takes the
// lock before it returns a row.
const (
	// lookUp reads the mark and up to four entries. A NULL equals no key.
	lookUp = `SELECT key, cut_off, until, {recovery} FROM {revocations} WHERE key IN ({mark}, $1, $2, $3, $4)`

	readMark = `SELECT place_key FROM {revocations} WHERE key = {mark}`

	// writeEntry writes an entry, if the mark still has the place key of the store. It returns whether
	// the revocation was in force before. The column renewed exists for this result: PostgreSQL
	// before version 18 and SQLite return new values only. It is computed from the row that the
	// statement has locked, so of two calls at once one finds the entry of the other.
	writeEntry = `INSERT INTO {revocations} AS r (key, kind, place, cut_off, until, renewed)
SELECT CAST($1 AS {bytes}), CAST($2 AS smallint), CAST($3 AS bigint), CAST($4 AS bigint), CAST($5 AS bigint), false
FROM {revocations} AS m WHERE m.key = {mark} AND m.place_key = $7
ON CONFLICT (key) DO UPDATE SET
    renewed = r.until > $6 AND r.cut_off >= excluded.cut_off,
    cut_off = CASE WHEN r.until > $6 THEN {greatest}(r.cut_off, excluded.cut_off) ELSE excluded.cut_off END,
    until = CASE WHEN r.until > $6 THEN {greatest}(r.until, excluded.until) ELSE excluded.until END
RETURNING renewed, cut_off, until`

	// insertRecord records what writeEntry has returned: the entry as it is now.
	insertRecord = `INSERT INTO {records} (kind, place, name, cut_off, until, written) VALUES ($1, $2, $3, $4, $5, $6)`

	sweepRevocations = `DELETE FROM {revocations} WHERE key {any}
(SELECT key FROM {revocations} WHERE until < $1 ORDER BY until LIMIT $2{skip}){end any}`
	sweepSessions = `DELETE FROM {sessions} WHERE key {any}
(SELECT key FROM {sessions} WHERE keep_until < $1 ORDER BY keep_until LIMIT $2{skip}){end any}`
	sweepSubjects = `DELETE FROM {subjects} WHERE subject {any}
(SELECT subject FROM {subjects} WHERE keep_until < $1 ORDER BY keep_until LIMIT $2{skip}){end any}`

	// touchMark writes without a change.
	touchMark = `UPDATE {revocations} SET place = place WHERE key = {mark}`

	insertSubject = `INSERT INTO {subjects} (subject, epoch, keep_until) VALUES ($1, $2, $3)
ON CONFLICT (subject) DO NOTHING`
	updateSubject = `UPDATE {subjects} SET epoch = $2, keep_until = $3 WHERE subject = $1`

	insertSession = `INSERT INTO {sessions} (key, subject, id, began, live_until, keep_until, ended, owed, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (key) DO UPDATE SET began = excluded.began, live_until = excluded.live_until,
    keep_until = excluded.keep_until, ended = excluded.ended, owed = excluded.owed, data = excluded.data`
	updateSession = `UPDATE {sessions}
SET began = $2, live_until = $3, keep_until = $4, ended = $5, owed = $6, data = $7 WHERE key = $1`

	// replaceSession writes a row if it is still the one that peekSession has read.
	replaceSession = updateSession + ` AND data = $8`

	// live reads the first live rows of a subject.
	live = `SELECT data FROM {sessions} WHERE subject = $1 AND ended = false AND live_until > $2 ORDER BY began, id LIMIT $3`

	owed = `SELECT data FROM {sessions} WHERE owed LIMIT $1`

	forget = `DELETE FROM {sessions} WHERE key {any}
(SELECT key FROM {sessions} WHERE subject = $1 LIMIT $2){end any}`
)

// The statements that differ.
var (
	// revoke is writeEntry, and writes the record where one statement can do both. Each revocation has
	// a record, also one that was in force before.
	revoke = map[Dialect]string{
		PostgreSQL: `WITH entry AS (` + writeEntry + `), record AS (INSERT INTO {records} (kind, place, name, cut_off, until, written)
SELECT CAST($2 AS smallint), CAST($3 AS bigint), CAST($8 AS bigint), cut_off, until, {clock} FROM entry)
SELECT renewed, cut_off, until FROM entry`,
		SQLite: writeEntry,
	}
	selectClock = `SELECT {clock}`
	// peekSession reads a row without a lock.
	peekSession = `SELECT s.data, {clock}, {recovery} FROM (SELECT 1) AS one LEFT JOIN {sessions} AS s ON s.key = $1`

	selectSession = map[Dialect]string{
		PostgreSQL: `WITH s AS MATERIALIZED (SELECT data FROM {sessions} WHERE key = $1 FOR UPDATE)
SELECT s.data, {clock} FROM (SELECT 1) AS one LEFT JOIN s ON true`,
		SQLite: `SELECT s.data, {clock} FROM (SELECT 1) AS one LEFT JOIN {sessions} AS s ON s.key = $1`,
	}
	selectSubject = map[Dialect]string{
		PostgreSQL: `WITH s AS MATERIALIZED (SELECT epoch, keep_until FROM {subjects} WHERE subject = $1 FOR UPDATE)
SELECT s.epoch, s.keep_until, {clock} FROM (SELECT 1) AS one LEFT JOIN s ON true`,
		SQLite: `SELECT s.epoch, s.keep_until, {clock} FROM (SELECT 1) AS one LEFT JOIN {subjects} AS s ON s.subject = $1`,
	}
	// lockLive locks the rows that live reads. After a wait they may be out of order.
	lockLive = map[Dialect]string{
		PostgreSQL: `WITH s AS MATERIALIZED (` + live + ` FOR UPDATE) SELECT s.data, {clock} FROM s`,
		SQLite:     `SELECT data, {clock} FROM (` + live + `)`,
	}
	// listLive reads a page of live rows. The time is that of the store.
	listLive = map[Dialect]string{
		PostgreSQL: listPage("{clock}"),
		SQLite:     listPage("$5"),
	}
	// lockDatabase takes the write lock of SQLite and changes nothing. It is the first statement of
	// each transaction there: a transaction that begins with a read cannot always write later.
	lockDatabase = `UPDATE {schema} SET version = version WHERE false`
)

func listPage(now string) string {
	return `SELECT data FROM {sessions} WHERE subject = $1 AND ended = false AND live_until > ` + now +
		` AND (began, id) < ($2, $3) ORDER BY began DESC, id DESC LIMIT $4`
}

// statements are the prepared statements of a store. database/sql prepares each once for every
// connection that uses it.
type statements struct {
	lookUp, readMark, revoke, touchMark                       *sql.Stmt
	sweepRevocations, sweepSessions, sweepSubjects            *sql.Stmt
	insertRecord, trimRecords                                 *sql.Stmt
	selectClock, selectSession, selectSubject                 *sql.Stmt
	insertSubject, updateSubject                              *sql.Stmt
	insertSession, updateSession, peekSession, replaceSession *sql.Stmt
	live, lockLive, list, owed, forget, lock                  *sql.Stmt

	all []*sql.Stmt
}

// prepare prepares all statements.
func prepare(ctx context.Context, db *sql.DB, c *config) (*statements, error) {
	s := &statements{}
	type statement struct {
		stmt **sql.Stmt
		text string
	}
	list := []statement{
		{&s.lookUp, lookUp}, {&s.readMark, readMark}, {&s.revoke, revoke[c.dialect]}, {&s.touchMark, touchMark},
		{&s.sweepRevocations, sweepRevocations}, {&s.trimRecords, trimRecords[c.dialect]}, {&s.sweepSessions, sweepSessions}, {&s.sweepSubjects, sweepSubjects},
		{&s.selectClock, selectClock}, {&s.selectSession, selectSession[c.dialect]},
		{&s.selectSubject, selectSubject[c.dialect]},
		{&s.insertSubject, insertSubject}, {&s.updateSubject, updateSubject},
		{&s.insertSession, insertSession}, {&s.updateSession, updateSession},
		{&s.peekSession, peekSession}, {&s.replaceSession, replaceSession},
		{&s.live, live}, {&s.lockLive, lockLive[c.dialect]}, {&s.list, listLive[c.dialect]}, {&s.owed, owed},
		{&s.forget, forget},
	}
	if c.dialect == SQLite {
		list = append(list, statement{&s.lock, lockDatabase}, statement{&s.insertRecord, insertRecord})
	}
	for _, p := range list {
		stmt, err := db.PrepareContext(ctx, c.render(p.text))
		if err != nil {
			s.close()
			return nil, unavailable(err)
		}
		*p.stmt = stmt
		s.all = append(s.all, stmt)
	}
	return s, nil
}

func (s *statements) close() {
	for _, stmt := range s.all {
		_ = stmt.Close()
	}
}
