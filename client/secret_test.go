package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestNothingPrintsSecrets checks fmt, slog and encoding/json.
func TestNothingPrintsSecrets(t *testing.T) {
	a, keeper := newAuthority(t), NewMemoryKeeper()
	basic := &Scheme{Name: "basic", Kind: KindBasic}
	c := newClient(t, a.URL, Config{Keeper: keeper, Credentials: map[*Scheme]Credential{basic: Basic("ann", "secret-password"), keyScheme: Secret("secret-key")}})
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	tokens, err := c.Tokens().Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(tokens.AccessToken, "secret") {
		t.Fatal("the token has no secret to look for")
	}
	for name, value := range map[string]any{
		"tokens": tokens, "pointer to tokens": &tokens, "source": c.Tokens(), "source itself": struct{ S *TokenSource }{c.Tokens()},
		"keeper": keeper, "client": c, "credential": Secret("secret-key"), "basic": Basic("ann", "secret-password"),
		"in a struct":                       struct{ T Tokens }{tokens},
		"source in an unexported field":     struct{ s *TokenSource }{c.Tokens()},
		"credential in an unexported field": struct{ c Credential }{Secret("secret-key")},
		"keeper in an unexported field":     struct{ k Keeper }{keeper},
		"in a map":                          map[string]Tokens{"a": tokens},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&log, verb+"\n", value)
		}
		if text, err := json.Marshal(value); err == nil {
			log.Write(text)
		}
		text := log.String()
		if strings.Contains(text, "secret-") || strings.Contains(text, fmt.Sprintf("%x", "secret-")) || strings.Contains(text, "115 101 99 114 101 116") {
			t.Errorf("%s prints a secret:\n%s", name, text)
		}
	}
}

func TestErrorsHaveNoSecrets(t *testing.T) {
	a, now, keeper := newAuthority(t), newClock(), NewMemoryKeeper()
	c := newClient(t, a.URL, Config{Keeper: keeper}, WithClock(now.now))
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	now.advance(time.Hour)
	for _, answer := range []string{
		`{"access_token":"secret-1","expires_in":"secret-2"}`, `{"access_token":["secret-1"]}`, `{"access_token":"secret-1`, `"secret-1"`,
		`{"access_token":"secret-1","token_type":"secret-2"}`, `{"access_token":"secret-1","refresh_token":"secret 2"}`, `{"expires_in":1,"access_token":"secret-1\u0000"}`,
	} {
		a.onRefresh = func(w http.ResponseWriter, _ int) bool {
			_, _ = w.Write([]byte(answer))
			return true
		}
		_, err := c.Tokens().Tokens(t.Context())
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v", answer, err)
		}
	}
	if err := keeper.Save(t.Context(), []byte(`{"access_token": secret-1`)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Tokens().Tokens(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a damaged keeper: error %v", err)
	}
}

func TestParseTokens(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, answer string
		refresh      string
		lifetime     time.Duration // 0 if it is unknown
	}{
		{name: "all fields", answer: `{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":60}`, refresh: "r", lifetime: time.Minute},
		{name: "a number with a fraction", answer: `{"access_token":"a","expires_in":1.5}`, lifetime: 1500 * time.Millisecond},
		{name: "a number as a text", answer: `{"access_token":"a","expires_in":"60"}`, lifetime: time.Minute},
		{name: "an enormous number", answer: `{"access_token":"a","expires_in":1e300}`, lifetime: 100 * 365 * 24 * time.Hour},
		{name: "null", answer: `{"access_token":"a","refresh_token":null,"expires_in":null}`},
		{name: "no lifetime", answer: `{"access_token":"a"}`},
		{name: "the lifetime of a JWT, whatever its clock", answer: `{"access_token":"` + jwtWith(`{"iat":1000,"exp":1900}`) + `"}`, lifetime: 15 * time.Minute},
		{name: "a JWT without iat", answer: `{"access_token":"` + jwtWith(`{"exp":1900}`) + `"}`},
		{name: "a JWT and expires_in", answer: `{"access_token":"` + jwtWith(`{"iat":1000,"exp":1900}`) + `","expires_in":60}`, lifetime: time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tokens, err := ParseTokens([]byte(tt.answer), at)
			if err != nil {
				t.Fatal(err)
			}
			want := time.Time{}
			if tt.lifetime > 0 {
				want = at.Add(tt.lifetime)
			}
			if tokens.RefreshToken != tt.refresh || !tokens.Expires.Equal(want) {
				t.Errorf("refresh token %q, end %v, want %q, %v", tokens.RefreshToken, tokens.Expires, tt.refresh, want)
			}
		})
	}
}

func TestFileKeeper(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not those of Unix")
	}
	path := filepath.Join(t.TempDir(), "folder", "tokens.json")
	keeper, err := NewFileKeeper(path)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := keeper.Load(t.Context()); err != nil || data != nil {
		t.Errorf("nothing is %q, %v", data, err)
	}
	// What a process left that was killed.
	if err := os.WriteFile(path+".tmp", []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := keeper.Save(t.Context(), []byte("data")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir, path + ".lock": 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o622} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keeper.Load(t.Context()); !errors.Is(err, ErrFileAccess) {
			t.Errorf("mode %04o: error %v", mode, err)
		}
		if _, err := NewFileKeeper(path); !errors.Is(err, ErrFileAccess) {
			t.Errorf("mode %04o of a new keeper: error %v", mode, err)
		}
	}
	if err := keeper.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".other", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+".other", path); err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Load(t.Context()); !errors.Is(err, ErrFileAccess) {
		t.Errorf("a symbolic link: error %v", err)
	}
}

// failing is a keeper that fails to save.
type failing struct {
	*MemoryKeeper
	fails bool
}

func (k *failing) Save(ctx context.Context, data []byte) error {
	if k.fails {
		return errors.New("the disk is full")
	}
	return k.MemoryKeeper.Save(ctx, data)
}

// TestTokensThatWereNotSaved checks that new tokens survive a keeper that fails for a while.
func TestTokensThatWereNotSaved(t *testing.T) {
	a, now, keeper := newAuthority(t), newClock(), &failing{MemoryKeeper: NewMemoryKeeper()}
	c := newClient(t, a.URL, Config{Keeper: keeper}, WithClock(now.now))
	if err := c.Tokens().LogIn(t.Context(), a.logIn()); err != nil {
		t.Fatal(err)
	}
	now.advance(time.Hour)
	keeper.fails = true
	for range 2 {
		if _, err := c.Tokens().Tokens(t.Context()); !errors.Is(err, ErrNotSaved) {
			t.Errorf("error %v, want ErrNotSaved", err)
		}
	}
	keeper.fails = false
	mustStatus(t, c, request(t, "GET", a.URL+"/", secured, nil), 200)
	if refreshes, _ := a.count(); refreshes != 1 {
		t.Errorf("%d refreshes, want 1", refreshes)
	}
	other := newClient(t, a.URL, Config{Keeper: keeper}, WithClock(now.now))
	mustStatus(t, other, request(t, "GET", a.URL+"/", secured, nil), 200)
}
