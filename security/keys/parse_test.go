//go:build ignore

package security

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
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
		algorithm Algorithm
		text      string
		want      Algorithm // "" for an error
		signs     bool
		fault     string // in the error
	}{
		{"PKCS #8, RSA", PS384, pkcs8(k.rsa), PS384, true, ""},
		{"PKCS #8, EC", "", pkcs8(k.p384), ES384, true, ""},
		{"PKCS #8, Ed25519", "", pkcs8(k.ed), EdDSA, true, ""},
		{"PKCS #1", RS256, pkcs1, RS256, true, ""},
		{"PKCS #1, public", RS256, pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)), RS256, false, ""},
		{"SEC 1", ES256, sec1, ES256, true, ""},
		{"SEC 1 behind its parameters", ES256, pemOf("EC PARAMETERS", []byte("x")) + sec1, ES256, true, ""},
		{"SPKI, RSA", RS512, spki(&k.rsa.PublicKey), RS512, false, ""},
		{"SPKI, EC", "", spki(&k.p521.PublicKey), ES512, false, ""},
		{"SPKI, Ed25519", EdDSA, spki(k.ed.Public()), EdDSA, false, ""},
		{"RSA without an algorithm", "", pkcs1, "", false, "algorithm"},
		{"EC for another algorithm", ES384, sec1, "", false, "ES256"},
		{"EC for HS256", HS256, sec1, "", false, "ES256"},
		{"encrypted, PKCS #8", RS256, pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), "", false, "encrypted"},
		{"encrypted, PKCS #1", RS256, encrypted, "", false, "encrypted"},
		{"a certificate", RS256, pemOf("CERTIFICATE", []byte("x")), "", false, "CERTIFICATE"},
		{"two keys", RS256, pkcs1 + pkcs1, "", false, "more than one"},
		{"no PEM", RS256, "secret", "", false, "no PEM"},
		{"parameters alone", RS256, pemOf("EC PARAMETERS", []byte("x")), "", false, "no PEM"},
		{"damaged", RS256, pemOf("PRIVATE KEY", []byte("x")), "", false, "cannot be read"},
	} {
		key, err := ParsePEM(tt.algorithm, []byte(tt.text))
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
func jwks(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	return string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys}))(t))
}

func TestParseJWKS(t *testing.T) {
	k := testKeys()
	secret := bytes.Repeat([]byte("s"), 32)
	ec := jose.JSONWebKey{Key: k.p256, KeyID: "ec"}
	rsaPublic := jose.JSONWebKey{Key: &k.rsa.PublicKey, KeyID: "rsa"}
	for _, tt := range []struct {
		name, text  string
		own, public string // the keys, or "" for an error
	}{
		{"a private key", jwks(t, ec), "ES256 key ec", ""},
		{"18 a symmetric key", jwks(t, jose.JSONWebKey{Key: secret, Algorithm: "HS256", KeyID: "s"}), "HS256 key s", ""},
		{"a symmetric key without alg", jwks(t, jose.JSONWebKey{Key: secret, KeyID: "s"}), "", ""},
		{"a short symmetric key", jwks(t, jose.JSONWebKey{Key: secret[:31], Algorithm: "HS256", KeyID: "s"}), "", ""},
		{"public keys", jwks(t, rsaPublic, ec.Public()), "RS256 key rsa, ES256 key ec", "RS256 key rsa, ES256 key ec"},
		{"RSA for PS256", jwks(t, jose.JSONWebKey{Key: &k.rsa.PublicKey, Algorithm: "PS256", KeyID: "p"}), "PS256 key p", "PS256 key p"},
		{"RSA for HS256", jwks(t, jose.JSONWebKey{Key: &k.rsa.PublicKey, Algorithm: "HS256", KeyID: "p"}), "", ""},
		{"for encryption, left out", jwks(t, rsaPublic, jose.JSONWebKey{Key: &k.rsa.PublicKey, Use: "enc", KeyID: "e"}), "RS256 key rsa", "RS256 key rsa"},
		{"only for encryption", jwks(t, jose.JSONWebKey{Key: &k.rsa.PublicKey, Use: "enc", KeyID: "e"}), "", ""},
		{"of an unknown kind, left out", strings.Replace(jwks(t, rsaPublic), `[`, `[{"kty":"XX"},`, 1), "RS256 key rsa", "RS256 key rsa"},
		{"a single JWK", string(must(ec.MarshalJSON())(t)), "ES256 key ec", ""},
		{"17 a point off the curve", `{"keys":[{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`, "", ""},
		{"16 e=1", `{"keys":[{"kty":"RSA","e":"AQ","n":"` + base64url.EncodeToString(k.rsa.N.Bytes()) + `"}]}`, "", ""},
		{"a duplicate member", `{"keys":[],"keys":[]}`, "", ""},
		{"empty", `{"keys":[]}`, "", ""},
		{"a key that is text", `{"keys":["x"]}`, "", ""},
		{"not JSON", `x`, "", ""},
		{"null", `null`, "", ""},
	} {
		for _, c := range []struct {
			want  string
			parse func([]byte) ([]*Key, error)
		}{{tt.own, ParseJWKS}, {tt.public, ParsePublicJWKS}} {
			keys, err := c.parse([]byte(tt.text))
			var got []string
			for _, key := range keys {
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
	hmac := must(NewHMACKey(HS256, testSecret, WithKeyID("secret-one")))(t)
	ec := must(NewECDSAKey(k.p256, WithKeyID("ec")))(t)
	ed := must(NewEd25519Key(k.ed, WithKeyID("ed")))(t)
	handler := must(JWKSHandler(must(NewKeySet(hmac, ec, ed))(t), time.Hour))(t)
	do := func(method, match string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/", nil)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	w := do(http.MethodGet, "")
	keys := must(ParsePublicJWKS(w.Body.Bytes()))(t)
	if len(keys) != 2 || keys[0].ID() != "ec" || keys[1].ID() != "ed" || keys[0].CanSign() {
		t.Errorf("keys %v", keys)
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
	rotation := must(NewKeyRotation(must(NewKeySet(ec))(t)))(t)
	handler = must(JWKSHandler(rotation, time.Hour))(t)
	before := do(http.MethodGet, "")
	if err := rotation.Replace(must(NewKeySet(ec, ed))(t)); err != nil {
		t.Fatal(err)
	}
	if after := do(http.MethodGet, before.Header().Get("ETag")); after.Code != http.StatusOK || len(must(ParsePublicJWKS(after.Body.Bytes()))(t)) != 2 {
		t.Errorf("status %d after the rotation", after.Code)
	}
	for name, err := range map[string]error{
		"no key set":          second(JWKSHandler(nil, time.Hour)),
		"only symmetric keys": second(JWKSHandler(must(NewKeySet(hmac))(t), time.Hour)),
		"no age":              second(JWKSHandler(must(NewKeySet(ec))(t), 0)),
		"a year":              second(JWKSHandler(must(NewKeySet(ec))(t), 365*24*time.Hour)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
