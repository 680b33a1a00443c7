package security

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestHostileTokens has tokens that a verifier must refuse, each with its sentinel.
func TestHostileTokens(t *testing.T) {
	f := newFixture(t)
	good := compactHS256(goodHeader, payloadWith())
	if _, err := f.verifier.verify(t, good, accessToken); err != nil {
		t.Fatalf("the token that the rows change: %v", err)
	}
	segments := strings.Split(good, ".")
	head := func(h string) string { return compactHS256(h, payloadWith()) }
	claim := func(changes ...string) string { return compactHS256(goodHeader, payloadWith(changes...)) }
	// lastBits returns another text for the bytes of a segment, which differs in unused bits.
	lastBits := func(segment string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, segment[len(segment)-1])
		return segment[:len(segment)-1] + alphabet[last|1:last|1+1]
	}

	for _, tt := range []struct {
		name string
		text string
		want *Error
	}{
		{"alg none", head(`{"alg":"none","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg none, no signature", segments[0] + "." + segments[1] + ".", ErrInvalidToken},
		{"alg nOnE", head(`{"alg":"nOnE","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg NONE", head(`{"alg":"NONE","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg missing", head(`{"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg unknown", head(`{"alg":"HS257","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg a number", head(`{"alg":256,"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg a list", head(`{"alg":["HS256"],"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg null", head(`{"alg":null,"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg hs256", head(`{"alg":"hs256","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg HS384 where HS256 is bound", head(`{"alg":"HS384","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg EdDSA where HS256 is bound", head(`{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"signature empty", segments[0] + "." + segments[1] + ".", ErrInvalidToken},
		{"signature truncated", good[:len(good)-2], ErrInvalidToken},
		{"signature extended", good + "AA", ErrInvalidToken},
		{"signature of another payload", segments[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(payloadWith("sub", `"admin"`))) + "." + segments[2], ErrInvalidToken},
		{"crit unknown", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","crit":["x"],"x":1}`), ErrInvalidToken},
		{"b64 false", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","b64":false}`), ErrInvalidToken},
		{"crit empty", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","crit":[]}`), ErrInvalidToken},
		{"alg twice", head(`{"alg":"none","alg":"HS256","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg twice, escaped", head(`{"alg":"none","\u0061lg":"HS256","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"embedded jwk", head(`{"alg":"EdDSA","typ":"at+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}`), ErrInvalidToken},
		{"kid a path", head(`{"alg":"HS256","kid":"../../dev/null","typ":"at+jwt"}`), ErrInvalidToken},
		{"kid SQL", head(`{"alg":"HS256","kid":"k1' OR '1'='1","typ":"at+jwt"}`), ErrInvalidToken},
		{"kid an object", head(`{"alg":"HS256","kid":{"k":"k1"},"typ":"at+jwt"}`), ErrInvalidToken},
		{"kid empty", head(`{"alg":"HS256","kid":"","typ":"at+jwt"}`), ErrInvalidToken},
		{"typ of an ID token", head(`{"alg":"HS256","kid":"k1","typ":"JWT"}`), ErrWrongTokenType},
		{"typ missing", head(`{"alg":"HS256","kid":"k1"}`), ErrWrongTokenType},
		{"refresh as access", head(`{"alg":"HS256","kid":"k1","typ":"rt+jwt"}`), ErrWrongTokenType},
		{"cty nested", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","cty":"JWT"}`), ErrInvalidToken},
		{"zip", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","zip":"DEF"}`), ErrInvalidToken},
		{"header not an object", head(`"x"`), ErrInvalidToken},
		{"header with bytes after it", head(goodHeader + ` 1`), ErrInvalidToken},
		{"LF inside the payload", segments[0] + "." + segments[1][:8] + "\n" + segments[1][8:] + "." + segments[2], ErrInvalidToken},
		{"CR inside the signature", good[:len(good)-5] + "\r" + good[len(good)-5:], ErrInvalidToken},
		{"trailing bits of the signature", segments[0] + "." + segments[1] + "." + lastBits(segments[2]), ErrInvalidToken},
		{"padding", good + "=", ErrInvalidToken},
		{"plus and slash", signHS256(segments[0] + "." + segments[1][:8] + "+/" + segments[1][8:]), ErrInvalidToken},
		{"a space in front", " " + good, ErrInvalidToken},
		{"a BOM in front", "\ufeff" + good, ErrInvalidToken},
		{"JSON serialization", `{"protected":"` + segments[0] + `","payload":"` + segments[1] + `","signature":"` + segments[2] + `"}`, ErrInvalidToken},
		{"five segments", good + ".AA.AA", ErrInvalidToken},
		{"no segment", "", ErrInvalidToken},
		{"one segment", "AAAA", ErrInvalidToken},
		{"two segments", segments[0] + "." + segments[1], ErrInvalidToken},
		{"a million dots", strings.Repeat(".", 1_000_000), ErrInvalidToken},
		{"dots below the size cap", strings.Repeat(".", 8000), ErrInvalidToken},
		{"percent-encoded dots", strings.ReplaceAll(good, ".", "%2E"), ErrInvalidToken},
		{"Unicode dots", strings.ReplaceAll(good, ".", "\u3002"), ErrInvalidToken},
		{"exp twice", compactHS256(goodHeader, strings.TrimSuffix(payloadWith(), "}")+`,"exp":1800000000}`), ErrInvalidToken},
		{"sub twice", compactHS256(goodHeader, strings.TrimSuffix(payloadWith(), "}")+`,"sub":"admin"}`), ErrInvalidToken},
		{"jti twice, escaped", compactHS256(goodHeader, strings.TrimSuffix(payloadWith(), "}")+`,"\u006ati":"x"}`), ErrInvalidToken},
		{"EXP as well as exp", claim("EXP", "1800000000"), ErrInvalidToken},
		{"Sub as well as sub", claim("Sub", `"admin"`), ErrInvalidToken},
		{"ſub with a long s as well as sub", claim("ſub", `"admin"`), ErrInvalidToken},
		{"bytes after the payload", compactHS256(goodHeader, payloadWith()+"{}"), ErrInvalidToken},
		{"invalid UTF-8", claim("sub", "\"al\xffice\""), ErrInvalidToken},
		{"NUL", claim("sub", `"alice\u0000"`), ErrInvalidToken},
		{"NUL in an audience", compactHS256(goodHeader, payloadWith("aud", `["`+testIssuer+`","x\u0000"]`)), ErrInvalidToken},
		{"lone surrogate", claim("sub", `"\ud800"`), ErrInvalidToken},
		{"nested deeply", claim("x", strings.Repeat("[", 2000)+strings.Repeat("]", 2000)), ErrInvalidToken},
		{"nested deeply in a known claim", claim("aud", strings.Repeat("[", 2000)+strings.Repeat("]", 2000)), ErrInvalidToken},
		{"exp missing", claim("exp", ""), ErrInvalidToken},
		{"exp 0", claim("exp", "0"), ErrInvalidToken},
		{"exp null", claim("exp", "null"), ErrInvalidToken},
		{"exp a string", claim("exp", `"1700000900"`), ErrInvalidToken},
		{"exp true", claim("exp", "true"), ErrInvalidToken},
		{"exp 1e400", claim("exp", "1e400"), ErrInvalidToken},
		{"nbf 1e300", claim("nbf", "1e300"), ErrInvalidToken},
		{"iat -1e300", claim("iat", "-1e300"), ErrInvalidToken},
		{"exp decades away", claim("exp", "2700000000"), ErrInvalidToken},
		{"sub a number", claim("sub", "7"), ErrInvalidToken},
		{"sub missing", claim("sub", ""), ErrInvalidToken},
		{"aud empty", claim("aud", "[]"), ErrInvalidToken},
		{"aud mixed", claim("aud", `["`+testIssuer+`",1]`), ErrInvalidToken},
		{"aud with null", claim("aud", `["`+testIssuer+`",null]`), ErrInvalidToken},
		{"aud an object", claim("aud", `{"a":"`+testIssuer+`"}`), ErrInvalidToken},
		{"aud missing", claim("aud", ""), ErrInvalidToken},
		{"another aud", claim("aud", `"https://other.example"`), ErrInvalidToken},
		{"iss with another slash", claim("iss", `"`+testIssuer+`/"`), ErrInvalidToken},
		{"iss in another case", claim("iss", `"HTTPS://issuer.example"`), ErrInvalidToken},
		{"iss missing", claim("iss", ""), ErrInvalidToken},
		{"payload null", compactHS256(goodHeader, "null"), ErrInvalidToken},
		{"payload a list", compactHS256(goodHeader, "[]"), ErrInvalidToken},
		{"jti missing", claim("jti", ""), ErrInvalidToken},
		{"jti empty", claim("jti", `""`), ErrInvalidToken},
		{"jti of 1 MB", claim("jti", `"`+strings.Repeat("j", 1<<20)+`"`), ErrInvalidToken},
		{"jti a number", claim("jti", "1"), ErrInvalidToken},
		{"payload of 1 MiB with a bad signature", segments[0] + "." + strings.Repeat("A", 1<<20) + "." + segments[2], ErrInvalidToken},
		{"a huge integer", claim("exp", strings.Repeat("9", 4000)), ErrInvalidToken},
		{"iat missing", claim("iat", ""), ErrInvalidToken},
		{"iat in the future", claim("iat", "1700000031.123"), ErrTokenNotYetValid},
		{"nbf in the future", claim("nbf", "1700000031.123"), ErrTokenNotYetValid},
		{"scope and scp differ", claim("scope", `"a b"`, "scp", `["a"]`), ErrInvalidToken},
		{"fresh not a boolean", claim("fresh", `"true"`), ErrInvalidToken},
		{"expired", claim("exp", "1699999970.123", "iat", "1699999000"), ErrTokenExpired},
		{"expired by a millisecond", claim("exp", "1699999970.122", "iat", "1699999000"), ErrTokenExpired},
		{"private claim of the wrong type", claim("name", "7"), ErrInvalidToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := f.validate(t.Context(), tt.text, accessToken)
			if !errors.Is(err, tt.want) || token != nil {
				t.Errorf("token %v, error %v; want %v and no token", token, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "alice") {
				t.Errorf("the error repeats a part of the token: %v", err)
			}
		})
	}
}

// TestGoodTokens has unusual tokens that a verifier must accept.
func TestGoodTokens(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ name, text string }{
		{"plain", compactHS256(goodHeader, payloadWith())},
		{"typ with application/", compactHS256(`{"alg":"HS256","kid":"k1","typ":"application/at+jwt"}`, payloadWith())},
		{"typ in another case", compactHS256(`{"alg":"HS256","kid":"k1","typ":"AT+JWT"}`, payloadWith())},
		{"no kid and one key", compactHS256(`{"alg":"HS256","typ":"at+jwt"}`, payloadWith())},
		{"jku is not fetched", compactHS256(`{"alg":"HS256","typ":"at+jwt","jku":"http://127.0.0.1:1/"}`, payloadWith())},
		{"x5c is ignored", compactHS256(`{"alg":"HS256","typ":"at+jwt","x5c":["AA"]}`, payloadWith())},
		{"aud a list", compactHS256(goodHeader, payloadWith("aud", `["https://x.example","`+testIssuer+`"]`))},
		{"fractional exp", compactHS256(goodHeader, payloadWith("exp", "1700000000.5"))},
		{"exp with an exponent", compactHS256(goodHeader, payloadWith("exp", "1.7000009E9"))},
		{"exp within the leeway", compactHS256(goodHeader, payloadWith("exp", "1699999970.124", "iat", "1699999000"))},
		{"iat within the leeway", compactHS256(goodHeader, payloadWith("iat", "1700000030.123"))},
		{"scope and scp agree", compactHS256(goodHeader, payloadWith("scope", `"a b"`, "scp", `["a","b"]`))},
		{"roles an object", compactHS256(goodHeader, payloadWith("roles", `{"ADMIN":true}`))},
		{"nested to the limit", compactHS256(goodHeader, payloadWith("x", strings.Repeat("[", 32)+strings.Repeat("]", 32)))},
		{"brackets in a string", compactHS256(goodHeader, payloadWith("x", `{"a":"`+strings.Repeat("[", 100)+`\"["}`))},
		{"escaped claim", compactHS256(goodHeader, strings.Replace(payloadWith(), `"sub":"alice"`, `"\u0073ub":"al\u0069ce"`, 1))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := f.validate(t.Context(), tt.text, accessToken)
			if err != nil {
				t.Fatal(err)
			}
			if subject := token.Subject(); subject != "alice" {
				t.Errorf("subject %q, want alice", subject)
			}
		})
	}
}

// TestAgainstGolangJWT verifies our token with golang-jwt, and a token of golang-jwt with our
// verifier.
func TestAgainstGolangJWT(t *testing.T) {
	f := newFixture(t)
	issued := must(f.issuer.IssueAccessToken(t.Context(), "alice", userClaims{Name: "Alice"}))(t)
	parsed, err := jwt.Parse(issued.Text(), func(*jwt.Token) (any, error) { return testSecret, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(testIssuer), jwt.WithAudience(testIssuer),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(f.clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	if name := parsed.Claims.(jwt.MapClaims)["name"]; name != "Alice" || parsed.Header["typ"] != "at+jwt" {
		t.Errorf("golang-jwt reads name %v, typ %v", name, parsed.Header["typ"])
	}

	theirs := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": testIssuer, "aud": testIssuer, "sub": "bob", "jti": "1", "iat": f.clock.Now().Unix(), "exp": f.clock.Now().Add(time.Minute).Unix(),
	})
	theirs.Header["typ"] = "at+jwt"
	text := must(theirs.SignedString(testSecret))(t)
	if claims, err := f.verifier.verify(t, text, accessToken); err != nil || claims.Subject != "bob" {
		t.Errorf("claims %+v, error %v", claims, err)
	}
}

func TestEd25519(t *testing.T) {
	public, private := must2(ed25519.GenerateKey(nil))(t)
	clock := newClock()
	signingKey := must(keys.NewEd25519(private))(t)
	signing := must(keys.NewSet(signingKey))(t)
	verifying := must(keys.NewSet(must(keys.NewEd25519Public(public))(t)))(t)
	issuer := must(NewIssuer(must(NewVerifier(testIssuer, signing, WithClock(clock.Now)))(t)))(t)
	verifier := must(NewVerifier(testIssuer, verifying, WithClock(clock.Now)))(t)
	text := must(issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	if _, err := verifier.verify(t, text, accessToken); err != nil {
		t.Errorf("with the public key: %v", err)
	}
	if _, err := NewIssuer(verifier); err == nil {
		t.Error("an issuer without a signing key")
	}
	other := must(keys.NewSet(must(keys.NewHMAC(keys.HS256, public, keys.WithID(signingKey.ID())))(t)))(t)
	confused := must(NewVerifier(testIssuer, other, WithClock(clock.Now)))(t)
	if _, err := confused.verify(t, text, accessToken); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("with the public key as an HMAC secret: %v", err)
	}
}

func must2[A, B any](a A, b B, err error) func(testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

func TestKeySelection(t *testing.T) {
	one := must(keys.NewHMAC(keys.HS256, testSecret, keys.WithID("one")))(t)
	two := must(keys.NewHMAC(keys.HS256, []byte(strings.Repeat("2!", 16)), keys.WithID("two")))(t)
	clock := newClock()
	verifier := must(NewVerifier(testIssuer, must(keys.NewSet(two, one))(t), WithClock(clock.Now)))(t)
	for _, tt := range []struct {
		name, header string
		want         error
	}{
		{"by id", `{"alg":"HS256","kid":"one","typ":"at+jwt"}`, nil},
		{"another key's id", `{"alg":"HS256","kid":"two","typ":"at+jwt"}`, ErrInvalidToken},
		{"no id and two keys that could match", `{"alg":"HS256","typ":"at+jwt"}`, ErrInvalidToken},
	} {
		_, err := verifier.verify(t, compactHS256(tt.header, payloadWith()), accessToken)
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
