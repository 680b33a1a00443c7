package sqlstore

// schemaVersion is the version of the tables. A new version adds its statements to migrations.
const schemaVersion = 1

// migrations are the statements that make each version from the one before, with the names of the
// tables and the words of the dialect in braces. The package documentation prints them.
var migrations = [schemaVersion][]string{{
	`CREATE TABLE {revocations} (
    key       {bytes} NOT NULL PRIMARY KEY,
    kind      smallint NOT NULL,
    place     bigint NOT NULL,
    cut_off   bigint NOT NULL,
    until     bigint NOT NULL,
    renewed   boolean NOT NULL,
    place_key {bytes}
)`,
	`CREATE INDEX {index}revocations_until ON {revocations} (until)`,
	`CREATE TABLE {subjects} (
    subject    {bytes} NOT NULL PRIMARY KEY,
    epoch      bigint NOT NULL,
    keep_until bigint NOT NULL
)`,
	`CREATE INDEX {index}subjects_keep_until ON {subjects} (keep_until)`,
	`CREATE TABLE {sessions} (
    key        {bytes} NOT NULL PRIMARY KEY,
    subject    {bytes} NOT NULL,
    id         {bytes} NOT NULL,
    began      bigint NOT NULL,
    live_until bigint NOT NULL,
    keep_until bigint NOT NULL,
    ended      boolean NOT NULL,
    owed       boolean NOT NULL,
    data       text NOT NULL
){fillfactor}`,
	`CREATE INDEX {index}sessions_subject ON {sessions} (subject, ended, began)`,
	`CREATE INDEX {index}sessions_keep_until ON {sessions} (keep_until)`,
	`CREATE INDEX {index}sessions_owed ON {sessions} (keep_until) WHERE owed`,
	`CREATE TABLE {records} (
    {record id},
    kind    smallint NOT NULL,
    place   bigint NOT NULL,
    name    bigint NOT NULL,
    cut_off bigint NOT NULL,
    until   bigint NOT NULL,
    written bigint NOT NULL{record key}
)`,
}}

const (
	createVersion = `CREATE TABLE IF NOT EXISTS {schema} (
    version   integer NOT NULL,
    place_key {bytes},
    records   {bytes}
)`
	selectVersion = `SELECT max(version) FROM {schema}`
	updateVersion = `UPDATE {schema} SET version = $1`
	insertVersion = `INSERT INTO {schema} (version) VALUES ($1)`

	// setPlaceKey stores the key of the places, which stays when the revocations are emptied.
	setPlaceKey = `UPDATE {schema} SET place_key = $1 WHERE place_key IS NULL`

	// deleteOthers deletes all records if they are those of another server, from which the tables were
	// restored: its transactions have other numbers.
	deleteOthers = `DELETE FROM {records}
WHERE (SELECT xid FROM {records} ORDER BY xid DESC, id DESC LIMIT 1) >= pg_snapshot_xmax(pg_current_snapshot())`
	// insertGenesis makes the first record, which is before all others, if there is no record.
	// Followers then find another identity of the records.
	insertGenesis = `INSERT INTO {records} ({xid column}kind, place, name, cut_off, until, written)
SELECT {xid of genesis}0, 0, 0, CAST($1 AS bigint), CAST($2 AS bigint), CAST($3 AS bigint) WHERE NOT EXISTS (SELECT 1 FROM {records})`
	setRecordsID = `UPDATE {schema} SET records = $1`

	// insertMark makes the mark unless there is one.
	insertMark = `INSERT INTO {revocations} (key, kind, place, cut_off, until, renewed, place_key)
SELECT {mark}, 0, 0, CAST($1 AS bigint), CAST($2 AS bigint), false, place_key FROM {schema} WHERE true ON CONFLICT (key) DO NOTHING`
	insertMarkRecord = `INSERT INTO {records} (kind, place, name, cut_off, until, written) VALUES (0, 0, 0, $1, $2, $3)`
)
