package main

import (
	"bytes"
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
	// cost is that of bcrypt.
	cost int
}

const (
	// maxPassword is how much bcrypt reads of a password, in bytes. Longer ones are refused, not cut.
	maxPassword = 72
	minPassword = 8
	maxUsername = 64
)

func validUsername(name string) bool { return name != "" && len(name) <= maxUsername }

// validPassword reports whether a password can be chosen. bcrypt repeats a password with a NUL after
// it: "a" and "a\x00a" have the same hash.
func validPassword(password string) bool {
	return len(password) >= minPassword && len(password) <= maxPassword && !strings.ContainsRune(password, 0)
}

var errWrongPassword = errors.New("wrong username or password")

// newAccounts returns the demo users. At most concurrency passwords are compared at once, with the
// given cost of bcrypt.
func newAccounts(concurrency, cost int) (*accounts, error) {
	limiter, err := newLoginLimiter(maxLimited)
	if err != nil {
		return nil, err
	}
	a := &accounts{byName: map[string]account{}, hashing: make(chan struct{}, concurrency), limiter: limiter, cost: cost}
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
	if len(password) > maxPassword || strings.ContainsRune(password, 0) {
		return account{}, errWrongPassword
	}
	attempt, err := a.limiter.begin(ctx, username, client)
	if err != nil {
		return account{}, err
	}
	defer attempt.end()
	if err := a.startHashing(ctx); err != nil {
		return account{}, err
	}
	defer a.endHashing()
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

// startHashing waits until there is room for another computation of bcrypt, which endHashing ends.
func (a *accounts) startHashing(ctx context.Context) error {
	select {
	case a.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return security.ErrUnavailable
	}
}

func (a *accounts) endHashing() { <-a.hashing }

// changePassword sets the password of an account that logIn has returned. If it was changed since,
// changePassword returns errWrongPassword.
func (a *accounts) changePassword(ctx context.Context, of account, password string) error {
	if err := a.startHashing(ctx); err != nil {
		return err
	}
	defer a.endHashing()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), a.cost)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	found, ok := a.byName[of.username]
	if !ok || !bytes.Equal(found.passwordHash, of.passwordHash) {
		return errWrongPassword
	}
	found.passwordHash = hash
	a.byName[of.username] = found
	return nil
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
