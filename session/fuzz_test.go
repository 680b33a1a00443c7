package session_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/session"
)

// FuzzDecodeRow: a row that is accepted is read back as it was written, whatever the text was.
func FuzzDecodeRow(f *testing.F) {
	full := session.Row{
		Subject: session.Subject{Issuer: "https://issuer.example", Name: "älice"}, ID: "sid", Began: time.UnixMilli(1), End: time.UnixMilli(2),
		IdleTimeout: time.Hour, IdleDeadline: time.UnixMilli(3), AccessLifetime: time.Minute, Epoch: 1 << 63, Generation: 1<<32 - 1,
		IssuedAt: time.UnixMilli(4), ExpiresAt: time.UnixMilli(5), Rotated: time.UnixMilli(6), Nonce: "n", Unacknowledged: true,
		Repeats: 3, Repeated: true, CSRF: "c", LastSeen: time.UnixMilli(7), ClientID: "web",
		Device: session.Device{Name: "phone", UserAgent: "\x00\"", Address: "::1"}, Ended: time.UnixMilli(8), Reason: session.Reused, Owed: true,
	}
	for _, row := range []session.Row{full, {ID: "sid"}} {
		text, err := row.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(text[:len(text)/2])
		f.Add(bytes.Replace(text, []byte(`"v":1`), []byte(`"v":2`), 1))
		f.Add(append(bytes.TrimSuffix(text, []byte("}")), `,"x":1}`...))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		row, err := session.DecodeRow(text)
		if err != nil {
			return
		}
		again, err := row.Encode()
		if err != nil {
			t.Fatalf("a row that was read cannot be written: %v", err)
		}
		same, err := session.DecodeRow(again)
		if err != nil || same != row {
			t.Fatalf("%s\nis read back as\n%s\n%v", text, again, err)
		}
	})
}

// FuzzParsePosition: a position that is accepted names one row.
func FuzzParsePosition(f *testing.F) {
	for _, seed := range []string{"", "1.a", "-1.a.b", "01.a", "+1.a", ".a", "1.", "9223372036854775808.a", "x.y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		began, id, err := session.ParsePosition(text)
		if err != nil || text == "" {
			return
		}
		if again := session.PositionAfter(session.Row{Began: began, ID: id}); again != text {
			t.Fatalf("%q is also the position %q", text, again)
		}
	})
}
