package operator_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/operator"
	"github.com/oapi-guard/oapi-guard/internal/redistest"
	"github.com/oapi-guard/oapi-guard/store/redisstore"
)

// TestHMACKeyOfTheStore opens a store in Redis with the secret of the service, and with others.
func TestHMACKeyOfTheStore(t *testing.T) {
	redis := redistest.Start(t)
	secret, other := []byte("abcdefghijklmnopqrstuvwxyz012345"), []byte("543210zyxwvutsrqponmlkjihgfedcba")
	service := must(redisstore.New(t.Context(), redis.Client(t), redisstore.WithHMACKey(secret), redisstore.WithLogger(slog.New(slog.DiscardHandler))))(t)
	defer service.Close()
	before := fmt.Sprint(redis.Do("DBSIZE"))
	for _, tt := range []struct {
		name, prefix string
		secret       []byte
		want         string // of the error
	}{
		{name: "the secret of the service", secret: secret},
		{name: "another secret", secret: other, want: "another HMAC key or prefix"},
		{name: "no secret", want: "another HMAC key or prefix"},
		{name: "another prefix", secret: secret, prefix: "other", want: "a mark is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, err := operator.OpenStore(t.Context(), operator.StoreConfig{
				URL: "redis://" + redis.Addr(), Issuer: "https://notes.example.com", HMACKey: tt.secret, Prefix: tt.prefix,
				Retention: operator.DefaultRetention, Logger: slog.New(slog.DiscardHandler),
			})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "STORE_HMAC_KEY") {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if after := fmt.Sprint(redis.Do("DBSIZE")); after != before {
		t.Errorf("Redis had %s keys and has %s", before, after)
	}
}

// TestAdminEndpointThatMisbehaves calls servers that are no admin endpoint.
func TestAdminEndpointThatMisbehaves(t *testing.T) {
	const secret = "the-operator-secret-of-32-characters"
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{name: "redirects", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}, want: "status 307"},
		{name: "answers 200 to a revocation", answer: func(http.ResponseWriter, *http.Request) {}, want: "status 200"},
		{name: "is unavailable", answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, want: "may still be accepted"},
		{name: "limits", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(429)
		}, want: "wait 30 seconds"},
		{name: "writes to the terminal", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, `{"detail":"\u001b[2J"}`)
		}, want: `\x1b[2J`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			admin := must(operator.OpenAdmin(server.URL, secret))(t)
			defer admin.Close()
			err := (&operator.Operator{Target: admin, Unchecked: true}).Subject(t.Context(), "alice")
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if elsewhere > 0 {
		t.Error("the request with the secret was sent to another server")
	}
}
