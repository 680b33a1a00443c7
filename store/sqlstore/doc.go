// Package sqlstore keeps a blacklist and sessions in a database that many processes share:
// PostgreSQL 13 or later, or SQLite 3.35 or later, through database/sql.
//
// Use it with PostgreSQL if a service has a database already and no Redis, and with SQLite for
// services on one machine. The package imports no driver. It is tested with
// github.com/jackc/pgx/v5/stdlib and modernc.org/sqlite.
//
//	db, err := sql.Open("pgx", "postgres://service@db.internal/service")
//	db.SetMaxOpenConns(16)
//	err = sqlstore.Migrate(ctx, db, sqlstore.PostgreSQL)
//	store, err := sqlstore.New(ctx, db, sqlstore.PostgreSQL)
//
// # Guarantees
//
// A call that returned without an error is in force for every call that begins afterwards, in all
// processes. It survives a crash of the database, and of its machine as far as the disk honours
// fsync. [New] and [Store.Ping] refuse a connection with synchronous_commit off, and SQLite with
// synchronous OFF. With a fail-over to a standby, a call is only safe if the standby is synchronous
// (synchronous_standby_names): otherwise the last writes before the fail-over are lost, revocations
// too.
//
// Look-ups ask the server whether it is a standby, in the same statement, and return an error then.
// Name several servers in the address together with target_session_attrs=read-write, and do not put
// a pool in between that sends reads to standbys.
//
// An error of a look-up means "unavailable", never "not revoked". An error of a write means that it
// may not be in force. The store sends a statement again only if the first one had no effect. So a
// lost reply is an error, and [Store.Revoke] tells exactly whether the revocation was in force
// before: of any number of callers with one token, one gets false. After an error a caller that
// tries again may find its first call in force.
//
// Errors wrap blacklist.ErrUnavailable and session.ErrUnavailable. Their texts are fixed and contain
// no ids, addresses or statements; the cause is available to errors.Is and errors.As.
//
// # An emptied database
//
// An emptied table must not mean "nothing is revoked". The table of revocations contains a mark, a
// time that every look-up reads: sessions that began at or before it are refused. [Migrate] makes the
// mark on the first start, at the current time plus [WithClockSkew]. If the mark is missing later,
// all look-ups and revocations are errors until Migrate is called again. Then everybody is logged
// out, and no revoked token is accepted. A restore from an older backup is not detected: delete all
// rows of the table of revocations after it, and call Migrate.
//
// # Copies in memory
//
// A [Store] is a replica.Feed: package replica keeps a copy of the revocations in each process. Each
// revocation and each mark writes a record in its transaction. Records stay for ten minutes, and some
// revocations delete older ones.
//
// Each copy keeps one connection, and looks for records 40 times a second. It does not use LISTEN and
// NOTIFY. On PostgreSQL a transaction that stays open delays no record of others. Records stay as long
// as it is open. If that was longer than ten minutes, copies may need a new snapshot afterwards.
//
// On PostgreSQL a copy compares the identity of the system, the timeline, and the file of the table of
// records. So it notices a restore, a fail-over and a demotion. It does not notice rows that somebody
// deleted and inserted again. A user that must not call pg_control_system() goes without the identity
// of the system. On SQLite an open connection does not notice that the file was exchanged for another
// one: start the processes again.
//
// # Transactions
//
// PostgreSQL runs every transaction with the isolation level READ COMMITTED, which the store sets,
// and locks rows: [session.Store] requires that the transactions of a subject run one after the
// other. A step that reads a session locks its row (SELECT ... FOR UPDATE). A step that reads the
// epoch or the live sessions, or begins a session, locks the row of the subject. Transactions of
// different subjects do not wait for each other. The time of a transaction is the clock of the
// server, clock_timestamp(), read after the last lock.
//
// A refresh takes two statements and no transaction: it reads the row, and writes it on condition
// that the row is unchanged. Refreshes of one session in one process queue for this. If another
// process was faster, the step runs again in a transaction. After a deadlock and after serialization
// failures the step runs again too, ten times at most.
//
// SQLite has one writer at a time. Every transaction takes the write lock with its first statement,
// and the clock is that of the process. A process queues its writers; between processes SQLite waits
// for up to busy_timeout, which must be at least one second for every connection, and is an error
// afterwards. Use the WAL journal: then look-ups do not wait for writers. With the driver
// modernc.org/sqlite:
//
//	file:/var/lib/service/guard.db?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)
//
// In WAL mode synchronous NORMAL survives the end of a process, and a crash of the machine loses the
// last commits. A database in memory (:memory:) is a different one for every connection, so it does
// not work.
//
// # Time
//
// Whether a revocation has expired is decided by the clock of the process that looks it up. Expired
// revocations stay for ten minutes longer, so that a process whose clock is fast deletes nothing
// early. Deadlines of sessions are in time of the server on PostgreSQL, and of the process on SQLite.
//
// Some writes delete expired rows, up to 32 of each table. Nothing has to run at night.
//
// # Users
//
// The user that calls Migrate owns the tables, and needs CREATE on their schema. The user of the
// service needs USAGE on the schema, SELECT on the table schema, SELECT, INSERT and DELETE on the
// table records, and UPDATE too on the others:
//
//	GRANT SELECT ON oapi_guard_schema TO service;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON oapi_guard_revocations, oapi_guard_subjects, oapi_guard_sessions TO service;
//	GRANT SELECT, INSERT, DELETE ON oapi_guard_records TO service;
//
// The statements are prepared. A pool such as PgBouncer in transaction mode needs version 1.21 with
// max_prepared_statements.
//
// # Tables
//
// Migrate makes these tables in PostgreSQL. In SQLite bytea is blob, there is no fillfactor, and
// records have no xid but an id that is integer PRIMARY KEY AUTOINCREMENT.
// [WithTablePrefix] and [WithSchema] change the names.
//
//	CREATE TABLE IF NOT EXISTS oapi_guard_schema (
//	    version   integer NOT NULL,
//	    place_key bytea,
//	    records   bytea
//	);
//	CREATE TABLE oapi_guard_revocations (
//	    key       bytea NOT NULL PRIMARY KEY,
//	    kind      smallint NOT NULL,
//	    place     bigint NOT NULL,
//	    cut_off   bigint NOT NULL,
//	    until     bigint NOT NULL,
//	    renewed   boolean NOT NULL,
//	    place_key bytea
//	);
//	CREATE INDEX oapi_guard_revocations_until ON oapi_guard_revocations (until);
//	CREATE TABLE oapi_guard_subjects (
//	    subject    bytea NOT NULL PRIMARY KEY,
//	    epoch      bigint NOT NULL,
//	    keep_until bigint NOT NULL
//	);
//	CREATE INDEX oapi_guard_subjects_keep_until ON oapi_guard_subjects (keep_until);
//	CREATE TABLE oapi_guard_sessions (
//	    key        bytea NOT NULL PRIMARY KEY,
//	    subject    bytea NOT NULL,
//	    id         bytea NOT NULL,
//	    began      bigint NOT NULL,
//	    live_until bigint NOT NULL,
//	    keep_until bigint NOT NULL,
//	    ended      boolean NOT NULL,
//	    owed       boolean NOT NULL,
//	    data       text NOT NULL
//	) WITH (fillfactor = 80);
//	CREATE INDEX oapi_guard_sessions_subject ON oapi_guard_sessions (subject, ended, began);
//	CREATE INDEX oapi_guard_sessions_keep_until ON oapi_guard_sessions (keep_until);
//	CREATE INDEX oapi_guard_sessions_owed ON oapi_guard_sessions (keep_until) WHERE owed;
//	CREATE TABLE oapi_guard_records (
//	    xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
//	    id      bigint GENERATED BY DEFAULT AS IDENTITY,
//	    kind    smallint NOT NULL,
//	    place   bigint NOT NULL,
//	    name    bigint NOT NULL,
//	    cut_off bigint NOT NULL,
//	    until   bigint NOT NULL,
//	    written bigint NOT NULL,
//	    PRIMARY KEY (xid, id)
//	);
//
// Times are milliseconds since 1970. No column that is searched contains an id. The key of a
// revocation is [blacklist.KeyOf], a hash, and its place [blacklist.PlaceOf]; until is the largest
// integer if it never ends. renewed tells whether the last write found the revocation in force: the
// statement returns it. The mark has an empty key, the kind 0, its time as cut_off, and the key of
// the places.
//
// The key of a session is that of its revocation, and the column subject is the key of a cut-off of
// its subject. So keys have 32 bytes, whatever the texts are, and compare as bytes in every locale.
// The column data is the whole row as JSON ([session.Row]), which only package session reads: a new
// field of rows needs no new column. The other columns are what statements select and sort by;
// live_until is the end or the idle deadline, whichever is earlier. To see the sessions of a user in
// psql:
//
//	SELECT data FROM oapi_guard_sessions WHERE data::jsonb ->> 'sub' = 'user-7';
//
// A refresh changes no indexed column. With the free space that fillfactor leaves in each page,
// PostgreSQL then writes no index (HOT), and autovacuum has little to do.
//
// # Sizing
//
// On PostgreSQL 15 a session with a device takes about 920 bytes with its indexes, at a million
// sessions (measured: 917, of which the row is 582), and a subject 170. So a million sessions of half a
// million users take 1 GB. The size of a row does not depend on the number of refreshes.
//
// Each running call needs a connection. Limit them with SetMaxOpenConns, and set SetMaxIdleConns to
// the same number: a new connection costs PostgreSQL a process, and prepares the statements again.
package sqlstore
