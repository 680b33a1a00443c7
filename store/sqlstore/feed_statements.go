package sqlstore

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
