package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/oapi-guard/oapi-guard/security"
)

// account is a user.
type account struct {
	username, role, email string
	passwordHash          []byte
}

// accounts holds the users in memory. It stands in for a database.
type accounts struct {
	mu     sync.RWMutex
	byName map[string]account
	// dummyHash is compared for unknown users, so that their log-ins take as long as those of known
	// users.
	dummyHash []byte
	// hashing bounds the concurrent comparisons: each is expensive on purpose, and anybody may try to
	// log in.
	hashing chan struct{}
	// limiter refuses log-ins after too many failures.
	limiter *loginLimiter
}

// maxPassword is how much bcrypt reads of a password, in bytes. Longer ones are refused, not cut.
const maxPassword = 72

var errWrongPassword = errors.New("wrong username or password")

// newAccounts returns the demo users. At most concurrency passwords are compared at once, with the
// given cost of bcrypt.
func newAccounts(concurrency, cost int) (*accounts, error) {
	limiter, err := newLoginLimiter(maxLimited)
	if err != nil {
		return nil, err
	}
	a := &accounts{byName: map[string]account{}, hashing: make(chan struct{}, concurrency), limiter: limiter}
	for _, u := range []struct{ name, password, role string }{
		{"alice", "wonderland", "USER"},
		{"admin", "rabbit-hole", "ADMIN"},
	} {
		hash, err := bcrypt.GenerateFromPassword([]byte(u.password), cost)
		if err != nil {
			return nil, err
		}
		a.byName[u.name] = account{username: u.name, role: u.role, email: u.name + "@example.com", passwordHash: hash}
	}
	a.dummyHash, err = bcrypt.GenerateFromPassword([]byte("nobody's password"), cost)
	return a, err
}

// logIn returns the account with the username and the password. For an unknown username and for a
// wrong password it does the same work and returns errWrongPassword. After too many failures from
// the network of the client it returns a *tooManyFailures. If ctx ends while it waits for other
// log-ins, it returns security.ErrUnavailable.
func (a *accounts) logIn(ctx context.Context, client netip.Prefix, username, password string) (account, error) {
	// bcrypt repeats a password with a NUL after it: "a" and "a\x00a" have the same hash.
	if len(password) > maxPassword || strings.ContainsRune(password, 0) {
		return account{}, errWrongPassword
	}
	attempt, err := a.limiter.begin(ctx, username, client)
	if err != nil {
		return account{}, err
	}
	defer attempt.end()
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return account{}, security.ErrUnavailable
	}
	found, known := a.find(username)
	hash := found.passwordHash
	if !known {
		hash = a.dummyHash
	}
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || !known {
		attempt.fail()
		return account{}, errWrongPassword
	}
	return found, nil
}

func (a *accounts) find(username string) (account, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	found, ok := a.byName[username]
	return found, ok
}

func (a *accounts) changeEmail(username, email string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.byName[username]
	if ok {
		found.email = email
		a.byName[username] = found
	}
	return ok
}

// list returns the accounts by username.
func (a *accounts) list() []account {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.SortedFunc(maps.Values(a.byName), func(x, y account) int { return cmp.Compare(x.username, y.username) })
}
