// Command example serves the reference API of api.yaml: log-ins with access and refresh tokens that
// can be revoked. It connects the generated code, the tokens, the sessions and a store of them. Start
// it with make run.
//
// Environment:
//
//	ADDR        the address to listen on, 127.0.0.1:8080 by default
//	JWT_SECRET  the signing secret, base64 of at least 32 bytes. The default is the key file
//	            DATA_DIR/keys.json, which the first start creates. It is read again while the
//	            service runs: oapi-guard keys rotate --file DATA_DIR/keys.json logs nobody out
//	DATA_DIR    the folder for files, .data by default
//	STORE       the store of sessions and revocations: memory:, bolt:PATH,
//	            redis://[USER:PASSWORD@]HOST:PORT[/DB] (rediss:// for TLS),
//	            postgres://[USER:PASSWORD@]HOST:PORT/DB, or sqlite:PATH; the default is
//	            bolt:DATA_DIR/store.db. The start makes the tables of a database
//	REPLICA     a duration such as 2s: look-ups read a copy of the store, and a revocation of another
//	            process counts after this time at the latest. For stores that processes share
//	TRUSTED_PROXIES
//	            the addresses of the proxies in front of the service, such as
//	            10.0.0.0/8,192.0.2.1. Failed log-ins are limited by the address of the client. It is
//	            taken from X-Forwarded-For only if such a proxy sends the request
//	ADMIN_TOKEN a secret of at least 32 characters. If it is set, the operations under /operator/ of
//	            the document are served on ADMIN_ADDR: they list and end sessions, and revoke
//	ADMIN_ADDR  the address for them, 127.0.0.1:8081 by default
//	CONSOLE_ADDR
//	            the loopback address of the developer console, 127.0.0.1:8090 by default, or another
//	            port if that is in use; off for none. With -demo-users-anywhere the default is off
//	METRICS_ADDR
//	            the address of /metrics for Prometheus, 127.0.0.1:9464 by default, or off
//
// Its users and their passwords are public, so it listens on loopback addresses only. The flag
// -demo-users-anywhere allows other addresses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"go.opentelemetry.io/otel/metric"
	"golang.org/x/crypto/bcrypt"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
	sessionobserve "github.com/oapi-guard/oapi-guard/session/observe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then waits for the requests in progress.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("example", flag.ContinueOnError)
	flags.SetOutput(stderr)
	anywhere := flags.Bool("demo-users-anywhere", false, "listen on an address that is not loopback, although the passwords of the demo users are public")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))

	if getenv("BLACKLIST") != "" {
		return errors.New("BLACKLIST is now STORE, which takes the same values: the store has the sessions too")
	}
	dataDir := orDefault(getenv("DATA_DIR"), ".data")
	set, err := loadKeys(getenv("JWT_SECRET"), dataDir, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	proxies, err := parseProxies(getenv("TRUSTED_PROXIES"))
	if err != nil {
		return err
	}
	operator, err := newOperatorSecret(getenv("ADMIN_TOKEN"))
	if err != nil {
		return err
	}
	store, err := openStore(ctx, getenv("STORE"), dataDir, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := openReplica(store, getenv("REPLICA"), logger); err != nil {
		return err
	}
	meters, metrics, err := newMetrics()
	if err != nil {
		return err
	}
	if err := observeStore(store, meters); err != nil {
		return err
	}
	accounts, err := newAccounts(runtime.GOMAXPROCS(0), bcrypt.DefaultCost)
	if err != nil {
		return err
	}
	api, err := newAPI(setup{set, accounts, store, proxies, operator, logger, meters})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.Close()) }()

	servers, err := listenAll(getenv, *anywhere, api, metrics, logger)
	if err != nil {
		return err
	}
	servers.print(stdout, store.about)
	return servers.serve(ctx)
}

// clientID is the client_id of the tokens. A service with several clients sets it for each log-in.
const clientID = "reference-client"

// issuerName is the issuer and the audience of the tokens. A real service has its URL here.
const issuerName = "https://reference.example.com"

// setup is what the API is made from.
type setup struct {
	keys     keys.SigningSource
	accounts *accounts
	store    *store
	proxies  trustedProxies
	operator operatorSecret
	logger   *slog.Logger
	meters   metric.MeterProvider
}

// api is the API, ready to be served.
type api struct {
	handler http.Handler
	// operator serves the operations under /operator/, and handler all others.
	operator http.Handler
	// console serves the developer console under consolePath, and the API beside it.
	console     http.Handler
	consolePath string
	sessions    *gen.GuardedSessions
}

func (a *api) Close() error { return a.sessions.Close() }

// newAPI sets up the API: the verifier, the issuer, the validator, the sessions, and the
// service behind the generated guards. Close ends its goroutines.
func newAPI(from setup, options ...security.Option) (*api, error) {
	// RFC 9068 requires client_id. All clients of this service have one id.
	authority, err := security.New(issuerName, from.keys, from.store, append(options, security.WithLogger(from.logger),
		security.WithTokenDefaults(security.WithClientID(clientID)))...)
	if err != nil {
		return nil, err
	}
	jar, err := newBrowserCookies()
	if err != nil {
		return nil, err
	}
	authenticator, err := newAuthenticator(from.accounts, from.operator)
	if err != nil {
		return nil, err
	}
	observeSessions, err := sessionobserve.Sessions(from.meters)
	if err != nil {
		return nil, err
	}
	observeDecisions, err := observeDecisions(from.meters)
	if err != nil {
		return nil, err
	}
	sessions, err := gen.NewGuardedSessions(authority, from.store.sessions, from.accounts.load, observeSessions)
	if err != nil {
		return nil, err
	}
	service := &service{from.accounts, sessions, authority.Validator, jar, &reports{}}
	guarded, err := gen.GuardedHandler(service, authority.Validator, authenticator,
		append(observeDecisions, guard.WithLogger(from.logger), guard.WithErrorHandler(answerTooMany))...)
	if err != nil {
		return nil, errors.Join(err, sessions.Close())
	}
	ready, err := guard.ReadyHandler(from.logger, authority.Validator, sessions)
	if err != nil {
		return nil, errors.Join(err, sessions.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", withAge(ready, from.store.copied))
	mux.Handle(operatorPath, http.NotFoundHandler())
	// A page of another origin must not log a browser in to somebody else's account. No operation of
	// this API has a large body.
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(refuseCrossOrigin))
	mux.Handle("/", protection.Handler(from.proxies.remember(http.MaxBytesHandler(guarded, 16<<10))))
	page, err := newConsole()
	if err != nil {
		return nil, errors.Join(err, sessions.Close())
	}
	return &api{mux, operatorOnly(guarded), withConsole(page, mux), page.Path(), sessions}, nil
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
