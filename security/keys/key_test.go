package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/oapi-guard/oapi-guard/internal/sectest/apptest"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// testKeys makes keys once, because making an RSA key takes long.
var testKeys = sync.OnceValue(func() (k struct {
	rsa              *rsa.PrivateKey
	p256, p384, p521 *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
}) {
	var errs [5]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.p256, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, errs[2] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p521, errs[3] = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, k.ed, errs[4] = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return k
})

// keyPairs returns a key of every algorithm, with its public half where it has one.
func keyPairs(t testing.TB) map[keys.Algorithm][2]*keys.Key {
	t.Helper()
	k := testKeys()
	pairs := map[keys.Algorithm][2]*keys.Key{
		keys.ES256: {must(keys.NewECDSA(k.p256))(t), must(keys.NewECDSAPublic(&k.p256.PublicKey))(t)},
		keys.ES384: {must(keys.NewECDSA(k.p384))(t), must(keys.NewECDSAPublic(&k.p384.PublicKey))(t)},
		keys.ES512: {must(keys.NewECDSA(k.p521))(t), must(keys.NewECDSAPublic(&k.p521.PublicKey))(t)},
		keys.EdDSA: {must(keys.NewEd25519(k.ed))(t), must(keys.NewEd25519Public(k.ed.Public().(ed25519.PublicKey)))(t)},
	}
	for _, algorithm := range keys.RSAAlgorithms() {
		pairs[algorithm] = [2]*keys.Key{must(keys.NewRSA(algorithm, k.rsa))(t), must(keys.NewRSAPublic(algorithm, &k.rsa.PublicKey))(t)}
	}
	for _, algorithm := range keys.HMACAlgorithms() {
		key := must(keys.NewHMAC(algorithm, []byte(strings.Repeat("s!", 32))))(t)
		pairs[algorithm] = [2]*keys.Key{key, key}
	}
	return pairs
}

// verifierFor returns a verifier with the key.
func verifierFor(t testing.TB, clock *clock, key *keys.Key) *security.Verifier {
	t.Helper()
	return must(security.NewVerifier(testIssuer, must(keys.NewSet(key))(t), security.WithClock(clock.Now)))(t)
}

// TestKeyAcceptsOnlyItsAlgorithm issues a token with each algorithm, and verifies it with the key
// of each algorithm. Only the same algorithm accepts it.
func TestKeyAcceptsOnlyItsAlgorithm(t *testing.T) {
	clock := newClock()
	pairs := keyPairs(t)
	if len(pairs) != 13 {
		t.Errorf("%d algorithms, want 13", len(pairs))
	}
	for algorithm, pair := range pairs {
		text := must(must(security.NewIssuer(verifierFor(t, clock, pair[0])))(t).IssueAccessToken(t.Context(), "alice", nil))(t).Text()
		for other, otherPair := range pairs {
			// All keys have the same key id, so that the algorithm decides.
			key := otherPair[1].WithOtherID(pair[0].ID())
			err := verify(t, verifierFor(t, clock, key), text)
			if (err == nil) != (algorithm == other) || err != nil && !errors.Is(err, security.ErrInvalidToken) {
				t.Errorf("a token of %s, verified with a key for %s: %v", algorithm, other, err)
			}
		}
		if pair[0].ID() != pair[1].ID() {
			t.Errorf("%s: the key and its public half have different ids", algorithm)
		}
	}
}

// TestThumbprint has the key and the thumbprint of RFC 7638, section 3.1.
func TestThumbprint(t *testing.T) {
	n := must(base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"))(t)
	key := must(keys.NewRSAPublic(keys.RS256, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}))(t)
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; key.ID() != want {
		t.Errorf("key id %s, want %s", key.ID(), want)
	}
}

func TestKeysRefused(t *testing.T) {
	k := testKeys()
	small := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	with := func(e int) *rsa.PublicKey { return &rsa.PublicKey{N: k.rsa.N, E: e} }
	//lint:ignore SA1019 no other function makes a point off the curve
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: k.p256.X, Y: new(big.Int).Add(k.p256.Y, big.NewInt(1))}
	//lint:ignore SA1019 the same for a private key
	offPrivate := &ecdsa.PrivateKey{PublicKey: *off, D: k.p256.D}
	for name, err := range map[string]error{
		"RSA of 1024 bits":                         second(keys.NewRSAPublic(keys.RS256, small)),
		"RSA with e=1":                             second(keys.NewRSAPublic(keys.RS256, with(1))),
		"RSA with an even e":                       second(keys.NewRSAPublic(keys.RS256, with(4))),
		"RSA with e=0":                             second(keys.NewRSAPublic(keys.RS256, with(0))),
		"an even modulus":                          second(keys.NewRSAPublic(keys.RS256, &rsa.PublicKey{N: new(big.Int).Add(k.rsa.N, big.NewInt(1)), E: 65537})),
		"a huge modulus":                           second(keys.NewRSAPublic(keys.RS256, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16384, 1), E: 65537})),
		"no RSA key":                               second(keys.NewRSAPublic(keys.RS256, nil)),
		"no RSA modulus":                           second(keys.NewRSAPublic(keys.RS256, &rsa.PublicKey{})),
		"no RSA private key":                       second(keys.NewRSA(keys.RS256, nil)),
		"an RSA private key of zeros":              second(keys.NewRSA(keys.RS256, &rsa.PrivateKey{})),
		"RSA for HS256":                            second(keys.NewRSA(keys.HS256, k.rsa)),
		"a key without alg":                        second(keys.NewRSA("", k.rsa)),
		"a secret without alg":                     second(keys.NewHMAC("", testSecret)),
		"RSA for none":                             second(keys.NewRSA("none", k.rsa)),
		"a point off the curve":                    second(keys.NewECDSAPublic(off)),
		"a private key with a point off the curve": second(keys.NewECDSA(offPrivate)),
		"P-224":                        second(keys.NewECDSAPublic(&must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t).PublicKey)),
		"an ECDSA key without a curve": second(keys.NewECDSAPublic(&ecdsa.PublicKey{})),
		"no ECDSA key":                 second(keys.NewECDSAPublic(nil)),
		"no ECDSA private key":         second(keys.NewECDSA(nil)),
		"a nil option":                 second(keys.NewECDSA(k.p256, nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestForgedSignatures has signatures that a careless verifier accepts.
func TestForgedSignatures(t *testing.T) {
	clock := newClock()
	k := testKeys()
	pairs := keyPairs(t)
	encode := base64.RawURLEncoding.EncodeToString
	signed := func(header string) string { return encode([]byte(header)) + "." + encode([]byte(payloadWith())) }
	hash := func(text string) []byte { sum := sha256.Sum256([]byte(text)); return sum[:] }

	spki := must(x509.MarshalPKIXPublicKey(&k.rsa.PublicKey))(t)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
	ecPublic := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&k.p256.PublicKey))(t)})
	hs256 := signed(`{"alg":"HS256","typ":"at+jwt"}`)
	hmacWith := func(key []byte) string {
		return hs256 + "." + encode(must(jwt.SigningMethodHS256.Sign(hs256, key))(t))
	}

	ps256 := signed(`{"alg":"PS256","typ":"at+jwt"}`)
	saltOf := func(length int) string {
		signature := must(rsa.SignPSS(rand.Reader, k.rsa, crypto.SHA256, hash(ps256), &rsa.PSSOptions{SaltLength: length}))(t)
		return ps256 + "." + encode(signature)
	}

	es256 := signed(`{"alg":"ES256","typ":"at+jwt"}`)
	order := elliptic.P256().Params().N
	raw := func(r, s *big.Int) string {
		return es256 + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	r, s := must2(ecdsa.Sign(rand.Reader, k.p256, hash(es256)))(t)
	der := must(asn1.Marshal(struct{ R, S *big.Int }{r, s}))(t)
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))

	for _, tt := range []struct {
		name string
		key  *keys.Key
		text string
		good bool
	}{
		{name: "HS256 with the RSA public PEM", key: pairs[keys.RS256][1], text: hmacWith(public)},
		{name: "HS256 with the RSA public PEM behind white space", key: pairs[keys.RS256][1], text: hmacWith(append([]byte("\n "), public...))},
		{name: "HS256 with the EC public PEM", key: pairs[keys.ES256][1], text: hmacWith(ecPublic)},
		{name: "PS256", key: pairs[keys.PS256][1], text: saltOf(32), good: true},
		{name: "PS256 with another salt length", key: pairs[keys.PS256][1], text: saltOf(20)},
		{name: "PS256 without a salt", key: pairs[keys.PS256][1], text: saltOf(0)},
		{name: "PS256 with the longest salt", key: pairs[keys.PS256][1], text: saltOf(rsa.PSSSaltLengthAuto)},
		{name: "PS256 for RS256", key: pairs[keys.RS256][1], text: saltOf(32)},
		{name: "ES256", key: pairs[keys.ES256][1], text: raw(r, s), good: true},
		{name: "ES256 for ES384", key: pairs[keys.ES384][1], text: raw(r, s)},
		{name: "r=s=0", key: pairs[keys.ES256][1], text: raw(new(big.Int), new(big.Int))},
		{name: "r=0", key: pairs[keys.ES256][1], text: raw(new(big.Int), s)},
		{name: "r=n", key: pairs[keys.ES256][1], text: raw(order, s)},
		{name: "s=n", key: pairs[keys.ES256][1], text: raw(r, order)},
		{name: "r and s of all ones", key: pairs[keys.ES256][1], text: raw(most, most)},
		{name: "DER", key: pairs[keys.ES256][1], text: es256 + "." + encode(der)},
	} {
		err := verify(t, verifierFor(t, clock, tt.key), tt.text)
		if (err == nil) != tt.good || err != nil && !errors.Is(err, security.ErrInvalidToken) {
			t.Errorf("%s: %v, want accepted: %v", tt.name, err, tt.good)
		}
	}
}

// TestTwinSignature revokes a token with an ECDSA signature. The second valid signature of ECDSA
// for the same text makes no other token: it is revoked too.
func TestTwinSignature(t *testing.T) {
	f := apptest.New(t)
	k := testKeys()
	f.Verifier = verifierFor(t, f.Clock, must(keys.NewECDSA(k.p256))(t))
	f.Issuer = must(security.NewIssuer(f.Verifier))(t)
	f.Validator = must(security.NewValidator(f.Verifier, f.List))(t)
	text := must(f.Issuer.IssueAccessToken(t.Context(), "alice", nil))(t).Text()
	segments := strings.Split(text, ".")
	signature := must(base64.RawURLEncoding.DecodeString(segments[2]))(t)
	other := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	other.FillBytes(signature[32:])
	twin := segments[0] + "." + segments[1] + "." + base64.RawURLEncoding.EncodeToString(signature)
	if twin == text || f.Refuses(t, twin, accessToken) != nil {
		t.Fatal("the twin is not a valid signature")
	}
	if err := f.Validator.Revoke(t.Context(), f.Token(t, text, accessToken)); err != nil {
		t.Fatal(err)
	}
	if err := f.Refuses(t, twin, accessToken); !errors.Is(err, security.ErrTokenRevoked) {
		t.Errorf("the twin of a revoked token: %v", err)
	}
}
