// Package apptest has a small application for tests of the packages around package security: an
// issuer, a validator over a blacklist in memory, and guards.
package apptest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// The token types of the application, and a scheme for each.
var (
	AccessToken   = security.NewTokenType[security.NoClaims]("access")
	RefreshToken  = security.NewTokenType[security.NoClaims]("refresh")
	AccessScheme  = &guard.Scheme{Name: "access", Token: AccessToken}
	RefreshScheme = &guard.Scheme{Name: "refresh", Token: RefreshToken}
)

// App is the application.
type App struct {
	Clock     *sectest.Clock
	Keys      keys.Source
	Verifier  *security.Verifier
	Issuer    *security.Issuer
	Validator *security.Validator
	List      *sectest.FaultyList
}

// New makes an application with a symmetric key whose id is k1. Its clock moves only by Advance.
func New(t testing.TB, options ...security.Option) *App {
	t.Helper()
	key := sectest.Must(keys.NewHMAC(keys.HS256, sectest.Secret, keys.WithID("k1")))(t)
	return NewWith(t, sectest.Must(keys.NewSet(key))(t), options...)
}

// NewWith makes an application with the keys.
func NewWith(t testing.TB, source keys.Source, options ...security.Option) *App {
	t.Helper()
	a := &App{Clock: sectest.NewClock(), Keys: source}
	memory := sectest.Must(blacklist.NewMemory(blacklist.WithClock(a.Clock.Now), blacklist.WithLogger(slog.New(slog.DiscardHandler))))(t)
	t.Cleanup(func() { _ = memory.Close() })
	a.List = &sectest.FaultyList{Blacklist: memory}
	authority := sectest.Must(security.New(sectest.Issuer, source, a.List, append(options, security.WithClock(a.Clock.Now))...))(t)
	a.Verifier, a.Issuer, a.Validator = authority.Verifier, authority.Issuer, authority.Validator
	return a
}

// Token verifies a text.
func (a *App) Token(t testing.TB, text string, typ security.TokenType) security.AnyToken {
	t.Helper()
	return sectest.Must(a.Verifier.Verify(t.Context(), typ, text))(t)
}

// Serve returns the guarded handler of an operation. It answers 200 and counts its calls.
func (a *App) Serve(t testing.TB, o *guard.Operation, calls *int, options ...guard.Option) http.Handler {
	t.Helper()
	policy := sectest.Must(guard.New(a.Validator, options...))(t)
	guards := sectest.Must(guard.NewGuards(policy, nil, o))(t)
	return guards.HandlerFunc(o, func(http.ResponseWriter, *http.Request) { *calls++ })
}

// Get sends a request with the Authorization headers given.
func Get(h http.Handler, authorization ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	for _, value := range authorization {
		r.Header.Add("Authorization", value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Refuses verifies a text and looks it up on the blacklist. It returns the error, or nil.
func (a *App) Refuses(t testing.TB, text string, typ security.TokenType) error {
	t.Helper()
	token, err := a.Verifier.Verify(t.Context(), typ, text)
	if err != nil {
		return err
	}
	return a.Validator.CheckRevoked(t.Context(), token)
}

// Use replaces the verifier, and with it the issuer and the validator.
func (a *App) Use(t testing.TB, verifier *security.Verifier) {
	t.Helper()
	a.Verifier = verifier
	a.Issuer = sectest.Must(security.NewIssuer(verifier))(t)
	a.Validator = sectest.Must(security.NewValidator(verifier, a.List))(t)
}

// UseLayout replaces the verifier by one of the layout.
func (a *App) UseLayout(t testing.TB, layout security.Layout, options ...security.VerifierOption) {
	t.Helper()
	options = append(options, security.WithLayout(layout), security.WithClock(a.Clock.Now))
	a.Use(t, sectest.Must(security.NewVerifier(sectest.Issuer, a.Keys, options...))(t))
}
