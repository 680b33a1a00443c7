package blacklist_test

import (
	"context"
	"errors"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
)

// wrapper passes all calls to another blacklist.
type wrapper struct{ blacklist.Blacklist }

func (w wrapper) Unwrap() blacklist.Blacklist { return w.Blacklist }

type pinger struct{ blacklist.Blacklist }

var errPing = errors.New("ping")

func (pinger) Ping(context.Context) error { return errPing }

func TestWrappersHideNothing(t *testing.T) {
	list := wrapper{wrapper{pinger{blacklist.None{}}}}
	if err := blacklist.Ping(t.Context(), list); !errors.Is(err, errPing) {
		t.Errorf("Ping through two wrappers: %v", err)
	}
	if _, found := blacklist.As[blacklist.InProcess](list); found {
		t.Error("InProcess was found behind a blacklist that does not unwrap")
	}
	if _, found := blacklist.As[blacklist.InProcess](wrapper{blacklist.None{}}); !found {
		t.Error("InProcess of the wrapped blacklist was not found")
	}
	for _, none := range []blacklist.Blacklist{nil, wrapper{}, blacklist.None{}} {
		if _, found := blacklist.As[blacklist.Pinger](none); found {
			t.Errorf("%T has a Pinger", none)
		}
	}
}
