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

func TestLayout(t *testing.T) {
	l, err := newLayout("p", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := blacklist.Identity{Verifier: "v", ID: "j", Session: "s", Subject: "u"}
	sum := sha256.Sum256([]byte("\x00\x00\x00\x01v\x00\x00\x00\x01u"))
	if l.bucket(id) != sum[0] {
		t.Error("the bucket is not the first byte of SHA-256 over length-prefixed verifier and subject")
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

	// Whatever identifies less than the subject lies where the look-up of the whole token reads.
	for _, r := range []blacklist.Revocation{
		blacklist.OfToken(id, time.Time{}), blacklist.OfSession(id, time.Time{}),
		blacklist.OfSubject("v", "u", time.Now(), time.Time{}),
	} {
		if l.bucket(r.Identity) != l.bucket(id) {
			t.Errorf("a %s lies in another bucket than its tokens", r.Kind)
		}
	}
	// Without a subject the session decides, then the token; absent parts are not looked up.
	for _, c := range []struct {
		id   blacklist.Identity
		text string
		keys int
	}{
		{blacklist.Identity{Verifier: "v", Session: "s", ID: "j"}, "\x00\x00\x00\x01v\x00\x00\x00\x01s", 4},
		{blacklist.Identity{Verifier: "v", ID: "j"}, "\x00\x00\x00\x01v\x00\x00\x00\x01j", 3},
		{blacklist.Identity{Verifier: "v"}, "\x00\x00\x00\x01v\x00\x00\x00\x00", 2},
	} {
		sum := sha256.Sum256([]byte(c.text))
		if got := l.bucket(c.id); got != sum[0] {
			t.Errorf("%+v lies in bucket %d", c.id, got)
		}
		if keys := l.lookup(0, c.id); len(keys) != c.keys {
			t.Errorf("%+v: keys %q", c.id, keys)
		}
	}
}

// TestVerifierEverywhere: a verifier's cut-off lies in all 256 buckets, and it was in force before only where it was in
// all of them.
func TestVerifierEverywhere(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	r := blacklist.OfVerifier("v", time.Now(), inAnHour())
	if revoke(t, s, r) || !revoke(t, s, r) {
		t.Error("before is wrong")
	}
	for b := range buckets {
		key, _ := s.layout.entry(uint8(b), blacklist.Verifier, r.Identity)
		if srv.Do("EXISTS", key) != int64(1) {
			t.Errorf("bucket %d lacks it", b)
		}
	}
	last, _ := s.layout.entry(buckets-1, blacklist.Verifier, r.Identity)
	srv.Do("DEL", last)
	if revoke(t, s, r) || !revoke(t, s, r) {
		t.Error("before is wrong for one that was in force in part")
	}
}

func hex(b byte) string { return string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15]) }

// TestNoIDsInRedis: no id is readable in Redis; with a secret, none can be confirmed by guessing either.
func TestNoIDsInRedis(t *testing.T) {
	srv := redistest.Start(t)
	id := user("a")
	kinds := []blacklist.Revocation{
		blacklist.OfToken(id, inAnHour()), blacklist.OfSession(id, inAnHour()),
		blacklist.OfSubject(id.Verifier, id.Subject, time.Now(), inAnHour()),
	}
	keys := func(opts ...Option) map[string]bool {
		srv.Do("FLUSHALL")
		s := open(t, srv.Client(t), opts...)
		for _, r := range kinds {
			revoke(t, s, r)
		}
		if !isRevoked(t, s, id) {
			t.Error("not revoked")
		}
		found := make(map[string]bool)
		for _, k := range srv.Do("KEYS", "*").([]any) {
			key := k.(string)
			if len(key) < 20 {
				continue // a mark
			}
			_, digest, _ := strings.Cut(key, "}:")
			found[digest] = true
			for _, part := range []string{id.ID, id.Session, id.Subject, id.Verifier} {
				if strings.Contains(key+srv.Do("GET", key).(string), part) {
					t.Errorf("%q tells %q", key, part)
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

// TestTimeToLive: Redis keeps an entry a little longer than it is in force, never shorter, and a later write never
// shortens that.
func TestTimeToLive(t *testing.T) {
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
		{"an hour", time.Hour, time.Hour},
		{"shorter", time.Minute, time.Hour},
		{"longer", 2 * time.Hour, 2 * time.Hour},
		{"never", 0, 0},
		{"an hour after never", time.Hour, 0},
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
	for _, c := range []struct {
		entry      string
		now, start int64
		want, bad  bool
	}{
		{"*:-:n", 5, 5, true, false},
		{"*:6:n", 5, 5, true, false},
		{"*:5:n", 5, 5, false, false}, // until is exclusive
		{"7:-:n", 5, 7, true, false},
		{"7:-:n", 5, 8, false, false},
		{"-7:-:n", 5, -8, true, false},
		{"7:5:n", 5, 7, false, false},
		{"7:6:n", 5, 7, true, false},
		{"", 5, 5, false, true}, {"*", 5, 5, false, true}, {"*:-", 5, 5, false, true}, {"*:-:", 5, 5, false, true},
		{"*::n", 5, 5, false, true}, {"x:-:n", 5, 5, false, true}, {":-:n", 5, 5, false, true}, {"*:1.5:n", 5, 5, false, true},
		{"*:99999999999999999999:n", 5, 5, false, true},
	} {
		got, err := covers(c.entry, c.now, c.start)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("covers(%q, %d, %d) = %v, %v", c.entry, c.now, c.start, got, err)
		}
	}
}

// FuzzValues: no value of Redis makes the parsers panic, and none that is not of the format says "not revoked" quietly.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"*:-:n", "1:2:n", "1:1700000000000", "", ":::", "*:-", "-1:-1:-1", "2:1", "1:\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if revoked, err := covers(value, 1, 1); err == nil && strings.Count(value, ":") < 2 {
			t.Errorf("covers(%q) = %v", value, revoked)
		}
		if at, err := parseMark(value); err == nil && !strings.HasPrefix(value, "1:") {
			t.Errorf("parseMark(%q) = %d", value, at)
		}
	})
}

func TestFormatUntil(t *testing.T) {
	for until, want := range map[time.Time]string{
		{}:                            "-",
		time.UnixMilli(1_700_000_000): "1700000000",
		time.UnixMilli(-5):            "-5",
		time.UnixMilli(5).Add(1):      "6",
		time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC):       "-",
		time.Date(1_000_000_000, 1, 1, 0, 0, 0, 0, time.UTC): "-",
	} {
		if got := formatUntil(until); got != want {
			t.Errorf("formatUntil(%v) = %q, want %q", until, got, want)
		}
	}
}
