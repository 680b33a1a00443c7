package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "https://notes.example.com"
	lifetime = 15 * time.Minute
)

// claims are the claims of a token.
type claims struct {
	jwt.RegisteredClaims
	Role string `json:"role"`
}

// auth issues, verifies and revokes tokens.
type auth struct {
	secret []byte

	mu      sync.Mutex
	revoked map[string]time.Time // token id to the expiry of the token
}

func newAuth(secret []byte) (*auth, error) {
	if len(secret) < 32 {
		return nil, errors.New("the secret needs 32 bytes")
	}
	return &auth{secret: secret, revoked: map[string]time.Time{}}, nil
}

func (a *auth) issue(_ context.Context, name, role string) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    issuer,
			Subject:   name,
			Audience:  jwt.ClaimStrings{issuer},
			ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
			IssuedAt:  jwt.NewNumericDate(now),
			ID:        rand.Text(),
		},
		Role: role,
	}).SignedString(a.secret)
}

// logOut revokes the token of the request.
func (a *auth) logOut(ctx context.Context) error {
	token, ok := ctx.Value(contextKey{}).(*claims)
	if !ok {
		return errors.New("no token")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for id, expiry := range a.revoked {
		if expiry.Before(now) {
			delete(a.revoked, id)
		}
	}
	a.revoked[token.ID] = token.ExpiresAt.Time
	return nil
}

func (a *auth) isRevoked(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.revoked[id]
	return ok
}

type contextKey struct{}

// callerOf returns the name of the user of the request.
func callerOf(ctx context.Context) string {
	token, ok := ctx.Value(contextKey{}).(*claims)
	if !ok {
		return ""
	}
	return token.Subject
}

// public are the paths that need no token.
var public = map[string]bool{"/login": true}

// protect is a middleware that verifies the token of each request.
func (a *auth) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if public[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			unauthorized(w)
			return
		}
		token, err := a.verify(text)
		if err != nil || a.isRevoked(token.ID) {
			unauthorized(w)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/admin/") && token.Role != "admin" {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, token)))
	})
}

func (a *auth) verify(text string) (*claims, error) {
	token := &claims{}
	_, err := jwt.ParseWithClaims(text, token, func(*jwt.Token) (any, error) { return a.secret, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(issuer),
		jwt.WithExpirationRequired(), jwt.WithLeeway(30*time.Second))
	return token, err
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, "unauthorized", http.StatusUnauthorized)
}
