package entries

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
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

// TestPlaceIsTheHashOfTheWholeMessage compares Place, which hashes piece by piece, with SipHash of
// the message that blacklist.PlaceOf documents.
func TestPlaceIsTheHashOfTheWholeMessage(t *testing.T) {
	key := countingKey()
	text := func(n int) string { return strings.Repeat("abcdefghijklmnopqrstuvwxyz\xff", n/27+1)[:n] }
	for kind := uint8(1); kind <= 4; kind++ {
		for first := range 40 {
			for second := range 40 {
				issuer := rand.Uint64()
				fields := []string{text(first), text(second)}
				message := binary.BigEndian.AppendUint64([]byte{kind}, issuer)
				for _, field := range fields {
					message = binary.BigEndian.AppendUint32(message, uint32(len(field)))
					message = append(message, field...)
				}
				if got, want := Place(key, kind, issuer, fields...), SipHash(key, string(message)); got != want {
					t.Fatalf("kind %d, %d and %d bytes: %#x, want %#x", kind, first, second, got, want)
				}
			}
		}
	}
}

func BenchmarkPlace(b *testing.B) {
	b.ReportAllocs()
	key, text := countingKey(), "0f8fad5b-d9cb-469f-a165-70867728950e"
	for b.Loop() {
		Place(key, 1, 0x0123456789abcdef, text)
	}
}
