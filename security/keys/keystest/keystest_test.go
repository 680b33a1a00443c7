package keystest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a signing source with faults.
type source struct {
	// verify and sign replace the answers of the source, if they are set. call counts the calls of
	// VerificationKeys.
	verify func(call int64, down bool, header keys.Header) (*keys.Set, error)
	sign   func() (*keys.Key, error)

	set   *keys.Set
	calls atomic.Int64
	down  atomic.Bool
}

func (s *source) VerificationKeys(_ context.Context, header keys.Header) (*keys.Set, error) {
	if s.verify != nil {
		return s.verify(s.calls.Add(1), s.down.Load(), header)
	}
	if s.down.Load() {
		return nil, keys.ErrUnavailable
	}
	return s.set, nil
}

func (s *source) SigningKey(ctx context.Context) (*keys.Key, error) {
	if s.sign != nil {
		return s.sign()
	}
	return s.set.SigningKey(ctx)
}

func newKey(t *testing.T, id string, seed byte) *keys.Key {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
	key, err := keys.NewEd25519(private, keys.WithID(id))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSet(t *testing.T, all ...*keys.Key) *keys.Set {
	t.Helper()
	set, err := keys.NewSet(all...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// TestFaultsOfSourcesAreFound has sources that break the contract, each in one way.
func TestFaultsOfSourcesAreFound(t *testing.T) {
	set, twin := newSet(t, newKey(t, "one", 'a')), newSet(t, newKey(t, "one", 'a'))
	other := newSet(t, newKey(t, "two", 'b'))
	public, err := keys.NewEd25519Public(ed25519.PublicKey(strings.Repeat("p", ed25519.PublicKeySize)), keys.WithID("one"))
	if err != nil {
		t.Fatal(err)
	}
	known := keys.Header{Algorithm: keys.EdDSA, KeyID: "one", HasKeyID: true}
	for _, tt := range []struct {
		name   string
		source *source
		want   string // a part of what Test reports; "" for a source without a fault
	}{
		{name: "none", source: &source{}},
		{
			name: "the unknown key as an error",
			source: &source{verify: func(_ int64, down bool, header keys.Header) (*keys.Set, error) {
				switch {
				case down:
					return nil, errors.New("the key service is down")
				case header != known:
					return nil, keys.ErrUnknownKey
				}
				return set, nil
			}},
		},
		{
			name: "it knows no key", want: "no set for a known header",
			source: &source{verify: func(int64, bool, keys.Header) (*keys.Set, error) { return nil, keys.ErrUnknownKey }},
		},
		{
			name: "no set and no error", want: "no set for a known header",
			source: &source{verify: func(int64, bool, keys.Header) (*keys.Set, error) { return nil, nil }},
		},
		{
			name: "a set without the key", want: "the set has no key for the header",
			source: &source{verify: func(int64, bool, keys.Header) (*keys.Set, error) { return other, nil }},
		},
		{
			name: "another set each time", want: "returned another set",
			source: &source{verify: func(call int64, _ bool, _ keys.Header) (*keys.Set, error) {
				return []*keys.Set{set, twin}[call%2], nil
			}},
		},
		{
			name: "an unknown key is an outage", want: "an unknown key",
			source: &source{verify: func(_ int64, down bool, header keys.Header) (*keys.Set, error) {
				if down || header != known {
					return nil, keys.ErrUnavailable
				}
				return set, nil
			}},
		},
		{
			name: "every header gets a set of its key", want: "an unknown key",
			source: &source{verify: func(_ int64, down bool, header keys.Header) (*keys.Set, error) {
				if down {
					return nil, keys.ErrUnavailable
				}
				if header != known {
					return other, nil
				}
				return set, nil
			}},
		},
		{
			name: "another set now and then", want: "concurrently",
			source: &source{verify: func(call int64, down bool, _ keys.Header) (*keys.Set, error) {
				switch {
				case down:
					return nil, keys.ErrUnavailable
				case call%50 == 0:
					return twin, nil
				}
				return set, nil
			}},
		},
		{
			name: "it fails now and then", want: "concurrently",
			source: &source{verify: func(call int64, down bool, _ keys.Header) (*keys.Set, error) {
				if down || call%50 == 0 {
					return nil, keys.ErrUnavailable
				}
				return set, nil
			}},
		},
		{
			name: "an outage is an unknown key", want: "during an outage",
			source: &source{verify: func(_ int64, down bool, _ keys.Header) (*keys.Set, error) {
				if down {
					return nil, keys.ErrUnknownKey
				}
				return set, nil
			}},
		},
		{
			name: "an outage is a wrong algorithm", want: "during an outage",
			source: &source{verify: func(_ int64, down bool, _ keys.Header) (*keys.Set, error) {
				if down {
					return nil, keys.ErrWrongAlgorithm
				}
				return set, nil
			}},
		},
		{
			name: "an outage is no error", want: "during an outage",
			source: &source{verify: func(int64, bool, keys.Header) (*keys.Set, error) { return set, nil }},
		},
		{
			name: "no key signs", want: "SigningKey",
			source: &source{sign: func() (*keys.Key, error) { return nil, keys.ErrNoSigningKey }},
		},
		{
			name: "no key and no error", want: "SigningKey",
			source: &source{sign: func() (*keys.Key, error) { return nil, nil }},
		},
		{
			name: "the key cannot sign", want: "the key does not sign",
			source: &source{sign: func() (*keys.Key, error) { return public, nil }},
		},
		{
			name: "nobody can verify", want: "the set does not have the key that signs",
			source: &source{sign: func() (*keys.Key, error) { return newKey(t, "three", 'c'), nil }},
		},
		{
			name: "another key has the id", want: "no key of the set verifies",
			source: &source{sign: func() (*keys.Key, error) { return newKey(t, "one", 'c'), nil }},
		},
	} {
		tt.source.set = set
		unknown := keys.Header{Algorithm: keys.EdDSA, KeyID: "two", HasKeyID: true}
		err := check(t.Context(), Source{
			Source: tt.source, Header: known, Unknown: unknown, Fail: func() { tt.source.down.Store(true) },
		})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") && tt.want != "concurrently" {
			t.Errorf("%s: more than one fault: %v", tt.name, err)
		}
	}
}
