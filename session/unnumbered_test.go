package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/pyjwt"
	"github.com/oapi-guard/oapi-guard/session"
)

// A refresh token without a generation was verified, and then its session ended.
func TestFirstUseAfterTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, s *service, token security.AnyToken) error
	}{
		{name: "Forget", end: func(t *testing.T, s *service, _ security.AnyToken) error { return s.Forget(t.Context(), "alice") }},
		{name: "EndAll", end: func(t *testing.T, s *service, _ security.AnyToken) error { return s.EndAll(t.Context(), "alice") }},
		{name: "End", end: func(t *testing.T, s *service, token security.AnyToken) error { return s.End(t.Context(), token) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, session.WithUnnumberedTokens())
			token := must(s.verify(t, refreshType, must(s.authority.Issuer.IssueRefreshToken(t.Context(), "alice", nil))))
			if err := tt.end(t, s, token); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Refresh(t.Context(), token, session.Device{Address: "192.0.2.1"}); !errors.Is(err, security.ErrTokenRevoked) {
				t.Errorf("Refresh returned the error %v, want ErrTokenRevoked", err)
			}
			owner := session.Subject{Issuer: "https://issuer.example", Name: "alice"}
			err := s.store.Update(t.Context(), owner, func(tx session.Tx) error {
				row, _, err := tx.Session(token.Session())
				if row.IsLive(tx.Now()) || row.Device != (session.Device{}) {
					t.Errorf("the row lives, or has the device %+v", row.Device)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An access token of a Python service has no session. The client is told to refresh it.
func TestTokenWithoutASession(t *testing.T) {
	key := must(keys.NewHMAC(keys.HS256, sectest.Secret))
	authority := must(security.New(sectest.Issuer, must(keys.NewSet(key)), blacklist.None{}, security.WithLayout(pyjwt.Flask("role"))))
	sessions := must(session.New(authority, must(session.NewMemory()),
		func(context.Context, session.Info) (session.Grant, error) { return session.Grant{}, nil }, session.WithUnnumberedTokens()))
	t.Cleanup(func() { _ = sessions.Close() })
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"sub":"alice","type":"access","fresh":false,"jti":"e23fe630-791d-4bf0-bff8-316b847874db","iat":%d,"exp":%d}`, now, now+900)
	token := must(authority.Validator.Verify(t.Context(), accessType, sectest.CompactHS256(`{"alg":"HS256","typ":"JWT"}`, claims)))
	_, listed := sessions.List(t.Context(), token, "")
	_, others := sessions.EndOthers(t.Context(), token)
	for name, err := range map[string]error{"List": listed, "EndOthers": others, "End": sessions.End(t.Context(), token)} {
		if !errors.Is(err, security.ErrInvalidToken) {
			t.Errorf("%s returned the error %v, want ErrInvalidToken", name, err)
		}
	}
}
