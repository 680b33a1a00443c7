package sqlstore

import (
	"context"
	"database/sql"
)

// trimRecords deletes the first records, if they are older than $1 milliseconds, and so is the one
// behind the last of them. So of the records that are old one stays: a follower whose position is
// behind it knows that nothing else has left. The records leave in their order.
//
// On PostgreSQL only records leave that every snapshot sees from now on, and only one transaction
// at a time deletes: if one of two were rolled back, records would leave out of order.
var trimRecords = map[Dialect]string{
	PostgreSQL: `DELETE FROM {records} AS r USING (
SELECT xid, id, lead(id) OVER first IS NOT NULL AND max(written) OVER
    (ORDER BY xid, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING) < {clock} - CAST($1 AS bigint) AS old
FROM (SELECT xid, id, written FROM {records} WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, id LIMIT $2) AS f WINDOW first AS (ORDER BY xid, id)) AS f
WHERE f.old AND r.xid = f.xid AND r.id = f.id AND (SELECT pg_try_advisory_xact_lock($3))`,
	SQLite: `DELETE FROM {records} WHERE id IN (SELECT id FROM (
SELECT id, lead(id) OVER first IS NOT NULL AND max(written) OVER
    (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING) < $3 - $1 AS old
FROM (SELECT id, written FROM {records} ORDER BY id LIMIT $2) WINDOW first AS (ORDER BY id)) WHERE old)`,
}

const (
	scanEntries = `SELECT key, kind, place, cut_off, until FROM {revocations} WHERE key > $1 ORDER BY key LIMIT $2`
	lastRecord  = `SELECT id, name, written FROM {records} ORDER BY id DESC LIMIT 1`

	// standby is the identity of the records on a standby.
	standby = "standby"
)

// pageSQLite reads the head and the records behind the record with the id $1, the name $2 and the
// time $3.
const pageSQLite = `SELECT hex(s.records), '', m.place_key, -1,
    EXISTS (SELECT 1 FROM {records} WHERE id = $1 AND name = $2 AND written = $3), 0, 0, m.cut_off, 0, 0
FROM {schema} AS s LEFT JOIN {revocations} AS m ON m.key = {mark}
UNION ALL SELECT * FROM (SELECT '', '', NULL, kind, id, place, name, cut_off, until, written
    FROM {records} WHERE id > $1 ORDER BY id LIMIT $4)`

// pagePostgreSQL returns the statement that reads the head and the records that are unread at the
// position $1, behind the record with the transaction $2 and the id $3. The function with the
// identity of the system may be forbidden to the user.
//
// Unread are the records of the transactions that were open, and of those that began later. Each of
// the two is a range of the index. An id is above 0.
//
// A record before all unread ones exists as long as none of them was deleted, because records leave
// in their order. A record after the present is that of another server.
func pagePostgreSQL(ctx context.Context, conn *sql.Conn) (text string, err error) {
	var allowed bool
	err = conn.QueryRowContext(ctx, `SELECT has_function_privilege('pg_control_system()', 'EXECUTE')`).Scan(&allowed)
	system := "0"
	if allowed {
		system = "(SELECT system_identifier FROM pg_control_system())"
	}
	return `WITH p AS MATERIALIZED (
    SELECT position, CASE WHEN xid < pg_snapshot_xmax(position) THEN pg_snapshot_xmax(position) ELSE xid END AS later,
        CASE WHEN xid < pg_snapshot_xmax(position) THEN 0 ELSE id END AS behind, xid, id
    FROM (SELECT COALESCE(CAST(NULLIF(CAST($1 AS text), '') AS pg_snapshot), pg_current_snapshot()) AS position,
        CAST(CAST($2 AS text) AS xid8) AS xid, CAST($3 AS bigint) AS id) AS arguments
), unread AS (
    (SELECT r.* FROM (SELECT pg_snapshot_xip(position) AS open, xid, id FROM p) AS p CROSS JOIN LATERAL
        (SELECT * FROM {records} WHERE xid = p.open AND (p.open > p.xid OR p.open = p.xid AND id > p.id)
            ORDER BY xid, id LIMIT $4) AS r)
    UNION ALL
    (SELECT * FROM {records} WHERE (xid, id) > ((SELECT later FROM p), (SELECT behind FROM p)) ORDER BY xid, id LIMIT $4)
)
SELECT CASE WHEN {recovery} THEN '` + standby + `' ELSE concat_ws('/', ` + system + `,
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        pg_relation_filenode(CAST('{records}' AS regclass)), (SELECT encode(records, 'hex') FROM {schema})) END,
    CAST(pg_current_snapshot() AS text), m.place_key, -1,
    COALESCE(CAST((SELECT xid FROM {records} ORDER BY xid, id LIMIT 1) < (SELECT pg_snapshot_xmin(position) FROM p)
        AND (SELECT xid FROM {records} ORDER BY xid DESC, id DESC LIMIT 1) < pg_snapshot_xmax(pg_current_snapshot())
        AS integer), 0)::bigint,
    0::bigint, 0::bigint, m.cut_off, 0::bigint, {clock}
FROM (SELECT 1) AS one LEFT JOIN {revocations} AS m ON m.key = {mark}
UNION ALL
(SELECT CAST(xid AS text), '', NULL, kind, id, place, name, cut_off, until, written FROM unread
    ORDER BY unread.xid, unread.id LIMIT $4)`, err
}
