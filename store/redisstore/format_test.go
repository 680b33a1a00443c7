package redisstore

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
)

var (
	secretA = bytes.Repeat([]byte("0123456789abcdef"), 2)
	secretB = bytes.Repeat([]byte("0123456789abcdeF"), 2)
)

// TestStoreWithAnotherKeyIsRefused: a process whose HMAC key is not that of the marks gets errors
// from every call, and writes nothing. Otherwise its look-ups would find no revocation, and its
// revocations would have no effect on the others.
func TestStoreWithAnotherKeyIsRefused(t *testing.T) {
	srv := redistest.Start(t)
	for _, tt := range []struct {
		name             string
		marks, processes []Option
	}{
		{name: "a secret, marks without one", processes: []Option{WithHMACKey(secretA)}},
		{name: "no secret, marks with one", marks: []Option{WithHMACKey(secretA)}},
		{name: "another secret", marks: []Option{WithHMACKey(secretA)}, processes: []Option{WithHMACKey(secretB)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv.Do("FLUSHALL")
			running := open(t, srv.Client(t), tt.processes...)
			srv.Do("FLUSHALL")
			open(t, srv.Client(t), tt.marks...)
			_, err := New(t.Context(), srv.Client(t), append(tt.processes, WithLogger(discard()))...)
			mustSay(t, "New", err, "HMAC key or prefix")
			mustRefuseAll(t, srv, running, "HMAC key or prefix")
		})
	}
}

// TestMarksOfAnotherPrefixAreRefused copies all keys to another prefix.
func TestMarksOfAnotherPrefixAreRefused(t *testing.T) {
	srv := redistest.Start(t)
	open(t, srv.Client(t), WithPrefix("first"))
	for _, key := range srv.Do("KEYS", "*").([]any) {
		srv.Do("COPY", key, strings.Replace(key.(string), "first", "second", 1))
	}
	_, err := New(t.Context(), srv.Client(t), WithPrefix("second"), WithLogger(discard()))
	mustSay(t, "New", err, "HMAC key or prefix")
}

// TestToolWithAnotherPrefixIsRefused: with WithMissingMark(Refuse), the prefix of no blacklist makes
// every call an error.
func TestToolWithAnotherPrefixIsRefused(t *testing.T) {
	srv := redistest.Start(t)
	open(t, srv.Client(t))
	tool, err := New(t.Context(), srv.Client(t), WithPrefix("mistyped"), WithMissingMark(Refuse), WithLogger(discard()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tool.Close() })
	before := srv.Do("DBSIZE")
	_, err = tool.IsRevoked(t.Context(), user("a"))
	mustSay(t, "IsRevoked", err, "another prefix")
	_, err = tool.Revoke(t.Context(), blacklist.OfToken(user("a"), inAnHour()))
	mustSay(t, "Revoke", err, "another prefix")
	mustSay(t, "Ping", tool.Ping(t.Context()), "another prefix")
	if after := srv.Do("DBSIZE"); after != before {
		t.Errorf("%v keys before, %v after the refused calls", before, after)
	}
}

// TestFormatVersion1IsRefused: marks of version 1 are errors that say what to do.
func TestFormatVersion1IsRefused(t *testing.T) {
	srv := redistest.Start(t)
	s := open(t, srv.Client(t))
	for b := range buckets {
		srv.Do("SET", s.layout.mark(uint8(b)), "1:1700000000000")
	}
	_, err := New(t.Context(), srv.Client(t), WithLogger(discard()))
	mustSay(t, "New", err, "delete the keys under the prefix")
	mustRefuseAll(t, srv, s, "delete the keys under the prefix")
}

// mustRefuseAll checks that every call of the store is an error that contains the text, that none
// writes anything, and that the breaker stays closed, because the server works.
func mustRefuseAll(t *testing.T, srv *redistest.Server, s *Store, text string) {
	t.Helper()
	before := srv.Do("DBSIZE")
	for range 2 * defaultFailures {
		revoked, err := s.IsRevoked(t.Context(), user("a"))
		if mustSay(t, "IsRevoked", err, text); revoked {
			t.Error("IsRevoked returns true together with an error")
		}
	}
	for _, r := range []blacklist.Revocation{
		blacklist.OfToken(user("a"), inAnHour()), blacklist.OfIssuer("https://issuer.example", time.Now(), inAnHour()),
	} {
		revokedBefore, err := s.Revoke(t.Context(), r)
		if mustSay(t, "Revoke of a "+r.Kind.String(), err, text); revokedBefore {
			t.Error("Revoke returns true together with an error")
		}
	}
	for call, err := range sessionErrors(t, s) {
		mustSay(t, call, err, text)
	}
	mustSay(t, "Ping", s.Ping(t.Context()), text)
	mustSay(t, "MakeMarks", s.MakeMarks(t.Context()), text)
	if after := srv.Do("DBSIZE"); after != before {
		t.Errorf("%v keys before, %v after the refused calls", before, after)
	}
}

// mustSay checks an error of the store and that it contains the text.
func mustSay(t *testing.T, call string, err error, text string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", call)
		return
	}
	mustBeUnavailable(t, err)
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%s: error %q, want one that contains %q", call, err, text)
	}
}

// TestEntriesDescribeThemselves reads all entries without the ids: their keys contain the kind and
// the digest, their values the cut-off, the end and the place, the later ones where two were merged.
func TestEntriesDescribeThemselves(t *testing.T) {
	srv := redistest.Start(t)
	for _, opts := range [][]Option{nil, {WithHMACKey(secretA)}} {
		srv.Do("FLUSHALL")
		s := open(t, srv.Client(t), opts...)
		id, cutOff, until := user("a"), time.Now(), inAnHour()
		id.Template = "https://login.example/{tenant}/v2.0"
		want := make(map[string]string)
		for _, r := range []blacklist.Revocation{
			blacklist.OfToken(id, until),
			blacklist.OfSession(id, time.Time{}),
			blacklist.OfSubject(id.Issuer, id.Subject, cutOff, until),
			{Kind: blacklist.Issuer, Identity: id, CutOff: cutOff, Until: until},
		} {
			earlier := r
			earlier.Until, earlier.CutOff = until.Add(-time.Minute), cutOff.Add(-time.Minute)
			for _, each := range []blacklist.Revocation{earlier, r, earlier} {
				revoke(t, s, each)
			}
			times := "*:"
			if !r.CutOff.IsZero() {
				times = fmt.Sprint(r.CutOff.UnixMilli(), ":")
			}
			place, _ := blacklist.PlaceOf(s.layout.places, r.Kind, id)
			key, _ := blacklist.KeyOf(r.Kind, id)
			digest := s.layout.withSecret(key)
			letter := map[blacklist.Kind]string{blacklist.Token: "t", blacklist.Session: "s", blacklist.Subject: "u", blacklist.Issuer: "i"}[r.Kind]
			want[letter+":"+base64.RawURLEncoding.EncodeToString(digest[:digestBytes])] = times + formatUntil(r.Until) + ":" + formatPlace(place)
		}
		found := make(map[string]string)
		for _, k := range srv.Do("KEYS", "*").([]any) {
			_, name, _ := strings.Cut(k.(string), "}:")
			if name != "g" && name != "f" {
				value := srv.Do("GET", k).(string)
				found[name] = value[:strings.LastIndex(value, ":")]
			}
		}
		for name, value := range want {
			if found[name] != value {
				t.Errorf("%s: the store contains %q, want %q", name, found[name], value)
			}
		}
		if len(found) != len(want) {
			t.Errorf("%d different entries, want %d", len(found), len(want))
		}
	}
}

// TestCheckValuesAndPlaceKeysAreStable: a change of these values is a new format of the store. Both
// depend on the prefix and on the secret.
func TestCheckValuesAndPlaceKeysAreStable(t *testing.T) {
	heads, places := make(map[string]bool), make(map[blacklist.PlaceKey]bool)
	for _, tt := range []struct {
		prefix   string
		secret   []byte
		markHead string
		places   string
	}{
		{prefix: "p", secret: nil, markHead: "2:KzdXoEK_ODs-edWW:", places: "e6cb9887023d1d478548643740032fa3"},
		{prefix: "q", secret: nil, markHead: "2:IDYh2XUx4ATPdSpj:", places: "0f0aeaabd0ece4f7bb37ee09421b9887"},
		{prefix: "p", secret: secretA, markHead: "2:oQmmTxZov7IpViCH:", places: "d24942b5d822d4aaf35ea8803aa7699c"},
		{prefix: "q", secret: secretA, markHead: "2:fh05yfTygBWAOGCV:", places: "a9471cb5fe710d919097311d7bcc7586"},
		{prefix: "p", secret: secretB, markHead: "2:C4DQzzpdDp9hXnsp:", places: "54dbe7d82364a6cb7b15e09d875f0262"},
	} {
		l, err := newLayout(tt.prefix, tt.secret)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", l.places); l.markHead != tt.markHead || got != tt.places {
			t.Errorf("prefix %s, secret %q: {markHead: %q, places: %q}", tt.prefix, tt.secret, l.markHead, got)
		}
		if heads[l.markHead] || places[l.places] {
			t.Errorf("prefix %s, secret %q: the same values as for others", tt.prefix, tt.secret)
		}
		heads[l.markHead], places[l.places] = true, true
	}
}
