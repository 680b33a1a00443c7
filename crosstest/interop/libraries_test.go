package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/auth0/go-jwt-middleware/v2/jwks"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/dvsekhvalnov/jose2go"
	josev4 "github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	katarasjwt "github.com/kataras/jwt"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

// The verifiers of Go. Each returns the subject of the token, or an error where it refuses it.

// publicKey returns the key in its Go type.
func (r request) publicKey() any {
	if r.symmetric() {
		return r.Secret
	}
	return r.public
}

func golangJWT(ctx context.Context, r request) (string, error) {
	find := func(*jwt.Token) (any, error) { return r.Secret, nil }
	if !r.symmetric() {
		set, err := keyfunc.NewDefaultCtx(ctx, []string{r.JWKSURL})
		if err != nil {
			return "", err
		}
		find = set.Keyfunc
	}
	token, err := jwt.Parse(r.Token, find, jwt.WithValidMethods([]string{string(r.Algorithm)}), jwt.WithIssuer(r.Issuer),
		jwt.WithAudience(r.Audience), jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	if err != nil {
		return "", err
	}
	return token.Claims.GetSubject()
}

func lestrratJWX(ctx context.Context, r request) (string, error) {
	algorithm, ok := jwa.LookupSignatureAlgorithm(string(r.Algorithm))
	if !ok {
		return "", errors.New("unknown algorithm")
	}
	var key jwxjwt.ParseOption = jwxjwt.WithKey(algorithm, r.Secret)
	if !r.symmetric() {
		set, err := jwk.Fetch(ctx, r.JWKSURL)
		if err != nil {
			return "", err
		}
		key = jwxjwt.WithKeySet(set)
	}
	token, err := jwxjwt.ParseString(r.Token, key, jwxjwt.WithIssuer(r.Issuer), jwxjwt.WithAudience(r.Audience))
	if err != nil {
		return "", err
	}
	subject, _ := token.Subject()
	return subject, nil
}

func goJOSE(_ context.Context, r request) (string, error) {
	token, err := josejwt.ParseSigned(r.Token, []josev4.SignatureAlgorithm{josev4.SignatureAlgorithm(r.Algorithm)})
	if err != nil {
		return "", err
	}
	key := r.publicKey()
	if !r.symmetric() {
		var parsed josev4.JSONWebKey
		if err := json.Unmarshal(r.JWK, &parsed); err != nil {
			return "", err
		}
		key = parsed
	}
	var claims josejwt.Claims
	if err := token.Claims(key, &claims); err != nil {
		return "", err
	}
	expected := josejwt.Expected{Issuer: r.Issuer, AnyAudience: josejwt.Audience{r.Audience}, Time: time.Now()}
	return claims.Subject, claims.ValidateWithLeeway(expected, 0)
}

// goOIDC verifies ID tokens. Services use it for access tokens too.
func goOIDC(ctx context.Context, r request) (string, error) {
	config := &oidc.Config{ClientID: r.Audience, SupportedSigningAlgs: []string{string(r.Algorithm)}}
	token, err := oidc.NewVerifier(r.Issuer, oidc.NewRemoteKeySet(ctx, r.JWKSURL), config).Verify(ctx, r.Token)
	if err != nil {
		return "", err
	}
	return token.Subject, nil
}

func auth0Middleware(ctx context.Context, r request) (string, error) {
	find := func(context.Context) (any, error) { return r.Secret, nil }
	if !r.symmetric() {
		address, err := url.Parse(r.JWKSURL)
		if err != nil {
			return "", err
		}
		find = jwks.NewProvider(address, jwks.WithCustomJWKSURI(address)).KeyFunc
	}
	v, err := validator.New(find, validator.SignatureAlgorithm(r.Algorithm), r.Issuer, []string{r.Audience})
	if err != nil {
		return "", err
	}
	claims, err := v.ValidateToken(ctx, r.Token)
	if err != nil {
		return "", err
	}
	return claims.(*validator.ValidatedClaims).RegisteredClaims.Subject, nil
}

// jose2goDecode checks the signature only.
func jose2goDecode(_ context.Context, r request) (string, error) {
	text, header, err := jose.Decode(r.Token, r.publicKey())
	if err != nil {
		return "", err
	}
	if header["alg"] != string(r.Algorithm) {
		return "", errors.New("another algorithm")
	}
	var claims struct{ Sub string }
	err = json.Unmarshal([]byte(text), &claims)
	return claims.Sub, err
}

func kataras(_ context.Context, r request) (string, error) {
	algorithms := map[string]katarasjwt.Alg{
		"HS256": katarasjwt.HS256, "HS384": katarasjwt.HS384, "HS512": katarasjwt.HS512,
		"RS256": katarasjwt.RS256, "RS384": katarasjwt.RS384, "RS512": katarasjwt.RS512,
		"PS256": katarasjwt.PS256, "PS384": katarasjwt.PS384, "PS512": katarasjwt.PS512,
		"ES256": katarasjwt.ES256, "ES384": katarasjwt.ES384, "ES512": katarasjwt.ES512, "EdDSA": katarasjwt.EdDSA,
	}
	expected := katarasjwt.Expected{Issuer: r.Issuer, Audience: katarasjwt.Audience{r.Audience}}
	keys := make(katarasjwt.Keys)
	keys.Register(algorithms[string(r.Algorithm)], "key-of-"+string(r.Algorithm), r.publicKey(), nil)
	var claims katarasjwt.Claims
	err := keys.VerifyToken([]byte(r.Token), &claims, expected)
	return claims.Subject, err
}

// The command lines that Debian has. They check signatures; jwt checks the times too.

func runTool(ctx context.Context, input, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", errors.New(strings.TrimSpace(stderr.String()))
	}
	var claims struct{ Sub string }
	err := json.Unmarshal(stdout.Bytes(), &claims)
	return claims.Sub, err
}

// writeKey writes the key into a folder that the caller removes.
func writeKey(content []byte) (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "key")
	return path, func() { _ = os.RemoveAll(dir) }, os.WriteFile(path, content, 0o600)
}

func jwtTool(ctx context.Context, r request) (string, error) {
	key := []byte(r.PEM)
	if r.symmetric() {
		key = r.Secret
	}
	path, remove, err := writeKey(key)
	if err != nil {
		return "", err
	}
	defer remove()
	return runTool(ctx, r.Token, "jwt", "-alg", string(r.Algorithm), "-key", path, "-verify", "-")
}

func joseTool(ctx context.Context, r request) (string, error) {
	key := []byte(r.JWK)
	if r.symmetric() {
		key = octJWK(r.Secret)
	}
	path, remove, err := writeKey(key)
	if err != nil {
		return "", err
	}
	defer remove()
	return runTool(ctx, r.Token, "jose", "jws", "ver", "-i-", "-k", path, "-O-")
}
