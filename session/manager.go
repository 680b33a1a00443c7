package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
)

// How the manager works:
//
// A row of the store is a session. Open and Begin make one (begin.go). Refresh asks the application
// for the claims, decides in one transaction what the refresh token yields (rotate.go), and issues
// the tokens (refresh.go). End and the methods beside it end rows and write the entries of the
// blacklist, which ends the access tokens (end.go). If the store of the sessions is also the
// blacklist of the validator, row and entry are one transaction. What could not be written is tried
// again in the background (background.go).

// Manager keeps sessions. It is safe for concurrent use. Close ends its goroutines.
type Manager struct {
	issuer    *security.Issuer
	verifier  *security.Verifier
	validator *security.Validator
	store     Store
	load      LoadFunc
	// joint is set where the store is also the blacklist.
	joint bool

	accessType, refreshType security.TokenType
	grace, idleTimeout      time.Duration
	unnumbered              bool
	limit                   int
	whenFull                WhenFull
	repeatHook              func(context.Context, Repeat) error
	observer                func(context.Context, Event, int)
	timeout                 time.Duration

	// background is the context of the goroutines. starting keeps Close from waiting while one starts.
	background context.Context
	stop       context.CancelFunc
	starting   sync.Mutex
	running    sync.WaitGroup
	pending    chan struct{}
	// failed has the failed refreshes that are not noted yet, by session id.
	failed sync.Map
}

// LoadFunc returns what the tokens of a session contain: the application looks up the roles and the
// claims of the subject. The manager calls it for each log-in and each refresh, before anything is
// written, so that an error ends no session.
//
// The error [ErrSubjectGone] ends the session. A [security.Error] keeps its status. Any other error
// is answered 503.
type LoadFunc func(ctx context.Context, session Info) (Grant, error)

// Grant is what the tokens of a session contain.
type Grant struct {
	// AccessClaims and RefreshClaims are the private claims, or nil; see
	// [security.Issuer.IssueTokenPair].
	AccessClaims, RefreshClaims any
	// AccessOptions are for the access token, such as security.WithRoles. The manager sets the
	// session, the lifetime, the client and the freshness.
	AccessOptions []security.TokenOption
	// RefreshOptions are for the refresh token.
	RefreshOptions []security.TokenOption
}

// Info is what is known about a session.
type Info struct {
	// ID is the session id.
	ID string
	// Subject is the owner.
	Subject string
	// Began is when the session began, LastSeen when it began or was refreshed last, ExpiresAt when
	// it ends at the latest.
	Began, LastSeen, ExpiresAt time.Time
	Device                     Device
	ClientID                   string
	// Current is set for the session of the token that the list was made for.
	Current bool
}

var (
	// ErrSubjectGone is the error of a LoadFunc for a subject that does not exist any more.
	ErrSubjectGone = errors.New("session: the subject is gone")
	// ErrLimit means that the subject has as many sessions as it may have. The error of Begin is also
	// security.ErrAccessDenied.
	ErrLimit = errors.New("session: the subject has as many sessions as it may have")
	// ErrNotFound means that the subject has no such session.
	ErrNotFound = errors.New("session: not found")
)

// Defaults of a manager.
const (
	// DefaultGrace is how long the predecessor of a refresh token yields the same successor.
	DefaultGrace = 30 * time.Second
	// DefaultTimeout bounds the store's part of one call.
	DefaultTimeout = 5 * time.Second

	maxGrace = time.Minute
)

// Option changes a manager.
type Option func(*Manager) error

// WithGrace sets how long a refresh token that was just used yields the same successor again: 0 to 60
// seconds, 30 seconds by default. With 0 a second use always ends the session (RFC 9700, section
// 4.14.2), also that of a second tab and that of a client whose reply was lost.
func WithGrace(d time.Duration) Option {
	return func(m *Manager) error {
		m.grace = d
		if d < 0 || d > maxGrace {
			return fmt.Errorf("session: the grace is between 0 and %s", maxGrace)
		}
		return nil
	}
}

// WithIdleTimeout ends a session that is not refreshed for the duration. The default is that only
// the end of the session counts. An access token ends at the same time at the latest.
func WithIdleTimeout(d time.Duration) Option {
	return func(m *Manager) error {
		m.idleTimeout = d
		if d < time.Second {
			return errors.New("session: the idle timeout is at least a second")
		}
		return nil
	}
}

// WithTokenTypes sets the token types of the document, if they have a schema of their claims.
// Generated code does.
func WithTokenTypes(access, refresh security.TokenType) Option {
	return func(m *Manager) error {
		if access == nil || refresh == nil || access.Name() != "access" || refresh.Name() != "refresh" {
			return errors.New("session: the token types are an access and a refresh type")
		}
		m.accessType, m.refreshType = access, refresh
		return nil
	}
}

// WhenFull is what a log-in does if the subject has as many sessions as it may have.
type WhenFull uint8

const (
	// Refuse refuses the log-in with ErrLimit.
	Refuse WhenFull = iota + 1
	// EndOldest ends the session that began first.
	EndOldest
)

// WithLimit sets how many live sessions a subject may have. There is no limit by default.
func WithLimit(sessions int, full WhenFull) Option {
	return func(m *Manager) error {
		m.limit, m.whenFull = sessions, full
		if sessions < 1 || sessions > 1000 || full != Refuse && full != EndOldest {
			return errors.New("session: the limit is 1 to 1000 sessions, with Refuse or EndOldest")
		}
		return nil
	}
}

// Repeat is a refresh token that was repeated within the grace from another device than the one that
// used it first.
type Repeat struct {
	Session Info
	// First used the token first, Second repeated it.
	First, Second Device
	// Run is how many consecutive refresh tokens of the session were repeated from another device.
	// A client that copied the tokens has to repeat each of them, so 3 is a reason to look.
	Run int
}

// suspiciousRun is the run of repeats that is logged as a warning.
const suspiciousRun = 3

// WithRepeatHook sets a function that is called for each [Repeat]. If it returns an error the repeat
// is refused: 401, or the status of a [security.Error]. The session lives on.
func WithRepeatHook(hook func(context.Context, Repeat) error) Option {
	return func(m *Manager) error {
		m.repeatHook = hook
		if hook == nil {
			return errors.New("session: WithRepeatHook needs a function")
		}
		return nil
	}
}

// WithUnnumberedTokens accepts refresh tokens without a generation: those that the application issued
// before it kept sessions, and those of the Python libraries. The first use makes the row of the
// session. Leave it out once they have expired.
func WithUnnumberedTokens() Option {
	return func(m *Manager) error { m.unnumbered = true; return nil }
}

// WithTimeout bounds the store's part of one call, 5 seconds by default. A call continues when its
// context is cancelled, because a client that hangs up still wants its log-out.
func WithTimeout(d time.Duration) Option {
	return func(m *Manager) error {
		m.timeout = d
		if d <= 0 {
			return errors.New("session: the timeout is positive")
		}
		return nil
	}
}

// New makes a manager of the sessions of an application. If the store is also the blacklist of the
// validator, sessions and revocations are written together. Generated code has a typed manager.
func New(authority *security.Authority, store Store, load LoadFunc, options ...Option) (*Manager, error) {
	if authority == nil || authority.Issuer == nil || authority.Validator == nil || authority.Issuer.Verifier() == nil {
		return nil, errors.New("session: a manager needs an authority; make one with security.New")
	}
	if isNil(store) || load == nil {
		return nil, errors.New("session: a manager needs a store and a function that loads the claims")
	}
	verifier := authority.Issuer.Verifier()
	if authority.Validator.Verifier("") != verifier {
		return nil, errors.New("session: issuer and validator have different verifiers")
	}
	m := &Manager{
		issuer: authority.Issuer, verifier: verifier, validator: authority.Validator, store: store, load: load,
		accessType: security.NewTokenType[security.NoClaims]("access"), refreshType: security.NewTokenType[security.NoClaims]("refresh"),
		grace: DefaultGrace, timeout: DefaultTimeout, pending: make(chan struct{}, maxPending),
	}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(m); err != nil {
			return nil, err
		}
	}
	list, found := blacklist.As[Store](m.validator.Blacklist())
	m.joint = found && reflect.TypeOf(store).Comparable() && list == store
	m.background, m.stop = context.WithCancel(context.Background())
	if !m.joint {
		m.start(m.settleOwed)
	}
	return m, nil
}

var errZeroManager = errors.New("session: the manager was not made by New")

func isNil(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Close ends the goroutines of the manager. It does not close the store.
func (m *Manager) Close() error {
	if m.store == nil {
		return nil
	}
	m.starting.Lock()
	m.stop()
	m.starting.Unlock()
	m.running.Wait()
	return nil
}

// start runs f in a goroutine, unless the manager is closed. It reports whether it does.
func (m *Manager) start(f func()) bool {
	m.starting.Lock()
	defer m.starting.Unlock()
	if m.background.Err() != nil {
		return false
	}
	m.running.Go(f)
	return true
}

// Ready returns an error while log-ins and refreshes would be answered 503. It is for a readiness
// probe, beside that of the validator.
func (m *Manager) Ready(ctx context.Context) error {
	if m.store == nil {
		return errZeroManager
	}
	if m.joint {
		return nil // the validator asks the same store
	}
	if pinger, ok := m.store.(blacklist.Pinger); ok {
		ctx, cancel := context.WithTimeout(ctx, m.timeout)
		defer cancel()
		if err := pinger.Ping(ctx); err != nil {
			return unavailable("the store of the sessions is not ready", err)
		}
		return nil
	}
	return m.update(ctx, "readiness", func(tx *transaction) error {
		_, err := tx.Epoch()
		return err
	})
}

// update runs a step in a transaction on the sessions of the subject.
func (m *Manager) update(ctx context.Context, subject string, step func(*transaction) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
	defer cancel()
	var last *transaction
	err := m.store.Update(ctx, m.owner(subject), func(tx Tx) error {
		last = &transaction{Tx: tx, manager: m}
		return step(last)
	})
	var refused *security.Error
	if err != nil && !errors.As(err, &refused) && !errors.Is(err, ErrNotFound) {
		return unavailable("the store of the sessions did not answer", err)
	}
	if err == nil && last != nil {
		for _, r := range last.revoked {
			m.validator.Recorded(r)
		}
	}
	return err
}

// transaction is a Tx of the store, and what it revokes.
type transaction struct {
	Tx
	manager *Manager
	revoked []blacklist.Revocation
}

// revoke records a revocation in the transaction if the store is the blacklist. It reports whether it
// did.
func (t *transaction) revoke(r blacklist.Revocation) (done bool, err error) {
	if !t.manager.joint {
		return false, nil
	}
	both, ok := t.Tx.(BlacklistTx)
	if !ok {
		return false, unavailable("the transaction of the store has no blacklist", nil)
	}
	t.revoked = append(t.revoked, r)
	return true, both.Revoke(r)
}

// owner returns the subject for the store.
func (m *Manager) owner(subject string) Subject {
	return Subject{Issuer: m.verifier.Issuer(), Name: subject}
}

func unavailable(reason string, cause error) error {
	return security.ErrUnavailable.Because(reason, cause)
}

// audit logs an event about a session, or about a subject if the id is "". Ids are hashed: records
// about the same session can be found together, and no id can be read from a log.
func (m *Manager) audit(ctx context.Context, level slog.Level, message, subject, id string, attributes ...slog.Attr) {
	logger := m.verifier.Logger()
	if !logger.Enabled(ctx, level) {
		return
	}
	kind := blacklist.Session
	if id == "" {
		kind = blacklist.Subject
	}
	key, _ := blacklist.KeyOf(kind, blacklist.Identity{Issuer: m.verifier.Issuer(), Subject: subject, Session: id})
	logger.LogAttrs(ctx, level, message, append([]slog.Attr{
		slog.String("issuer", m.verifier.Issuer()), slog.String("kind", kind.String()), slog.String("hash", hex.EncodeToString(key[:8])),
	}, attributes...)...)
}

// info returns what the application may know of a row.
func info(row Row) Info {
	return Info{
		ID: row.ID, Subject: row.Subject.Name, Began: row.Began, LastSeen: row.LastSeen, ExpiresAt: row.ExpiresAt,
		Device: row.Device, ClientID: row.ClientID,
	}
}
