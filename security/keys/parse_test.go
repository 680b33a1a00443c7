package keys_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParsePEM(t *testing.T) {
	k := testKeys()
	pkcs8 := func(key any) string { return pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))(t)) }
	spki := func(key any) string { return pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key))(t)) }
	pkcs1 := pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa))
	sec1 := pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(k.p256))(t))
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x"), Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}}))

	for _, tt := range []struct {
		name      string
		algorithm keys.Algorithm
		text      string
		want      keys.Algorithm // "" for an error
		signs     bool
		fault     string // a part of the error
	}{
		{name: "PKCS #8, RSA", algorithm: keys.PS384, text: pkcs8(k.rsa), want: keys.PS384, signs: true},
		{name: "PKCS #8, EC", text: pkcs8(k.p384), want: keys.ES384, signs: true},
		{name: "PKCS #8, Ed25519", text: pkcs8(k.ed), want: keys.EdDSA, signs: true},
		{name: "PKCS #1", algorithm: keys.RS256, text: pkcs1, want: keys.RS256, signs: true},
		{
			name: "PKCS #1, public", algorithm: keys.RS256,
			text: pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)), want: keys.RS256,
		},
		{name: "SEC 1", algorithm: keys.ES256, text: sec1, want: keys.ES256, signs: true},
		{
			name: "SEC 1 behind its parameters", algorithm: keys.ES256, text: pemOf("EC PARAMETERS", []byte("x")) + sec1,
			want: keys.ES256, signs: true,
		},
		{name: "SPKI, RSA", algorithm: keys.RS512, text: spki(&k.rsa.PublicKey), want: keys.RS512},
		{name: "SPKI, EC", text: spki(&k.p521.PublicKey), want: keys.ES512},
		{name: "SPKI, Ed25519", algorithm: keys.EdDSA, text: spki(k.ed.Public()), want: keys.EdDSA},
		{name: "RSA without an algorithm", text: pkcs1, fault: "algorithm"},
		{name: "EC for another algorithm", algorithm: keys.ES384, text: sec1, fault: "ES256"},
		{name: "EC for HS256", algorithm: keys.HS256, text: sec1, fault: "ES256"},
		{name: "encrypted, PKCS #8", algorithm: keys.RS256, text: pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), fault: "encrypted"},
		{name: "encrypted, PKCS #1", algorithm: keys.RS256, text: encrypted, fault: "encrypted"},
		{name: "a certificate", algorithm: keys.RS256, text: pemOf("CERTIFICATE", []byte("x")), fault: "CERTIFICATE"},
		{name: "two keys", algorithm: keys.RS256, text: pkcs1 + pkcs1, fault: "more than one"},
		{name: "no PEM", algorithm: keys.RS256, text: "secret", fault: "no PEM"},
		{name: "parameters alone", algorithm: keys.RS256, text: pemOf("EC PARAMETERS", []byte("x")), fault: "no PEM"},
		{name: "damaged", algorithm: keys.RS256, text: pemOf("PRIVATE KEY", []byte("x")), fault: "cannot be read"},
	} {
		key, err := keys.ParsePEM(tt.algorithm, []byte(tt.text))
		switch {
		case (err == nil) != (tt.want != ""):
			t.Errorf("%s: %v", tt.name, err)
		case err != nil && !strings.Contains(err.Error(), tt.fault):
			t.Errorf("%s: the error %q lacks %q", tt.name, err, tt.fault)
		case err == nil && (key.Algorithm() != tt.want || key.CanSign() != tt.signs):
			t.Errorf("%s: %s, signs: %v", tt.name, key, key.CanSign())
		}
	}
}

// jwks writes a JWK set with go-jose.
func jwks(t testing.TB, keys ...gojose.JSONWebKey) string {
	t.Helper()
	return string(must(json.Marshal(gojose.JSONWebKeySet{Keys: keys}))(t))
}

func TestParseJWKS(t *testing.T) {
	k := testKeys()
	secret := []byte(strings.Repeat("s!", 16))
	ec := gojose.JSONWebKey{Key: k.p256, KeyID: "ec"}
	rsaPublic := gojose.JSONWebKey{Key: &k.rsa.PublicKey, KeyID: "rsa"}
	for _, tt := range []struct {
		name, text  string
		all, public string // the keys that ParseJWKS and ParsePublicJWKS return; "" for an error
	}{
		{name: "a private key", text: jwks(t, ec), all: "ES256 key ec"},
		{name: "a symmetric key", text: jwks(t, gojose.JSONWebKey{Key: secret, Algorithm: "HS256", KeyID: "s"}), all: "HS256 key s"},
		{name: "a symmetric key without alg", text: jwks(t, gojose.JSONWebKey{Key: secret, KeyID: "s"})},
		{name: "a short symmetric key", text: jwks(t, gojose.JSONWebKey{Key: secret[:31], Algorithm: "HS256", KeyID: "s"})},
		{
			name: "public keys", text: jwks(t, rsaPublic, ec.Public()), all: "RS256 key rsa, ES256 key ec",
			public: "RS256 key rsa, ES256 key ec",
		},
		{
			name: "RSA for PS256", text: jwks(t, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Algorithm: "PS256", KeyID: "p"}),
			all: "PS256 key p", public: "PS256 key p",
		},
		{name: "RSA for HS256", text: jwks(t, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Algorithm: "HS256", KeyID: "p"})},
		{
			name: "for encryption, left out",
			text: jwks(t, rsaPublic, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Use: "enc", KeyID: "e"}),
			all:  "RS256 key rsa", public: "RS256 key rsa",
		},
		{name: "only for encryption", text: jwks(t, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Use: "enc", KeyID: "e"})},
		{
			name: "of an unknown kind, left out", text: strings.Replace(jwks(t, rsaPublic), `[`, `[{"kty":"XX"},`, 1),
			all: "RS256 key rsa", public: "RS256 key rsa",
		},
		{
			name: "a symmetric key for encryption beside a public key",
			text: `{"keys":[{"kty":"oct","k":"MDEy","use":"enc"},{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
			all:  "EdDSA key ed",
		},
		{name: "a single JWK", text: string(must(ec.MarshalJSON())(t)), all: "ES256 key ec"},
		{
			name: "a point off the curve",
			text: `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
		},
		{name: "e=1", text: `{"keys":[{"kty":"RSA","e":"AQ","n":"` + base64.RawURLEncoding.EncodeToString(k.rsa.N.Bytes()) + `"}]}`},
		{name: "a duplicate member", text: `{"keys":[],"keys":[]}`},
		{name: "empty", text: `{"keys":[]}`},
		{name: "a key that is a string", text: `{"keys":["x"]}`},
		{name: "not JSON", text: `x`},
		{name: "null", text: `null`},
	} {
		for _, c := range []struct {
			want  string
			parse func([]byte) ([]*keys.Key, error)
		}{{tt.all, keys.ParseJWKS}, {tt.public, parsePublic}} {
			parsed, err := c.parse([]byte(tt.text))
			var got []string
			for _, key := range parsed {
				got = append(got, key.String())
			}
			if strings.Join(got, ", ") != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%s: %q, %v; want %q", tt.name, got, err, c.want)
			}
		}
	}
}

// parsePublic is keys.ParsePublicJWKS without the keys that were skipped.
func parsePublic(text []byte) ([]*keys.Key, error) {
	all, _, err := keys.ParsePublicJWKS(text)
	return all, err
}

func TestJWKSHandler(t *testing.T) {
	k := testKeys()
	hmac := must(keys.NewHMAC(keys.HS256, testSecret, keys.WithID("secret-one")))(t)
	ec := must(keys.NewECDSA(k.p256, keys.WithID("ec")))(t)
	ed := must(keys.NewEd25519(k.ed, keys.WithID("ed")))(t)
	handler := must(keys.JWKSHandler(must(keys.NewSet(hmac, ec, ed))(t), time.Hour))(t)
	do := func(method, match string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/", nil)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	w := do(http.MethodGet, "")
	parsed := must(parsePublic(w.Body.Bytes()))(t)
	if len(parsed) != 2 || parsed[0].ID() != "ec" || parsed[1].ID() != "ed" || parsed[0].CanSign() {
		t.Errorf("keys %v", parsed)
	}
	if w.Header().Get("Cache-Control") != "public, max-age=3600" || w.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("header %v", w.Header())
	}
	for _, secret := range []string{`"d"`, `"k"`, "secret-one"} {
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("the set contains %s", secret)
		}
	}
	if again := do(http.MethodGet, w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("status %d for a copy that is current", again.Code)
	}
	if other := do(http.MethodPost, ""); other.Code != http.StatusMethodNotAllowed || other.Header().Get("Allow") == "" {
		t.Errorf("status %d for POST", other.Code)
	}
	rotation := must(keys.NewRotation(must(keys.NewSet(ec))(t)))(t)
	handler = must(keys.JWKSHandler(rotation, time.Hour))(t)
	before := do(http.MethodGet, "")
	if err := rotation.Replace(must(keys.NewSet(ec, ed))(t)); err != nil {
		t.Fatal(err)
	}
	if after := do(http.MethodGet, before.Header().Get("ETag")); after.Code != http.StatusOK || len(must(parsePublic(after.Body.Bytes()))(t)) != 2 {
		t.Errorf("status %d after the rotation", after.Code)
	}
	for name, err := range map[string]error{
		"no key set":          second(keys.JWKSHandler(nil, time.Hour)),
		"only symmetric keys": second(keys.JWKSHandler(must(keys.NewSet(hmac))(t), time.Hour)),
		"no age":              second(keys.JWKSHandler(must(keys.NewSet(ec))(t), 0)),
		"a year":              second(keys.JWKSHandler(must(keys.NewSet(ec))(t), 365*24*time.Hour)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
