package guard

import (
	"encoding/base64"
	"errors"
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
