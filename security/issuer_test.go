package security

import (
	"encoding/json"
	"fmt"
	"github.com/oapi-guard/oapi-guard/internal/payload"
	"github.com/oapi-guard/oapi-guard/security/keys"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// printed returns the values as everything that prints would: fmt, also inside structs, pointers and slices, slog and JSON.
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

// TestTokenFields issues a token with everything and reads it back.
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
	now := time.UnixMilli(1_700_000_000_123).UTC()
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
	// What a handler does to a slice reaches nobody else.
	token.Roles()[0] = "ADMIN"
	token.Scopes()[0] = "admin"
	token.Audience()[0] = "x"
	if token.HasRole("ADMIN") || token.HasScope("admin") || slices.Contains(token.Audience(), "x") {
		t.Error("a token was changed through a slice that it returned")
	}
	one := f.token(t, must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithRoles("USER")))(t).Text(), accessToken).(Token[userClaims])
	if one.Role() != "USER" {
		t.Errorf("the only role: %q", one.Role())
	}
}

func TestTokenID(t *testing.T) {
	f := newFixture(t)
	issued := must(f.issuer.IssueAccessToken(t.Context(), "alice", nil, WithID("my-id")))(t)
	if token := f.token(t, issued.Text(), accessToken); issued.ID() != "my-id" || token.ID() != "my-id" {
		t.Errorf("ids %s, %s", issued.ID(), token.ID())
	}
}

func TestZeroToken(t *testing.T) {
	var token Token[userClaims]
	if token.Type()+token.Subject()+token.ID()+token.Session()+token.Issuer()+token.ClientID()+token.Role()+token.Claims().Name != "" ||
		token.Fresh() || token.HasRole("") || token.HasScope("") || !token.ExpiresAt().IsZero() || token.Identity().Issuer != "" {
		t.Errorf("the zero token says something: %v", token)
	}
	if token.String() != "[no token]" {
		t.Errorf("the zero token prints as %s", token)
	}
}

// TestTokensPrintRedacted looks for the token and what is in it in everything that prints it.
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

// TestIssuingRefuses has what cannot be issued: most of all, a private claim in the place of a known one.
func TestIssuingRefuses(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	_, _, refresh := f.login(t)
	issue := func(claims any, options ...TokenOption) error {
		return second(f.issuer.IssueAccessToken(ctx, "alice", claims, options...))
	}
	cases := map[string]error{
		"no subject":               second(f.issuer.IssueAccessToken(ctx, "", nil)),
		"a subject with NUL":       second(f.issuer.IssueAccessToken(ctx, "a\x00", nil)),
		"a subject not in UTF-8":   second(f.issuer.IssueAccessToken(ctx, "a\xff", nil)),
		"an empty role":            issue(nil, WithRoles("")),
		"an empty id":              issue(nil, WithID("")),
		"an id with NUL":           issue(nil, WithID("a\x00")),
		"a pair of one id":         second(f.issuer.IssueTokenPair(ctx, "alice", nil, nil, WithID("x"))),
		"a scope with a space":     issue(nil, WithScopes("a b")),
		"an empty scope":           issue(nil, WithScopes("")),
		"a negative lifetime":      issue(nil, WithLifetime(-1)),
		"too long a lifetime":      issue(nil, WithLifetime(31*24*time.Hour), WithSessionStart(f.clock.Now().Add(29*24*time.Hour))),
		"a session that is over":   issue(nil, WithSessionStart(f.clock.Now().Add(-31*24*time.Hour))),
		"a time before 1970":       issue(nil, WithNotBefore(time.Unix(-5, 0))),
		"a nil option":             issue(nil, nil),
		"fresh and continued":      issue(nil, WithSession(refresh), WithFresh()),
		"a start and continued":    issue(nil, WithSession(refresh), WithSessionStart(f.clock.Now())),
		"another's session":        second(f.issuer.IssueAccessToken(ctx, "bob", nil, WithSession(refresh))),
		"claims that are a list":   issue([]string{"x"}),
		"claims that are text":     issue("x"),
		"claims not in UTF-8":      issue(map[string]string{"x": "\xff"}),
		"claims of a channel":      issue(make(chan int)),
		"claims over the limit":    issue(map[string]string{"x": strings.Repeat("x", DefaultMaxTokenSize)}),
		"a type without a name":    second(f.issuer.Issue(ctx, NewTokenType[NoClaims](""), "alice", nil)),
		"a type in capitals":       second(f.issuer.Issue(ctx, NewTokenType[NoClaims]("Access"), "alice", nil)),
		"a nil type":               second(f.issuer.Issue(ctx, nil, "alice", nil)),
		"claims nested too deeply": issue(map[string]json.RawMessage{"x": json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))}),
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

// TestFieldsPrintRedacted has secrets in fields that fmt prints without asking for methods.
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

func FuzzCompact(f *testing.F) {
	fix := newFixture(f)
	for _, seed := range []string{
		compactHS256(goodHeader, payloadWith()), compactHS256(goodHeader, payloadWith("aud", `["a","`+testIssuer+`"]`)),
		compactHS256(`{"alg":"none"}`, payloadWith()), "a.b.c", "...", "", compactHS256(goodHeader, `null`),
	} {
		f.Add(seed)
	}
	// Whatever comes in, the answer is a token or an error of ours, never both and never neither.
	f.Fuzz(func(t *testing.T, text string) {
		token, err := fix.validate(t.Context(), text, accessToken)
		if (token == nil) == (err == nil) {
			t.Errorf("token %v, error %v", token, err)
		}
		if err != nil && !isKnown(err) {
			t.Errorf("an error without a sentinel: %v", err)
		}
	})
}

func FuzzPayload(f *testing.F) {
	fix := newFixture(f)
	for _, seed := range []string{
		payloadWith(), payloadWith("name", `"x"`), payloadWith("team", `{"id":1}`), payloadWith("roles", `["a"]`),
		payloadWith("scope", `"a b"`), `{}`, `null`, `{"exp":1e400}`, payloadWith("x", `[[[[]]]]`),
	} {
		f.Add(seed)
	}
	plain, none, typ := payload.RFC9068{}, payload.Names{}, payload.TypeOf(payload.Access)
	// A payload that is accepted says what encoding/json reads of it, and can be written again.
	f.Fuzz(func(t *testing.T, content string) {
		c, err := fix.verifier.verify(t, compactHS256(goodHeader, content), accessToken)
		if err != nil {
			return
		}
		var loose struct{ Sub, Jti, Sid, Iss string }
		if err := json.Unmarshal([]byte(content), &loose); err != nil {
			t.Fatalf("encoding/json refuses what we accept: %v", err)
		}
		if c.Subject != loose.Sub || c.ID != loose.Jti || c.Session != loose.Sid || c.Issuer != loose.Iss {
			t.Errorf("read %+v, encoding/json reads %+v", c, loose)
		}
		again, err := plain.Encode(c, none, typ, c.Private)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		second, err := plain.Decode(again, none, true)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		twice, err := plain.Encode(second, none, typ, second.Private)
		if err != nil || string(twice) != string(again) {
			t.Errorf("written %s, then %s (%v)", again, twice, err)
		}
	})
}
