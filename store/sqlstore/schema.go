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
}}

const (
	createVersion = `CREATE TABLE IF NOT EXISTS {schema} (
    version integer NOT NULL
)`
	selectVersion = `SELECT max(version) FROM {schema}`
	deleteVersion = `DELETE FROM {schema}`
	insertVersion = `INSERT INTO {schema} (version) VALUES ($1)`

	// insertMark makes the mark unless there is one.
	insertMark = `INSERT INTO {revocations} (key, kind, place, cut_off, until, renewed, place_key)
VALUES ({mark}, 0, 0, $1, $2, false, $3) ON CONFLICT (key) DO NOTHING`
)
