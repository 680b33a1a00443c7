package keys

import (
	"context"
	"errors"
	"testing"
	"time"
)

// noSet is a source that returns neither a set nor an error.
type noSet struct{}

func (noSet) Current(context.Context) (*Set, error) { return nil, nil }

// TestNilSet calls the methods of a nil set. Nothing panics.
func TestNilSet(t *testing.T) {
	var set *Set
	if _, err := set.Candidates(Header{Algorithm: HS256}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("candidates of a nil set: %v", err)
	}
	if _, err := set.Without("k1"); err == nil {
		t.Error("a nil set without a key: no error")
	}
	if text := set.String(); text != "" {
		t.Errorf("a nil set prints %q", text)
	}
	if _, err := JWKSHandler(noSet{}, time.Minute); !errors.Is(err, ErrUnavailable) {
		t.Errorf("handler of a source without a set: %v", err)
	}
}
