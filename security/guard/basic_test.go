package guard

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// TestParseBasicRefusesControlCharacters decodes names and passwords with and without control
// characters (RFC 7617, section 2).
func TestParseBasicRefusesControlCharacters(t *testing.T) {
	for _, tt := range []struct {
		name               string
		username, password string
		want               error
	}{
		{name: "printable", username: "alice", password: "pass:word", want: nil},
		{name: "letters outside ASCII", username: "Älice", password: "pässwörd€", want: nil},
		{name: "empty password", username: "alice", password: "", want: nil},
		{name: "NUL in the name", username: "al\x00ice", password: "secret", want: security.ErrInvalidCredentials},
		{name: "DEL in the name", username: "alice\x7f", password: "secret", want: security.ErrInvalidCredentials},
		{name: "NUL in the password", username: "alice", password: "sec\x00ret", want: security.ErrInvalidCredentials},
		{name: "tab in the password", username: "alice", password: "\tsecret", want: security.ErrInvalidCredentials},
		{name: "line break in the password", username: "alice", password: "secret\r\n", want: security.ErrInvalidCredentials},
		{name: "last control character before the space in the password", username: "alice", password: "sec\x1fret", want: security.ErrInvalidCredentials},
		{name: "DEL in the password", username: "alice", password: "secret\x7f", want: security.ErrInvalidCredentials},
	} {
		t.Run(tt.name, func(t *testing.T) {
			credentials, err := parseBasic(base64.StdEncoding.EncodeToString([]byte(tt.username + ":" + tt.password)))
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil && (credentials.Username() != tt.username || credentials.Password() != tt.password) {
				t.Errorf("name %q and password %q, want %q and %q", credentials.Username(), credentials.Password(), tt.username, tt.password)
			}
		})
	}
}

// FuzzBasic decodes arbitrary texts behind Basic. What is accepted encodes to the same text, and
// has no control characters.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"YTpi", "YTo=", "Og==", "YTpi\n", "YTpi=", "YQ==", "YTpiOmM=", "YQA6Yg==", "YTpiAA==", "w6k6w6k=", "!", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseBasic(text)
		if err != nil {
			if !errors.Is(err, security.ErrInvalidCredentials) || c.Username() != "" || c.Password() != "" {
				t.Errorf("%v with %q", err, c.Username())
			}
			return
		}
		both := c.Username() + ":" + c.Password()
		if strings.Contains(c.Username(), ":") || strings.ContainsFunc(both, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			t.Errorf("accepted %q", both)
		}
		// The decoder of the standard library skips line breaks, which no header contains.
		if plain := strings.NewReplacer("\r", "", "\n", "").Replace(text); base64.StdEncoding.EncodeToString([]byte(both)) != plain {
			t.Errorf("%q is not the encoding of %q", text, both)
		}
	})
}

// TestBasicCredentialsPrintRedacted searches every printed form of credentials for the name and the
// password.
func TestBasicCredentialsPrintRedacted(t *testing.T) {
	c, err := parseBasic(base64.StdEncoding.EncodeToString([]byte("alice:hunter2")))
	if err != nil || c.Username() != "alice" || c.Password() != "hunter2" {
		t.Fatalf("%v, %q", err, c.Username())
	}
	encoded := must(json.Marshal(struct{ C BasicCredentials }{c}))(t)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q %x %d", c, c, c, c, c, c), fmt.Sprintf("%+v", struct{ c BasicCredentials }{c}), string(encoded)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "alice") {
			t.Errorf("it prints as %s", text)
		}
	}
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "c", c)
	if strings.Contains(b.String(), "hunter2") {
		t.Errorf("it logs as %s", b.String())
	}
	if zero := (BasicCredentials{}); zero.Username() != "" || zero.Password() != "" {
		t.Error("the zero value has a name or a password")
	}
}
