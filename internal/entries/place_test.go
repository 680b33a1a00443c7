package entries

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// countingKey is the key of the reference vectors: 00 01 02 ... 0f.
func countingKey() (key [16]byte) {
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

// TestSipHashReferenceVectors uses vectors that the authors of SipHash published, for the messages
// 00, 00 01, 00 01 02 and so on.
func TestSipHashReferenceVectors(t *testing.T) {
	for _, tt := range []struct {
		length int
		want   uint64
	}{
		{length: 0, want: 0x726fdb47dd0e0e31},
		{length: 1, want: 0x74f839c593dc67fd},
		{length: 7, want: 0xab0200f58b01d137},
		{length: 8, want: 0x93f5f5799a932462},
		{length: 15, want: 0xa129ca6149be45e5},
	} {
		message := make([]byte, tt.length)
		for i := range message {
			message[i] = byte(i)
		}
		if got := SipHash(countingKey(), string(message)); got != tt.want {
			t.Errorf("%d bytes: %#x, want %#x", tt.length, got, tt.want)
		}
	}
}

// TestPlacesAreHashesOfTheWholeMessage compares the places of a Namespace, which hashes piece by
// piece, with SipHash of the message that blacklist.PlaceOf documents.
func TestPlacesAreHashesOfTheWholeMessage(t *testing.T) {
	key := countingKey()
	text := func(n int) string { return strings.Repeat("abcdefghijklmnopqrstuvwxyz\xff", n/27+1)[:n] }
	message := func(kind uint8, issuer string, fields ...string) string {
		m := binary.BigEndian.AppendUint64([]byte{kind}, SipHash(key, issuer))
		for _, field := range fields {
			m = binary.BigEndian.AppendUint32(m, uint32(len(field)))
			m = append(m, field...)
		}
		return string(m)
	}
	for first := range 40 {
		issuer := text(rand.IntN(100))
		n := NewNamespace(key, issuer)
		if got, want := n.Issuer(), SipHash(key, message(4, issuer)); got != want {
			t.Fatalf("kind 4: %#x, want %#x", got, want)
		}
		for kind := uint8(1); kind <= 3; kind++ {
			if got, want := n.One(kind, text(first)), SipHash(key, message(kind, issuer, text(first))); got != want {
				t.Fatalf("kind %d, %d bytes: %#x, want %#x", kind, first, got, want)
			}
			for second := range 40 {
				got, want := n.Two(kind, text(first), text(second)), SipHash(key, message(kind, issuer, text(first), text(second)))
				if got != want || got != Place(key, kind, issuer, text(first), text(second)) {
					t.Fatalf("kind %d, %d and %d bytes: %#x, want %#x", kind, first, second, got, want)
				}
			}
		}
	}
}

// BenchmarkPlace reports the fastest of many rounds, which other processes did not slow down.
func BenchmarkPlace(b *testing.B) {
	b.ReportAllocs()
	n, text := NewNamespace(countingKey(), "https://issuer.example"), "0f8fad5b-d9cb-469f-a165-70867728950e"
	best, begun, i := time.Duration(math.MaxInt64), time.Now(), 0
	for b.Loop() {
		n.One(1, text)
		if i++; i%512 == 0 {
			best = min(best, time.Since(begun))
			begun = time.Now()
		}
	}
	b.ReportMetric(float64(best.Nanoseconds())/512, "ns-best-round")
}
