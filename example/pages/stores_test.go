package pages

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite" // the driver sqlite

	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/session"
	"github.com/oapi-guard/oapi-guard/store/boltstore"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
	"github.com/oapi-guard/oapi-guard/store/sqlstore"
)

// parts are what a service has to close, in the opposite order.
type parts struct {
	sessions *session.Manager
	closers  []io.Closer
}

func (p *parts) close() error {
	err := p.sessions.Close()
	for i := len(p.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, p.closers[i].Close())
	}
	return err
}

func onBolt(set *keys.Set, load session.LoadFunc, path string) (*parts, error) {
	store, err := boltstore.Open(path)
	if err != nil {
		return nil, err
	}
	authority, err := security.New("https://notes.example.com", set, store)
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(authority, store, load)
	return &parts{sessions, []io.Closer{store}}, err
}

func onSQLite(ctx context.Context, set *keys.Set, load session.LoadFunc, path string) (*parts, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	if err := sqlstore.Migrate(ctx, db, sqlstore.SQLite); err != nil {
		return nil, err
	}
	store, err := sqlstore.New(ctx, db, sqlstore.SQLite)
	if err != nil {
		return nil, err
	}
	authority, err := security.New("https://notes.example.com", set, store)
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(authority, store, load)
	return &parts{sessions, []io.Closer{db, store}}, err
}

func onRedis(ctx context.Context, set *keys.Set, load session.LoadFunc, address string) (*parts, error) {
	client := redis.NewClient(&redis.Options{Addr: address, ContextTimeoutEnabled: true})
	store, err := redisstore.New(ctx, client)
	if err != nil {
		return nil, err
	}
	list, err := replica.New(store) // a copy of the revocations in this process
	if err != nil {
		return nil, err
	}
	authority, err := security.New("https://notes.example.com", set, list) // look-ups read the copy
	if err != nil {
		return nil, err
	}
	sessions, err := session.New(authority, store, load) // sessions are in the store
	return &parts{sessions, []io.Closer{client, store, list}}, err
}

// TestStores begins and lists a session in the stores as the page opens them.
func TestStores(t *testing.T) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	key, err := keys.NewHMAC(keys.HS256, secret)
	if err != nil {
		t.Fatal(err)
	}
	set, err := keys.NewSet(key)
	if err != nil {
		t.Fatal(err)
	}
	load := func(context.Context, session.Info) (session.Grant, error) { return session.Grant{}, nil }
	for name, open := range map[string]func() (*parts, error){
		"bolt": func() (*parts, error) { return onBolt(set, load, filepath.Join(t.TempDir(), "sessions.db")) },
		"sqlite": func() (*parts, error) {
			return onSQLite(t.Context(), set, load, filepath.Join(t.TempDir(), "guard.db"))
		},
		"redis": func() (*parts, error) { return onRedis(t.Context(), set, load, redistest.Start(t).Addr()) },
	} {
		t.Run(name, func(t *testing.T) {
			p, err := open()
			if err != nil {
				t.Fatal(err)
			}
			attempt, err := p.sessions.Open(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := attempt.Begin(t.Context(), session.Login{}); err != nil {
				t.Fatal(err)
			}
			page, err := p.sessions.ListOf(t.Context(), "alice", "")
			if err != nil || len(page.Sessions) != 1 {
				t.Errorf("%d sessions, error %v; want 1", len(page.Sessions), err)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
