package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// manyEntries copies a store with very many entries, and lets the copies read it again.
func manyEntries(c *chaos) {
	srv := redistest.Start(c)
	began := time.Now()
	c.must(fill(srv.Addr(), c.entries))
	c.note("%d entries were written in %s, without their records", c.entries, time.Since(began).Round(time.Second))
	c.processes, c.rate, c.timeout = min(2, c.processes), min(c.rate, 500), 10*time.Minute
	f := c.followRedis(storeConfig{Kind: standalone, Addrs: []string{srv.Addr()}}, func(_ int, cfg *workerConfig) {
		cfg.Capacity = c.entries + maxSlots
	})
	for _, p := range f.all {
		s := p.waitStatus()
		c.note("process %d: the first snapshot took %s, %d entries", p.id, s.SnapshotTook.Round(time.Millisecond), s.Entries)
	}
	c.pause(c.duration / 2)
	for _, p := range f.all {
		c.note("process %d: the oldest copy before the fault was %s", p.id, p.status().MaxAge.Round(time.Millisecond))
	}
	c.do(srv, "XTRIM", stream, "MAXLEN", 0)
	c.faults++
	f.wait("all have read another snapshot", c.timeout, func() error {
		for _, p := range f.all {
			if s := p.status(); s.Snapshots["gap"] == 0 || !s.Fresh {
				return errors.New("not yet")
			}
		}
		return nil
	})
	for _, p := range f.all {
		s := p.status()
		c.note("process %d: the second snapshot took %s; the oldest copy was %s: then look-ups asked the store", p.id,
			s.SnapshotTook.Round(time.Millisecond), s.MaxAge.Round(time.Millisecond))
	}
	c.pause(c.duration / 2)
	c.memory = true
}

// fill writes entries of tokens that nobody has, in the format of package redisstore.
func fill(address string, n int) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	const reply = "+OK\r\n"
	read := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, conn, int64(n*len(reply)))
		read <- err
	}()
	out := bufio.NewWriterSize(conn, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	until := time.Now().Add(24 * time.Hour).UnixMilli()
	var digest [24]byte
	var place [8]byte
	for range n {
		_, _ = random.Read(digest[:])
		_, _ = random.Read(place[:])
		key := fmt.Sprintf("{oapi-guard:%02x}:t:%s", digest[23], base64.RawURLEncoding.EncodeToString(digest[:]))
		value := fmt.Sprintf("*:%d:%s:n", until, base64.RawURLEncoding.EncodeToString(place[:]))
		if _, err := fmt.Fprintf(out, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return <-read
}
