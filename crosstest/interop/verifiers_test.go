package interop

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// request is what a verifier is asked: is the token an access token of the issuer for the audience?
type request struct {
	Token     string         `json:"token"`
	Algorithm keys.Algorithm `json:"algorithm"`
	Issuer    string         `json:"issuer"`
	Audience  string         `json:"audience"`
	// Type is the header typ of access tokens. Most verifiers do not look at it.
	Type string `json:"type"`
	// JWKSURL is where our JWKS handler serves the key. JWK and PEM are the key that it serves there.
	JWKSURL string          `json:"jwksURL,omitempty"`
	JWK     json.RawMessage `json:"jwk,omitempty"`
	PEM     string          `json:"pem,omitempty"`
	Secret  []byte          `json:"secret,omitempty"`
	public  crypto.PublicKey
}

func (r request) symmetric() bool { return strings.HasPrefix(string(r.Algorithm), "HS") }

// decision is what a verifier decided.
type decision struct {
	Accepted bool   `json:"accepted"`
	Subject  string `json:"subject"`
	Error    string `json:"error"`
}

// verifier is a verifier that another project wrote.
type verifier struct {
	name string
	// algorithms are those that both know.
	algorithms []keys.Algorithm
	// ignores has the claims that the verifier does not check: aud, iss, exp.
	ignores []string
	// typ is the only header typ that the verifier accepts. Most do not look at it.
	typ string
	// One of the three runs it: a program beside this file, a Go module or a command line.
	program command
	module  string
	tool    string
	verify  func(context.Context, request) (string, error)
}

func only(names ...keys.Algorithm) []keys.Algorithm { return names }

func without(names ...keys.Algorithm) []keys.Algorithm {
	var rest []keys.Algorithm
	for _, algorithm := range algorithms {
		if !strings.Contains(fmt.Sprint(names), string(algorithm)) {
			rest = append(rest, algorithm)
		}
	}
	return rest
}

var (
	asymmetric      = without(keys.HS256, keys.HS384, keys.HS512)
	noEdDSA         = without(keys.EdDSA)
	asymmetricNoPSS = without(keys.HS256, keys.HS384, keys.HS512, keys.PS256, keys.PS384, keys.PS512)
	classic         = without(keys.PS256, keys.PS384, keys.PS512, keys.EdDSA)
)

var verifiers = []verifier{
	{name: "jose", algorithms: algorithms, program: node("jose.mjs")},
	{name: "jsonwebtoken", algorithms: noEdDSA, program: node("jsonwebtoken.mjs")},
	{name: "fast-jwt", algorithms: algorithms, program: node("fast-jwt.mjs")},
	{name: "passport-jwt", algorithms: noEdDSA, program: node("passport-jwt.mjs")},
	{name: "express-jwt", algorithms: noEdDSA, program: node("express-jwt.mjs")},
	{name: "express-oauth2-jwt-bearer", algorithms: algorithms, program: node("express-oauth2-jwt-bearer.mjs")},
	{name: "express-oauth2-jwt-bearer, strict", algorithms: algorithms, typ: "at+jwt", program: node("express-oauth2-jwt-bearer.mjs", "strict")},
	{name: "@fastify/jwt", algorithms: algorithms, program: node("fastify-jwt.mjs")},
	{name: "aws-jwt-verify", algorithms: asymmetricNoPSS, program: node("aws-jwt-verify.mjs")},
	{name: "oauth4webapi", algorithms: asymmetric, typ: "at+jwt", program: node("oauth4webapi.mjs")},
	{name: "@okta/jwt-verifier", algorithms: only(keys.RS256), program: node("okta-jwt-verifier.mjs")},
	{name: "hono", algorithms: algorithms, program: node("hono.mjs")},
	{name: "@hapi/jwt", algorithms: noEdDSA, program: node("hapi-jwt.mjs")},
	{name: "koa-jwt", algorithms: noEdDSA, program: node("koa-jwt.mjs")},
	{name: "njwt", algorithms: classic, ignores: []string{"aud", "iss"}, program: node("njwt.mjs")},
	{name: "jsrsasign", algorithms: noEdDSA, program: node("jsrsasign.mjs")},
	{name: "@tsndr/cloudflare-worker-jwt", algorithms: classic, ignores: []string{"aud", "iss"}, program: node("cloudflare-worker-jwt.mjs")},
	{name: "WebCrypto of Node.js", algorithms: algorithms, ignores: []string{"aud", "iss", "exp"}, program: node("webcrypto.mjs")},

	{name: "PyJWT", algorithms: algorithms, program: python("pyjwt.py", "python3-jwt")},
	{name: "Authlib", algorithms: algorithms, program: python("authlib_jose.py", "python3-authlib")},
	{name: "python-jose", algorithms: classic, program: python("python_jose.py", "python3-jose")},
	{name: "jwcrypto", algorithms: algorithms, program: python("jwcrypto_jwt.py", "python3-jwcrypto")},
	{name: "google-auth", algorithms: only(keys.RS256), ignores: []string{"iss"}, program: python("google_auth.py", "python3-google-auth")},
	{name: "djangorestframework-simplejwt", algorithms: classic, program: python("simplejwt.py", "python3-djangorestframework-simplejwt")},
	{name: "ruby-jwt", algorithms: noEdDSA, program: ruby("ruby_jwt.rb", "ruby-jwt")},
	{name: "json-jwt (Ruby)", algorithms: noEdDSA, ignores: []string{"aud", "iss", "exp"}, program: ruby("json_jwt.rb", "ruby-json-jwt")},
	{name: "Crypt::JWT", algorithms: algorithms, program: perl("crypt_jwt.pl", "libcrypt-jwt-perl")},
	{name: "Mojo::JWT", algorithms: only(keys.HS256, keys.HS384, keys.HS512, keys.RS256, keys.RS384, keys.RS512),
		ignores: []string{"aud", "iss"}, program: perl("mojo_jwt.pl", "libmojo-jwt-perl")},
	{name: "libjwt (C)", algorithms: classic, typ: "JWT", program: compiled("libjwt.c", "libjwt")},
	{name: "jwt of golang-jwt (command)", algorithms: algorithms, ignores: []string{"aud", "iss"}, tool: "jwt", verify: jwtTool},
	{name: "jose of latchset (command)", algorithms: noEdDSA, ignores: []string{"aud", "iss", "exp"}, tool: "jose", verify: joseTool},

	{name: "golang-jwt and keyfunc", algorithms: algorithms, module: "github.com/golang-jwt/jwt/v5", verify: golangJWT},
	{name: "lestrrat-go/jwx", algorithms: algorithms, module: "github.com/lestrrat-go/jwx/v3", verify: lestrratJWX},
	{name: "go-jose", algorithms: algorithms, module: "github.com/go-jose/go-jose/v4", verify: goJOSE},
	{name: "go-oidc", algorithms: asymmetric, module: "github.com/coreos/go-oidc/v3", verify: goOIDC},
	{name: "auth0/go-jwt-middleware", algorithms: algorithms, module: "github.com/auth0/go-jwt-middleware/v2", verify: auth0Middleware},
	{name: "jose2go", algorithms: noEdDSA, ignores: []string{"aud", "iss", "exp"}, module: "github.com/dvsekhvalnov/jose2go", verify: jose2goDecode},
	{name: "kataras/jwt", algorithms: algorithms, module: "github.com/kataras/jwt", verify: kataras},
}

// start returns how to ask the verifier, and its version. The error says why it cannot run here.
func (v verifier) start(t *testing.T) (ask func(request) decision, version string, err error) {
	t.Helper()
	if v.verify != nil {
		if v.tool != "" {
			if _, err := exec.LookPath(v.tool); err != nil {
				return nil, "", fmt.Errorf("there is no %s: apt-get install %s", v.tool, v.tool)
			}
			version = debianVersion(v.tool)
		} else {
			version = moduleVersion(v.module)
		}
		return func(r request) decision {
			subject, err := v.verify(t.Context(), r)
			if err != nil {
				return decision{Error: err.Error()}
			}
			return decision{Accepted: true, Subject: subject}
		}, version, nil
	}
	p, err := v.program.start(t)
	if err != nil {
		return nil, "", err
	}
	return func(r request) decision {
		var d decision
		if err := p.ask(r, &d); err != nil {
			t.Fatalf("%s did not respond: %v", v.name, err)
		}
		return d
	}, p.version, nil
}

// moduleVersion returns the version of the Go module that the test was built with.
func moduleVersion(path string) string {
	return output("go", "list", "-m", "-f", "{{.Version}}", path)
}

// debianVersion returns the version of an installed Debian package.
func debianVersion(name string) string {
	return output("dpkg-query", "-W", "-f", "${Version}", name)
}

// output returns what a command prints, or "unknown".
func output(name string, arguments ...string) string {
	out, err := exec.Command(name, arguments...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// octJWK returns the secret as a JWK.
func octJWK(secret []byte) []byte {
	return fmt.Appendf(nil, `{"kty":"oct","k":%q}`, base64.RawURLEncoding.EncodeToString(secret))
}

// compiled is a program of C that is compiled when it starts.
func compiled(file, library string) command {
	return command{
		install: "apt-get install gcc pkg-config " + library + "-dev libjansson-dev",
		argv: []string{"sh", "-c", `set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cc -O1 -o "$dir/verifier" ` + filepath.Join("c", file) + ` $(pkg-config --cflags --libs ` + library + ` jansson)
"$dir/verifier" "$(pkg-config --modversion ` + library + `)"`},
	}
}
