package keys_test

import (
	"bytes"
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
		fault     string // in the error
	}{
		{"PKCS #8, RSA", keys.PS384, pkcs8(k.rsa), keys.PS384, true, ""},
		{"PKCS #8, EC", "", pkcs8(k.p384), keys.ES384, true, ""},
		{"PKCS #8, Ed25519", "", pkcs8(k.ed), keys.EdDSA, true, ""},
		{"PKCS #1", keys.RS256, pkcs1, keys.RS256, true, ""},
		{"PKCS #1, public", keys.RS256, pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)), keys.RS256, false, ""},
		{"SEC 1", keys.ES256, sec1, keys.ES256, true, ""},
		{"SEC 1 behind its parameters", keys.ES256, pemOf("EC PARAMETERS", []byte("x")) + sec1, keys.ES256, true, ""},
		{"SPKI, RSA", keys.RS512, spki(&k.rsa.PublicKey), keys.RS512, false, ""},
		{"SPKI, EC", "", spki(&k.p521.PublicKey), keys.ES512, false, ""},
		{"SPKI, Ed25519", keys.EdDSA, spki(k.ed.Public()), keys.EdDSA, false, ""},
		{"RSA without an algorithm", "", pkcs1, "", false, "algorithm"},
		{"EC for another algorithm", keys.ES384, sec1, "", false, "ES256"},
		{"EC for HS256", keys.HS256, sec1, "", false, "ES256"},
		{"encrypted, PKCS #8", keys.RS256, pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "", false, "encrypted"},
		{"encrypted, PKCS #1", keys.RS256, encrypted, "", false, "encrypted"},
		{"a certificate", keys.RS256, pemOf("CERTIFICATE", []byte("x")), "", false, "CERTIFICATE"},
		{"two keys", keys.RS256, pkcs1 + pkcs1, "", false, "more than one"},
		{"no PEM", keys.RS256, "secret", "", false, "no PEM"},
		{"parameters alone", keys.RS256, pemOf("EC PARAMETERS", []byte("x")), "", false, "no PEM"},
		{"damaged", keys.RS256, pemOf("PRIVATE KEY", []byte("x")), "", false, "cannot be read"},
	} {
		key, err := keys.ParsePEM(tt.algorithm, []byte(tt.text))
		switch {
		case (err == nil) != (tt.want != ""):
			t.Errorf("%s: %v", tt.name, err)
		case err != nil && !strings.Contains(err.Error(), tt.fault):
			t.Errorf("%s: the error %q does not say %q", tt.name, err, tt.fault)
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
	secret := bytes.Repeat([]byte("s"), 32)
	ec := gojose.JSONWebKey{Key: k.p256, KeyID: "ec"}
	rsaPublic := gojose.JSONWebKey{Key: &k.rsa.PublicKey, KeyID: "rsa"}
	for _, tt := range []struct {
		name, text  string
		own, public string // the keys, or "" for an error
	}{
		{"a private key", jwks(t, ec), "ES256 key ec", ""},
		{"18 a symmetric key", jwks(t, gojose.JSONWebKey{Key: secret, Algorithm: "HS256", KeyID: "s"}), "HS256 key s", ""},
		{"a symmetric key without alg", jwks(t, gojose.JSONWebKey{Key: secret, KeyID: "s"}), "", ""},
		{"a short symmetric key", jwks(t, gojose.JSONWebKey{Key: secret[:31], Algorithm: "HS256", KeyID: "s"}), "", ""},
		{"public keys", jwks(t, rsaPublic, ec.Public()), "RS256 key rsa, ES256 key ec", "RS256 key rsa, ES256 key ec"},
		{"RSA for PS256", jwks(t, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Algorithm: "PS256", KeyID: "p"}), "PS256 key p", "PS256 key p"},
		{"RSA for HS256", jwks(t, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Algorithm: "HS256", KeyID: "p"}), "", ""},
		{"for encryption, left out", jwks(t, rsaPublic, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Use: "enc", KeyID: "e"}), "RS256 key rsa", "RS256 key rsa"},
		{"only for encryption", jwks(t, gojose.JSONWebKey{Key: &k.rsa.PublicKey, Use: "enc", KeyID: "e"}), "", ""},
		{"of an unknown kind, left out", strings.Replace(jwks(t, rsaPublic), `[`, `[{"kty":"XX"},`, 1), "RS256 key rsa", "RS256 key rsa"},
		{"a single JWK", string(must(ec.MarshalJSON())(t)), "ES256 key ec", ""},
		{"17 a point off the curve", `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`, "", ""},
		{"16 e=1", `{"keys":[{"kty":"RSA","e":"AQ","n":"` + base64.RawURLEncoding.EncodeToString(k.rsa.N.Bytes()) + `"}]}`, "", ""},
		{"a duplicate member", `{"keys":[],"keys":[]}`, "", ""},
		{"empty", `{"keys":[]}`, "", ""},
		{"a key that is text", `{"keys":["x"]}`, "", ""},
		{"not JSON", `x`, "", ""},
		{"null", `null`, "", ""},
	} {
		for _, c := range []struct {
			want  string
			parse func([]byte) ([]*keys.Key, error)
		}{{tt.own, keys.ParseJWKS}, {tt.public, keys.ParsePublicJWKS}} {
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
	parsed := must(keys.ParsePublicJWKS(w.Body.Bytes()))(t)
	if len(parsed) != 2 || parsed[0].ID() != "ec" || parsed[1].ID() != "ed" || parsed[0].CanSign() {
		t.Errorf("keys %v", parsed)
	}
	if w.Header().Get("Cache-Control") != "public, max-age=3600" || w.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("header %v", w.Header())
	}
	for _, secret := range []string{`"d"`, `"k"`, "secret-one"} {
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("the set holds %s", secret)
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
	if after := do(http.MethodGet, before.Header().Get("ETag")); after.Code != http.StatusOK || len(must(keys.ParsePublicJWKS(after.Body.Bytes()))(t)) != 2 {
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
