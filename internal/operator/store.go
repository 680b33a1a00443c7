package operator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/session"
)

// DefaultRetention is how long a cut-off is stored: longer than most sessions last. It costs one entry.
const DefaultRetention = 400 * 24 * time.Hour

// Store is a [Target] on the store of a service.
type Store struct {
	validator *security.Validator
	sessions  *session.Manager
	closers   []io.Closer
}

// StoreConfig says which store is opened, and for whom.
type StoreConfig struct {
	// URL names the store: redis://, rediss://, postgres:// or sqlite:PATH.
	URL string
	// Cluster says that the Redis server is a node of a Cluster.
	Cluster bool
	// Prefix is that of the keys in Redis, or of the tables in a database. "" is the default.
	Prefix string
	// Schema is the schema of the tables in PostgreSQL. "" is the default.
	Schema string
	// HMACKey is the secret of redisstore.WithHMACKey, or nil.
	HMACKey []byte
	// Issuer is the issuer of the tokens, the exact claim iss: the namespace of all entries.
	Issuer string
	// Retention is how long a cut-off is stored: at least as long as the longest session. 0 means for
	// ever.
	Retention time.Duration
	Logger    *slog.Logger
}

// openedStore is a store and what is closed after it.
type openedStore struct {
	blacklist.Blacklist
	sessions session.Store
	closers  []io.Closer
}

// Unwrap shows the store behind it to session.New, which then writes rows and entries together.
func (s *openedStore) Unwrap() blacklist.Blacklist { return s.Blacklist }

func (s *openedStore) close() error {
	var errs []error
	for _, closer := range s.closers {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

// OpenStore opens the store of a service. It makes no mark and no table: a store without a mark, or
// with the mark of another prefix or HMAC key, is an error.
func OpenStore(ctx context.Context, c StoreConfig) (*Store, error) {
	if c.Issuer == "" {
		return nil, errors.New("name the issuer of the tokens with --issuer: the exact claim iss, which separates the entries of a store")
	}
	opened, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	store, err := newStore(c, opened)
	if err != nil {
		return nil, errors.Join(err, opened.close())
	}
	return store, nil
}

// newStore makes the manager that ends sessions by the rules of package session. It issues no tokens,
// so its key is a random one.
func newStore(c StoreConfig, opened *openedStore) (*Store, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never returns an error
	key, err := keys.NewHMAC(keys.HS256, secret)
	if err != nil {
		return nil, err
	}
	set, err := keys.NewSet(key)
	if err != nil {
		return nil, err
	}
	options := []security.Option{security.WithLogger(c.Logger), security.WithLeeway(maxLeeway)}
	if c.Retention == 0 {
		options = append(options, security.WithNeverExpiring())
	} else {
		options = append(options, security.WithRetention(c.Retention))
	}
	authority, err := security.New(c.Issuer, set, opened, options...)
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(authority, opened.sessions, func(context.Context, session.Info) (session.Grant, error) {
		return session.Grant{}, errors.New("this program issues no tokens")
	})
	if err != nil {
		return nil, err
	}
	return &Store{authority.Validator, sessions, append([]io.Closer{sessions}, opened.closers...)}, nil
}

// Close closes the store.
func (s *Store) Close() error { return (&openedStore{closers: s.closers}).close() }

// Sessions implements Target.
func (s *Store) Sessions(ctx context.Context, subject, position string) (Page, error) {
	found, err := s.sessions.ListOf(ctx, subject, position)
	if err != nil {
		return Page{}, storeFailed("the sessions cannot be listed", err)
	}
	page := Page{Sessions: []Session{}, Next: found.Next}
	for _, info := range found.Sessions {
		page.Sessions = append(page.Sessions, Session{
			ID: info.ID, Began: info.Began.UTC(), LastSeen: info.LastSeen.UTC(), ExpiresAt: info.ExpiresAt.UTC(), ClientID: info.ClientID,
			Device: info.Device.Name, UserAgent: info.Device.UserAgent, Address: info.Device.Address,
		})
	}
	return page, nil
}

// EndSession implements Target.
func (s *Store) EndSession(ctx context.Context, subject, id string) error {
	err := s.sessions.EndByID(ctx, subject, id)
	if errors.Is(err, session.ErrNotFound) {
		err = s.validator.Record(ctx, s.validator.SessionRevocation(subject, id))
	}
	return storeFailed(maybe, err)
}

// RevokeToken implements Target.
func (s *Store) RevokeToken(ctx context.Context, subject, id string, expires time.Time) error {
	verifier := s.validator.Verifier("")
	if expires.IsZero() {
		expires = verifier.Now().Add(verifier.MaxLifetime())
	}
	identity := blacklist.Identity{Issuer: verifier.Issuer(), Subject: subject, ID: id}
	return storeFailed(maybe, s.validator.Record(ctx, blacklist.OfToken(identity, expires.Add(maxLeeway+time.Second))))
}

// EndSubject implements Target.
func (s *Store) EndSubject(ctx context.Context, subject string) error {
	return storeFailed(maybe, s.sessions.EndAll(ctx, subject))
}

// EndAll implements Target. A session can begin ahead of the clock, in the second after an earlier
// cut-off.
func (s *Store) EndAll(ctx context.Context) error {
	verifier := s.validator.Verifier("")
	_, err := s.validator.RevokeIssuedBefore(ctx, verifier.Now().Add(security.DefaultLeeway))
	return storeFailed(maybe, err)
}

// maybe is the state after a failed write.
const maybe = "the tokens may still be accepted: repeat the command"

// storeFailed returns an error of the store with what follows from it, or nil. The texts of the stores
// contain no address and no secret.
func storeFailed(state string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", state, cause(err))
}

// cause returns the error of the store that is wrapped in an error, because package security does not
// print it. The texts of such errors are fixed.
func cause(err error) error {
	if found := find(err, isOfStore); found != nil {
		return found
	}
	return err
}

// isOfStore reports whether an error is one of a store, with what is wrong.
func isOfStore(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "sqlstore: ") || strings.HasPrefix(text, "redisstore: ") ||
		strings.HasPrefix(text, blacklist.ErrUnavailable.Error()+": ")
}

// find returns the first error that fits, of an error and those that it wraps.
func find(err error, fits func(error) bool) error {
	if fits(err) {
		return err
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			return find(inner, fits)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			if found := find(inner, fits); found != nil {
				return found
			}
		}
	}
	return nil
}
