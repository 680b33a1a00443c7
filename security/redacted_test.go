package security

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// printed returns the values as fmt, slog and JSON print them, also inside structs and slices.
func printed(values ...any) []string {
	var out []string
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			out = append(out, fmt.Sprintf(verb, v), fmt.Sprintf(verb, []any{v}), fmt.Sprintf(verb, struct{ V any }{v}))
		}
		encoded, err := json.Marshal(v)
		out = append(out, string(encoded), fmt.Sprint(err))
		for _, handler := range []func(*strings.Builder) slog.Handler{
			func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
			func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b strings.Builder
			slog.New(handler(&b)).Info("x", "value", v, "in", struct{ V any }{v})
			out = append(out, b.String())
		}
	}
	return out
}

// TestTokensPrintRedacted searches the printed forms of tokens for their texts and claims.
func TestTokensPrintRedacted(t *testing.T) {
	f := newFixture(t)
	pair, access, refresh := f.login(t)
	type AccessToken struct{ Token[userClaims] }
	named := AccessToken{access.(Token[userClaims])}
	for _, text := range printed(access, refresh, named, &named, pair, pair.Access, &pair.Refresh) {
		for _, secret := range []string{pair.Access.Text()[:20], pair.Access.ID(), pair.Refresh.ID(), pair.Access.Session(), "alice", fmt.Sprintf("%x", "alice")} {
			if strings.Contains(text, secret) {
				t.Errorf("printed %q: %s", secret, text)
			}
		}
	}
	if got := fmt.Sprint(named); got != "[access token]" {
		t.Errorf("prints as %s", got)
	}
}

// TestFieldsPrintRedacted has secrets in unexported fields, which fmt prints without calling
// methods.
func TestFieldsPrintRedacted(t *testing.T) {
	f := newFixture(t)
	pair, _, _ := f.login(t, WithCSRF())
	key := *must(keys.NewHMAC(keys.HS256, testSecret))(t)
	value := struct {
		pair TokenPair
		key  keys.Key
	}{pair, key}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
	for _, text := range append(printed(value), log.String()) {
		for _, secret := range []string{pair.Access.Text()[:30], pair.Access.CSRF(), "0123456789abcdef", "48 49 50", "30313233"} {
			if strings.Contains(text, secret) {
				t.Fatalf("printed %q: %.300s", secret, text)
			}
		}
	}
}

// TestKeysPrintRedacted searches the printed forms of keys, key sets and verifiers for key
// material.
func TestKeysPrintRedacted(t *testing.T) {
	key := must(keys.NewHMAC(keys.HS256, testSecret, keys.WithID("k1")))(t)
	encoded, err := json.Marshal(struct{ K *keys.Key }{key})
	for _, text := range printed(struct{ K *keys.Key }{key}, key, *key, struct{ K keys.Key }{*key}, must(keys.NewSet(key))(t), must(NewVerifier(testIssuer, must(keys.NewSet(key))(t)))(t)) {
		if strings.Contains(text, "0123456789abcdef") || strings.Contains(text, "48 49 50") || strings.Contains(text, "30313233") {
			t.Errorf("printed key material: %s", text)
		}
	}
	if err == nil {
		t.Errorf("a key encodes as %s", encoded)
	}
}
