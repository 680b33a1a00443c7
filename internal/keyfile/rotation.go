package keyfile

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Defaults of the settings.
const (
	// DefaultTokenLifetime is the default lifetime of sessions and the longest one of a verifier.
	DefaultTokenLifetime = 30 * 24 * time.Hour
	// DefaultPropagation is the default of a client of a JWK set that reads it again.
	DefaultPropagation = 15 * time.Minute

	// maxLeeway is the largest leeway of a verifier.
	maxLeeway = 5 * time.Minute
)

// State is what a key does.
type State string

// The states of a key.
const (
	// Signs is the state of the first key with a private half: it signs new tokens.
	Signs State = "signs"
	// Next is that of a key that verifies, and will sign.
	Next State = "next"
	// Retiring is that of a key that has signed, and verifies until its tokens have expired.
	Retiring State = "retiring"
	// Verifies is that of any other key.
	Verifies State = "verifies"
)

// Step is a step of a rotation.
type Step string

// The steps of a rotation, in their order.
const (
	Publish Step = "publish"
	Sign    Step = "sign"
	Retire  Step = "retire"
)

// Plan is the next step of a rotation.
type Plan struct {
	Step Step
	// Safe is when the step logs nobody out. The zero time means at once.
	Safe time.Time
	// KeyIDs are the keys that the step concerns: none for Publish, that which will sign, or those
	// that leave.
	KeyIDs []string
}

// signs reports whether the key has what it takes to sign; a public key does not.
func (k Key) signs() bool {
	jwk, err := k.JWK()
	return err == nil && !jwk.IsPublic()
}

// SigningKey returns the position of the key that signs, or -1.
func (s *Set) SigningKey() int { return slices.IndexFunc(s.Keys, Key.signs) }

// StateOf returns the state of the key at a position.
func (s *Set) StateOf(position int) State {
	times := s.Keys[position].Times
	switch {
	case position == s.SigningKey():
		return Signs
	case !times.Retiring.IsZero():
		return Retiring
	case !times.Published.IsZero() && s.Keys[position].signs():
		return Next
	}
	return Verifies
}

// of returns the positions of the keys in a state.
func (s *Set) of(state State) []int {
	var found []int
	for i := range s.Keys {
		if s.StateOf(i) == state {
			found = append(found, i)
		}
	}
	return found
}

// ids returns the ids of keys.
func (s *Set) ids(positions []int) []string {
	ids := make([]string, len(positions))
	for i, position := range positions {
		ids[i] = s.Keys[position].ID
	}
	return ids
}

// lifetime and propagation return the settings or their defaults.
func (s *Set) lifetime() time.Duration {
	if s.Settings.TokenLifetime == 0 {
		return DefaultTokenLifetime
	}
	return time.Duration(s.Settings.TokenLifetime)
}

func (s *Set) propagation() time.Duration {
	if s.Settings.Propagation == 0 {
		return DefaultPropagation
	}
	return time.Duration(s.Settings.Propagation)
}

// Next returns the next step of a rotation.
func (s *Set) Next() Plan {
	if retiring := s.of(Retiring); len(retiring) > 0 {
		var last time.Time
		for _, position := range retiring {
			if since := s.Keys[position].Times.Retiring; since.After(last) {
				last = since
			}
		}
		// The process that reads the file last signs with the former key until then.
		return Plan{Retire, last.Add(s.propagation() + s.lifetime() + maxLeeway), s.ids(retiring)}
	}
	if next := s.of(Next); len(next) > 0 {
		first := s.Keys[next[0]]
		return Plan{Sign, first.Times.Published.Add(s.propagation()), []string{first.ID}}
	}
	return Plan{Step: Publish}
}

// Take takes the next step. Publish adds the key that generate makes for the algorithm of the key that
// signs.
func (s *Set) Take(now time.Time, generate func(algorithm string) (Key, error)) (Plan, error) {
	signing := s.SigningKey()
	if signing < 0 {
		return Plan{}, errors.New("no key of the file can sign: import a private key")
	}
	plan := s.Next()
	switch plan.Step {
	case Publish:
		key, err := generate(s.Keys[signing].Algorithm)
		if err != nil {
			return Plan{}, err
		}
		if err := s.Add(key, now); err != nil {
			return Plan{}, err
		}
		plan.KeyIDs = []string{key.ID}
	case Sign:
		position := s.position(plan.KeyIDs[0])
		key := s.Keys[position]
		key.Times.Signing = now
		s.Keys[signing].Times.Retiring = now
		s.Keys = slices.Insert(slices.Delete(s.Keys, position, position+1), 0, key)
	case Retire:
		s.Keys = slices.DeleteFunc(s.Keys, func(key Key) bool { return slices.Contains(plan.KeyIDs, key.ID) })
	}
	return plan, nil
}

// Add adds a key. It signs if no other key does; otherwise it is the next one.
func (s *Set) Add(key Key, now time.Time) error {
	if s.position(key.ID) >= 0 {
		return fmt.Errorf("the file has the key %s already", key.ID)
	}
	key.Times = Times{}
	if key.signs() {
		key.Times.Published = now
		if s.SigningKey() < 0 {
			key.Times.Signing = now
		}
	}
	s.Keys = append(s.Keys, key)
	return nil
}

// Replace removes all keys and adds the one that signs from now on: for a key that leaked.
func (s *Set) Replace(key Key, now time.Time) (removed []string) {
	for _, former := range s.Keys {
		removed = append(removed, former.ID)
	}
	key.Times = Times{Published: now, Signing: now}
	s.Keys = []Key{key}
	return removed
}

// Remove removes a key. The last key that can sign stays.
func (s *Set) Remove(id string) error {
	position := s.position(id)
	if position < 0 {
		return fmt.Errorf("the file has no key %s", id)
	}
	rest := &Set{Keys: slices.Delete(slices.Clone(s.Keys), position, position+1)}
	if rest.SigningKey() < 0 {
		return errors.New("no other key of the file can sign: replace the key with keys rotate --leaked")
	}
	s.Keys = rest.Keys
	return nil
}

func (s *Set) position(id string) int {
	return slices.IndexFunc(s.Keys, func(key Key) bool { return key.ID == id })
}
