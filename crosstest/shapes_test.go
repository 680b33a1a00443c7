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

// TestShapes sends credentials of every kind, alone and together, to operations of every shape. Who is what the handler got.
func TestShapes(t *testing.T) {
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
		// challenges are those of an answer of 401 or 403, in order.
		challenges []string
	}{
		{"GET /basic", nil, 401, "", []string{basicChallenge}},
		{"GET /basic", []string{basic("alice")}, 200, "basic:alice", nil},
		{"GET /basic", []string{basic("carol")}, 401, "", []string{basicChallenge}},
		{"GET /basic", []string{"Authorization: Basic !"}, 401, "", []string{basicChallenge}},
		{"GET /basic", []string{"Authorization: Basic"}, 400, "", nil},
		{"GET /basic", []string{basic("down")}, 503, "", nil},
		{"GET /basic", []string{basic("nobody")}, 500, "", nil},
		{"GET /basic", []string{alice}, 401, "", []string{basicChallenge}},
		{"GET /basic", []string{basic("alice"), alice}, 400, "", nil},
		{"POST /basic", []string{basic("alice")}, 200, "basic:alice", nil},
		{"POST /basic", []string{basic("alice"), crossSite}, 403, "", nil},
		{"GET /basic", []string{basic("alice"), crossSite}, 200, "basic:alice", nil},
		{"GET /digest", nil, 401, "", []string{`digest realm="api"`}},
		{"GET /digest", []string{`Authorization: Digest username="bob", qop=auth`}, 200, "digest:bob", nil},
		{"GET /digest", []string{`Authorization: Digest username="carol", qop=auth`}, 401, "", []string{`digest realm="api"`}},
		{"GET /opaque", nil, 401, "", []string{bearerChallenge}},
		{"GET /opaque", []string{"Authorization: Bearer alice"}, 200, "opaque:alice", nil},
		{"GET /opaque", []string{badToken}, 401, "", []string{invalidOpaque}},
		{"GET /opaque", []string{"Authorization: Bearer alice alice"}, 400, "", nil},
		{"GET /key", nil, 401, "", []string{keyChallenge}},
		{"GET /key", []string{key("alice")}, 200, "key:alice", nil},
		{"GET /key", []string{key("carol")}, 401, "", []string{keyChallenge}},
		{"GET /key", []string{key("alice"), key("alice")}, 400, "", nil},
		{"GET /key?key=alice", nil, 401, "", []string{keyChallenge}},
		{"POST /key?key=alice", nil, 200, "keyQuery:alice", nil},
		{"POST /key?k%65y=bob", nil, 200, "keyQuery:bob", nil},
		{"POST /key?key=alice&key=bob", nil, 400, "", nil},
		{"POST /key?key=", nil, 401, "", []string{queryChallenge}},
		{"POST /key", []string{key("alice")}, 401, "", []string{queryChallenge}},
		{"GET /session", nil, 200, "", nil},
		{"GET /session", []string{"Cookie: session=alice"}, 200, "session:alice", nil},
		{"GET /session", []string{"Cookie: session=carol"}, 401, "", []string{sessionChallenge}},
		{"GET /session", []string{"Cookie: session=alice; session=bob"}, 400, "", nil},
		{"GET /session", []string{"Cookie: session=alice", crossSite}, 200, "session:alice", nil},
		{"GET /session", []string{basic("alice")}, 401, "", []string{sessionChallenge}},
		{"POST /session", []string{"Cookie: session=alice"}, 200, "session:alice", nil},
		{"POST /session", []string{"Cookie: session=alice", crossSite}, 403, "", nil},
		{"POST /session", []string{"Cookie: session=alice", "Origin: https://other.example"}, 403, "", nil},
		{"GET /certificate", nil, 401, "", []string{`ClientCertificate realm="api"`}},
		{"GET /certificate", []string{"X-Forwarded-Client-Cert: alice"}, 401, "", []string{`ClientCertificate realm="api"`}},

		{"GET /either", nil, 401, "", []string{bearerChallenge, keyChallenge}},
		{"GET /either", []string{alice}, 200, "Access=access:alice", nil},
		{"GET /either", []string{key("bob")}, 200, "Key=key:bob", nil},
		{"GET /either", []string{alice, key("bob")}, 200, "Access=access:alice", nil},
		{"GET /either", []string{badToken, key("bob")}, 200, "Key=key:bob", nil},
		{"GET /either", []string{alice, key("carol")}, 200, "Access=access:alice", nil},
		{"GET /either", []string{badToken, key("carol")}, 401, "", []string{invalid, keyChallenge}},
		{"GET /either", []string{badToken}, 401, "", []string{invalid, keyChallenge}},
		{"GET /either", []string{key("carol")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"GET /either", []string{badToken, key("down")}, 503, "", nil},
		{"GET /either", []string{"Authorization: Bearer", key("bob")}, 200, "Key=key:bob", nil},
		{"GET /either", []string{"Authorization: Bearer", key("carol")}, 400, "", nil},
		{"GET /either", []string{alice, key("")}, 200, "Access=access:alice", nil},
		{"GET /either", []string{basic("alice")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"PUT /either", nil, 200, "", nil},
		{"PUT /either", []string{key("alice")}, 200, "Key=key:alice", nil},
		{"PUT /either", []string{badToken}, 401, "", []string{invalid, keyChallenge}},
		{"PUT /either", []string{key("down")}, 503, "", nil},
		{"PUT /either", []string{basic("alice")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"POST /either", []string{admin}, 200, "Access=access:root", nil},
		{"POST /either", []string{basic("alice")}, 200, "Basic=basic:alice", nil},
		{"POST /either", []string{basic("bob")}, 401, "", []string{bearerChallenge, basicChallenge}},
		{"POST /either", []string{alice}, 403, "", []string{insufficient}},
		{"POST /either", []string{old}, 401, "", []string{tooOld, basicChallenge}},
		{"GET /both", nil, 401, "", []string{bearerChallenge, keyChallenge}},
		{"GET /both", []string{alice, key("bob")}, 200, "Access=access:alice Key=key:bob", nil},
		{"GET /both", []string{alice}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"GET /both", []string{key("bob")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"GET /both", []string{badToken, key("bob")}, 401, "", []string{invalid, keyChallenge}},
		{"GET /both", []string{alice, key("carol")}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"GET /both", []string{alice, key("down")}, 503, "", nil},
		{"PUT /both", nil, 200, "", nil},
		{"PUT /both", []string{alice, key("bob")}, 200, "Access=access:alice Key=key:bob", nil},
		{"PUT /both", []string{alice}, 401, "", []string{bearerChallenge, keyChallenge}},
		{"POST /both", []string{basic("bob")}, 200, "Basic=basic:bob", nil},
		{"POST /both", []string{basic("bob"), key("alice")}, 200, "Basic=basic:bob", nil},
		{"POST /both", []string{alice, key("bob")}, 200, "Access=access:alice Key=key:bob", nil},
		{"POST /both", []string{alice}, 401, "", []string{bearerChallenge, keyChallenge, basicChallenge}},
		{"GET /two-tokens", []string{alice, refresh}, 200, "Access=access:alice Refresh=refresh:alice", nil},
		{"GET /two-tokens", []string{alice, refreshBob}, 403, "", []string{insufficient}},
		{"GET /two-tokens", []string{alice}, 401, "", []string{bearerChallenge}},
		{"POST /two-tokens", []string{alice}, 200, "Access=access:alice", nil},
		{"POST /two-tokens", []string{refresh}, 200, "Refresh=refresh:alice", nil},
		{"POST /two-tokens", []string{alice, refreshBob}, 200, "Refresh=refresh:bob", nil},
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

// TestCertificates connects with certificates of clients: one that the server's authority has signed, and none.
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
	// What a client only claims is in PeerCertificates, and does not count.
	claimed := config.Clone()
	claimed.ClientAuth = tls.RequestClientCert
	for _, tt := range []struct {
		name   string
		config *tls.Config
		client string
		status int
		who    string
	}{
		{"alice", config, "alice", 200, "mtls:alice"},
		{"somebody else", config, "carol", 401, ""},
		{"none", config, "", 401, ""},
		{"not verified", claimed, "alice", 401, ""},
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

// newCertificate makes a certificate of the name that the parent has signed, or one that signs others.
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
