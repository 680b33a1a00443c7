package crosstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
)

// TestCredentialArguments sends credentials of every kind, alone and together, to operations with
// every shape of argument. who is what the handler got.
func TestCredentialArguments(t *testing.T) {
	f := newFixture(t)
	alice := "Authorization: " + f.bearer(accessType, "alice")
	admin := "Authorization: " + f.bearer(accessType, "root", security.WithRoles("ADMIN"))
	old := "Authorization: " + f.bearer(accessType, "root", security.WithRoles("ADMIN"), security.WithSessionStart(time.Now().Add(-time.Hour)))
	refresh := "X-Refresh-Token: " + f.token(refreshType, "alice").Text()
	refreshBob := "X-Refresh-Token: " + f.token(refreshType, "bob").Text()
	basic := func(name string) string {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(name, "password")
		return "Authorization: " + r.Header.Get("Authorization")
	}
	key := func(name string) string { return "X-API-Key: " + name }
	const (
		badToken         = "Authorization: Bearer x"
		crossSite        = "Sec-Fetch-Site: cross-site"
		bearerChallenge  = `Bearer realm="api"`
		basicChallenge   = `Basic realm="api", charset="UTF-8"`
		keyChallenge     = `ApiKey realm="api", in="header", name="X-API-Key"`
		queryChallenge   = `ApiKey realm="api", in="query", name="key"`
		sessionChallenge = `ApiKey realm="api", in="cookie", name="session"`
		invalid          = bearerChallenge + `, error="invalid_token", error_description="The token is not valid."`
		invalidOpaque    = bearerChallenge + `, error="invalid_token", error_description="The credentials are not valid."`
		insufficient     = bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`
		tooOld           = bearerChallenge + `, error="insufficient_user_authentication", error_description="A more recent authentication is required.", max_age="900"`
	)
	rows := []struct {
		request string
		fields  []string
		status  int
		who     string
		// challenges are those of a response 401 or 403, in order.
		challenges []string
	}{
		{request: "GET /basic", status: 401, challenges: []string{basicChallenge}},
		{request: "GET /basic", fields: []string{basic("alice")}, status: 200, who: "basic:alice"},
		{request: "GET /basic", fields: []string{basic("carol")}, status: 401, challenges: []string{basicChallenge}},
		{request: "GET /basic", fields: []string{"Authorization: Basic !"}, status: 401, challenges: []string{basicChallenge}},
		{request: "GET /basic", fields: []string{"Authorization: Basic"}, status: 400},
		{request: "GET /basic", fields: []string{basic("down")}, status: 503},
		{request: "GET /basic", fields: []string{basic("nobody")}, status: 500},
		{request: "GET /basic", fields: []string{alice}, status: 401, challenges: []string{basicChallenge}},
		{request: "GET /basic", fields: []string{basic("alice"), alice}, status: 400},
		{request: "POST /basic", fields: []string{basic("alice")}, status: 200, who: "basic:alice"},
		{request: "POST /basic", fields: []string{basic("alice"), crossSite}, status: 403},
		{request: "GET /basic", fields: []string{basic("alice"), crossSite}, status: 200, who: "basic:alice"},
		{request: "GET /digest", status: 401, challenges: []string{`digest realm="api"`}},
		{request: "GET /digest", fields: []string{`Authorization: Digest username="bob", qop=auth`}, status: 200, who: "digest:bob"},
		{
			request: "GET /digest", fields: []string{`Authorization: Digest username="carol", qop=auth`}, status: 401,
			challenges: []string{`digest realm="api"`},
		},
		{request: "GET /opaque", status: 401, challenges: []string{bearerChallenge}},
		{request: "GET /opaque", fields: []string{"Authorization: Bearer alice"}, status: 200, who: "opaque:alice"},
		{request: "GET /opaque", fields: []string{badToken}, status: 401, challenges: []string{invalidOpaque}},
		{request: "GET /opaque", fields: []string{"Authorization: Bearer alice alice"}, status: 400},
		{request: "GET /key", status: 401, challenges: []string{keyChallenge}},
		{request: "GET /key", fields: []string{key("alice")}, status: 200, who: "key:alice"},
		{request: "GET /key", fields: []string{key("carol")}, status: 401, challenges: []string{keyChallenge}},
		{request: "GET /key", fields: []string{key("alice"), key("alice")}, status: 400},
		{request: "GET /key?key=alice", status: 401, challenges: []string{keyChallenge}},
		{request: "POST /key?key=alice", status: 200, who: "keyQuery:alice"},
		{request: "POST /key?k%65y=bob", status: 200, who: "keyQuery:bob"},
		{request: "POST /key?key=alice&key=bob", status: 400},
		{request: "POST /key?key=", status: 401, challenges: []string{queryChallenge}},
		{request: "POST /key", fields: []string{key("alice")}, status: 401, challenges: []string{queryChallenge}},
		{request: "GET /session", status: 200},
		{request: "GET /session", fields: []string{"Cookie: session=alice"}, status: 200, who: "session:alice"},
		{request: "GET /session", fields: []string{"Cookie: session=carol"}, status: 401, challenges: []string{sessionChallenge}},
		{request: "GET /session", fields: []string{"Cookie: session=alice; session=bob"}, status: 401},
		{request: "GET /session", fields: []string{"Cookie: session=alice", crossSite}, status: 200, who: "session:alice"},
		{request: "GET /session", fields: []string{basic("alice")}, status: 401, challenges: []string{sessionChallenge}},
		{request: "POST /session", fields: []string{"Cookie: session=alice"}, status: 200, who: "session:alice"},
		{request: "POST /session", fields: []string{"Cookie: session=alice", crossSite}, status: 403},
		{request: "POST /session", fields: []string{"Cookie: session=alice", "Origin: https://other.example"}, status: 403},
		{request: "GET /certificate", status: 401, challenges: []string{`ClientCertificate realm="api"`}},
		{
			request: "GET /certificate", fields: []string{"X-Forwarded-Client-Cert: alice"}, status: 401,
			challenges: []string{`ClientCertificate realm="api"`},
		},

		{request: "GET /either", status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "GET /either", fields: []string{alice}, status: 200, who: "Access=access:alice"},
		{request: "GET /either", fields: []string{key("bob")}, status: 200, who: "Key=key:bob"},
		{request: "GET /either", fields: []string{alice, key("bob")}, status: 200, who: "Access=access:alice"},
		{request: "GET /either", fields: []string{badToken, key("bob")}, status: 200, who: "Key=key:bob"},
		{request: "GET /either", fields: []string{alice, key("carol")}, status: 200, who: "Access=access:alice"},
		{request: "GET /either", fields: []string{badToken, key("carol")}, status: 401, challenges: []string{invalid, keyChallenge}},
		{request: "GET /either", fields: []string{badToken}, status: 401, challenges: []string{invalid, keyChallenge}},
		{request: "GET /either", fields: []string{key("carol")}, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "GET /either", fields: []string{badToken, key("down")}, status: 503},
		{request: "GET /either", fields: []string{"Authorization: Bearer", key("bob")}, status: 200, who: "Key=key:bob"},
		{request: "GET /either", fields: []string{"Authorization: Bearer", key("carol")}, status: 400},
		{request: "GET /either", fields: []string{alice, key("")}, status: 200, who: "Access=access:alice"},
		{request: "GET /either", fields: []string{basic("alice")}, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "PUT /either", status: 200},
		{request: "PUT /either", fields: []string{key("alice")}, status: 200, who: "Key=key:alice"},
		{request: "PUT /either", fields: []string{badToken}, status: 401, challenges: []string{invalid, keyChallenge}},
		{request: "PUT /either", fields: []string{key("down")}, status: 503},
		{request: "PUT /either", fields: []string{basic("alice")}, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "POST /either", fields: []string{admin}, status: 200, who: "Access=access:root"},
		{request: "POST /either", fields: []string{basic("alice")}, status: 200, who: "Basic=basic:alice"},
		{request: "POST /either", fields: []string{basic("bob")}, status: 401, challenges: []string{bearerChallenge, basicChallenge}},
		{request: "POST /either", fields: []string{alice}, status: 403, challenges: []string{insufficient}},
		{request: "POST /either", fields: []string{old}, status: 401, challenges: []string{tooOld, basicChallenge}},
		{request: "GET /both", status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "GET /both", fields: []string{alice, key("bob")}, status: 200, who: "Access=access:alice Key=key:bob"},
		{request: "GET /both", fields: []string{alice}, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "GET /both", fields: []string{key("bob")}, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "GET /both", fields: []string{badToken, key("bob")}, status: 401, challenges: []string{invalid, keyChallenge}},
		{request: "GET /both", fields: []string{alice, key("carol")}, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "GET /both", fields: []string{alice, key("down")}, status: 503},
		{request: "PUT /both", status: 200},
		{request: "PUT /both", fields: []string{alice, key("bob")}, status: 200, who: "Access=access:alice Key=key:bob"},
		{request: "PUT /both", fields: []string{alice}, status: 401, challenges: []string{bearerChallenge, keyChallenge}},
		{request: "POST /both", fields: []string{basic("bob")}, status: 200, who: "Basic=basic:bob"},
		{request: "POST /both", fields: []string{basic("bob"), key("alice")}, status: 200, who: "Basic=basic:bob"},
		{request: "POST /both", fields: []string{alice, key("bob")}, status: 200, who: "Access=access:alice Key=key:bob"},
		{request: "POST /both", fields: []string{alice}, status: 401, challenges: []string{bearerChallenge, keyChallenge, basicChallenge}},
		{request: "GET /two-tokens", fields: []string{alice, refresh}, status: 200, who: "Access=access:alice Refresh=refresh:alice"},
		{request: "GET /two-tokens", fields: []string{alice, refreshBob}, status: 403, challenges: []string{insufficient}},
		{request: "GET /two-tokens", fields: []string{alice}, status: 401, challenges: []string{bearerChallenge}},
		{request: "POST /two-tokens", fields: []string{alice}, status: 200, who: "Access=access:alice"},
		{request: "POST /two-tokens", fields: []string{refresh}, status: 200, who: "Refresh=refresh:alice"},
		{request: "POST /two-tokens", fields: []string{alice, refreshBob}, status: 200, who: "Refresh=refresh:bob"},
	}
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{})
		for _, tt := range rows {
			got := c.send(tt.request, "", tt.fields...)
			name := fmt.Sprintf("%s %q", tt.request, tt.fields)
			if got.status != tt.status || got.seen.Credentials != tt.who || (got.seen.Operation != "") != (tt.status == 200) {
				t.Errorf("%s: status %d, the handler got %q; want %d, %q: %s", name, got.status, got.seen.Credentials, tt.status, tt.who, got.body)
			}
			challenges := got.header["Www-Authenticate"]
			if (tt.challenges != nil || tt.status == 200 || tt.status >= 500) && !slices.Equal(challenges, tt.challenges) {
				t.Errorf("%s: challenges %q, want %q", name, challenges, tt.challenges)
			}
			if tt.status != 200 && got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %s", name, got.header.Get("Content-Type"))
			}
		}
	})
}

// TestCertificates connects with a client certificate that the authority of the server signed, and
// without one.
func TestCertificates(t *testing.T) {
	f := newFixture(t)
	authority, authorityKey := newCertificate(t, "authority", nil, nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	issue := func(name string) tls.Certificate {
		certificate, key := newCertificate(t, name, authority, authorityKey)
		return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
	}
	config := &tls.Config{Certificates: []tls.Certificate{issue("127.0.0.1")}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
	// An unverified certificate is in PeerCertificates, and does not count.
	claimed := config.Clone()
	claimed.ClientAuth = tls.RequestClientCert
	for _, tt := range []struct {
		name   string
		config *tls.Config
		client string
		status int
		who    string
	}{
		{name: "alice", config: config, client: "alice", status: 200, who: "mtls:alice"},
		{name: "somebody else", config: config, client: "carol", status: 401},
		{name: "none", config: config, status: 401},
		{name: "not verified", config: claimed, client: "alice", status: 401},
	} {
		eachRouter(t, func(t *testing.T, r Router) {
			c := f.start(t, r, service.Server{}, Options{TLS: tt.config})
			own := &tls.Config{RootCAs: pool}
			if tt.client != "" {
				own.Certificates = []tls.Certificate{issue(tt.client)}
			}
			c.Transport.(*http.Transport).TLSClientConfig = own
			if got := c.send("GET /certificate", ""); got.status != tt.status || got.seen.Credentials != tt.who {
				t.Errorf("%s: status %d, the handler got %q: %s", tt.name, got.status, got.seen.Credentials, got.body)
			}
		})
	}
}

// newCertificate makes a certificate with the name that the parent signed. Without a parent it
// makes an authority.
func newCertificate(t *testing.T, name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if parent == nil {
		parent, parentKey = template, key
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey))(t)
	return must(x509.ParseCertificate(der))(t), key
}
