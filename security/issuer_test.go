package security

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// TestTokenFields issues a token with all options and reads each field.
func TestTokenFields(t *testing.T) {
	f := newFixture(t)
	claims := userClaims{Name: `Alice "the" Älteste`}
	claims.Team = &struct {
		ID int `json:"id"`
	}{7}
	issued := must(f.issuer.IssueAccessToken(t.Context(), "alice", claims, WithRoles("USER", "AUDITOR"), WithScopes("read", "write"),
		WithFresh(), WithClientID("web"), WithLifetime(time.Minute), WithSessionStart(f.clock.Now().Add(-time.Second)),
		WithNotBefore(f.clock.Now().Add(-time.Hour))))(t)
	token := f.token(t, issued.Text(), accessToken).(Token[userClaims])
	now := time.Unix(1_700_000_000, 0).UTC()
	for name, pair := range map[string][2]any{
		"type":       {token.Type(), "access"},
		"subject":    {token.Subject(), "alice"},
		"id":         {token.ID(), issued.ID()},
		"session":    {token.Session(), issued.Session()},
		"issuer":     {token.Issuer(), testIssuer},
		"audience":   {fmt.Sprint(token.Audience()), "[" + testIssuer + "]"},
		"client":     {token.ClientID(), "web"},
		"issued at":  {token.IssuedAt(), now},
		"expires at": {token.ExpiresAt(), now.Add(time.Minute)},
		"expires in": {issued.ExpiresIn(), time.Minute},
		"not before": {token.NotBefore(), now.Add(-time.Hour)},
		"auth time":  {token.AuthTime(), now.Add(-time.Second)},
		"fresh":      {token.Fresh(), true},
		"roles":      {fmt.Sprint(token.Roles()), "[USER AUDITOR]"},
		"role":       {token.Role(), ""},
		"has role":   {token.HasRole("AUDITOR") && !token.HasRole("ADMIN"), true},
		"scopes":     {fmt.Sprint(token.Scopes()), "[read write]"},
		"has scope":  {token.HasScope("write") && !token.HasScope("admin"), true},
		"name":       {token.Claims().Name, claims.Name},
		"team":       {token.Claims().Team.ID, 7},
		"identity":   {token.Identity().Issuer + token.Identity().ID, testIssuer + issued.ID()},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", name, pair[0], pair[1])
		}
	}
	// A change to a returned slice does not change the token.
	token.Roles()[0] = "ADMIN"
	token.Scopes()[0] = "admin"
	token.Audience()[0] = "x"
	if token.HasRole("ADMIN") || token.HasScope("admin") || slices.Contains(token.Audience(), "x") {
		t.Error("a token was changed through a slice that it returned")
	}
	one := f.token(t, must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithRoles("USER")))(t).Text(), accessToken).(Token[userClaims])
	if one.Role() != "USER" {
		t.Errorf("the only role is %q, want USER", one.Role())
	}
}

func TestTokenID(t *testing.T) {
	f := newFixture(t)
	issued := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithID("my-id")))(t)
	if token := f.token(t, issued.Text(), accessToken); issued.ID() != "my-id" || token.ID() != "my-id" {
		t.Errorf("issued id %s and verified id %s, want my-id", issued.ID(), token.ID())
	}
}

func TestZeroToken(t *testing.T) {
	var token Token[userClaims]
	if token.Type()+token.Subject()+token.ID()+token.Session()+token.Issuer()+token.ClientID()+token.Role()+token.Claims().Name != "" ||
		token.Fresh() || token.HasRole("") || token.HasScope("") || !token.ExpiresAt().IsZero() || token.Identity().Issuer != "" {
		t.Errorf("the zero token has claims: %v", token)
	}
	if token.String() != "[no token]" {
		t.Errorf("the zero token prints as %s", token)
	}
}

// TestIssuingRefuses has tokens that cannot be issued, above all those with a private claim in
// place of a known one.
func TestIssuingRefuses(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	_, _, refresh := f.login(t)
	issue := func(claims any, options ...TokenOption) error {
		return second(f.issuer.IssueAccessToken(ctx, "alice", claims, options...))
	}
	cases := map[string]error{
		"no subject":                     second(f.issuer.IssueAccessToken(ctx, "", nil)),
		"a subject with NUL":             second(f.issuer.IssueAccessToken(ctx, "a\x00", nil)),
		"a subject not in UTF-8":         second(f.issuer.IssueAccessToken(ctx, "a\xff", nil)),
		"an empty role":                  issue(nil, WithRoles("")),
		"an empty id":                    issue(nil, WithID("")),
		"an id with NUL":                 issue(nil, WithID("a\x00")),
		"a pair with one id":             second(f.issuer.IssueTokenPair(ctx, "alice", nil, nil, WithID("x"))),
		"a scope with a space":           issue(nil, WithScopes("a b")),
		"an empty scope":                 issue(nil, WithScopes("")),
		"a negative lifetime":            issue(nil, WithLifetime(-1)),
		"too long a lifetime":            issue(nil, WithLifetime(31*24*time.Hour), WithSessionStart(f.clock.Now().Add(29*24*time.Hour))),
		"a session that is over":         issue(nil, WithSessionStart(f.clock.Now().Add(-31*24*time.Hour))),
		"a time before 1970":             issue(nil, WithNotBefore(time.Unix(-5, 0))),
		"a nil option":                   issue(nil, nil),
		"fresh and continued":            issue(nil, WithSession(refresh), WithFresh()),
		"a start and continued":          issue(nil, WithSession(refresh), WithSessionStart(f.clock.Now())),
		"the session of another subject": second(f.issuer.IssueAccessToken(ctx, "bob", nil, WithSession(refresh))),
		"claims that are a list":         issue([]string{"x"}),
		"claims that are text":           issue("x"),
		"claims not in UTF-8":            issue(map[string]string{"x": "\xff"}),
		"claims that are a channel":      issue(make(chan int)),
		"claims over the limit":          issue(map[string]string{"x": strings.Repeat("x", DefaultMaxTokenSize)}),
		"a type without a name":          second(f.issuer.Issue(ctx, NewTokenType[NoClaims](""), "alice", nil)),
		"a type in capitals":             second(f.issuer.Issue(ctx, NewTokenType[NoClaims]("Access"), "alice", nil)),
		"a nil type":                     second(f.issuer.Issue(ctx, nil, "alice", nil)),
		"claims nested too deeply":       issue(map[string]json.RawMessage{"x": json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))}),
	}
	for _, name := range payload.Reserved() {
		cases["the claim "+name] = issue(map[string]any{name: "x"})
		cases["the claim "+strings.ToUpper(name)] = issue(map[string]any{strings.ToUpper(name): "x"})
	}
	for name, err := range cases {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
