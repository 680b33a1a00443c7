package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security"
)

// Schemes of the tables, besides accessScheme and refreshScheme.
var (
	basicScheme        = &Scheme{Name: "basic", Kind: KindBasic}
	plainKeyScheme     = &Scheme{Name: "plainKey", Kind: KindKey, Parameter: "authorization"}
	wordKeyScheme      = &Scheme{Name: "wordKey", Kind: KindKey, Parameter: "Authorization", Prefix: "Word"}
	keyScheme          = &Scheme{Name: "key", Kind: KindKey, Parameter: "X-API-Key"}
	keyQueryScheme     = &Scheme{Name: "keyQuery", Kind: KindKey, In: InQuery, Parameter: "key"}
	sessionScheme      = &Scheme{Name: "session", Kind: KindKey, In: InCookie, Parameter: "session"}
	opaqueScheme       = &Scheme{Name: "opaque", Kind: KindKey}
	digestScheme       = &Scheme{Name: "digest", Kind: KindKey, Prefix: "Digest"}
	certificateScheme  = &Scheme{Name: "mtls", Kind: KindCertificate}
	accessQueryScheme  = &Scheme{Name: "accessQuery", Token: accessToken, In: InQuery, Parameter: "token"}
	accessCookieScheme = &Scheme{Name: "accessCookie", Token: accessToken, In: InCookie, Parameter: "access"}
	refreshSchemeX     = &Scheme{Name: "refreshX", Token: refreshToken, Parameter: "X-Refresh"}
	accessSchemeX      = &Scheme{Name: "accessX", Token: accessToken, Parameter: "X-Access"}
)

// account returns the caller of a name. alice has a role, scopes and an authentication time. bob
// has none of them.
func account(name string) (*Caller[Principal], error) {
	switch strings.TrimRight(name, "_") {
	case "alice":
		return &Caller[Principal]{Principal: Principal{"alice"}, Scopes: []string{"read", "write"}, Roles: []string{"USER"}, AuthTime: newClock().Now()}, nil
	case "bob":
		return &Caller[Principal]{Principal: Principal{"bob"}}, nil
	case "denied":
		return nil, security.ErrAccessDenied
	case "down":
		return nil, errSecretive
	case "nobody":
		return nil, nil
	}
	return nil, security.ErrInvalidCredentials
}

func testAuthenticators() Authenticators {
	key := AuthenticateKey(func(_ context.Context, key string) (*Caller[Principal], error) { return account(key) })
	return Authenticators{
		"basic": AuthenticateBasic(func(_ context.Context, c BasicCredentials) (*Caller[Principal], error) {
			if c.Password() != "pass:word" {
				return nil, security.ErrInvalidCredentials
			}
			return account(c.Username())
		}),
		"key": key, "plainKey": key, "wordKey": key, "keyQuery": key, "session": key, "opaque": key,
		"digest": AuthenticateKey(func(_ context.Context, text string) (*Caller[Principal], error) {
			return account(strings.TrimSuffix(strings.TrimPrefix(text, `username="`), `", qop=auth`))
		}),
		"mtls": AuthenticateCertificate(func(_ context.Context, c *x509.Certificate) (*Caller[Principal], error) {
			return account(c.Subject.CommonName)
		}),
	}
}

// change changes a request.
type change func(*http.Request)

func field(name string, values ...string) change {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func aCookie(name, value string) change {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: value}) }
}

func aQuery(text string) change { return func(r *http.Request) { r.URL.RawQuery = text } }

func aMethod(name string) change { return func(r *http.Request) { r.Method = name } }

func withBasic(name string) change {
	return func(r *http.Request) { r.SetBasicAuth(name, "pass:word") }
}

// aCertificate adds the certificate of a client, which the server verified or did not.
func aCertificate(name string, verified bool) change {
	return func(r *http.Request) {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{c}}
		}
	}
}

// Challenges of the tables.
const (
	bearerChallenge   = `Bearer realm="api"`
	basicChallenge    = `Basic realm="api", charset="UTF-8"`
	keyChallenge      = `ApiKey realm="api", in="header", name="X-API-Key"`
	tokenNotValid     = bearerChallenge + `, error="invalid_token", error_description="The token is not valid."`
	opaqueNotValid    = bearerChallenge + `, error="invalid_token", error_description="The credentials are not valid."`
	insufficientScope = bearerChallenge + `, error="insufficient_scope", error_description="The credentials do not allow this."`
)

// Requirements of the tables.
var (
	eitherTokenOrKey = Requirement{{accessScheme}, {keyScheme}}
	tokenAndKey      = Requirement{{accessScheme, keyScheme}}
)

// crossSite marks a request that another site caused.
var crossSite = field("Sec-Fetch-Site", "cross-site")

func withAuthorization(values ...string) change { return field("Authorization", values...) }

// basicAuthorization returns the value of Authorization for a name and a password.
func basicAuthorization(text string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

// credentialFixture is an application with tokens of two subjects.
type credentialFixture struct {
	*fixture
	// alice is the text of a fresh token with the role USER and the scope read. bob has neither.
	alice, bob string
	// refresh is the text of a refresh token of alice.
	refresh string
	// cookied sends an access token of alice in a cookie, and its CSRF value in a header.
	cookied change
}

func newCredentialFixture(t *testing.T) *credentialFixture {
	t.Helper()
	f := newFixture(t)
	issue := func(subject string, options ...security.TokenOption) security.IssuedToken {
		return must(f.issuer.IssueAccessToken(t.Context(), subject, nil, options...))(t)
	}
	inCookie := issue("alice", security.WithCSRF())
	return &credentialFixture{
		fixture: f,
		alice:   issue("alice", security.WithRoles("USER"), security.WithScopes("read"), security.WithFresh()).Text(),
		bob:     issue("bob").Text(),
		refresh: must(f.issuer.Issue(t.Context(), refreshToken, "alice", nil))(t).Text(),
		cookied: func(r *http.Request) {
			aCookie("access", inCookie.Text())(r)
			field("X-CSRF-Token", inCookie.CSRF())(r)
		},
	}
}

// credentialCase is a request to an operation.
type credentialCase struct {
	name        string
	requirement Requirement
	rules       Rules
	changes     []change
	status      int
	// who lists the schemes and subjects that the handler saw.
	who string
	// challenges are those of the response. nil accepts any that suit the status.
	challenges []string
}

// run sends the requests. A handler runs only where the status is 200.
func (f *credentialFixture) run(t *testing.T, cases []credentialCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			o := &Operation{ID: "op", Requirement: tt.requirement, Rules: tt.rules}
			guards := must(NewGuards(f.policy, testAuthenticators(), o))(t)
			who, ran := "", false
			handler := guards.HandlerFunc(o, func(_ http.ResponseWriter, r *http.Request) {
				ran = true
				who = identified(t, r.Context(), o)
			})
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for _, change := range tt.changes {
				change(r)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != tt.status || ran != (tt.status == 200) || who != tt.who {
				t.Fatalf("status %d, handler ran: %t, who %q; want %d, %q: %s", w.Code, ran, who, tt.status, tt.who, w.Body)
			}
			challenges := w.Header().Values("WWW-Authenticate")
			switch {
			case tt.challenges != nil && !slices.Equal(challenges, tt.challenges):
				t.Errorf("challenges %q, want %q", challenges, tt.challenges)
			case tt.status == 401 && len(challenges) == 0, tt.status == 200 && len(challenges) > 0, tt.status >= 500 && len(challenges) > 0:
				t.Errorf("status %d, challenges %q", w.Code, challenges)
			}
			if tt.status != 200 {
				checkProblem(t, w)
			}
		})
	}
}

// identified lists the schemes and subjects of the credentials of a request. It checks that all
// functions return the same.
func identified(t *testing.T, ctx context.Context, o *Operation) string {
	t.Helper()
	c, err := RequestCredentials(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Anonymous() {
		return "anonymous"
	}
	var all []string
	for h := range c.result.all {
		var subject string
		if h.token != nil {
			subject = h.token.Subject()
		} else {
			p, ok := CallerOf[Principal](c, h.scheme.Name)
			if !ok || p.Scheme() != h.scheme.Name {
				t.Errorf("caller of %s: %+v, %t", h.scheme.Name, p, ok)
			}
			subject = p.Principal.Subject
		}
		all = append(all, h.scheme.Name+":"+subject)
	}
	return strings.Join(all, " ")
}
