package pages

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/blacklist"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/keys"
)

// newPublicAuthority issues tokens that other services verify too. The private key stays where
// signer has it, such as in a key management service.
func newPublicAuthority(signer crypto.Signer, list blacklist.Blacklist, options ...security.Option) (*security.Authority, http.Handler, error) {
	key, err := keys.NewSigner(keys.ES256, signer, keys.WithID("2026-07"))
	if err != nil {
		return nil, nil, err
	}
	set, err := keys.NewSet(key)
	if err != nil {
		return nil, nil, err
	}
	jwks, err := keys.JWKSHandler(set, time.Hour)
	if err != nil {
		return nil, nil, err
	}
	authority, err := security.New("https://accounts.example.com", set, list, append(options,
		security.WithAudience("https://api.example.com"),
		security.WithTokenDefaults(security.WithClientID("web"), security.WithHeader("env", "test")))...)
	return authority, jwks, err
}

// Tokens for other services: the verifiers of others read the header and the claims.
func Example_tokensForOthers() {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // stands for the client of a key management service
	must(err)
	started := time.Date(2026, 7, 1, 12, 0, 0, 250_000_000, time.UTC)
	clock := security.WithClock(func() time.Time { return started })
	authority, jwks, err := newPublicAuthority(signer, blacklist.None{}, clock)
	must(err)
	pair, err := authority.Issuer.IssueTokenPair(context.Background(), "alice", nil, nil, security.WithScopes("notes"))
	must(err)
	fmt.Println("access token, header: ", part(pair.Access, 0))
	fmt.Println("access token, claims: ", part(pair.Access, 1))
	fmt.Println("refresh token, header:", part(pair.Refresh, 0))
	fmt.Println("refresh token, claims:", part(pair.Refresh, 1))
	fmt.Println("keys are published:   ", strings.Contains(ask(jwks, "GET", "/", ""), `"kid":"2026-07"`))

	plain, _, err := newPublicAuthority(signer, blacklist.None{}, clock, security.WithLayout(security.PlainJWT()))
	must(err)
	token, err := plain.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)
	fmt.Println("PlainJWT, header:     ", part(token, 0))
	// Output:
	// access token, header:  {"alg":"ES256","env":"test","kid":"2026-07","typ":"at+jwt"}
	// access token, claims:  {"aud":"https://api.example.com","auth_time":1782907200,"client_id":"web","exp":1782908100,"iat":1782907200,"iss":"https://accounts.example.com","nbf":1782907200,"scope":"notes","session_start":1782907200250,"sub":"alice"}
	// refresh token, header: {"alg":"ES256","env":"test","kid":"2026-07","typ":"rt+jwt"}
	// refresh token, claims: {"aud":"https://accounts.example.com#refresh","auth_time":1782907200,"client_id":"web","exp":1785499200,"iat":1782907200,"iss":"https://accounts.example.com","nbf":1782907200,"session_start":1782907200250,"sub":"alice"}
	// keys are published:    true
	// PlainJWT, header:      {"alg":"ES256","env":"test","kid":"2026-07","typ":"JWT"}
}

// part returns the header (0) or the payload (1) of a token, without its random ids.
func part(token security.IssuedToken, index int) string {
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Text(), ".")[index])
	must(err)
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	must(decoder.Decode(&members))
	delete(members, "jti")
	delete(members, "sid")
	sorted, err := json.Marshal(members)
	must(err)
	return string(sorted)
}

// forward calls another service as the user of the token. The verifier has security.WithTokenText.
func forward(ctx context.Context, client *http.Client, url string, token security.Token[security.NoClaims]) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token.Text())
	return client.Do(request)
}

// A service forwards the token of its caller to another one, which verifies it again.
func Example_forward() {
	key, err := newKey("k", "application")
	must(err)
	_, notes := newHandler(newSet(key), time.Now)
	server := httptest.NewServer(notes)
	defer server.Close()
	authority := newAuthority(newSet(key), security.WithTokenText())
	issued, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)
	verified, err := authority.Validator.Verify(context.Background(), accessType, issued.Text())
	must(err)
	token, ok := verified.(security.Token[security.NoClaims])
	if !ok {
		panic("another type of token")
	}
	response, err := forward(context.Background(), server.Client(), server.URL+"/me", token)
	must(err)
	defer response.Body.Close()
	fmt.Println(response.StatusCode)
	// Output: 200
}
