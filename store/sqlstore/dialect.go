package sqlstore

import (
	"database/sql"
	"strings"
)

// Dialect is the SQL of a database.
type Dialect uint8

// The databases that this package supports.
const (
	// PostgreSQL is PostgreSQL 13 or later.
	PostgreSQL Dialect = iota + 1
	// SQLite is SQLite 3.35 or later.
	SQLite
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	default:
		return "unknown dialect"
	}
}

// words are what differs between the dialects within a statement. Statements name them in braces.
var words = map[Dialect]map[string]string{
	PostgreSQL: {
		"bytes": "bytea",
		// the key of the mark
		"mark":     "''",
		"greatest": "GREATEST",
		// the time of the store: the clock of the server, read when the row is returned
		"clock":    "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
		"recovery": "pg_is_in_recovery()",
		"any":      "= ANY (ARRAY",
		"end any":  ")",
		"skip":     " FOR UPDATE SKIP LOCKED",
		// room in each page, so that a rotation writes the new row beside the old one and changes no index
		"fillfactor": " WITH (fillfactor = 80)",
	},
	SQLite: {
		"bytes":    "blob",
		"mark":     "x''",
		"greatest": "max",
		// the time of the store is the clock of the process, which the store reads itself
		"clock":      "0",
		"recovery":   "false",
		"any":        "IN ",
		"end any":    "",
		"skip":       "",
		"fillfactor": "",
	},
}

// render returns a statement of the dialect. It replaces the words and the names of the tables.
func (c *config) render(text string) string {
	var pairs []string
	for word, replacement := range words[c.dialect] {
		pairs = append(pairs, "{"+word+"}", replacement)
	}
	for _, table := range tables {
		pairs = append(pairs, "{"+table+"}", c.qualifier()+c.prefix+table)
	}
	pairs = append(pairs, "{index}", c.prefix)
	text = strings.NewReplacer(pairs...).Replace(text)
	if c.dialect == SQLite {
		// Drivers of SQLite number the parameters ?1 by their number, and $1 by their first use.
		text = strings.ReplaceAll(text, "$", "?")
	}
	return text
}

func (c *config) qualifier() string {
	if c.schema == "" {
		return ""
	}
	return `"` + c.schema + `".`
}

// tables are the names of the tables without their prefix.
var tables = []string{"schema", "revocations", "subjects", "sessions"}

// txOptions are those of every transaction. The locks of the transactions assume READ COMMITTED: a
// statement that waited for a lock sees what the transaction before it has written. SQLite knows no
// levels.
func (d Dialect) txOptions() *sql.TxOptions {
	if d == PostgreSQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}
