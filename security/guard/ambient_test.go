package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
)

// ambientKey is a scheme whose credential is a text behind an auth scheme that browsers answer.
func ambientKey(prefix string) *Scheme { return &Scheme{Name: "key", Kind: KindKey, Prefix: prefix} }

// aHost sets the host that the request names.
func aHost(host string) change { return func(r *http.Request) { r.Host = host } }

// aWebSocket asks for an upgrade, as a browser does for a page of the origin.
func aWebSocket(origin string) change {
	return func(r *http.Request) {
		field("Connection", "Upgrade")(r)
		field("Upgrade", "websocket")(r)
		field("Origin", origin)(r)
	}
}

// TestAmbientCredentialsNeedAnAllowedOrigin sends each kind of credential that browsers add by
// themselves, from pages of different origins. A credential that a script must add passes from each.
func TestAmbientCredentialsNeedAnAllowedOrigin(t *testing.T) {
	f := newCredentialFixture(t)
	f.policy = must(New(f.validator, WithTrustedOrigins("https://app.example")))(t)
	kinds := []struct {
		name    string
		scheme  *Scheme
		sends   change
		ambient bool
	}{
		{name: "cookie", scheme: sessionScheme, sends: aCookie("session", "alice"), ambient: true},
		{name: "basic", scheme: basicScheme, sends: withBasic("alice"), ambient: true},
		{name: "certificate", scheme: certificateScheme, sends: aCertificate("alice", true), ambient: true},
		{name: "digest", scheme: ambientKey("Digest"), sends: withAuthorization("Digest alice"), ambient: true},
		{name: "digest in another case", scheme: ambientKey("dIGEST"), sends: withAuthorization("DIGEST alice"), ambient: true},
		{name: "negotiate", scheme: ambientKey("Negotiate"), sends: withAuthorization("Negotiate alice"), ambient: true},
		{name: "NTLM", scheme: ambientKey("NTLM"), sends: withAuthorization("NTLM alice"), ambient: true},
		{name: "kerberos", scheme: ambientKey("Kerberos"), sends: withAuthorization("Kerberos alice"), ambient: true},
		{name: "key", scheme: keyScheme, sends: field("X-API-Key", "alice")},
		{name: "key in the query", scheme: keyQueryScheme, sends: aQuery("key=alice")},
		{name: "opaque bearer", scheme: opaqueScheme, sends: withAuthorization("Bearer alice")},
		{name: "token in a header", scheme: accessScheme, sends: withAuthorization("Bearer " + f.alice)},
		{name: "token in the query", scheme: accessQueryScheme, sends: aQuery("token=" + f.alice)},
	}
	for _, tt := range []struct {
		name    string
		method  string
		changes []change
		// status is that for an ambient credential.
		status int
	}{
		{name: "no browser", method: "POST", status: 200},
		{name: "same origin", method: "POST", changes: []change{field("Sec-Fetch-Site", "same-origin")}, status: 200},
		{name: "typed by the user", method: "POST", changes: []change{field("Sec-Fetch-Site", "none")}, status: 200},
		{name: "same site, another origin", method: "POST", changes: []change{field("Sec-Fetch-Site", "same-site")}, status: 403},
		{name: "another site", method: "POST", changes: []change{crossSite}, status: 403},
		{name: "another site, PUT", method: "PUT", changes: []change{crossSite}, status: 403},
		{name: "another site, PATCH", method: "PATCH", changes: []change{crossSite}, status: 403},
		{name: "another site, DELETE", method: "DELETE", changes: []change{crossSite}, status: 403},
		{name: "another site, TRACE", method: "TRACE", changes: []change{crossSite}, status: 403},
		{name: "another site, a method in lower case", method: "get", changes: []change{crossSite}, status: 403},
		{name: "another site, a word that is no value of the header", method: "POST", changes: []change{field("Sec-Fetch-Site", "same-origin, cross-site")}, status: 403},
		{name: "another site that is trusted", method: "POST", changes: []change{crossSite, field("Origin", "https://app.example")}, status: 200},
		{name: "a trusted origin with another scheme", method: "POST", changes: []change{crossSite, field("Origin", "http://app.example")}, status: 403},
		{name: "old browser, same origin", method: "POST", changes: []change{field("Origin", "https://example.com")}, status: 200},
		{name: "old browser, another origin", method: "POST", changes: []change{field("Origin", "https://evil.example")}, status: 403},
		{name: "old browser, another port", method: "POST", changes: []change{field("Origin", "https://example.com:8443")}, status: 403},
		{name: "old browser, a name that ends with the host", method: "POST", changes: []change{field("Origin", "https://evil-example.com")}, status: 403},
		{name: "old browser, no origin of its page", method: "POST", changes: []change{field("Origin", "null")}, status: 403},
		{name: "old browser, two origins", method: "POST", changes: []change{field("Origin", "https://example.com", "https://evil.example")}, status: 403},
		{name: "two values of Sec-Fetch-Site", method: "POST", changes: []change{field("Sec-Fetch-Site", "same-origin", "cross-site")}, status: 403},

		{name: "another site, GET", method: "GET", changes: []change{crossSite, field("Origin", "https://evil.example")}, status: 200},
		{name: "another site, HEAD", method: "HEAD", changes: []change{crossSite}, status: 200},
		{name: "another site, OPTIONS", method: "OPTIONS", changes: []change{crossSite}, status: 200},

		{name: "WebSocket, no browser", method: "GET", changes: []change{field("Upgrade", "websocket")}, status: 200},
		{name: "WebSocket, same origin", method: "GET", changes: []change{aWebSocket("https://example.com")}, status: 200},
		{name: "WebSocket, same origin on a port", method: "GET", changes: []change{aWebSocket("https://example.com:8443"), aHost("example.com:8443")}, status: 200},
		{name: "WebSocket, trusted origin", method: "GET", changes: []change{aWebSocket("https://app.example"), crossSite}, status: 200},
		{name: "WebSocket, another origin", method: "GET", changes: []change{aWebSocket("https://evil.example")}, status: 403},
		{name: "WebSocket, another origin that claims this host", method: "GET", changes: []change{aWebSocket("https://evil.example/example.com")}, status: 403},
		{name: "WebSocket, no origin of its page", method: "GET", changes: []change{aWebSocket("null")}, status: 403},
		{name: "WebSocket, same site, another origin", method: "GET", changes: []change{aWebSocket("https://evil.example.com"), field("Sec-Fetch-Site", "same-site")}, status: 403},
		{name: "an empty upgrade from another site", method: "GET", changes: []change{field("Upgrade", ""), crossSite}, status: 403},
	} {
		for _, kind := range kinds {
			t.Run(kind.name+", "+tt.name, func(t *testing.T) {
				asked, ran := 0, false
				o := &Operation{ID: "op", Requirement: Requirement{{kind.scheme}}}
				authenticators := Authenticators{kind.scheme.Name: countingAuthenticator(kind.scheme.Kind, &asked)}
				if kind.scheme.Kind == KindJWT {
					authenticators = nil
				}
				handler := must(NewGuards(f.policy, authenticators, o))(t).HandlerFunc(o, func(http.ResponseWriter, *http.Request) { ran = true })
				status := tt.status
				if !kind.ambient {
					status = 200
				}
				w := serveChanged(handler, append([]change{aMethod(tt.method), kind.sends}, tt.changes...))
				if w.Code != status || ran != (status == 200) {
					t.Errorf("status %d, handler ran: %t; want %d", w.Code, ran, status)
				}
				if status == 403 && (asked != 0 || w.Header().Get("WWW-Authenticate") != "") {
					t.Errorf("the authenticator was asked %d times, challenge %q", asked, w.Header().Get("WWW-Authenticate"))
				}
			})
		}
	}
}

// TestForwardedCertificateIsAmbient has the certificate of a connection that ends at a proxy.
func TestForwardedCertificateIsAmbient(t *testing.T) {
	f := newCredentialFixture(t)
	f.policy = must(New(f.validator, WithForwardedCertificate(func(context.Context, func(string) []string) (*x509.Certificate, error) {
		return &x509.Certificate{}, nil
	})))(t)
	asked := 0
	o := &Operation{ID: "op", Requirement: Requirement{{certificateScheme}}}
	handler := must(NewGuards(f.policy, Authenticators{"mtls": countingAuthenticator(KindCertificate, &asked)}, o))(t).
		HandlerFunc(o, func(http.ResponseWriter, *http.Request) {})
	if w := serveChanged(handler, []change{aMethod("POST"), crossSite}); w.Code != 403 || asked != 0 {
		t.Errorf("from another site: status %d, asked %d times", w.Code, asked)
	}
	if w := serveChanged(handler, []change{aMethod("POST"), func(r *http.Request) { r.TLS = &tls.ConnectionState{} }}); w.Code != 200 || asked != 1 {
		t.Errorf("from no browser: status %d, asked %d times", w.Code, asked)
	}
}

// countingAuthenticator accepts every credential of the kind and counts its calls.
func countingAuthenticator(kind Kind, asked *int) SchemeAuthenticator {
	accept := func() (*Caller[Principal], error) {
		*asked++
		return &Caller[Principal]{Principal: Principal{"alice"}}, nil
	}
	switch kind {
	case KindBasic:
		return AuthenticateBasic(func(context.Context, BasicCredentials) (*Caller[Principal], error) { return accept() })
	case KindCertificate:
		return AuthenticateCertificate(func(context.Context, *x509.Certificate) (*Caller[Principal], error) { return accept() })
	}
	return AuthenticateKey(func(context.Context, string) (*Caller[Principal], error) { return accept() })
}
