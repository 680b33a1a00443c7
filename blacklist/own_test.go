package blacklist_test

import (
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
)

func TestOwnStore(t *testing.T) {
	blacklisttest.Run(t, func(_ *testing.T, now func() time.Time) blacklist.Blacklist {
		return &ownStore{rows: map[blacklist.Key]row{}, now: now}
	})
}
