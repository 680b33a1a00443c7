package operator_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	gojosejwt "github.com/go-jose/go-jose/v4/jwt"

	"github.com/oapi-guard/oapi-guard/internal/keyfile"
	"github.com/oapi-guard/oapi-guard/internal/operator"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

var start = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// openssl runs openssl and returns what it prints.
func openssl(t *testing.T, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	out, err := exec.Command(path, args...).Output()
	if err != nil {
		t.Fatalf("openssl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// TestImportsKeysOfOpenSSL imports keys that openssl has made, publishes them, and verifies tokens of
// them with another library.
func TestImportsKeysOfOpenSSL(t *testing.T) {
	for _, tt := range []struct {
		name      string
		args      []string
		algorithm string // that the user has to name
		want      string
		secret    string
	}{
		{name: "Ed25519", args: []string{"genpkey", "-algorithm", "ed25519"}, want: "EdDSA"},
		{name: "P-256", args: []string{"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, want: "ES256"},
		{name: "P-384 in the form of ecparam", args: []string{"ecparam", "-name", "secp384r1", "-genkey"}, want: "ES384"},
		{name: "RSA", args: []string{"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, algorithm: "RS256", want: "RS256"},
		{name: "RSA in PKCS 1", args: []string{"genrsa", "-traditional", "2048"}, algorithm: "PS256", want: "PS256"},
		{name: "a secret in base64", args: []string{"rand", "-base64", "32"}, want: "HS256", secret: "base64"},
		{name: "64 raw bytes", args: []string{"rand", "64"}, algorithm: "HS512", want: "HS512", secret: "raw"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := openssl(t, tt.args...)
			file := must(operator.OpenOrNewKeyFile(filepath.Join(t.TempDir(), "keys.json")))(t)
			ids := must(file.Import(text, operator.ImportOptions{Algorithm: tt.algorithm, Secret: tt.secret}, start))(t)
			if err := file.Save(); err != nil || len(ids) != 1 {
				t.Fatalf("%v %v", ids, err)
			}
			again := must(operator.OpenKeyFile(file.Path))(t)
			list, _ := again.List(start)
			if len(list) != 1 || list[0].Algorithm != tt.want || list[0].State != "signs" || list[0].ID != ids[0] {
				t.Errorf("%+v", list)
			}
			token := must(operator.Mint{
				Issuer: "https://notes.example.com", Subject: "alice", Type: "access", Lifetime: time.Hour, Roles: []string{"ADMIN"},
			}.Token(t.Context(), must(again.KeySet())(t)))(t)
			verifyElsewhere(t, again, token, tt.want)
		})
	}
}

// verifyElsewhere verifies a token with go-jose alone: with the published JWK set, or with the secret.
func verifyElsewhere(t *testing.T, file *operator.KeyFile, token, algorithm string) {
	t.Helper()
	var set gojose.JSONWebKeySet
	text, err := file.JWKS()
	if strings.HasPrefix(algorithm, "HS") {
		if err == nil {
			t.Error("a secret was published")
		}
		text = must(os.ReadFile(file.Path))(t)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := gojosejwt.ParseSigned(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	found := set.Key(parsed.Headers[0].KeyID)
	if len(found) != 1 || found[0].IsPublic() == strings.HasPrefix(algorithm, "HS") {
		t.Fatalf("the JWK set has %d such keys", len(found))
	}
	var claims gojosejwt.Claims
	if err := parsed.Claims(found[0].Key, &claims); err != nil || claims.Subject != "alice" || claims.Issuer != "https://notes.example.com" {
		t.Errorf("%+v: %v", claims, err)
	}
}

func TestImportRefuses(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("plain.pem", openssl(t, "genpkey", "-algorithm", "ed25519"))
	for _, tt := range []struct {
		name    string
		text    []byte
		options operator.ImportOptions
		want    string
	}{
		{name: "encrypted, PKCS 8", text: openssl(t, "pkey", "-in", plain, "-aes256", "-passout", "pass:secret-word"), want: "encrypted; decrypt it first"},
		{name: "RSA without an algorithm", text: openssl(t, "genrsa", "2048"), want: "--algorithm"},
		{name: "a short RSA key", text: openssl(t, "genrsa", "1024"), options: operator.ImportOptions{Algorithm: "RS256"}, want: "2048"},
		{name: "a curve without an algorithm of JOSE", text: openssl(t, "ecparam", "-name", "secp256k1", "-genkey"), want: "cannot be read"},
		{name: "a short secret", text: openssl(t, "rand", "16"), options: operator.ImportOptions{Secret: "raw"}, want: "32 bytes"},
		{name: "a secret that is not base64", text: []byte("secret-word"), options: operator.ImportOptions{Secret: "base64"}, want: "base64"},
		{name: "a certificate", text: openssl(t, "req", "-x509", "-key", plain, "-subj", "/CN=a"), want: "holds no key"},
		{name: "no key", text: []byte("secret-word"), want: "no PEM block"},
		{name: "a JWK set that is none", text: []byte(`{"keys":"secret-word"}`), want: "JWK set"},
		{name: "a JWK with an algorithm", text: []byte(`{"kty":"oct","k":"` + strings.Repeat("abcd", 16) + `","alg":"HS256"}`), options: operator.ImportOptions{Algorithm: "HS512"}, want: "--algorithm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := must(operator.OpenOrNewKeyFile(filepath.Join(t.TempDir(), "keys.json")))(t)
			_, err := file.Import(tt.text, tt.options, start)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-word") {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestImportsJWKs imports the set of another program, and a second key, which becomes the next one.
func TestImportsJWKs(t *testing.T) {
	first, second := must(keyfile.Generate("ES256"))(t), must(keyfile.Generate("EdDSA"))(t)
	text := must((&keyfile.Set{Keys: []keyfile.Key{first}}).Text())(t)
	file := must(operator.OpenOrNewKeyFile(filepath.Join(t.TempDir(), "keys.json")))(t)
	must(file.Import(text, operator.ImportOptions{}, start))(t)
	jwk := must(must(second.JWK())(t).MarshalJSON())(t)
	ids := must(file.Import(jwk, operator.ImportOptions{ID: "second"}, start))(t)
	if len(ids) != 1 || ids[0] != "second" {
		t.Errorf("%v", ids)
	}
	if _, err := file.Import(text, operator.ImportOptions{}, start); err == nil {
		t.Error("imported twice")
	}
	list, next := file.List(start)
	if len(list) != 2 || list[0].State != "signs" || list[1].State != "next" || next.Step != "sign" || next.SafeAfter == nil {
		t.Errorf("%+v %+v", list, next)
	}
	if err := file.Save(); err != nil {
		t.Fatal(err)
	}
	if set := must(operator.ReadKeys(file.Path))(t); set.Len() != 2 {
		t.Errorf("the service has %d keys", set.Len())
	}
}

func TestSaveRefusesAFileThatHasChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := keys.CreateFile(path, keys.ES256); err != nil {
		t.Fatal(err)
	}
	one, other := must(operator.OpenKeyFile(path))(t), must(operator.OpenKeyFile(path))(t)
	for _, file := range []*operator.KeyFile{one, other} {
		if _, _, err := file.Rotate(time.Now(), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Save(); err != nil {
		t.Fatal(err)
	}
	if err := other.Save(); err == nil || !strings.Contains(err.Error(), "repeat the command") {
		t.Errorf("%v", err)
	}
	if _, _, err := must(operator.OpenKeyFile(path))(t).Rotate(time.Now(), false); !errors.Is(err, operator.ErrTooEarly) {
		t.Errorf("%v", err)
	}
}
