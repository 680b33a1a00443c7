package interop

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

const (
	issuer   = "https://issuer.example"
	audience = "https://api.example.com"
	subject  = "user-1"
)

var algorithms = []keys.Algorithm{
	keys.HS256, keys.HS384, keys.HS512, keys.RS256, keys.RS384, keys.RS512,
	keys.PS256, keys.PS384, keys.PS512, keys.ES256, keys.ES384, keys.ES512, keys.EdDSA,
}

// material is the key of an algorithm in each form that a verifier takes.
type material struct {
	key    *keys.Key
	secret []byte
	public crypto.PublicKey
	pem    string
	// privatePEM is for issuers of other projects.
	privatePEM string
	jwk        json.RawMessage
	jwksURL    string
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newMaterial makes a key of the algorithm. Its public half is what the JWKS handler serves.
func newMaterial(t *testing.T, algorithm keys.Algorithm) material {
	t.Helper()
	id := keys.WithID("key-of-" + string(algorithm))
	m := material{}
	switch {
	case strings.HasPrefix(string(algorithm), "HS"):
		// Letters, because some verifiers take the secret as text.
		m.secret = []byte(strings.Repeat(rand.Text(), 3))
		m.key = must(keys.NewHMAC(algorithm, m.secret, id))(t)
		return m
	case algorithm == keys.EdDSA:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		m.public, m.key = public, must(keys.NewEd25519(must(private, err)(t), id))(t)
		m.privatePEM = privatePEM(t, private)
	case strings.HasPrefix(string(algorithm), "ES"):
		curve := map[keys.Algorithm]elliptic.Curve{keys.ES256: elliptic.P256(), keys.ES384: elliptic.P384(), keys.ES512: elliptic.P521()}[algorithm]
		private := must(ecdsa.GenerateKey(curve, rand.Reader))(t)
		m.public, m.key = private.Public(), must(keys.NewECDSA(private, id))(t)
		m.privatePEM = privatePEM(t, private)
	default:
		private := must(rsaKey())(t)
		m.public, m.key = private.Public(), must(keys.NewRSA(algorithm, private, id))(t)
		m.privatePEM = privatePEM(t, private)
	}
	m.pem = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(m.public))(t)}))
	handler := must(keys.JWKSHandler(must(keys.NewSet(m.key))(t), time.Hour))(t)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	var set struct{ Keys []json.RawMessage }
	if err := json.NewDecoder(bytes.NewReader(recorder.Body.Bytes())).Decode(&set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("the JWKS handler served %s: %v", recorder.Body, err)
	}
	m.jwk = set.Keys[0]
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	m.jwksURL = server.URL
	return m
}

func privatePEM(t *testing.T, private crypto.PrivateKey) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(private))(t)}))
}

// issuing is the issuers of one algorithm's tokens, one for each way in which a token can be wrong.
type issuing struct {
	material
	// api issues for the audience, itself for the name of the issuer, which is the default.
	api, itself, otherAudience, otherIssuer, hourAgo, otherKey *security.Issuer
}

func newIssuing(t *testing.T, algorithm keys.Algorithm, layout security.Layout) issuing {
	t.Helper()
	i := issuing{material: newMaterial(t, algorithm)}
	newIssuer := func(name string, key *keys.Key, options ...security.Option) *security.Issuer {
		options = append(options, security.WithLayout(layout))
		return must(security.New(name, must(keys.NewSet(key))(t), blacklist.None{}, options...))(t).Issuer
	}
	i.api = newIssuer(issuer, i.key, security.WithAudience(audience))
	i.itself = newIssuer(issuer, i.key)
	i.otherAudience = newIssuer(issuer, i.key, security.WithAudience("https://other.example.com"))
	i.otherIssuer = newIssuer("https://other.example", i.key, security.WithAudience(audience))
	i.hourAgo = newIssuer(issuer, i.key, security.WithAudience(audience),
		security.WithClock(func() time.Time { return time.Now().Add(-time.Hour) }))
	i.otherKey = newIssuer(issuer, otherKey(t, algorithm), security.WithAudience(audience))
	return i
}

// otherKey returns a key of the same algorithm and the same key id.
func otherKey(t *testing.T, algorithm keys.Algorithm) *keys.Key {
	t.Helper()
	if strings.HasPrefix(string(algorithm), "RS") || strings.HasPrefix(string(algorithm), "PS") {
		return must(keys.NewRSA(algorithm, must(otherRSAKey())(t), keys.WithID("key-of-"+string(algorithm))))(t)
	}
	return newMaterial(t, algorithm).key
}

var otherRSAKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// must returns the value, or ends the test where there is an error.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
