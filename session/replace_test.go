package session_test

import (
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/session"
)

// The new session of EndOthers gives its caller no more than the former one did.
func TestEndOthersContinuesASessionWithoutARow(t *testing.T) {
	s := newService(t, session.WithUnnumberedTokens())
	issue := func(options ...security.TokenOption) security.TokenPair {
		return must(s.authority.Issuer.IssueTokenPair(t.Context(), "alice", nil, nil, options...))
	}
	for _, tt := range []struct {
		name   string
		typ    security.TokenType
		token  func() security.IssuedToken
		fresh  bool
		cookie bool
		client string
		passed time.Duration
	}{
		{name: "refresh token", typ: refreshType, token: func() security.IssuedToken { return issue().Refresh }, passed: 10 * 24 * time.Hour},
		{name: "refresh token of a cookie", typ: refreshType, cookie: true, client: "app", passed: time.Hour,
			token: func() security.IssuedToken {
				return issue(security.WithCSRF(), security.WithClientID("app")).Refresh
			}},
		{name: "access token", typ: accessType, token: func() security.IssuedToken { return issue().Access }, passed: 10 * time.Minute},
		{name: "fresh access token", typ: accessType, fresh: true, passed: 10 * time.Minute,
			token: func() security.IssuedToken { return issue(security.WithFresh()).Access }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.now = s.now.Add(2 * time.Second) // after the cut-off before
			began := s.now
			token := tt.token()
			s.now = s.now.Add(tt.passed)
			pair := must(s.EndOthers(t.Context(), must(s.verify(t, tt.typ, token))))
			access := must(s.verify(t, accessType, pair.Access))
			if access.Fresh() != tt.fresh || (access.CSRF() != "") != tt.cookie || access.ClientID() != tt.client {
				t.Errorf("the access token: fresh %t, csrf %q, client %q", access.Fresh(), access.CSRF(), access.ClientID())
			}
			end := began.Add(security.DefaultSessionLifetime)
			if got := pair.Refresh.ExpiresAt(); got.After(end) || got.Before(end.Add(-2*time.Second)) {
				t.Errorf("the session ends at %s, the former one at %s", got, end)
			}
		})
	}
}
