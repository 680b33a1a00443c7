package securitytest_test

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/securitytest"
)

// partners resolves the credentials of the reference API that are not JWTs: one API key, and the
// passwords of an administrator and of a user without a role.
type partners struct{ now func() time.Time }

func (partners) ApiKey(_ context.Context, key string) (*guard.Caller[guard.Principal], error) {
	if key != "partner-key" {
		return nil, security.ErrInvalidCredentials
	}
	return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: "partner"}}, nil
}

func (p partners) Basic(_ context.Context, credentials guard.BasicCredentials) (*guard.Caller[guard.Principal], error) {
	caller := &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: credentials.Username()}, AuthTime: p.now()}
	switch {
	case credentials.Password() != "password":
		return nil, security.ErrInvalidCredentials
	case credentials.Username() == "admin":
		caller.Roles = []string{"ADMIN"}
	}
	return caller, nil
}

func (partners) Operator(_ context.Context, secret string) (*guard.Caller[guard.Principal], error) {
	if secret != "operator-secret" {
		return nil, security.ErrInvalidCredentials
	}
	return &guard.Caller[guard.Principal]{Principal: guard.Principal{Subject: "operator"}}, nil
}

func TestWhoMayCallWhat(t *testing.T) {
	fixture := securitytest.New(t, securitytest.WithClaims("access", gen.UserClaims{Name: "Ann"}))
	mount := func(s securitytest.Setup) (http.Handler, error) {
		return gen.GuardedHandler(gen.UnimplementedGuardedServer{}, s.Validator, partners{fixture.Clock.Now}, s.Options...)
	}
	table := fixture.Matrix(t, gen.GuardedOperations(), mount,
		securitytest.WithCredentials("apiKey", securitytest.Credential{Name: "partner", Value: "partner-key"}),
		securitytest.WithCredentials("operator", securitytest.Credential{Name: "operator", Value: "operator-secret"}),
		securitytest.WithCredentials("basic",
			securitytest.Credential{Name: "administrator", Value: "admin:password", Roles: []string{"ADMIN"}, AuthTime: fixture.Clock.Now()},
			securitytest.Credential{Name: "user", Value: "ann:password", AuthTime: fixture.Clock.Now()}))
	table.Golden(t, "testdata/reference.txt")

	for _, o := range gen.GuardedOperations() {
		if !slices.ContainsFunc(table.Rows, func(r securitytest.Row) bool { return r.Operation == o.ID && r.Answer == securitytest.Reached }) {
			t.Errorf("nobody reached %s", o.ID)
		}
	}
}

// TestPageShowsTheTable checks the rows that the page about testing quotes.
func TestPageShowsTheTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("testdata/reference.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n```\n")
	rows, _, closed := strings.Cut(rest, "```")
	for found && closed && !strings.HasPrefix(rows, "DELETE ") {
		_, rest, found = strings.Cut(rest, "\n```\n")
		rows, _, closed = strings.Cut(rest, "```")
	}
	if !found || !closed || !strings.Contains(string(table), rows) {
		t.Errorf("the table has no such rows:\n%s", rows)
	}
}
