package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/oapi-guard/oapi-guard/internal/operator"
)

// operatorCommands returns the verbs for those who run a service.
func operatorCommands() []*cobra.Command {
	return []*cobra.Command{newKeys(), newToken(), newRevoke(), newSessions(), newDoctor()}
}

// Exit statuses of verbs for operators.
const (
	// statusNothing says that there was nothing to revoke.
	statusNothing = 3
	// statusTooEarly says that the next step of a rotation is not safe yet.
	statusTooEarly = 3
)

// The variables with secrets. They are no flags, because every user of the machine sees the arguments
// of a process.
const (
	envStore   = "STORE"
	envHMACKey = "STORE_HMAC_KEY"
	envAdmin   = "ADMIN_TOKEN"
)

const environmentHelp = `
Environment:
  STORE           the store of the service: redis://[USER:PASSWORD@]HOST:PORT[/DB], rediss://..., postgres://[USER:PASSWORD@]HOST:PORT/DB
                  or sqlite:PATH. The flag --store takes the same without a password
  STORE_HMAC_KEY  base64 of the secret of redisstore.WithHMACKey, if the service has one
  ADMIN_TOKEN     the secret of the admin endpoint, with --admin-url`

// operatorTimeout bounds a verb that works on a store.
const operatorTimeout = time.Minute

// storeFlags say which store is used.
type storeFlags struct {
	store, prefix, schema, issuer string
	cluster                       bool
}

func (f *storeFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.store, "store", "", "the store, a `URL` without a password (default: the variable STORE)")
	flags.StringVar(&f.issuer, "issuer", "", "the `ISSUER` of the tokens, the exact claim iss: entries of a store are separate for each")
	flags.StringVar(&f.prefix, "prefix", "", "the `PREFIX` of the keys in Redis or of the tables (default: that of the store's package)")
	flags.StringVar(&f.schema, "schema", "", "the `SCHEMA` of the tables in PostgreSQL")
	flags.BoolVar(&f.cluster, "cluster", false, "the Redis server is a node of a Cluster")
}

// config returns the configuration of the store.
func (f *storeFlags) config() (operator.StoreConfig, error) {
	logging.Disable() // the client of Redis would print addresses; its errors are returned
	c := operator.StoreConfig{
		URL: os.Getenv(envStore), Cluster: f.cluster, Prefix: f.prefix, Schema: f.schema, Issuer: f.issuer,
		Retention: operator.DefaultRetention, Logger: slog.New(slog.DiscardHandler),
	}
	if f.store != "" {
		if operator.HasPassword(f.store) {
			return c, usageError{errors.New("--store has a password, which every user of the machine sees: set the variable STORE")}
		}
		c.URL = f.store
	}
	if text := os.Getenv(envHMACKey); text != "" {
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return c, errors.New("STORE_HMAC_KEY is not base64")
		}
		c.HMACKey = secret
	}
	return c, nil
}

// targetFlags say where tokens are revoked.
type targetFlags struct {
	storeFlags
	admin     string
	retention time.Duration
	unchecked bool
}

func (f *targetFlags) add(command *cobra.Command) {
	f.storeFlags.add(command)
	flags := command.Flags()
	flags.StringVar(&f.admin, "admin-url", "", "work through the admin endpoint of the running service at a `URL`, and not on its store")
}

// addRevoking adds the flags of verbs that revoke.
func (f *targetFlags) addRevoking(command *cobra.Command) {
	f.add(command)
	flags := command.Flags()
	flags.DurationVar(&f.retention, "retention", operator.DefaultRetention, "how long the store keeps the revocation: at least as long as the longest\nsession. 0 is for ever")
	flags.BoolVar(&f.unchecked, "unchecked", false, "revoke without a look at the sessions, for a service that keeps none")
}

// run opens the target and passes it on.
func (f *targetFlags) run(command *cobra.Command, work func(context.Context, *operator.Operator) error) error {
	ctx, cancel := context.WithTimeout(command.Context(), operatorTimeout)
	defer cancel()
	target, err := f.open(ctx)
	if err != nil {
		return err
	}
	err = work(ctx, &operator.Operator{Target: target, Unchecked: f.unchecked})
	if errors.Is(err, operator.ErrNothing) {
		err = statusError{err, statusNothing}
	}
	return errors.Join(err, target.Close())
}

func (f *targetFlags) open(ctx context.Context) (operator.Target, error) {
	if f.admin != "" {
		if f.store != "" || f.prefix != "" || f.schema != "" || f.cluster {
			return nil, usageError{errors.New("--admin-url is for a service that opens its store itself: leave out the flags of the store")}
		}
		return operator.OpenAdmin(f.admin, os.Getenv(envAdmin))
	}
	c, err := f.config()
	if err != nil {
		return nil, err
	}
	if f.issuer == "" {
		return nil, usageError{errors.New("name the issuer of the tokens with --issuer: the exact claim iss, which separates the entries of a store")}
	}
	c.Retention = f.retention
	return operator.OpenStore(ctx, c)
}

// maxInput bounds what is read from standard input or a file.
const maxInput = 1 << 20

// readInput reads a file, or standard input if the name is "-".
func readInput(command *cobra.Command, name string) ([]byte, error) {
	reader := command.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		reader = file
	}
	text, err := io.ReadAll(io.LimitReader(reader, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("the input has more than %d bytes", maxInput)
	}
	return text, err
}

// readToken reads a token from a file or from standard input. A token as an argument works too, with a
// warning.
func readToken(command *cobra.Command, args []string) (string, error) {
	name := "-"
	if len(args) > 0 {
		name = args[0]
	}
	if strings.HasPrefix(name, "eyJ") && strings.Count(name, ".") >= 2 {
		fmt.Fprintln(command.ErrOrStderr(), "warning: a token in an argument is in the history of the shell, and every user of the machine sees it: "+
			"pass it on standard input or in a file")
		return name, nil
	}
	if name == "-" && isTerminal(command.InOrStdin()) {
		fmt.Fprintln(command.ErrOrStderr(), "Paste the token, then Enter and Ctrl-D:")
	}
	text, err := readInput(command, name)
	return string(text), err
}

// between refuses more arguments than a verb takes, and fewer than it needs.
func between(least, most int, names string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError{fmt.Errorf("an argument is missing: %s", names)}
		case len(args) > most:
			return usageError{fmt.Errorf("unexpected argument %q", args[most])}
		}
		return nil
	}
}

// needsVerb is the action of a verb that has others under it.
func needsVerb(command *cobra.Command, _ []string) error {
	return usageError{fmt.Errorf("name a command after %s", command.CommandPath())}
}
