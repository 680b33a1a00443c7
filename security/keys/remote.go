//go:build ignore

package security

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

// Defaults and limits of a remote key set.
const (
	// DefaultRefreshInterval is how old a remote key set becomes before it is fetched anew.
	DefaultRefreshInterval = 15 * time.Minute
	// DefaultMinRefetchInterval is the shortest time from the begin of one fetch to that of the next.
	DefaultMinRefetchInterval = time.Minute
	// DefaultMaxStale is how long the last good key set serves while no newer one can be had, and the most that can be set.
	DefaultMaxStale = 24 * time.Hour

	minRemoteInterval  = time.Second
	remoteTimeout      = 10 * time.Second
	maxRemoteSize      = 1 << 20
	maxRemoteRedirects = 3
)

// RemoteKeySet is the JWK set (RFC 7517, section 5) of somebody else, such as an identity provider, fetched over HTTPS. It gives its
// keys to a [Verifier]; no [Issuer] can sign with it. It is safe for concurrent use.
//
// No request waits for a fetch. When the set is older than the refresh interval, or a token names a key id that it does not have, one
// fetch begins in the background, and the request is decided with the set that is there: the token of an unknown key is
// [ErrInvalidToken] now, and good once the fetch has brought its key. Whatever tokens arrive, there is one fetch at a time and at most
// one in the shortest interval; after failures in a row the wait doubles, up to eight times that interval or the refresh interval,
// whichever is shorter.
//
// An answer that is not a good key set never replaces one: the last good set serves until it is as old as [WithMaxStale] says, and then
// every verification is [ErrUnavailable]. The whole set is refused for a private or symmetric key in it, for two keys of one id, and for
// a key that [ParsePublicJWKS] refuses. The answer has status 200 and at most 1 MiB, and comes within 10 seconds; at most three
// redirects are followed, to the same host and port, and never from https to http.
type RemoteKeySet struct {
	remoteConfig
	host string
	// issuer is set where jwksURI has to be discovered. Only the one fetch at a time uses both.
	issuer  string
	jwksURI string
	// last is the last good set; nil before the first and after Close.
	last atomic.Pointer[fetchedSet]

	// ctx ends background fetches at Close.
	ctx     context.Context
	cancel  context.CancelFunc
	fetches sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	fetching bool
	failures int
	next     time.Time // no fetch begins before
}

// fetchedSet is a key set, the text that it was made of, and when its fetch began.
type fetchedSet struct {
	set *KeySet
	sum [sha256.Size]byte
	at  time.Time
}

type remoteConfig struct {
	client     *http.Client
	refresh    time.Duration
	minRefetch time.Duration
	maxStale   time.Duration
	now        func() time.Time
	logger     *slog.Logger
	plain      bool
	lazy       bool
}

// RemoteOption changes a remote key set.
type RemoteOption func(*remoteConfig) error

// WithHTTPClient sets the client, for a proxy, a root certificate of one's own or credentials. Its rule for redirects is replaced, and a
// fetch ends after 10 seconds even if its time-out is longer. The default is a client that keeps no connection open.
func WithHTTPClient(client *http.Client) RemoteOption {
	return func(c *remoteConfig) error {
		if client == nil {
			return errors.New("security: WithHTTPClient needs a client")
		}
		c.client = client
		return nil
	}
}

// WithRefreshInterval sets how old the set becomes before the next verification fetches it anew in the background: from the shortest
// interval to the longest staleness, 15 minutes by default. A key that the provider removes is trusted that long.
func WithRefreshInterval(d time.Duration) RemoteOption {
	return func(c *remoteConfig) error { c.refresh = d; return nil }
}

// WithMinRefetchInterval sets the shortest time between two fetches: from a second to the refresh interval, 1 minute by default. The
// tokens of a new key may be refused that long.
func WithMinRefetchInterval(d time.Duration) RemoteOption {
	return func(c *remoteConfig) error { c.minRefetch = d; return nil }
}

// WithMaxStale sets how long the last good set serves while the provider is down: from the refresh interval to 24 hours, which is the
// default.
func WithMaxStale(d time.Duration) RemoteOption {
	return func(c *remoteConfig) error { c.maxStale = d; return nil }
}

// WithRemoteClock sets the clock, time.Now by default. For tests.
func WithRemoteClock(now func() time.Time) RemoteOption {
	return func(c *remoteConfig) error {
		if now == nil {
			return errors.New("security: WithRemoteClock needs a clock")
		}
		c.now = now
		return nil
	}
}

// WithRemoteLogger sets where failed background fetches and changes of the set are logged: fixed texts and the host, nothing of the
// answer. By default they are not.
func WithRemoteLogger(logger *slog.Logger) RemoteOption {
	return func(c *remoteConfig) error {
		if logger == nil {
			return errors.New("security: WithRemoteLogger needs a logger")
		}
		c.logger = logger
		return nil
	}
}

// WithPlainHTTP allows http URLs to any host, not only to this machine itself. For tests: whoever is on the way can replace the keys.
func WithPlainHTTP() RemoteOption {
	return func(c *remoteConfig) error { c.plain = true; return nil }
}

// WithLazyStart makes the first fetch in the background too, so that an application starts while the provider is down. Until a fetch has
// succeeded, every verification is [ErrUnavailable].
func WithLazyStart() RemoteOption {
	return func(c *remoteConfig) error { c.lazy = true; return nil }
}

// NewRemoteKeySet fetches the JWK set of the URL, which is https (or http on a loopback address) and has no user information. The context
// bounds the first fetch; if that fails, the error wraps [ErrUnavailable], unless [WithLazyStart] is given. Close the set when it is
// no longer used.
func NewRemoteKeySet(ctx context.Context, jwksURL string, options ...RemoteOption) (*RemoteKeySet, error) {
	return newRemoteKeySet(ctx, jwksURL, false, options)
}

// DiscoverKeySet is NewRemoteKeySet for the key set that an issuer names in its OpenID configuration (OpenID Connect Discovery 1.0,
// section 4). The issuer in that document is exactly the given one (section 4.3), which is also the issuer for [NewVerifier]. The
// document is read again only after a failed fetch, in case the set has moved. The set may be on another host, and is https if the
// issuer is.
func DiscoverKeySet(ctx context.Context, issuer string, options ...RemoteOption) (*RemoteKeySet, error) {
	return newRemoteKeySet(ctx, issuer, true, options)
}

func newRemoteKeySet(ctx context.Context, address string, discover bool, options []RemoteOption) (*RemoteKeySet, error) {
	r := &RemoteKeySet{remoteConfig: remoteConfig{
		refresh: DefaultRefreshInterval, minRefetch: DefaultMinRefetchInterval, maxStale: DefaultMaxStale,
		now: time.Now, logger: slog.New(slog.DiscardHandler),
	}}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("security: a nil option")
		}
		if err := option(&r.remoteConfig); err != nil {
			return nil, err
		}
	}
	if r.minRefetch < minRemoteInterval || r.refresh < r.minRefetch || r.maxStale < r.refresh || r.maxStale > DefaultMaxStale {
		return nil, fmt.Errorf("security: a remote key set needs %s <= shortest interval <= refresh interval <= longest staleness <= %s", minRemoteInterval, DefaultMaxStale)
	}
	u, err := r.parseURL(address, r.plain)
	if err != nil {
		return nil, err
	}
	r.host = u.Host
	if discover {
		if u.RawQuery != "" || u.ForceQuery {
			return nil, errors.New("security: an issuer's URL has no query")
		}
		r.issuer = address
	} else {
		r.jwksURI = address
	}
	r.client = strictClient(r.client)
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if r.lazy {
		r.refetch(r.now())
		return r, nil
	}
	start := r.now()
	if err := r.finish(start, r.fetch(ctx, start)); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// parseURL never quotes the address in its errors: there may be a password in it.
func (c *remoteConfig) parseURL(address string, plain bool) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, errors.New("security: the address of a remote key set is no absolute URL")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("security: the URL of a remote key set has user information or a fragment; give credentials WithHTTPClient")
	case u.Scheme == "https", u.Scheme == "http" && (plain || isLoopback(u.Hostname())):
		return u, nil
	}
	return nil, errors.New("security: the URL of a remote key set is not https")
}

func isLoopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

// strictClient returns a copy of the client that follows only redirects that stay where they were sent.
func strictClient(client *http.Client) *http.Client {
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		}}
	}
	strict := *client
	strict.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		from := via[0].URL
		if len(via) > maxRemoteRedirects || next.URL.Host != from.Host || next.URL.Scheme != "https" && next.URL.Scheme != from.Scheme {
			return errors.New("security: a redirect that is not followed")
		}
		return nil
	}
	return &strict
}

// Close ends fetches that are under way and waits for them. Afterwards every verification is [ErrUnavailable]. It may be called again,
// and returns nil.
func (r *RemoteKeySet) Close() error {
	r.mu.Lock()
	r.closed = true
	r.last.Store(nil)
	r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
	}
	r.fetches.Wait()
	return nil
}

// String names the host, and nothing else of the URL.
func (r *RemoteKeySet) String() string { return "key set of " + r.host }

// Format prints as String does, whatever the verb.
func (r *RemoteKeySet) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// current returns the last good set, and has it fetched anew when it is time.
func (r *RemoteKeySet) current() (*KeySet, error) {
	if r.now == nil {
		return nil, unavailable("no key set", nil)
	}
	now := r.now()
	last := r.last.Load()
	if last == nil {
		r.refetch(now)
		return nil, unavailable("no remote key set yet, or no more", nil)
	}
	age := now.Sub(last.at)
	if age >= r.refresh {
		r.refetch(now)
	}
	if age >= r.maxStale {
		return nil, unavailable("the remote key set is too old", nil)
	}
	return last.set, nil
}

// missed is told that a token names a key that the set does not have.
func (r *RemoteKeySet) missed() { r.refetch(r.now()) }

// refetch begins a fetch in the background, unless there is one, or it is too early.
func (r *RemoteKeySet) refetch(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.fetching || now.Before(r.next) {
		return
	}
	r.fetching = true
	r.fetches.Go(func() { _ = r.finish(now, r.fetch(r.ctx, now)) })
}

// finish notes how the fetch that began at start has ended, and returns its error.
func (r *RemoteKeySet) finish(start time.Time, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetching = false
	if err == nil {
		r.failures, r.next = 0, start.Add(r.minRefetch)
		return nil
	}
	r.next = start.Add(min(r.minRefetch<<min(r.failures, 3), r.refresh))
	r.failures++
	if r.issuer != "" {
		r.jwksURI = ""
	}
	var why *refusal
	if !r.closed && errors.As(err, &why) {
		r.logger.LogAttrs(r.ctx, slog.LevelWarn, "remote key set not fetched", slog.String("host", r.host),
			slog.String("reason", why.reason), slog.Int("failures", r.failures))
	}
	return err
}

// fetch fetches the set, keeps it if it is good, and says why not in fixed words.
func (r *RemoteKeySet) fetch(ctx context.Context, start time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	if r.jwksURI == "" {
		if err := r.discover(ctx); err != nil {
			return err
		}
	}
	body, err := r.get(ctx, r.jwksURI)
	if err != nil {
		return err
	}
	next := &fetchedSet{sum: sha256.Sum256(body), at: start}
	last := r.last.Load()
	changed := last == nil || last.sum != next.sum
	if !changed {
		next.set = last.set // the same text is the same generation
	} else {
		keys, err := ParsePublicJWKS(body)
		if err != nil {
			return unavailable("the remote key set is refused", err)
		}
		if next.set, err = NewKeySet(keys...); err != nil {
			return unavailable("the remote key set is refused", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return unavailable("the remote key set is closed", nil)
	}
	r.last.Store(next)
	if last != nil && changed {
		r.logger.LogAttrs(ctx, slog.LevelInfo, "remote key set changed", slog.String("host", r.host), slog.Int("keys", len(next.set.keys)))
	}
	return nil
}

// discover finds out jwksURI.
func (r *RemoteKeySet) discover(ctx context.Context) error {
	// A slash at the end is removed before the path is appended (section 4.1).
	body, err := r.get(ctx, strings.TrimSuffix(r.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return err
	}
	var configuration struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &configuration); err != nil {
		return unavailable("the OpenID configuration is not strict JSON", err)
	}
	if configuration.Issuer != r.issuer {
		return unavailable("the OpenID configuration is of another issuer", nil)
	}
	u, err := r.parseURL(configuration.JWKSURI, r.plain)
	if err != nil || u.Scheme == "http" && strings.HasPrefix(strings.ToLower(r.issuer), "https:") {
		return unavailable("the jwks_uri of the OpenID configuration is refused", err)
	}
	r.jwksURI = configuration.JWKSURI
	return nil
}

// get returns the body of a good answer.
func (r *RemoteKeySet) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, unavailable("the key server's URL", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, unavailable("the key server cannot be reached", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, unavailable("the key server's answer has another status than 200", nil)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRemoteSize+1))
	if err != nil {
		return nil, unavailable("the key server's answer broke off", err)
	}
	if len(body) > maxRemoteSize {
		return nil, unavailable("the key server's answer is too large", nil)
	}
	return body, nil
}
