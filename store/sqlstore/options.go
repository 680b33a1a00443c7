package sqlstore

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"
)

const (
	defaultPrefix        = "oapi_guard_"
	defaultLookupTimeout = 500 * time.Millisecond
	defaultWriteTimeout  = 5 * time.Second
	defaultClockSkew     = time.Second

	maxSkew = 5 * time.Minute
)

// Option sets an option of [New] and of [Migrate]. Give both the same.
type Option func(*config)

type config struct {
	dialect       Dialect
	prefix        string
	schema        string
	lookupTimeout time.Duration
	writeTimeout  time.Duration
	skew          time.Duration
	now           func() time.Time
	logger        *slog.Logger
}

// WithTablePrefix sets the prefix of the names of tables and indexes, "oapi_guard_" by default: at
// most 32 lower-case letters, digits and underscores, and a letter or underscore first. Stores with
// the same database, schema and prefix are one store.
func WithTablePrefix(prefix string) Option { return func(c *config) { c.prefix = prefix } }

// WithSchema sets the schema of the tables in PostgreSQL. It exists already. By default the tables
// are in the first schema of the search_path. The name has the form of a table prefix.
func WithSchema(name string) Option { return func(c *config) { c.schema = name } }

// WithTimeouts sets the longest time of a look-up, and of any other call, 500 ms and 5 s by
// default. A context that ends earlier applies. On SQLite a call that waits for the lock of another
// process ends with the busy_timeout of the connection.
func WithTimeouts(lookup, write time.Duration) Option {
	return func(c *config) { c.lookupTimeout, c.writeTimeout = lookup, write }
}

// WithClockSkew sets how far the clocks of the processes that share the store may differ, 1 s by
// default, at most 5 min. A mark that [Migrate] makes is that far ahead of the clock, so that
// sessions of a process whose clock is ahead are refused too.
func WithClockSkew(d time.Duration) Option { return func(c *config) { c.skew = d } }

// WithClock sets the clock of the process, time.Now by default. It is called from several
// goroutines at once. Sessions in PostgreSQL use the clock of the server.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

// WithLogger sets the logger, slog.Default() by default. The store logs settings of the database
// that lose writes, and new marks. It logs nothing that identifies a token or a subject.
func WithLogger(logger *slog.Logger) Option { return func(c *config) { c.logger = logger } }

func newConfig(dialect Dialect, options []Option) (*config, error) {
	c := &config{
		dialect:       dialect,
		prefix:        defaultPrefix,
		lookupTimeout: defaultLookupTimeout,
		writeTimeout:  defaultWriteTimeout,
		skew:          defaultClockSkew,
		now:           time.Now,
		logger:        slog.Default(),
	}
	for i, option := range options {
		if option == nil {
			return nil, fmt.Errorf("sqlstore: option %d is nil", i)
		}
		option(c)
	}
	return c, c.validate()
}

var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,31}$`)

func (c *config) validate() error {
	switch {
	case c.dialect != PostgreSQL && c.dialect != SQLite:
		return errors.New("sqlstore: the dialect must be PostgreSQL or SQLite")
	case !identifier.MatchString(c.prefix):
		return errors.New("sqlstore: WithTablePrefix: the prefix must be 1 to 32 lower-case letters, digits and " +
			"underscores, and not begin with a digit")
	case c.schema != "" && !identifier.MatchString(c.schema):
		return errors.New("sqlstore: WithSchema: the name must be 1 to 32 lower-case letters, digits and " +
			"underscores, and not begin with a digit")
	case c.schema != "" && c.dialect != PostgreSQL:
		return errors.New("sqlstore: WithSchema: only PostgreSQL has schemas")
	case c.lookupTimeout <= 0 || c.writeTimeout <= 0:
		return errors.New("sqlstore: WithTimeouts: both timeouts must be above 0")
	case c.skew < 0 || c.skew > maxSkew:
		return fmt.Errorf("sqlstore: WithClockSkew: the skew must be from 0 to %v", maxSkew)
	case c.now == nil:
		return errors.New("sqlstore: WithClock needs a clock")
	case c.logger == nil:
		return errors.New("sqlstore: WithLogger needs a logger")
	}
	return nil
}
