package redisstore

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/blacklist/replica"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

// TestRecords: what writes to the store has the records that a copy needs, and no more.
func TestRecords(t *testing.T) {
	run := func(t *testing.T, s *Store) {
		f := startFollower(t, s)
		subject := benchSubject(0)
		for _, tt := range []struct {
			name  string
			write func() error
			kinds []blacklist.Kind // of the records, 0 for a mark
		}{
			{
				name:  "a token",
				write: func() error { _, err := s.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour())); return err },
				kinds: []blacklist.Kind{blacklist.Token},
			}, {
				name: "an issuer, which has 256 entries",
				write: func() error {
					_, err := s.Revoke(t.Context(), blacklist.OfIssuer("v", time.Now(), inAnHour()))
					return err
				},
				kinds: []blacklist.Kind{blacklist.Issuer},
			}, {
				name: "a session that begins", kinds: nil,
				write: func() error { return begin(t.Context(), s, benchRow(subject, "a", time.Now())) },
			}, {
				name: "a session that ends", kinds: []blacklist.Kind{blacklist.Session},
				write: func() error { return end(t.Context(), s, subject, "a") },
			}, {
				name: "a revocation that makes a mark", kinds: []blacklist.Kind{blacklist.Token, 0},
				write: func() error {
					id := user("b")
					for s.layout.bucket(id) == 0 { // its mark is that of the stream
						id.Subject += "b"
					}
					if err := universal(s).Del(t.Context(), s.layout.mark(s.layout.bucket(id))).Err(); err != nil {
						return err
					}
					_, err := s.Revoke(t.Context(), blacklist.OfToken(id, inAnHour()))
					return err
				},
			}, {
				name: "a missing mark that Marks makes", kinds: []blacklist.Kind{0},
				write: func() error {
					if err := universal(s).Del(t.Context(), s.layout.mark(9)).Err(); err != nil {
						return err
					}
					_, err := f.Marks(t.Context())
					return err
				},
			},
		} {
			if err := tt.write(); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			found := make(map[blacklist.Kind]int)
			for _, e := range mustRead(t, f, len(tt.kinds)) {
				found[e.Kind]++
				if age := time.Since(time.UnixMilli(e.Written)); age < -time.Second || age > time.Minute {
					t.Errorf("%s: the record was written %v ago", tt.name, age)
				}
				if e.Kind == 0 && (e.CutOff < time.Now().UnixMilli() || e.Until != math.MaxInt64) {
					t.Errorf("%s: the record of the mark is %+v", tt.name, e)
				}
			}
			for _, kind := range tt.kinds {
				if found[kind] != 1 {
					t.Errorf("%s: %d records of kind %d", tt.name, found[kind], kind)
				}
			}
		}
	}
	t.Run("standalone", func(t *testing.T) { run(t, open(t, redistest.Start(t).Client(t))) })
	t.Run("cluster", func(t *testing.T) { run(t, open(t, redistest.StartCluster(t).Client(t))) })
}

// TestSnapshotOfOtherPrefix: a snapshot contains no entries of another prefix.
func TestSnapshotOfOtherPrefix(t *testing.T) {
	client := redistest.Start(t).Client(t)
	for _, prefix := range []string{"ab", "a*", "a", "[a-z]b", "a?"} {
		s := open(t, client, WithPrefix(prefix))
		revoke(t, s, blacklist.OfToken(user("of "+prefix), inAnHour()))
		want, _ := s.Name(blacklist.Token, user("of "+prefix))
		f, err := s.Follow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var found []replica.Entry
		err = f.Snapshot(t.Context(), func(b replica.Batch) error { found = append(found, b.Entries...); return nil })
		if err != nil || len(found) != 2 || found[0].Name != want || found[1].Kind != 0 {
			t.Errorf("prefix %s: %+v, %v; want one token and the mark", prefix, found, err)
		}
		_ = f.Close()
	}
}

// TestSnapshotOfEmptiedStore: the snapshot makes the marks, like a look-up, or returns an error.
func TestSnapshotOfEmptiedStore(t *testing.T) {
	for _, tt := range []struct {
		name    string
		missing MissingMark
		wantErr bool
	}{{name: "LogOut", missing: LogOut, wantErr: false}, {name: "Refuse", missing: Refuse, wantErr: true}} {
		t.Run(tt.name, func(t *testing.T) {
			srv := redistest.Start(t)
			s := open(t, srv.Client(t), WithMissingMark(tt.missing))
			srv.Do("FLUSHALL")
			f, err := s.Follow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			newest, emptied := int64(0), time.Now().UnixMilli()
			err = f.Snapshot(t.Context(), func(b replica.Batch) error {
				for _, e := range b.Entries {
					newest = max(newest, e.CutOff)
				}
				return nil
			})
			if tt.wantErr {
				mustBeUnavailable(t, err)
				mustSay(t, "Snapshot", err, "mark")
				_, err = f.Marks(t.Context())
				mustSay(t, "Marks", err, "mark")
				return
			}
			if err != nil || newest < emptied {
				t.Errorf("the newest mark is %d, want at least %d; %v", newest, emptied, err)
			}
		})
	}
}

// TestClusterFollowersNoticeMoves: a follower notices that the slot of the stream moves, and that its
// master was exchanged. No snapshot is read while a slot is moved.
func TestClusterFollowersNoticeMoves(t *testing.T) {
	c := redistest.StartCluster(t)
	s := open(t, c.Client(t), WithReplicas(1, replicasWait), WithTimeouts(5*time.Second, 5*time.Second))
	slot := int(c.Nodes[0].Do("CLUSTER", "KEYSLOT", s.layout.stream()).(int64))
	from := slot * 3 / 16384
	source, target := c.Nodes[from], c.Nodes[(from+1)%3]
	sourceID, targetID := source.Do("CLUSTER", "MYID"), target.Do("CLUSTER", "MYID")

	f := startFollower(t, s)
	expectGap := func(what string) {
		t.Helper()
		redistest.Eventually(t, what, func() error {
			b, err := f.Read(t.Context(), 0)
			switch {
			case errors.Is(err, replica.ErrGap):
				return nil
			case err == nil:
				t.Fatalf("%s: Read returned %d records", what, len(b.Entries))
			}
			return err
		})
	}

	target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID)
	source.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
	second, err := s.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	err = second.Snapshot(t.Context(), func(replica.Batch) error { return nil })
	mustSay(t, "Snapshot while a slot is moved", err, "slot")
	mustRead(t, f, 0) // the keys are still there
	for _, key := range source.Do("CLUSTER", "GETKEYSINSLOT", slot, 100).([]any) {
		source.Do("MIGRATE", "127.0.0.1", target.Port, key, 0, 5000)
	}
	expectGap("the slot of the stream is moved")
	for _, n := range c.Nodes[:3] {
		n.Do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
	}
	expectGap("the slot of the stream was moved")

	id := user("a")
	redistest.Eventually(t, "a token is revoked", func() error {
		_, err := s.Revoke(t.Context(), blacklist.OfToken(id, inAnHour()))
		return err
	})
	next := func() *follower {
		t.Helper()
		name, _ := s.Name(blacklist.Token, id)
		var complete *follower
		redistest.Eventually(t, "a snapshot is complete", func() error {
			found := false
			other, err := s.Follow(t.Context())
			if err != nil {
				return err
			}
			err = other.Snapshot(t.Context(), func(b replica.Batch) error {
				for _, e := range b.Entries {
					found = found || e.Kind == blacklist.Token && e.Name == name
				}
				return nil
			})
			if err != nil {
				_ = other.Close()
				return err
			}
			if !found {
				t.Error("the snapshot lacks an acknowledged revocation")
			}
			complete = other.(*follower)
			return nil
		})
		t.Cleanup(func() { _ = complete.Close() })
		return complete
	}
	f = next()
	mustRead(t, f, 0)
	c.Nodes[(from+1)%3+3].Do("CLUSTER", "FAILOVER")
	redistest.Eventually(t, "the old master is a replica", func() error {
		if role := parseInfo(target.Do("INFO", "replication").(string))["role"]; role != "slave" {
			return errors.New(role)
		}
		return nil
	})
	expectGap("the master of the stream was exchanged")
	f = next()
	mustRead(t, f, 0)
}

// TestClusterRecordFollowsEntry: when the record is sent, the entry is written and the replicas have
// it. Otherwise a snapshot could miss the entry while its position is past the record.
func TestClusterRecordFollowsEntry(t *testing.T) {
	c := redistest.StartCluster(t)
	client, plain := c.Client(t), c.Client(t)
	id := user("a")
	order := &recordOrder{seen: func() bool { return true }}
	client.OnNewNode(func(node *redis.Client) { node.AddHook(order) })
	s := open(t, client, WithReplicas(1, replicasWait), WithTimeouts(5*time.Second, 5*time.Second))
	key, _ := s.layout.entry(s.layout.bucket(id), blacklist.Token, id)
	order.seen = func() bool { n, err := plain.Exists(t.Context(), key).Result(); return err == nil && n == 1 }
	order.records.Store(0)
	revoke(t, s, blacklist.OfToken(id, inAnHour()))
	if order.records.Load() != 1 || order.early.Load() != 0 || order.without.Load() != 0 {
		t.Errorf("%d records were sent, %d before the entry was written, %d without WAIT",
			order.records.Load(), order.early.Load(), order.without.Load())
	}
}

// recordOrder counts the records that are sent, and those that are sent too early or without WAIT.
type recordOrder struct {
	seen                    func() bool
	records, early, without atomic.Int64
}

func (*recordOrder) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*recordOrder) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (o *recordOrder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if cmd.Name() != "xadd" {
				continue
			}
			o.records.Add(1)
			if !o.seen() {
				o.early.Add(1)
			}
			if cmds[len(cmds)-1].Name() != "wait" {
				o.without.Add(1)
			}
		}
		return next(ctx, cmds)
	}
}
