package securitytest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/securitytest"
)

// Schemes of the operations of this file.
var (
	plainAccess  = security.NewTokenType[security.NoClaims]("access")
	plainRefresh = security.NewTokenType[security.NoClaims]("refresh")

	access        = &guard.Scheme{Name: "access", Token: plainAccess}
	accessCookie  = &guard.Scheme{Name: "accessCookie", Token: plainAccess, In: guard.InCookie, Parameter: "access_token"}
	accessQuery   = &guard.Scheme{Name: "accessQuery", Token: plainAccess, In: guard.InQuery, Parameter: "access_token"}
	formCookie    = &guard.Scheme{Name: "formCookie", Token: plainAccess, In: guard.InCookie, Parameter: "form_token", CSRFForm: true}
	refresh       = &guard.Scheme{Name: "refresh", Token: plainRefresh}
	refreshCookie = &guard.Scheme{Name: "refreshCookie", Token: plainRefresh, In: guard.InCookie, Parameter: "refresh_token"}
	refreshX      = &guard.Scheme{Name: "refreshX", Token: plainRefresh, Parameter: "X-Refresh-Token"}
	partner       = &guard.Scheme{Name: "partner", Token: plainAccess.OfVerifier("partner")}
	basic         = &guard.Scheme{Name: "basic", Kind: guard.KindBasic}
	digest        = &guard.Scheme{Name: "digest", Kind: guard.KindKey, Prefix: "Digest"}
	opaque        = &guard.Scheme{Name: "opaque", Kind: guard.KindKey}
	key           = &guard.Scheme{Name: "key", Kind: guard.KindKey, Parameter: "X-API-Key"}
	keyQuery      = &guard.Scheme{Name: "keyQuery", Kind: guard.KindKey, In: guard.InQuery, Parameter: "key"}
	keyCookie     = &guard.Scheme{Name: "keyCookie", Kind: guard.KindKey, In: guard.InCookie, Parameter: "session"}
	certificate   = &guard.Scheme{Name: "certificate", Kind: guard.KindCertificate}
)

// operations have every shape of a requirement and every rule.
func operations() []guard.Operation {
	admin := guard.Rules{AllowRoles: []string{"ADMIN", "OWNER"}}
	list := []guard.Operation{
		{ID: "public", Method: "POST"},
		{ID: "optional", Requirement: guard.Requirement{{}, {access}}},
		{ID: "token", Requirement: guard.Requirement{{access}}},
		{ID: "refresh", Method: "POST", Requirement: guard.Requirement{{refresh}, {refreshCookie}}},
		{ID: "anywhere", Requirement: guard.Requirement{{access}, {accessCookie}, {accessQuery}}},
		{ID: "form", Method: "POST", Requirement: guard.Requirement{{formCookie}}},
		{ID: "scopes", Requirement: guard.Requirement{{access.With("read", "report")}, {access.With("admin")}}},
		{ID: "tokenOrScope", Requirement: guard.Requirement{{access.With("admin")}, {access}}},
		{ID: "schemeRoles", Requirement: guard.Requirement{{access.WithRoles("A", "B")}}},
		{ID: "allow", Method: "DELETE", Requirement: guard.Requirement{{access}, {basic}}, Rules: admin},
		{ID: "deny", Requirement: guard.Requirement{{access}}, Rules: guard.Rules{DenyRoles: []string{"GUEST", "BOT"}}},
		{ID: "fresh", Method: "PUT", Requirement: guard.Requirement{{access}, {accessCookie}}, Rules: guard.Rules{Fresh: true}},
		{ID: "recent", Requirement: guard.Requirement{{access}, {basic}}, Rules: guard.Rules{MaxAge: 15 * time.Minute}},
		{ID: "everything", Method: "POST", Requirement: guard.Requirement{{accessCookie.With("read")}}, Rules: guard.Rules{Fresh: true, MaxAge: time.Hour, AllowRoles: []string{"ADMIN"}}},
		{ID: "twoKinds", Requirement: guard.Requirement{{access, key}, {basic}, {}}},
		{ID: "twoTokens", Requirement: guard.Requirement{{access, refreshX}}},
		{ID: "twoCookies", Method: "POST", Requirement: guard.Requirement{{accessCookie, refreshCookie}}},
		{ID: "oneTokenForTwo", Requirement: guard.Requirement{{access, access.With("read")}}},
		{ID: "accessOrRefresh", Requirement: guard.Requirement{{access}, {refresh}}},
		{ID: "partner", Requirement: guard.Requirement{{partner}}},
		{ID: "keys", Method: "POST", Requirement: guard.Requirement{{key}, {keyQuery}, {keyCookie}}},
		{ID: "words", Requirement: guard.Requirement{{opaque}, {digest}}},
		{ID: "certificate", Requirement: guard.Requirement{{certificate}}},
		{ID: "watched", Requirement: guard.Requirement{{access}}, Rules: guard.Rules{Watch: true, ImmediateRevocation: true}},
	}
	for i := range list {
		if list[i].Method == "" {
			list[i].Method = http.MethodGet
		}
		if list[i].Path == "" {
			list[i].Path = "/" + list[i].ID + "/{id}"
		}
	}
	return list
}

func authenticators(now func() time.Time) guard.Authenticators {
	account := func(name string) (*guard.Caller[guard.Principal], error) {
		switch name {
		case "admin":
			return &guard.Caller[guard.Principal]{Roles: []string{"ADMIN"}, AuthTime: now()}, nil
		case "user":
			return &guard.Caller[guard.Principal]{}, nil
		}
		return nil, security.ErrInvalidCredentials
	}
	text := guard.AuthenticateKey(func(_ context.Context, text string) (*guard.Caller[guard.Principal], error) { return account(text) })
	return guard.Authenticators{
		"basic": guard.AuthenticateBasic(func(_ context.Context, c guard.BasicCredentials) (*guard.Caller[guard.Principal], error) {
			return account(c.Username())
		}),
		"digest": text, "opaque": text, "key": text, "keyQuery": text, "keyCookie": text,
		"certificate": guard.AuthenticateCertificate(func(_ context.Context, c *x509.Certificate) (*guard.Caller[guard.Principal], error) {
			return account(c.Subject.CommonName)
		}),
	}
}

func credentials(f *securitytest.Fixture) []securitytest.MatrixOption {
	admin := securitytest.Credential{Name: "administrator", Value: "admin", Roles: []string{"ADMIN"}, AuthTime: f.Clock.Now()}
	user := securitytest.Credential{Name: "user", Value: "user"}
	var options []securitytest.MatrixOption
	for _, scheme := range []string{"digest", "opaque", "key", "keyQuery", "keyCookie"} {
		options = append(options, securitytest.WithCredentials(scheme, admin, user))
	}
	admin.Value, user.Value = "admin:x", "user:x"
	certified := securitytest.Credential{Name: "administrator", Set: func(r *http.Request) {
		certificate := &x509.Certificate{Subject: pkix.Name{CommonName: "admin"}}
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{certificate}}}
	}}
	return append(options, securitytest.WithCredentials("basic", admin, user), securitytest.WithCredentials("certificate", certified))
}

// mountOf mounts guards of the operations, which may differ from those that the matrix expects.
func mountOf(f *securitytest.Fixture, mounted []guard.Operation, change ...func(*http.ServeMux)) securitytest.Mount {
	return func(s securitytest.Setup) (http.Handler, error) {
		var pointers []*guard.Operation
		for i := range mounted {
			pointers = append(pointers, &mounted[i])
		}
		guards, err := guard.NewGuards(s.Policy, authenticators(f.Clock.Now), pointers...)
		if err != nil {
			return nil, err
		}
		mux := http.NewServeMux()
		for _, o := range pointers {
			mux.HandleFunc(o.Method+" "+o.Path, guards.HandlerFunc(o, func(http.ResponseWriter, *http.Request) { panic("a handler ran behind its guard") }))
		}
		for _, c := range change {
			c(mux)
		}
		return mux, nil
	}
}

func newMatrixFixture(t testing.TB) *securitytest.Fixture {
	return securitytest.New(t, securitytest.WithVerifier("partner", "https://partner.example"))
}

// TestMatrixOfEveryShape checks that guards answer as the table of operations says, whatever the
// operation needs.
func TestMatrixOfEveryShape(t *testing.T) {
	f := newMatrixFixture(t)
	f.Matrix(t, operations(), mountOf(f, operations()), credentials(f)...).Golden(t, "testdata/shapes.txt")
}

// TestMatrixFailsForEveryOtherSecurity mounts guards of another requirement or rule than the
// document has, for one operation at a time. Each must fail, for that operation alone.
func TestMatrixFailsForEveryOtherSecurity(t *testing.T) {
	for _, tt := range []struct {
		id, name string
		change   func(*guard.Operation)
	}{
		{"token", "is public", func(o *guard.Operation) { o.Requirement = nil }},
		{"token", "accepts anonymous callers", func(o *guard.Operation) { o.Requirement = append(o.Requirement, guard.Alternative{}) }},
		{"optional", "accepts no anonymous callers", func(o *guard.Operation) { o.Requirement = o.Requirement[1:] }},
		{"public", "needs a token", func(o *guard.Operation) { o.Requirement = guard.Requirement{{access}} }},
		{"token", "accepts another type too", func(o *guard.Operation) { o.Requirement = append(o.Requirement, guard.Alternative{refresh}) }},
		{"token", "accepts the token by another scheme", func(o *guard.Operation) {
			renamed := *access
			renamed.Name = "renamed"
			o.Requirement = guard.Requirement{{&renamed}}
		}},
		{"token", "accepts another type", func(o *guard.Operation) { o.Requirement = guard.Requirement{{refresh}} }},
		{"refresh", "lacks an alternative", func(o *guard.Operation) { o.Requirement = o.Requirement[:1] }},
		{"anywhere", "lacks the query", func(o *guard.Operation) { o.Requirement = o.Requirement[:2] }},
		{"scopes", "lacks a scope", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access.With("read")} }},
		{"scopes", "lacks all scopes", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access} }},
		{"scopes", "needs one more scope", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access.With("read", "report", "more")} }},
		{"scopes", "lacks the second alternative", func(o *guard.Operation) { o.Requirement = o.Requirement[:1] }},
		{"schemeRoles", "lacks a role", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access.WithRoles("A")} }},
		{"allow", "allows every role", func(o *guard.Operation) { o.Rules.AllowRoles = nil }},
		{"allow", "lacks one role", func(o *guard.Operation) { o.Rules.AllowRoles = o.Rules.AllowRoles[:1] }},
		{"allow", "denies instead", func(o *guard.Operation) { o.Rules.AllowRoles, o.Rules.DenyRoles = nil, []string{"GUEST"} }},
		{"deny", "denies one role less", func(o *guard.Operation) { o.Rules.DenyRoles = o.Rules.DenyRoles[:1] }},
		{"deny", "denies nobody", func(o *guard.Operation) { o.Rules.DenyRoles = nil }},
		{"fresh", "needs no fresh token", func(o *guard.Operation) { o.Rules.Fresh = false }},
		{"fresh", "needs a recent token instead", func(o *guard.Operation) { o.Rules = guard.Rules{MaxAge: time.Hour} }},
		{"recent", "accepts an older authentication", func(o *guard.Operation) { o.Rules.MaxAge = 20 * time.Minute }},
		{"recent", "accepts any authentication", func(o *guard.Operation) { o.Rules.MaxAge = 0 }},
		{"recent", "needs a fresh token", func(o *guard.Operation) {
			o.Requirement, o.Rules = o.Requirement[:1], guard.Rules{Fresh: true}
		}},
		{"twoKinds", "needs only one of two", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access} }},
		{"twoKinds", "needs only the other of two", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{key} }},
		{"twoTokens", "needs only one of two", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access} }},
		{"oneTokenForTwo", "lacks the scope of the second scheme", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access} }},
		{"partner", "accepts the tokens of another verifier", func(o *guard.Operation) { o.Requirement[0] = guard.Alternative{access} }},
		{"keys", "reads the key elsewhere", func(o *guard.Operation) { o.Requirement = o.Requirement[1:] }},
		{"certificate", "accepts keys too", func(o *guard.Operation) { o.Requirement = guard.Requirement{{key}} }},
	} {
		t.Run(tt.id+" "+tt.name, func(t *testing.T) {
			mounted := operations()
			changed := slices.IndexFunc(mounted, func(o guard.Operation) bool { return o.ID == tt.id })
			tt.change(&mounted[changed])
			got := failuresOf(t, func(t testing.TB) {
				f := newMatrixFixture(t)
				f.Matrix(t, operations(), mountOf(f, mounted), credentials(f)...)
			})
			if strings.Count(got, "/{id} (") != 1 || !strings.Contains(got, "("+tt.id+"):") {
				t.Errorf("failures: %s", got)
			}
		})
	}
}

// TestMatrixFailsWithoutAGuard checks what the matrix says of routers that are mounted wrongly.
func TestMatrixFailsWithoutAGuard(t *testing.T) {
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	two := []guard.Operation{
		{ID: "getItem", Method: "GET", Path: "/items/{id}", Requirement: guard.Requirement{{access}}},
		{ID: "ping", Method: "GET", Path: "/ping"},
	}
	for _, tt := range []struct {
		name           string
		mounted        []guard.Operation
		change         func(*http.ServeMux)
		options        []securitytest.MatrixOption
		want, dontWant string
	}{
		{name: "all is well", mounted: two, dontWant: "("},
		{
			name: "a handler without its guard", mounted: two[1:], change: func(m *http.ServeMux) { m.HandleFunc("GET /items/{id}", answer(200)) },
			want: "no credential: 200, want 401", dontWant: "(ping)",
		},
		{
			name: "a strict handler without its guard", mounted: two[1:], change: func(m *http.ServeMux) { m.HandleFunc("GET /items/{id}", answer(500)) },
			want: "did not run: is it mounted with the guarded functions?", dontWant: "(ping)",
		},
		{
			name: "a public operation without its guard", mounted: two[:1], change: func(m *http.ServeMux) { m.HandleFunc("GET /ping", answer(200)) },
			want: "no credential: 200, want reached", dontWant: "(getItem)",
		},
		{name: "an operation that is not mounted", mounted: two[:1], want: "securitytest.WithBaseURL", dontWant: "(getItem)"},
		{
			name: "another operation in front", mounted: append(slices.Clone(two), guard.Operation{ID: "first", Method: "GET", Path: "/items/1"}),
			want: "reached operation first, want 401", dontWant: "(ping)",
		},
		{
			name: "another operation in front, and another value", mounted: append(slices.Clone(two), guard.Operation{ID: "first", Method: "GET", Path: "/items/1"}),
			options: []securitytest.MatrixOption{securitytest.WithPathParameter("id", "a%2Fb")}, dontWant: "(",
		},
		{name: "a base URL that the router does not have", mounted: two, options: []securitytest.MatrixOption{securitytest.WithBaseURL("/v1")}, want: "404"},
		{name: "an option that does not hold", mounted: two, options: []securitytest.MatrixOption{securitytest.WithPolicy(guard.WithRealm("ä"))}, want: "realm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := failuresOf(t, func(t testing.TB) {
				f := newMatrixFixture(t)
				change := tt.change
				if change == nil {
					change = func(*http.ServeMux) {}
				}
				f.Matrix(t, two, mountOf(f, tt.mounted, change), tt.options...)
			})
			if !strings.Contains(got, tt.want) || tt.dontWant != "" && strings.Contains(got, tt.dontWant) {
				t.Errorf("failures:\n%s\nwant %q and no %q", got, tt.want, tt.dontWant)
			}
		})
	}
}

func TestMatrixNeedsCredentialsOfEveryScheme(t *testing.T) {
	got := failuresOf(t, func(t testing.TB) {
		f := newMatrixFixture(t)
		f.Matrix(t, operations(), mountOf(f, operations()))
	})
	for _, scheme := range []string{"basic", "digest", "opaque", "key", "keyQuery", "keyCookie", "certificate"} {
		if !strings.Contains(got, "no credential of the scheme "+scheme+" satisfies") {
			t.Errorf("nothing about %s in:\n%s", scheme, got)
		}
	}
	if got := failuresOf(t, func(t testing.TB) { f := newMatrixFixture(t); f.Matrix(t, nil, mountOf(f, nil)) }); got == "" {
		t.Error("a matrix of no operations succeeds")
	}
}

// TestMatrixOfAnotherPolicySendsNothing mounts guards that do not have the recorder of the matrix.
func TestMatrixOfAnotherPolicySendsNothing(t *testing.T) {
	requests := 0
	got := failuresOf(t, func(t testing.TB) {
		f := newMatrixFixture(t)
		f.Matrix(t, operations(), func(s securitytest.Setup) (http.Handler, error) {
			policy, err := guard.New(s.Validator)
			if err != nil {
				return nil, err
			}
			handler, err := mountOf(f, operations())(securitytest.Setup{Policy: policy})
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				handler.ServeHTTP(w, r)
			}), err
		}, credentials(f)...)
	})
	if requests > 0 || !strings.Contains(got, "neither the Options nor the Policy") {
		t.Errorf("%d requests, failures: %s", requests, got)
	}
}

// TestMatrixLeavesOutWhatALayoutDoesNotCheck asks with tokens that never expire: none of them is
// expired.
func TestMatrixLeavesOutWhatALayoutDoesNotCheck(t *testing.T) {
	f := securitytest.New(t, securitytest.WithAuthority(security.WithNeverExpiring(), security.WithTokenDefaults(security.WithoutExpiry())))
	list := []guard.Operation{{ID: "token", Method: "GET", Path: "/token", Requirement: guard.Requirement{{access}}}}
	table := f.Matrix(t, list, mountOf(f, list)).String()
	if !strings.Contains(table, "# bad token: not a token, bad signature, not yet valid, other issuer") || strings.Contains(table, "expired") {
		t.Error(table)
	}
}

func TestGoldenTable(t *testing.T) {
	f := newMatrixFixture(t)
	table := f.Matrix(t, operations(), mountOf(f, operations()), credentials(f)...)
	changed := slices.IndexFunc(table.Rows, func(r securitytest.Row) bool { return r.Operation == "token" && r.Credential == "access" })
	table.Rows[changed].Answer = "403"
	got := failuresOf(t, func(t testing.TB) { table.Golden(t, "testdata/shapes.txt") })
	for _, line := range []string{"- GET /token/{id} (token): reached  access\n", "+ GET /token/{id} (token): 403      access\n"} {
		if strings.Count(got, line) != 1 {
			t.Errorf("no %q in:\n%s", line, got)
		}
	}
	if strings.Count(got, "\n+ ") != 1 {
		t.Errorf("more than one line differs:\n%s", got)
	}
	expired := slices.IndexFunc(table.Rows, func(r securitytest.Row) bool { return r.Operation == "token" && r.Credential == "access (expired)" })
	table.Rows[expired].Answer = "200"
	got = failuresOf(t, func(t testing.TB) { table.Golden(t, "testdata/shapes.txt") })
	for _, line := range []string{
		"- GET /token/{id} (token): 401      access (bad token)\n", "+ GET /token/{id} (token): 200      access (expired)\n",
		"+ GET /token/{id} (token): 401      access (revoked)\n",
	} {
		if strings.Count(got, line) != 1 {
			t.Errorf("no %q in:\n%s", line, got)
		}
	}
	if got := failuresOf(t, func(t testing.TB) { table.Golden(t, "testdata/missing.txt") }); !strings.Contains(got, "-securitytest.update") {
		t.Errorf("without a file: %q", got)
	}
}
