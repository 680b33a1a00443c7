package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/pgtest"
)

func postgresPrograms(h *helper) string { return pgtest.Programs(h) }

// followPostgres makes the tables, and starts processes that reach the server at the address.
func (c *chaos) followPostgres(address string) *fleet {
	return c.followRedis(storeConfig{Kind: postgres, DSN: pgtest.DSN(address, pgtest.User, "postgres")}, nil)
}

func postgresFaults(c *chaos) {
	srv := pgtest.Start(c)
	f := c.followPostgres(hostPort(srv.Port))
	f.repeat(func(round int) {
		switch round % 3 {
		case 0:
			srv.CutConnections(c)
		case 1:
			srv.Pause()
			c.pause(c.bound/2 + rand.N(c.bound))
			srv.Resume()
		case 2:
			srv.Kill()
			c.pause(rand.N(c.bound))
			srv.Restart()
		}
		c.pause(c.bound / 2)
	})
}

// promotion lets a standby fall behind, kills the primary, and promotes the standby. What the new
// primary does not have is lost: the store promises it with a synchronous standby only.
func promotion(c *chaos) {
	primary := pgtest.Start(c)
	address := startProxy(&c.helper, hostPort(primary.Port))
	f := c.followPostgres(address.addr())
	f.repeat(func(int) {
		link := startProxy(&c.helper, hostPort(primary.Port))
		standby := pgtest.StartStandby(c, link.port())
		c.eventually("the standby is connected", func() error {
			db := primary.DB(c)
			defer func() { _ = db.Close() }()
			var n int
			err := db.QueryRowContext(c.ctx, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").Scan(&n)
			if err == nil && n == 0 {
				err = fmt.Errorf("no standby")
			}
			return err
		})
		c.pause(c.bound / 2)
		behind := monotonic()
		link.setCut(true)
		c.pause(c.bound/8 + rand.N(c.bound/8))
		primary.Kill()
		c.pause(100 * time.Millisecond) // the last replies arrive
		standby.Promote()
		f.findLost(storeConfig{Kind: postgres, DSN: standby.DSN(pgtest.User, "postgres")}, behind-int64(2*time.Second))
		address.retarget(hostPort(standby.Port))
		primary = standby
	})
}

// longTransaction keeps a transaction open that has a number and a snapshot. At the end it commits.
func longTransaction(c *chaos) {
	srv := pgtest.Start(c)
	f := c.followPostgres(hostPort(srv.Port))
	c.timeout = 10 * time.Minute // afterwards old records may be deleted, and each copy reads all entries
	db := srv.DB(c)
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	c.must(err)
	var id string
	c.must(tx.QueryRowContext(c.ctx, "SELECT CAST(pg_current_xact_id() AS text)").Scan(&id))
	began := time.Now()
	for end := began.Add(c.duration); time.Now().Before(end); {
		c.interrupted()
		c.pause(time.Second)
	}
	var snapshot string
	var records int
	c.must(db.QueryRowContext(c.ctx, "SELECT CAST(pg_current_snapshot() AS text), (SELECT count(*) FROM oapi_guard_records)").Scan(&snapshot, &records))
	horizon, _, _ := strings.Cut(snapshot, ":")
	if horizon != id {
		c.Fatalf("the transaction %s does not hold the horizon, which is %s", id, snapshot)
	}
	c.note("the transaction was open for %s and held the horizon; %s records were in the table at its end",
		time.Since(began).Round(time.Second), strconv.Itoa(records))
	c.must(tx.Commit())
	c.faults++
	c.pause(c.bound)
	f.settle()
}
