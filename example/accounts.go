package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/oapi-guard/oapi-guard/security"
)

// account is a user as a handler sees it.
type account struct {
	username, role, email string
	passwordHash          []byte
}

// accounts holds the users in memory. It stands in for a database.
type accounts struct {
	mu     sync.RWMutex
	byName map[string]account
	// nobodysHash is compared for unknown users, so that their log-ins take as long as those of known ones.
	nobodysHash []byte
	// hashing bounds the comparisons under way: each is expensive on purpose, and log-ins are open to everybody.
	hashing chan struct{}
}

// maxPassword is what bcrypt reads of a password, in bytes; longer ones are refused, not cut.
const maxPassword = 72

var errWrongPassword = errors.New("wrong username or password")

// newAccounts returns the demo users. concurrency bounds how many passwords are compared at once.
func newAccounts(concurrency, cost int) (*accounts, error) {
	a := &accounts{byName: map[string]account{}, hashing: make(chan struct{}, concurrency)}
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
	var err error
	a.nobodysHash, err = bcrypt.GenerateFromPassword([]byte("nobody's password"), cost)
	return a, err
}

// logIn returns the account of the username and password. It returns errWrongPassword, with the same work, for an unknown
// username and for a wrong password, and security.ErrUnavailable when ctx ends before it was its turn.
func (a *accounts) logIn(ctx context.Context, username, password string) (account, error) {
	if len(password) > maxPassword {
		return account{}, errWrongPassword
	}
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-ctx.Done():
		return account{}, security.ErrUnavailable
	}
	found, known := a.find(username)
	hash := found.passwordHash
	if !known {
		hash = a.nobodysHash
	}
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || !known {
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
