package operator_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/operator"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
)

// found returns the findings as lines.
func found(r *operator.Report) string {
	var lines strings.Builder
	for _, f := range r.Findings {
		lines.WriteString(f.Level + ": " + f.Text + " fix: " + f.Fix + "\n")
	}
	return lines.String()
}

func TestDoctorChecksTheStore(t *testing.T) {
	used, empty := redistest.Start(t), redistest.Start(t, redistest.WithAOF("everysec"))
	evicts := redistest.Start(t, redistest.WithArgs("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"))
	service := must(redisstore.New(t.Context(), used.Client(t), redisstore.WithLogger(slog.New(slog.DiscardHandler))))(t)
	defer service.Close()
	for _, tt := range []struct {
		name, url string
		failed    bool
		strict    bool // fails with --strict
		want      string
	}{
		{name: "a store that works", url: "redis://" + used.Addr(), strict: true, want: "warning: the server has no append-only file fix: "},
		{name: "an empty store", url: "redis://" + empty.Addr(), failed: true, strict: true, want: "mark is missing"},
		{name: "a server that evicts", url: "redis://" + evicts.Addr(), failed: true, strict: true, want: "set maxmemory-policy noeviction"},
		{name: "no server", url: "redis://:secret-word@127.0.0.1:1", failed: true, strict: true, want: "error: "},
		{name: "a file of bolt", url: "bolt:x", failed: true, strict: true, want: "--admin-url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &operator.Report{}
			r.CheckStore(t.Context(), operator.StoreConfig{URL: tt.url})
			text := found(r)
			if r.Failed(false) != tt.failed || r.Failed(true) != tt.strict || !strings.Contains(text, tt.want) || strings.Contains(text, "secret-word") {
				t.Errorf("want %q:\n%s", tt.want, text)
			}
		})
	}
	if size, _ := empty.Do("DBSIZE").(int64); size != 0 {
		t.Errorf("the check has written %d keys", size)
	}
}

func TestDoctorChecksProviders(t *testing.T) {
	public := must(keys.JWKSHandler(newKeys(t, keys.ES256), time.Minute))(t)
	mux := http.NewServeMux()
	mux.Handle("/jwks.json", public)
	mux.HandleFunc("/private.json", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[{"kty":"oct","k":"secret-word","alg":"HS256"}]}`)
	})
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": server.URL, "jwks_uri": server.URL + "/jwks.json"})
	})
	for _, tt := range []struct {
		name, address string
		discover      bool
		failed        bool
		want          string
	}{
		{name: "a JWK set", address: server.URL + "/jwks.json", want: "publishes ES256 key "},
		{name: "an issuer", address: server.URL, discover: true, want: "publishes ES256 key "},
		{name: "another name of the issuer", address: server.URL + "/", discover: true, failed: true, want: "letter by letter"},
		{name: "a private key", address: server.URL + "/private.json", failed: true, want: "private or symmetric"},
		{name: "nothing", address: server.URL + "/nothing.json", failed: true, want: "nothing.json: unavailable (the response of the key server has another status than 200)"},
		{name: "plain HTTP", address: "http://login.example.com/jwks.json", failed: true, want: "https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &operator.Report{}
			r.CheckProvider(t.Context(), tt.address, tt.discover, server.Client())
			if text := found(r); r.Failed(false) != tt.failed || !strings.Contains(text, tt.want) || strings.Contains(text, "secret-word") {
				t.Errorf("want %q:\n%s", tt.want, text)
			}
		})
	}
}

func TestDoctorChecksKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keys.CreateFile(path, keys.ES256); err != nil {
		t.Fatal(err)
	}
	file := must(operator.OpenKeyFile(path))(t)
	if _, _, err := file.Rotate(time.Now(), false); err != nil {
		t.Fatal(err)
	}
	if err := file.Save(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		now        time.Time
		failed     bool
		want       string
	}{
		{name: "a rotation that goes on", path: path, now: time.Now(), want: "ok: ES256 key "},
		{name: "a rotation that waits", path: path, now: time.Now().Add(30 * 24 * time.Hour), want: "warning: the rotation waits for the step sign since "},
		{name: "no file", path: path + "x", failed: true, want: "oapi-guard keys new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &operator.Report{}
			r.CheckKeyFile(tt.path, tt.now)
			if text := found(r); r.Failed(false) != tt.failed || !strings.Contains(text, tt.want) || tt.want[0] == 'o' && r.Failed(true) && !tt.failed {
				t.Errorf("want %q:\n%s", tt.want, text)
			}
		})
	}
}
