package security

import (
	"encoding/json"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/payload"
)

// FuzzCompact validates arbitrary texts.
func FuzzCompact(f *testing.F) {
	app := newFixture(f)
	for _, seed := range []string{
		compactHS256(goodHeader, payloadWith()), compactHS256(goodHeader, payloadWith("aud", `["a","`+testIssuer+`"]`)),
		compactHS256(`{"alg":"none"}`, payloadWith()), "a.b.c", "...", "", compactHS256(goodHeader, `null`),
	} {
		f.Add(seed)
	}
	// Every text yields either a token or an error with a sentinel.
	f.Fuzz(func(t *testing.T, text string) {
		token, err := app.validate(t.Context(), text, accessToken)
		if (token == nil) == (err == nil) {
			t.Errorf("token %v, error %v", token, err)
		}
		if err != nil && !isKnown(err) {
			t.Errorf("an error without a sentinel: %v", err)
		}
	})
}

// FuzzPayload verifies signed tokens with arbitrary payloads.
func FuzzPayload(f *testing.F) {
	app := newFixture(f)
	for _, seed := range []string{
		payloadWith(), payloadWith("name", `"x"`), payloadWith("team", `{"id":1}`), payloadWith("roles", `["a"]`),
		payloadWith("scope", `"a b"`), `{}`, `null`, `{"exp":1e400}`, payloadWith("x", `[[[[]]]]`),
	} {
		f.Add(seed)
	}
	plain, none, typ := payload.RFC9068{}, payload.Names{}, payload.TypeOf(payload.Access)
	// encoding/json reads the same claims from a payload that is accepted, and the claims can be
	// written again.
	f.Fuzz(func(t *testing.T, content string) {
		c, err := app.verifier.verify(t, compactHS256(goodHeader, content), accessToken)
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
		second, err := plain.Decode(again, payload.Reading{WantPrivate: true})
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		twice, err := plain.Encode(second, none, typ, second.Private)
		if err != nil || string(twice) != string(again) {
			t.Errorf("written %s, then %s (%v)", again, twice, err)
		}
	})
}
