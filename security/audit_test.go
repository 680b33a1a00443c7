package security_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// TestAuditLog checks that sessions, denials, revocations and failures are logged, without ids,
// tokens or secrets.
func TestAuditLog(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f := apptest.New(t, security.WithLogger(logger))
	ctx := t.Context()
	pair := sectest.Must(f.Issuer.IssueTokenPair(ctx, "alice", nil, nil))(t)
	access, refresh := f.Token(t, pair.Access.Text(), apptest.AccessToken), f.Token(t, pair.Refresh.Text(), apptest.RefreshToken)
	calls := 0
	if _, err := f.Issuer.IssueAccessToken(ctx, "alice", nil, security.WithSession(refresh)); err != nil {
		t.Fatal(err)
	}
	denied := f.Serve(t, &guard.Operation{ID: "denied", Requirement: guard.Requirement{{apptest.AccessScheme}}, Rules: guard.Rules{AllowRoles: []string{"ADMIN"}}}, &calls, guard.WithLogger(logger))
	apptest.Get(denied, "Bearer "+pair.Access.Text())
	apptest.Get(denied)
	if err := errors.Join(f.Validator.Revoke(ctx, access), f.Validator.Consume(ctx, refresh)); err != nil {
		t.Fatal(err)
	}
	_ = f.Refuses(t, pair.Refresh.Text(), apptest.RefreshToken)
	f.List.Fail(sectest.ErrSecretive, sectest.ErrSecretive)
	_ = f.Validator.Revoke(ctx, access)
	handler := f.Serve(t, &guard.Operation{ID: "op", Requirement: guard.Requirement{{apptest.AccessScheme}}}, &calls, guard.WithLogger(logger))
	apptest.Get(handler, "Bearer "+pair.Access.Text())
	for _, want := range []string{`msg="session began"`, `msg="session continued"`, `msg="request denied" operation=denied status=403`, "msg=revoked", "kind=token", `msg="refresh token reused"`, "kind=session", `msg="revocation failed"`, `msg="request failed" operation=op status=503`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, &log)
		}
	}
	if n := strings.Count(log.String(), "session began") + strings.Count(log.String(), "request denied"); n != 2 {
		t.Errorf("%d records of the log-in and of the denied request, want 2:\n%s", n, &log)
	}
	for _, secret := range []string{"alice", "hunter2", pair.Access.ID(), pair.Access.Session(), pair.Access.Text()[:20], pair.Refresh.ID()} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log contains %q:\n%s", secret, &log)
		}
	}
}
