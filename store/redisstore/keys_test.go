package redisstore

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

func TestKeysOfALookUp(t *testing.T) {
	l, err := newLayout("p", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := blacklist.Identity{Issuer: "v", ID: "j", Session: "s", Subject: "u"}
	sum := sha256.Sum256([]byte("\x00\x00\x00\x01v\x00\x00\x00\x01u"))
	if l.bucket(id) != sum[0] {
		t.Error("the bucket is not the first byte of SHA-256 over length-prefixed issuer and subject")
	}
	templated := id
	templated.Template = "{t}"
	if l.bucket(templated) != l.bucket(id) {
		t.Error("the template changes the bucket")
	}
	keys := l.lookup(l.bucket(id), id)
	if len(keys) != 5 {
		t.Fatalf("keys %q", keys)
	}
	for i, letter := range []string{"i:", "u:", "s:", "t:", "g"} {
		tag, rest, _ := strings.Cut(keys[i], "}:")
		if tag != "{p:"+hex(sum[0]) || !strings.HasPrefix(rest, letter) {
			t.Errorf("key %d is %q", i, keys[i])
		}
	}

	// Every kind of revocation writes to the bucket that the look-up of the token reads.
	for _, r := range []blacklist.Revocation{
		blacklist.OfToken(id, time.Time{}), blacklist.OfSession(id, time.Time{}),
		blacklist.OfSubject("v", "u", time.Now(), time.Time{}),
	} {
		if l.bucket(r.Identity) != l.bucket(id) {
			t.Errorf("a %s is in another bucket than its tokens", r.Kind)
		}
	}
	// The session replaces an absent subject, the token id an absent session. Absent ids are not
	// looked up.
	for _, tt := range []struct {
		name   string
		id     blacklist.Identity
		hashed string // the bucket is the first byte of its SHA-256
		keys   int
	}{
		{
			name: "no subject", id: blacklist.Identity{Issuer: "v", Session: "s", ID: "j"},
			hashed: "\x00\x00\x00\x01v\x00\x00\x00\x01s", keys: 4,
		},
		{
			name: "only a token id", id: blacklist.Identity{Issuer: "v", ID: "j"},
			hashed: "\x00\x00\x00\x01v\x00\x00\x00\x01j", keys: 3,
		},
		{
			name: "no ids", id: blacklist.Identity{Issuer: "v"},
			hashed: "\x00\x00\x00\x01v\x00\x00\x00\x00", keys: 2,
		},
	} {
		sum := sha256.Sum256([]byte(tt.hashed))
		if got := l.bucket(tt.id); got != sum[0] {
			t.Errorf("%s: bucket %d, want %d", tt.name, got, sum[0])
		}
		if keys := l.lookup(0, tt.id); len(keys) != tt.keys {
			t.Errorf("%s: keys %q, want %d", tt.name, keys, tt.keys)
		}
	}
}

// TestIssuerCutOffIsInAllBuckets: Revoke writes the cut-off of an issuer to all 256 buckets. It
// was in force before only if it was in all of them.
func TestIssuerCutOffIsInAllBuckets(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	r := blacklist.OfIssuer("v", time.Now(), inAnHour())
	if revoke(t, s, r) || !revoke(t, s, r) {
		t.Error("Revoke reports before wrongly")
	}
	for b := range buckets {
		key, _ := s.layout.entry(uint8(b), blacklist.Issuer, r.Identity)
		if srv.Do("EXISTS", key) != int64(1) {
			t.Errorf("bucket %d does not contain the cut-off", b)
		}
	}
	last, _ := s.layout.entry(buckets-1, blacklist.Issuer, r.Identity)
	srv.Do("DEL", last)
	if revoke(t, s, r) || !revoke(t, s, r) {
		t.Error("Revoke reports before wrongly after one bucket lost the cut-off")
	}
}

func hex(b byte) string { return string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15]) }

// TestRedisContainsNoIDs: keys and values contain no id. With a secret, the keys are different, so
// that guessed ids cannot be confirmed.
func TestRedisContainsNoIDs(t *testing.T) {
	srv := redistest.Start(t)
	id := user("a")
	kinds := []blacklist.Revocation{
		blacklist.OfToken(id, inAnHour()), blacklist.OfSession(id, inAnHour()),
		blacklist.OfSubject(id.Issuer, id.Subject, time.Now(), inAnHour()),
	}
	keys := func(opts ...Option) map[string]bool {
		srv.Do("FLUSHALL")
		s := open(t, srv.Client(t), opts...)
		for _, r := range kinds {
			revoke(t, s, r)
		}
		if !isRevoked(t, s, id) {
			t.Error("the token is not revoked")
		}
		found := make(map[string]bool)
		for _, k := range srv.Do("KEYS", "*").([]any) {
			key := k.(string)
			if len(key) < 20 {
				continue // a mark
			}
			_, digest, _ := strings.Cut(key, "}:")
			found[digest] = true
			for _, part := range []string{id.ID, id.Session, id.Subject, id.Issuer} {
				if strings.Contains(key+srv.Do("GET", key).(string), part) {
					t.Errorf("%q contains %q", key, part)
				}
			}
		}
		if len(found) != len(kinds) {
			t.Fatalf("%d entries", len(found))
		}
		return found
	}
	plain := keys()
	secret := keys(WithHMACKey(bytes.Repeat([]byte("0123456789abcdef"), 2)))
	other := keys(WithHMACKey(bytes.Repeat([]byte("0123456789abcdeF"), 2)))
	for k := range plain {
		if secret[k] || other[k] {
			t.Errorf("%q is the same with a secret", k)
		}
	}
	for k := range secret {
		if other[k] {
			t.Errorf("%q is the same with two secrets", k)
		}
	}
}

// TestRedisKeepsEntriesBeyondTheirEnd: Redis keeps an entry longer than it is in force, and a later
// write never shortens that.
func TestRedisKeepsEntriesBeyondTheirEnd(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	id := user("a")
	key, _ := s.layout.entry(s.layout.bucket(id), blacklist.Token, id)
	margin := keepLonger + s.cfg.skew
	for _, step := range []struct {
		name  string
		until time.Duration // 0: never
		want  time.Duration // of the entry; 0: for ever
	}{
		{name: "an hour", until: time.Hour, want: time.Hour},
		{name: "then a minute", until: time.Minute, want: time.Hour},
		{name: "then two hours", until: 2 * time.Hour, want: 2 * time.Hour},
		{name: "then without an end", until: 0, want: 0},
		{name: "then an hour again", until: time.Hour, want: 0},
	} {
		until := time.Time{}
		if step.until != 0 {
			until = time.Now().Add(step.until)
		}
		revoke(t, s, blacklist.OfToken(id, until))
		ttl := time.Duration(srv.Do("PTTL", key).(int64)) * time.Millisecond
		switch {
		case step.want == 0 && ttl != -time.Millisecond:
			t.Errorf("%s: kept for %v, want for ever", step.name, ttl)
		case step.want != 0 && (ttl > step.want+margin+time.Second || ttl < step.want+margin-10*time.Second):
			t.Errorf("%s: kept for %v, want %v", step.name, ttl, step.want+margin)
		}
	}
}

func TestCovers(t *testing.T) {
	const now = 5
	for _, tt := range []struct {
		name    string
		entry   string
		start   int64
		want    bool
		wantErr bool
	}{
		{name: "no cut-off, no end", entry: "*:-:0123456789_:n", start: 5, want: true},
		{name: "ends in a millisecond", entry: "*:6:0123456789_:n", start: 5, want: true},
		{name: "ends now", entry: "*:5:0123456789_:n", start: 5, want: false},
		{name: "begun at the cut-off", entry: "7:-:0123456789_:n", start: 7, want: true},
		{name: "begun after the cut-off", entry: "7:-:0123456789_:n", start: 8, want: false},
		{name: "cut-off before 1970", entry: "-7:-:0123456789_:n", start: -8, want: true},
		{name: "cut-off that has ended", entry: "7:5:0123456789_:n", start: 7, want: false},
		{name: "cut-off that has not ended", entry: "7:6:0123456789_:n", start: 7, want: true},
		{name: "empty", entry: "", wantErr: true},
		{name: "one part", entry: "*", wantErr: true},
		{name: "two parts", entry: "*:-", wantErr: true},
		{name: "three parts", entry: "*:-:n", wantErr: true},
		{name: "no nonce", entry: "*:-:0123456789_", wantErr: true},
		{name: "empty nonce", entry: "*:-:0123456789_:", wantErr: true},
		{name: "no place", entry: "*:-::n", wantErr: true},
		{name: "short place", entry: "*:-:0123456789:n", wantErr: true},
		{name: "long place", entry: "*:-:0123456789_-:n", wantErr: true},
		{name: "empty end", entry: "*::0123456789_:n", wantErr: true},
		{name: "cut-off that is not a number", entry: "x:-:0123456789_:n", wantErr: true},
		{name: "empty cut-off", entry: ":-:0123456789_:n", wantErr: true},
		{name: "end with a fraction", entry: "*:1.5:0123456789_:n", wantErr: true},
		{name: "end beyond 64 bits", entry: "*:99999999999999999999:0123456789_:n", wantErr: true},
	} {
		got, err := covers(tt.entry, now, tt.start)
		if got != tt.want || (err != nil) != tt.wantErr {
			t.Errorf("%s: covers(%q, %d, %d) = %v, %v", tt.name, tt.entry, now, tt.start, got, err)
		}
	}
}

// FuzzValues: no value makes the parsers panic, and a value of another format is an error.
func FuzzValues(f *testing.F) {
	l, err := newLayout("p", nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"*:-:0123456789_:n", "1:2:0123456789_:n", l.markHead + "1700000000000", "1:1700000000000", "", "::::", "*:-",
		"-1:-1:0123456789_:-1", "2:1", "2:0123456789abcdef:1", l.markHead + "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if revoked, err := covers(value, 1, 1); err == nil && strings.Count(value, ":") < 3 {
			t.Errorf("covers(%q) = %v", value, revoked)
		}
		if at, err := l.parseMark(value); err == nil && !strings.HasPrefix(value, l.markHead) {
			t.Errorf("parseMark(%q) = %d", value, at)
		}
	})
}

func TestFormatUntil(t *testing.T) {
	for _, tt := range []struct {
		name  string
		until time.Time
		want  string
	}{
		{name: "zero time", until: time.Time{}, want: "-"},
		{name: "whole millisecond", until: time.UnixMilli(1_700_000_000), want: "1700000000"},
		{name: "before 1970", until: time.UnixMilli(-5), want: "-5"},
		{name: "rounded up", until: time.UnixMilli(5).Add(1), want: "6"},
		{name: "too large for a script", until: time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC), want: "-"},
		{name: "too large for 64 bits", until: time.Date(1_000_000_000, 1, 1, 0, 0, 0, 0, time.UTC), want: "-"},
	} {
		if got := formatUntil(tt.until); got != tt.want {
			t.Errorf("%s: formatUntil(%v) = %q, want %q", tt.name, tt.until, got, tt.want)
		}
	}
}
