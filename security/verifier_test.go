package security

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"github.com/oapi-guard/oapi-guard/internal/sectest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// TestHostileTokens has the inputs that a verifier must survive. Every one is refused with the right sentinel.
func TestHostileTokens(t *testing.T) {
	f := newFixture(t)
	good := compactHS256(goodHeader, payloadWith())
	if _, err := f.verifier.verify(t, good, accessToken); err != nil {
		t.Fatalf("the token that the cases are made from: %v", err)
	}
	segments := strings.Split(good, ".")
	head := func(h string) string { return compactHS256(h, payloadWith()) }
	claim := func(changes ...string) string { return compactHS256(goodHeader, payloadWith(changes...)) }
	// lastBits returns a segment that decodes to the same bytes but is not the canonical text for them.
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
		{"1 alg none", head(`{"alg":"none","typ":"at+jwt"}`), ErrInvalidToken},
		{"1 alg none, no signature", segments[0] + "." + segments[1] + ".", ErrInvalidToken},
		{"2 alg nOnE", head(`{"alg":"nOnE","typ":"at+jwt"}`), ErrInvalidToken},
		{"2 alg NONE", head(`{"alg":"NONE","typ":"at+jwt"}`), ErrInvalidToken},
		{"3 alg missing", head(`{"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"3 alg unknown", head(`{"alg":"HS257","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"4 alg a number", head(`{"alg":256,"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"4 alg a list", head(`{"alg":["HS256"],"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"4 alg null", head(`{"alg":null,"kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"5 alg hs256", head(`{"alg":"hs256","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"10 alg HS384 where HS256 is bound", head(`{"alg":"HS384","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"alg EdDSA where HS256 is bound", head(`{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"19 signature empty", segments[0] + "." + segments[1] + ".", ErrInvalidToken},
		{"20 signature truncated", good[:len(good)-2], ErrInvalidToken},
		{"20 signature extended", good + "AA", ErrInvalidToken},
		{"signature of another payload", segments[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(payloadWith("sub", `"admin"`))) + "." + segments[2], ErrInvalidToken},
		{"26 crit unknown", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","crit":["x"],"x":1}`), ErrInvalidToken},
		{"27 b64 false", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","b64":false}`), ErrInvalidToken},
		{"28 crit empty", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","crit":[]}`), ErrInvalidToken},
		{"29 alg twice", head(`{"alg":"none","alg":"HS256","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"29 alg twice, escaped", head(`{"alg":"none","\u0061lg":"HS256","kid":"k1","typ":"at+jwt"}`), ErrInvalidToken},
		{"30 embedded jwk", head(`{"alg":"EdDSA","typ":"at+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}`), ErrInvalidToken},
		{"33 kid a path", head(`{"alg":"HS256","kid":"../../dev/null","typ":"at+jwt"}`), ErrInvalidToken},
		{"34 kid SQL", head(`{"alg":"HS256","kid":"k1' OR '1'='1","typ":"at+jwt"}`), ErrInvalidToken},
		{"35 kid an object", head(`{"alg":"HS256","kid":{"k":"k1"},"typ":"at+jwt"}`), ErrInvalidToken},
		{"kid empty", head(`{"alg":"HS256","kid":"","typ":"at+jwt"}`), ErrInvalidToken},
		{"37 typ of an ID token", head(`{"alg":"HS256","kid":"k1","typ":"JWT"}`), ErrWrongTokenType},
		{"37 typ missing", head(`{"alg":"HS256","kid":"k1"}`), ErrWrongTokenType},
		{"37 refresh as access", head(`{"alg":"HS256","kid":"k1","typ":"rt+jwt"}`), ErrWrongTokenType},
		{"38 cty nested", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","cty":"JWT"}`), ErrInvalidToken},
		{"39 zip", head(`{"alg":"HS256","kid":"k1","typ":"at+jwt","zip":"DEF"}`), ErrInvalidToken},
		{"header not an object", head(`"x"`), ErrInvalidToken},
		{"header with bytes after it", head(goodHeader + ` 1`), ErrInvalidToken},
		{"40 LF inside the payload", segments[0] + "." + segments[1][:8] + "\n" + segments[1][8:] + "." + segments[2], ErrInvalidToken},
		{"40 CR inside the signature", good[:len(good)-5] + "\r" + good[len(good)-5:], ErrInvalidToken},
		{"41 trailing bits of the signature", segments[0] + "." + segments[1] + "." + lastBits(segments[2]), ErrInvalidToken},
		{"42 padding", good + "=", ErrInvalidToken},
		{"43 plus and slash", signHS256(segments[0] + "." + segments[1][:8] + "+/" + segments[1][8:]), ErrInvalidToken},
		{"44 a space in front", " " + good, ErrInvalidToken},
		{"44 a BOM in front", "\ufeff" + good, ErrInvalidToken},
		{"45 JSON serialization", `{"protected":"` + segments[0] + `","payload":"` + segments[1] + `","signature":"` + segments[2] + `"}`, ErrInvalidToken},
		{"46 five segments", good + ".AA.AA", ErrInvalidToken},
		{"47 no segment", "", ErrInvalidToken},
		{"47 one segment", "AAAA", ErrInvalidToken},
		{"47 two segments", segments[0] + "." + segments[1], ErrInvalidToken},
		{"48 a million dots", strings.Repeat(".", 1_000_000), ErrInvalidToken},
		{"48 dots below the size cap", strings.Repeat(".", 8000), ErrInvalidToken},
		{"49 percent-encoded dots", strings.ReplaceAll(good, ".", "%2E"), ErrInvalidToken},
		{"49 Unicode dots", strings.ReplaceAll(good, ".", "\u3002"), ErrInvalidToken},
		{"50 exp twice", compactHS256(goodHeader, strings.TrimSuffix(payloadWith(), "}")+`,"exp":1800000000}`), ErrInvalidToken},
		{"50 sub twice", compactHS256(goodHeader, strings.TrimSuffix(payloadWith(), "}")+`,"sub":"admin"}`), ErrInvalidToken},
		{"50 jti twice, escaped", compactHS256(goodHeader, strings.TrimSuffix(payloadWith(), "}")+`,"\u006ati":"x"}`), ErrInvalidToken},
		{"51 EXP beside exp", claim("EXP", "1800000000"), ErrInvalidToken},
		{"51 Sub beside sub", claim("Sub", `"admin"`), ErrInvalidToken},
		{"51 a long s in ſub", claim("ſub", `"admin"`), ErrInvalidToken},
		{"52 bytes after the payload", compactHS256(goodHeader, payloadWith()+"{}"), ErrInvalidToken},
		{"53 invalid UTF-8", claim("sub", "\"al\xffice\""), ErrInvalidToken},
		{"53 NUL", claim("sub", `"alice\u0000"`), ErrInvalidToken},
		{"53 NUL in a role", compactHS256(goodHeader, payloadWith("aud", `["`+testIssuer+`","x\u0000"]`)), ErrInvalidToken},
		{"53 lone surrogate", claim("sub", `"\ud800"`), ErrInvalidToken},
		{"54 nested deeply", claim("x", strings.Repeat("[", 2000)+strings.Repeat("]", 2000)), ErrInvalidToken},
		{"54 nested deeply in a known claim", claim("aud", strings.Repeat("[", 2000)+strings.Repeat("]", 2000)), ErrInvalidToken},
		{"55 exp missing", claim("exp", ""), ErrInvalidToken},
		{"56 exp 0", claim("exp", "0"), ErrInvalidToken},
		{"57 exp null", claim("exp", "null"), ErrInvalidToken},
		{"57 exp a string", claim("exp", `"1700000900"`), ErrInvalidToken},
		{"57 exp true", claim("exp", "true"), ErrInvalidToken},
		{"57 exp 1e400", claim("exp", "1e400"), ErrInvalidToken},
		{"58 nbf 1e300", claim("nbf", "1e300"), ErrInvalidToken},
		{"58 iat -1e300", claim("iat", "-1e300"), ErrInvalidToken},
		{"60 exp decades away", claim("exp", "2700000000"), ErrInvalidToken},
		{"61 sub a number", claim("sub", "7"), ErrInvalidToken},
		{"61 sub missing", claim("sub", ""), ErrInvalidToken},
		{"62 aud empty", claim("aud", "[]"), ErrInvalidToken},
		{"62 aud mixed", claim("aud", `["`+testIssuer+`",1]`), ErrInvalidToken},
		{"62 aud with null", claim("aud", `["`+testIssuer+`",null]`), ErrInvalidToken},
		{"62 aud an object", claim("aud", `{"a":"`+testIssuer+`"}`), ErrInvalidToken},
		{"62 aud missing", claim("aud", ""), ErrInvalidToken},
		{"62 another aud", claim("aud", `"https://other.example"`), ErrInvalidToken},
		{"63 iss with another slash", claim("iss", `"`+testIssuer+`/"`), ErrInvalidToken},
		{"63 iss in another case", claim("iss", `"HTTPS://issuer.example"`), ErrInvalidToken},
		{"63 iss missing", claim("iss", ""), ErrInvalidToken},
		{"64 claims null", compactHS256(goodHeader, "null"), ErrInvalidToken},
		{"64 claims a list", compactHS256(goodHeader, "[]"), ErrInvalidToken},
		{"65 jti missing", claim("jti", ""), ErrInvalidToken},
		{"65 jti empty", claim("jti", `""`), ErrInvalidToken},
		{"65 jti of 1 MB", claim("jti", `"`+strings.Repeat("j", 1<<20)+`"`), ErrInvalidToken},
		{"66 jti a number", claim("jti", "1"), ErrInvalidToken},
		{"67 payload of 1 MiB with a bad signature", segments[0] + "." + strings.Repeat("A", 1<<20) + "." + segments[2], ErrInvalidToken},
		{"68 a huge integer", claim("exp", strings.Repeat("9", 4000)), ErrInvalidToken},
		{"86 iat missing", claim("iat", ""), ErrInvalidToken},
		{"87 iat in the future", claim("iat", "1700000031.123"), ErrTokenNotYetValid},
		{"nbf in the future", claim("nbf", "1700000031.123"), ErrTokenNotYetValid},
		{"88 scope and scp differ", claim("scope", `"a b"`, "scp", `["a"]`), ErrInvalidToken},
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
				t.Errorf("the error holds something of the token: %v", err)
			}
		})
	}
}

// TestGoodTokens has unusual tokens that are to pass.
func TestGoodTokens(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ name, text string }{
		{"plain", compactHS256(goodHeader, payloadWith())},
		{"37 typ with application/", compactHS256(`{"alg":"HS256","kid":"k1","typ":"application/at+jwt"}`, payloadWith())},
		{"37 typ in another case", compactHS256(`{"alg":"HS256","kid":"k1","typ":"AT+JWT"}`, payloadWith())},
		{"no kid and one key", compactHS256(`{"alg":"HS256","typ":"at+jwt"}`, payloadWith())},
		{"31 jku is not fetched", compactHS256(`{"alg":"HS256","typ":"at+jwt","jku":"http://127.0.0.1:1/"}`, payloadWith())},
		{"32 x5c is ignored", compactHS256(`{"alg":"HS256","typ":"at+jwt","x5c":["AA"]}`, payloadWith())},
		{"aud a list", compactHS256(goodHeader, payloadWith("aud", `["https://x.example","`+testIssuer+`"]`))},
		{"59 fractional exp", compactHS256(goodHeader, payloadWith("exp", "1700000000.5"))},
		{"exp with an exponent", compactHS256(goodHeader, payloadWith("exp", "1.7000009E9"))},
		{"exp within the leeway", compactHS256(goodHeader, payloadWith("exp", "1699999970.124", "iat", "1699999000"))},
		{"iat within the leeway", compactHS256(goodHeader, payloadWith("iat", "1700000030.123"))},
		{"88 scope and scp alike", compactHS256(goodHeader, payloadWith("scope", `"a b"`, "scp", `["a","b"]`))},
		{"89 roles an object", compactHS256(goodHeader, payloadWith("roles", `{"ADMIN":true}`))},
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
				t.Errorf("subject %q", subject)
			}
		})
	}
}

// TestAgainstGolangJWT checks our tokens with the library whose cryptography they use, and its tokens with ours.
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
		t.Error("an issuer without a key that signs")
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
	two := must(keys.NewHMAC(keys.HS256, []byte(strings.Repeat("2", 32)), keys.WithID("two")))(t)
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

func TestConstructorsRefuse(t *testing.T) {
	key := must(keys.NewHMAC(keys.HS256, testSecret))(t)
	set := must(keys.NewSet(key))(t)
	verifier := must(NewVerifier(testIssuer, set))(t)
	for name, err := range map[string]error{
		"13 an empty HMAC key":           second(keys.NewHMAC(keys.HS256, nil)),
		"14 an HMAC key below the hash":  second(keys.NewHMAC(keys.HS256, testSecret[:31])),
		"HS512 with 32 bytes":            second(keys.NewHMAC(keys.HS512, testSecret)),
		"EdDSA as HMAC":                  second(keys.NewHMAC(keys.EdDSA, testSecret)),
		"a short Ed25519 key":            second(keys.NewEd25519(make(ed25519.PrivateKey, 10))),
		"a short Ed25519 public key":     second(keys.NewEd25519Public(make(ed25519.PublicKey, 10))),
		"an empty key id":                second(keys.NewHMAC(keys.HS256, testSecret, keys.WithID(""))),
		"an empty key set":               second(keys.NewSet()),
		"a nil key":                      second(keys.NewSet(nil)),
		"a zero key":                     second(keys.NewSet(&keys.Key{})),
		"two keys of one id":             second(keys.NewSet(key, key)),
		"no issuer":                      second(NewVerifier("", set)),
		"no keys":                        second(NewVerifier(testIssuer, nil)),
		"a leeway of an hour":            second(NewVerifier(testIssuer, set, WithLeeway(time.Hour))),
		"a negative leeway":              second(NewVerifier(testIssuer, set, WithLeeway(-1))),
		"an empty audience":              second(NewVerifier(testIssuer, set, WithAudience(""))),
		"no audience":                    second(NewVerifier(testIssuer, set, WithAudience())),
		"no lifetime":                    second(NewVerifier(testIssuer, set, WithMaxLifetime(0))),
		"tiny tokens":                    second(NewVerifier(testIssuer, set, WithMaxTokenSize(3))),
		"no logger":                      second(NewVerifier(testIssuer, set, WithLogger(nil))),
		"no clock":                       second(NewVerifier(testIssuer, set, WithClock(nil))),
		"a nil verifier option":          second(NewVerifier(testIssuer, set, nil)),
		"no verifier":                    second(NewIssuer(nil)),
		"a lifetime beyond the longest":  second(NewIssuer(verifier, WithAccessLifetime(31*24*time.Hour))),
		"a session beyond the longest":   second(NewIssuer(verifier, WithSessionLifetime(31*24*time.Hour))),
		"a negative lifetime":            second(NewIssuer(verifier, WithAccessLifetime(-1))),
		"a validator without a verifier": second(NewValidator(nil, &sectest.FaultyList{})),
		"a validator without blacklist":  second(NewValidator(verifier, nil)),
		"a negative time-out":            second(NewValidator(verifier, &sectest.FaultyList{}, WithLookupTimeout(-1))),
		"no time-out to revoke":          second(NewValidator(verifier, &sectest.FaultyList{}, WithRevocationTimeout(0))),
		"a skew of an hour":              second(NewValidator(verifier, &sectest.FaultyList{}, WithClockSkew(time.Hour))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestKeysPrintRedacted looks for key material in whatever prints a key.
func TestKeysPrintRedacted(t *testing.T) {
	key := must(keys.NewHMAC(keys.HS256, testSecret, keys.WithID("k1")))(t)
	encoded, err := json.Marshal(struct{ K *keys.Key }{key})
	for _, text := range printed(struct{ K *keys.Key }{key}, key, *key, struct{ K keys.Key }{*key}, must(keys.NewSet(key))(t), must(NewVerifier(testIssuer, must(keys.NewSet(key))(t)))(t)) {
		if strings.Contains(text, "0123456789abcdef") || strings.Contains(text, "48 49 50") || strings.Contains(text, "30313233") {
			t.Errorf("printed key material: %s", text)
		}
	}
	if err == nil {
		t.Errorf("a key encodes as %s", encoded)
	}
}
