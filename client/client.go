package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config is what generated code knows of a client.
type Config struct {
	// Credentials are what the client holds for each scheme.
	Credentials map[*Scheme]Credential
	// Keeper keeps the tokens of a log-in, in memory by default.
	Keeper Keeper
	// Refresh is the operation that exchanges a refresh token, or nil if the document has none.
	Refresh *RefreshOperation
}

// RefreshOperation is the operation that exchanges a refresh token for new tokens.
type RefreshOperation struct {
	*Operation
	// Method and Path are those of the document. The path has no parameters.
	Method, Path string
}

// Client sends the requests of a generated client with their credentials. It implements
// HttpRequestDoer of oapi-codegen.
type Client struct {
	http   *http.Client
	server string
	tokens *TokenSource
}

// Option is an option of a client.
type Option func(*settings) error

type settings struct {
	http       *http.Client
	now        func() time.Time
	timeout    time.Duration
	csrfHeader string
	plainHTTP  bool
	refused    func(*http.Response) bool
}

// WithHTTPClient sets the HTTP client whose transport, time limit, cookies and redirects are used,
// [http.DefaultClient] by default. It is not changed. Refreshes use its transport only.
func WithHTTPClient(c *http.Client) Option {
	return func(s *settings) error {
		if c == nil {
			return errors.New("client: WithHTTPClient needs a client")
		}
		s.http = c
		return nil
	}
}

// WithClock sets the clock that the lifetimes of tokens are measured with, [time.Now] by default.
func WithClock(now func() time.Time) Option {
	return func(s *settings) error {
		if now == nil {
			return errors.New("client: WithClock needs a clock")
		}
		s.now = now
		return nil
	}
}

// DefaultRefreshTimeout bounds a refresh.
const DefaultRefreshTimeout = 30 * time.Second

// WithRefreshTimeout bounds a refresh with its repetitions and the wait for the lock of the keeper,
// [DefaultRefreshTimeout] by default. Calls also end with their contexts.
func WithRefreshTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d <= 0 {
			return errors.New("client: WithRefreshTimeout needs a time above 0")
		}
		s.timeout = d
		return nil
	}
}

// WithCSRFHeader sets the header that repeats the claim csrf of a token in a cookie, X-CSRF-Token by
// default.
func WithCSRFHeader(name string) Option {
	return func(s *settings) error {
		if name == "" {
			return errors.New("client: WithCSRFHeader needs the name of a header")
		}
		s.csrfHeader = name
		return nil
	}
}

// WithPlainHTTP allows a server that is reached by HTTP without TLS and is not on this machine.
// Everybody on the way can read the credentials.
func WithPlainHTTP() Option {
	return func(s *settings) error {
		s.plainHTTP = true
		return nil
	}
}

// WithRefused sets what counts as the refusal of an access token, so that the client refreshes and
// repeats the request. By default it is a response 401 with the error code invalid_token (RFC 6750,
// section 3.1). The function must not read the body.
func WithRefused(refused func(*http.Response) bool) Option {
	return func(s *settings) error {
		if refused == nil {
			return errors.New("client: WithRefused needs a function")
		}
		s.refused = refused
		return nil
	}
}

// New returns a client for the server, an absolute URL. Generated code calls it.
func New(server string, config Config, options ...Option) (*Client, error) {
	s := settings{http: http.DefaultClient, now: time.Now, timeout: DefaultRefreshTimeout, csrfHeader: "X-CSRF-Token", refused: invalidToken}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("client: an option is nil")
		}
		if err := option(&s); err != nil {
			return nil, err
		}
	}
	base, err := parseServer(server, s.plainHTTP)
	if err != nil {
		return nil, err
	}
	t := &transport{base: s.http.Transport, origin: originOf(base), credentials: map[*Scheme]Credential{}, csrfHeader: s.csrfHeader, refused: s.refused}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	for scheme, credential := range config.Credentials {
		if err := scheme.accepts(credential); err != nil {
			return nil, err
		}
		t.credentials[scheme] = credential
	}
	c := &Client{server: base.String()}
	if config.Refresh != nil {
		refresher := &refresher{transport: t, operation: config.Refresh, url: base.JoinPath(config.Refresh.Path).String(), now: s.now}
		if c.tokens, err = newTokenSource(refresher.refresh, config.Keeper, s); err != nil {
			return nil, err
		}
		t.addTokens(c.tokens)
	}
	sending := *s.http
	sending.Transport = t
	c.http = &sending
	return c, nil
}

// accepts reports a credential that is of another kind than the scheme.
func (s *Scheme) accepts(c Credential) error {
	want := credentialText
	switch s.Kind {
	case KindBasic:
		want = credentialBasic
	case KindCertificate:
		want = credentialCertificate
	}
	if c.kind == credentialNone || c.kind == want {
		return nil
	}
	constructor := map[credentialKind]string{credentialText: "Secret or SecretFunc", credentialBasic: "Basic", credentialCertificate: "Certificate"}[want]
	return fmt.Errorf("client: the credential for the scheme %q has to be one of %s", s.Name, constructor)
}

// Do sends a request with the credentials of its operation.
func (c *Client) Do(r *http.Request) (*http.Response, error) { return c.http.Do(r) }

// Server returns the URL of the server.
func (c *Client) Server() string { return c.server }

// Tokens returns the source of the tokens of a log-in, or nil if the document has no refresh.
func (c *Client) Tokens() *TokenSource { return c.tokens }

// parseServer reads the URL of a server.
func parseServer(server string, plainHTTP bool) (*url.URL, error) {
	u, err := url.Parse(server)
	switch {
	case err != nil:
		return nil, errors.New("client: the server is not a URL") // the error would repeat what the URL contains
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, errors.New("client: the server has to be a URL such as https://api.example.com")
	case u.User != nil:
		return nil, errors.New("client: the URL of the server contains a user name; give credentials to the client instead")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("client: the URL of the server has a query or a fragment; remove it")
	case u.Scheme == "http" && !plainHTTP && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("client: http://%s would send credentials without TLS; use https, or allow it with WithPlainHTTP", u.Host)
	}
	return u, nil
}

// isLoopback reports whether a host is this machine (RFC 6761, section 6.3).
func isLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// originOf returns scheme, host and port of a URL.
func originOf(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
