//go:build ignore

package security

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
)

// keys of the tests, made once: RSA keys take long to make.
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
func keyPairs(t testing.TB) map[Algorithm][2]*Key {
	t.Helper()
	k := testKeys()
	pairs := map[Algorithm][2]*Key{
		ES256: {must(NewECDSAKey(k.p256))(t), must(NewECDSAPublicKey(&k.p256.PublicKey))(t)},
		ES384: {must(NewECDSAKey(k.p384))(t), must(NewECDSAPublicKey(&k.p384.PublicKey))(t)},
		ES512: {must(NewECDSAKey(k.p521))(t), must(NewECDSAPublicKey(&k.p521.PublicKey))(t)},
		EdDSA: {must(NewEd25519Key(k.ed))(t), must(NewEd25519PublicKey(k.ed.Public().(ed25519.PublicKey)))(t)},
	}
	for algorithm := range rsaMethods {
		pairs[algorithm] = [2]*Key{must(NewRSAKey(algorithm, k.rsa))(t), must(NewRSAPublicKey(algorithm, &k.rsa.PublicKey))(t)}
	}
	for algorithm := range hmacMethods {
		key := must(NewHMACKey(algorithm, []byte(strings.Repeat("s", 64))))(t)
		pairs[algorithm] = [2]*Key{key, key}
	}
	return pairs
}

// verifierFor returns a verifier with just this key.
func verifierFor(t testing.TB, clock *clock, key *Key) *Verifier {
	t.Helper()
	return must(NewVerifier(testIssuer, must(NewKeySet(key))(t), WithClock(clock.Now)))(t)
}

// TestAlgorithms issues with every algorithm and verifies with the key of every algorithm: only its own accepts.
func TestAlgorithms(t *testing.T) {
	clock := newClock()
	pairs := keyPairs(t)
	if len(pairs) != 13 {
		t.Errorf("%d algorithms", len(pairs))
	}
	for algorithm, pair := range pairs {
		text := must(must(NewIssuer(verifierFor(t, clock, pair[0])))(t).Access(t.Context(), "alice", nil))(t).Text()
		for other, otherPair := range pairs {
			// The key id is taken over, so that the algorithm decides and not the id.
			key := *otherPair[1]
			key.id = pair[0].id
			_, err := verifierFor(t, clock, &key).verify(text, accessToken)
			if (err == nil) != (algorithm == other) || err != nil && !errors.Is(err, ErrInvalidToken) {
				t.Errorf("a token of %s, verified with a key for %s: %v", algorithm, other, err)
			}
		}
		if pair[0].ID() != pair[1].ID() {
			t.Errorf("%s: the halves have different ids", algorithm)
		}
	}
}

// TestThumbprint has the key and the thumbprint of RFC 7638, section 3.1.
func TestThumbprint(t *testing.T) {
	n := must(base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs" +
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"))(t)
	key := must(NewRSAPublicKey(RS256, &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}))(t)
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; key.ID() != want {
		t.Errorf("key id %s, want %s", key.ID(), want)
	}
}

func TestKeysRefused(t *testing.T) {
	k := testKeys()
	small := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	with := func(e int) *rsa.PublicKey { return &rsa.PublicKey{N: k.rsa.N, E: e} }
	//lint:ignore SA1019 no other way makes a point off the curve
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: k.p256.X, Y: new(big.Int).Add(k.p256.Y, big.NewInt(1))}
	//lint:ignore SA1019 the same for a private key
	offPrivate := &ecdsa.PrivateKey{PublicKey: *off, D: k.p256.D}
	for name, err := range map[string]error{
		"15 RSA of 1024 bits":         second(NewRSAPublicKey(RS256, small)),
		"16 RSA with e=1":             second(NewRSAPublicKey(RS256, with(1))),
		"RSA with an even e":          second(NewRSAPublicKey(RS256, with(4))),
		"RSA with e=0":                second(NewRSAPublicKey(RS256, with(0))),
		"an even modulus":             second(NewRSAPublicKey(RS256, &rsa.PublicKey{N: new(big.Int).Add(k.rsa.N, big.NewInt(1)), E: 65537})),
		"a huge modulus":              second(NewRSAPublicKey(RS256, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16384, 1), E: 65537})),
		"no RSA key":                  second(NewRSAPublicKey(RS256, nil)),
		"no RSA modulus":              second(NewRSAPublicKey(RS256, &rsa.PublicKey{})),
		"no RSA private key":          second(NewRSAKey(RS256, nil)),
		"an RSA private key of zeros": second(NewRSAKey(RS256, &rsa.PrivateKey{})),
		"RSA for HS256":               second(NewRSAKey(HS256, k.rsa)),
		"9 a key without alg":         second(NewRSAKey("", k.rsa)),
		"9 a secret without alg":      second(NewHMACKey("", testSecret)),
		"RSA for none":                second(NewRSAKey("none", k.rsa)),
		"17 a point off the curve":    second(NewECDSAPublicKey(off)),
		"a private point off it":      second(NewECDSAKey(offPrivate)),
		"P-224":                       second(NewECDSAPublicKey(&must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t).PublicKey)),
		"no curve":                    second(NewECDSAPublicKey(&ecdsa.PublicKey{})),
		"no ECDSA key":                second(NewECDSAPublicKey(nil)),
		"no ECDSA private key":        second(NewECDSAKey(nil)),
		"a nil option":                second(NewECDSAKey(k.p256, nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestForgedSignatures has signatures that a careless verifier takes.
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
		key  *Key
		text string
		good bool
	}{
		{"6 HS256 with the RSA public PEM", pairs[RS256][1], hmacWith(public), false},
		{"7 the same with white space in front", pairs[RS256][1], hmacWith(append([]byte("\n "), public...)), false},
		{"8 HS256 with the EC public PEM", pairs[ES256][1], hmacWith(ecPublic), false},
		{"PS256", pairs[PS256][1], saltOf(32), true},
		{"25 PS256 with another salt length", pairs[PS256][1], saltOf(20), false},
		{"25 PS256 without a salt", pairs[PS256][1], saltOf(0), false},
		{"25 PS256 with the longest salt", pairs[PS256][1], saltOf(rsa.PSSSaltLengthAuto), false},
		{"11 PS256 for RS256", pairs[RS256][1], saltOf(32), false},
		{"ES256", pairs[ES256][1], raw(r, s), true},
		{"12 ES256 for ES384", pairs[ES384][1], raw(r, s), false},
		{"21 r=s=0", pairs[ES256][1], raw(new(big.Int), new(big.Int)), false},
		{"21 r=0", pairs[ES256][1], raw(new(big.Int), s), false},
		{"22 r=n", pairs[ES256][1], raw(order, s), false},
		{"22 s=n", pairs[ES256][1], raw(r, order), false},
		{"22 r and s at the end", pairs[ES256][1], raw(most, most), false},
		{"23 DER", pairs[ES256][1], es256 + "." + encode(der), false},
	} {
		_, err := verifierFor(t, clock, tt.key).verify(tt.text, accessToken)
		if (err == nil) != tt.good || err != nil && !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v, want accepted: %v", tt.name, err, tt.good)
		}
	}
}

// TestTwinSignature is case 24: the other signature that ECDSA allows for the same token is of the same, revoked, token.
func TestTwinSignature(t *testing.T) {
	f := newFixture(t)
	k := testKeys()
	f.verifier = verifierFor(t, f.clock, must(NewECDSAKey(k.p256))(t))
	f.issuer = must(NewIssuer(f.verifier))(t)
	f.validator = must(NewValidator(f.verifier, f.list))(t)
	text := must(f.issuer.Access(t.Context(), "alice", nil))(t).Text()
	segments := strings.Split(text, ".")
	signature := must(base64.RawURLEncoding.DecodeString(segments[2]))(t)
	other := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	other.FillBytes(signature[32:])
	twin := segments[0] + "." + segments[1] + "." + base64.RawURLEncoding.EncodeToString(signature)
	if twin == text || f.accepted(twin, accessToken) != nil {
		t.Fatal("the twin is no signature")
	}
	if err := f.validator.Revoke(t.Context(), f.token(t, text, accessToken)); err != nil {
		t.Fatal(err)
	}
	if err := f.accepted(twin, accessToken); !errors.Is(err, ErrTokenRevoked) {
		t.Errorf("the twin of a revoked token: %v", err)
	}
}
