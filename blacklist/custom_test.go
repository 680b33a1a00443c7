package blacklist_test

import (
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/blacklisttest"
)

func TestMapStoreConforms(t *testing.T) {
	blacklisttest.Run(t, func(_ *testing.T, now func() time.Time) blacklist.Blacklist {
		return &mapStore{rows: map[blacklist.Key]row{}, now: now}
	})
}
