package keys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults and limits of a remote key set.
const (
	// DefaultRefreshInterval is the age at which a remote key set is fetched again.
	DefaultRefreshInterval = 15 * time.Minute
	// DefaultMinRefetchInterval is the shortest time between the starts of two fetches.
	DefaultMinRefetchInterval = 10 * time.Second
	// DefaultMaxStale is how long the last good key set serves while the server is down. It is also
	// the most that can be set.
	DefaultMaxStale = 24 * time.Hour

	minRemoteInterval  = time.Second
	remoteTimeout      = 10 * time.Second
	maxRemoteSize      = 1 << 20
	maxRemoteRedirects = 3
	// maxWait is how long a request waits for the fetch of an unknown key, and maxWaiters how many
	// requests wait at a time.
	maxWait    = 2 * time.Second
	maxWaiters = 256
)

// Remote is the JWK set (RFC 7517, section 5) of somebody else, such as an identity provider. It is
// fetched over HTTPS. It gives a verifier its keys and cannot sign. It is safe for concurrent use.
//
// A fetch begins in the background when the set is older than the refresh interval; no request waits
// for it. A token with a key id that the set does not have starts a fetch too, and waits for it for
// at most 2 seconds: the provider may have rotated its keys. VerificationKeys then returns
// [ErrUnavailable] if the fetch is not over or has failed, and also if 256 requests wait already.
// There is one fetch at a time and at most one in the shortest interval. In the rest of the interval
// a token of an unknown key is refused at once. After failures in a row the interval doubles, up to
// eight times its length or the refresh interval, whichever is shorter.
//
// Only a good key set replaces another one. The same keys in another order are the same set. The last
// good set serves until it is as old as [WithMaxStale] allows; after that VerificationKeys returns
// [ErrUnavailable]. As RFC 7517, section 5, asks, a key that cannot be used is skipped and logged
// once, and the others are used. A set with a private or symmetric key, and one without any usable
// key, is refused as a whole. The response has status 200 and at most 1 MiB, and comes within 10
// seconds. At most three redirects are followed: to the same host and port, and never from https to
// http.
type Remote struct {
	remoteConfig
	host string
	// issuer is set where jwksURI is discovered. Only the one fetch in progress uses both.
	issuer  string
	jwksURI string
	// last is the last good set. It is nil before the first and after Close.
	last atomic.Pointer[fetchedSet]

	// ctx ends background fetches at Close.
	ctx     context.Context
	cancel  context.CancelFunc
	fetches sync.WaitGroup

	waiters atomic.Int32

	mu     sync.Mutex
	closed bool
	// fetching is closed at the end of the fetch in progress. It is nil if there is none.
	fetching chan struct{}
	failures int
	next     time.Time // no fetch begins before
}

// fetchedSet is a key set with the hash of its text, the keys that were skipped, and the time when
// its fetch began.
type fetchedSet struct {
	set     *Set
	sum     [sha256.Size]byte
	skipped map[Skipped]bool
	at      time.Time
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

// WithHTTPClient sets the client, for a proxy, a private root certificate or credentials. Its rule
// for redirects is replaced. A fetch ends after 10 seconds even if the time-out of the client is
// longer. The default client keeps no connection open.
func WithHTTPClient(client *http.Client) RemoteOption {
	return func(c *remoteConfig) error {
		if client == nil {
			return errors.New("keys: WithHTTPClient needs a client")
		}
		c.client = client
		return nil
	}
}

// WithRefreshInterval sets the age at which the next verification fetches the set again, in the
// background: between the values of [WithMinRefetchInterval] and [WithMaxStale], 15 minutes by
// default. A key that the provider has removed is trusted that long.
func WithRefreshInterval(d time.Duration) RemoteOption {
	return func(c *remoteConfig) error { c.refresh = d; return nil }
}

// WithMinRefetchInterval sets the shortest time between two fetches: from a second to the refresh
// interval, 10 seconds by default. The tokens of a new key may be refused that long.
func WithMinRefetchInterval(d time.Duration) RemoteOption {
	return func(c *remoteConfig) error { c.minRefetch = d; return nil }
}

// WithMaxStale sets how long the last good set serves while the provider is down: from the refresh
// interval to 24 hours, which is the default.
func WithMaxStale(d time.Duration) RemoteOption {
	return func(c *remoteConfig) error { c.maxStale = d; return nil }
}

// WithClock sets the clock, time.Now by default. For tests.
func WithClock(now func() time.Time) RemoteOption {
	return func(c *remoteConfig) error {
		if now == nil {
			return errors.New("keys: WithClock needs a clock")
		}
		c.now = now
		return nil
	}
}

// WithLogger sets where a remote set logs failed fetches, changes of the set and keys that are
// skipped: fixed texts, the host and the ids of skipped keys. The default is to log nothing.
func WithLogger(logger *slog.Logger) RemoteOption {
	return func(c *remoteConfig) error {
		if logger == nil {
			return errors.New("keys: WithLogger needs a logger")
		}
		c.logger = logger
		return nil
	}
}

// WithPlainHTTP allows http URLs to any host, not only to loopback addresses. It is for tests: on
// http anybody on the way can replace the keys.
func WithPlainHTTP() RemoteOption {
	return func(c *remoteConfig) error { c.plain = true; return nil }
}

// WithLazyStart fetches the first set in the background too, so that an application starts while
// the provider is down. Until a fetch succeeds, VerificationKeys returns [ErrUnavailable].
func WithLazyStart() RemoteOption {
	return func(c *remoteConfig) error { c.lazy = true; return nil }
}

// NewRemote fetches the JWK set of the URL. The URL is https (or http on a loopback address) and has
// no user information. The context bounds the first fetch. If that fails, the error wraps
// [ErrUnavailable], unless [WithLazyStart] is given. Close the set when it is no longer used.
func NewRemote(ctx context.Context, jwksURL string, options ...RemoteOption) (*Remote, error) {
	return newRemote(ctx, jwksURL, false, options)
}

// Discover is [NewRemote] for the key set that an issuer names in its OpenID configuration (OpenID
// Connect Discovery 1.0, section 4). The issuer in that document must be exactly the given one
// (section 4.3); give the same text to the verifier. The document is read again only after a failed
// fetch, in case the set has moved. The set may be on another host. It is https if the issuer is.
func Discover(ctx context.Context, issuer string, options ...RemoteOption) (*Remote, error) {
	return newRemote(ctx, issuer, true, options)
}

func newRemote(ctx context.Context, address string, discover bool, options []RemoteOption) (*Remote, error) {
	r := &Remote{remoteConfig: remoteConfig{
		refresh: DefaultRefreshInterval, minRefetch: DefaultMinRefetchInterval, maxStale: DefaultMaxStale,
		now: time.Now, logger: slog.New(slog.DiscardHandler),
	}}
	for _, option := range options {
		if option == nil {
			return nil, errNilOption
		}
		if err := option(&r.remoteConfig); err != nil {
			return nil, err
		}
	}
	if r.minRefetch < minRemoteInterval || r.refresh < r.minRefetch || r.maxStale < r.refresh || r.maxStale > DefaultMaxStale {
		return nil, fmt.Errorf("keys: a remote key set needs %s <= shortest interval <= refresh interval <= longest staleness <= %s", minRemoteInterval, DefaultMaxStale)
	}
	u, err := r.parseURL(address, r.plain)
	if err != nil {
		return nil, err
	}
	r.host = u.Host
	if discover {
		if u.RawQuery != "" || u.ForceQuery {
			return nil, errors.New("keys: an issuer's URL has no query")
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
		return nil, startError(u, err)
	}
	return r, nil
}

// startError says everything about a failed first fetch: the application has just been started and
// its operator has to find the cause.
func startError(u *url.URL, err error) error {
	address := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path} // a query may contain a key
	var why *unavailableError
	if !errors.As(err, &why) || why.cause == nil {
		return fmt.Errorf("keys: %s: %w", &address, err)
	}
	cause := why.cause
	if request, ok := errors.AsType[*url.Error](cause); ok {
		cause = request.Err // its text repeats the whole URL
	}
	return fmt.Errorf("keys: %s: %w: %w", &address, err, cause)
}

// parseURL never quotes the address in its errors, because it may contain a password.
func (c *remoteConfig) parseURL(address string, plain bool) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, errors.New("keys: the address of a remote key set is not an absolute URL")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("keys: the URL of a remote key set has user information or a fragment; give credentials WithHTTPClient")
	case u.Scheme == "https", u.Scheme == "http" && (plain || isLoopback(u.Hostname())):
		return u, nil
	}
	return nil, errors.New("keys: the URL of a remote key set is not https")
}

func isLoopback(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }

// strictClient returns a copy of the client that follows redirects to the same host only.
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
			return errors.New("keys: a redirect that is not followed")
		}
		return nil
	}
	return &strict
}

// Close ends the fetch in progress and waits for it. Afterwards VerificationKeys returns
// [ErrUnavailable]. Close may be called again. It returns nil.
func (r *Remote) Close() error {
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

// String names the host and nothing else of the URL.
func (r *Remote) String() string { return "key set of " + r.host }

// Format prints as String does, for every verb.
func (r *Remote) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// VerificationKeys returns the last good set. If it has no key of the header's key id, it waits for a
// fetch first; see [Remote].
func (r *Remote) VerificationKeys(ctx context.Context, header Header) (*Set, error) {
	set, err := r.Current(ctx)
	if err != nil || !header.HasKeyID || set.has(header.KeyID) {
		return set, err
	}
	fetched, failed := r.refetch(r.now())
	switch {
	case fetched != nil:
		return r.await(ctx, fetched, header.KeyID)
	case failed:
		return nil, unavailable("the last fetch of the remote key set failed, and the key may be new", nil)
	}
	return set, nil
}

// await waits for a fetch, for a token whose key is not in the set.
func (r *Remote) await(ctx context.Context, fetched <-chan struct{}, keyID string) (*Set, error) {
	defer r.waiters.Add(-1)
	if r.waiters.Add(1) > maxWaiters {
		return nil, unavailable("too many requests wait for a new key", nil)
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-fetched:
	case <-timer.C:
		return nil, unavailable("the fetch of a new key takes too long", nil)
	case <-ctx.Done():
		return nil, unavailable("the request ended before the fetch of a new key", ctx.Err())
	}
	set, err := r.Current(ctx)
	if err == nil && !set.has(keyID) && r.hasFailed() {
		return nil, unavailable("the fetch of a new key failed", nil)
	}
	return set, err
}

func (r *Remote) hasFailed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures > 0
}

// Current returns the last good set. It starts a fetch in the background when the set is old.
func (r *Remote) Current(context.Context) (*Set, error) {
	if r.now == nil {
		return nil, unavailable("no key set", nil)
	}
	now := r.now()
	last := r.last.Load()
	if last == nil {
		r.refetch(now)
		return nil, unavailable("no remote key set yet, or closed", nil)
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

// refetch starts a fetch in the background, unless it is too early. It returns a channel that is
// closed at the end of the fetch in progress, or nil; then failed tells whether the last one failed.
func (r *Remote) refetch(now time.Time) (fetched <-chan struct{}, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetching != nil {
		return r.fetching, false
	}
	if r.closed || now.Before(r.next) {
		return nil, r.failures > 0
	}
	r.fetching = make(chan struct{})
	r.fetches.Go(func() { _ = r.finish(now, r.fetch(r.ctx, now)) })
	return r.fetching, false
}

// finish records the result of the fetch that began at start, and returns its error.
func (r *Remote) finish(start time.Time, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fetching != nil {
		defer close(r.fetching)
		r.fetching = nil
	}
	if err == nil {
		r.failures, r.next = 0, start.Add(r.minRefetch)
		return nil
	}
	r.next = start.Add(min(r.minRefetch<<min(r.failures, 3), r.refresh))
	r.failures++
	if r.issuer != "" {
		r.jwksURI = ""
	}
	var why *unavailableError
	if !r.closed && errors.As(err, &why) {
		r.logger.LogAttrs(r.ctx, slog.LevelWarn, "remote key set not fetched", slog.String("host", r.host),
			slog.String("reason", why.reason), slog.Int("failures", r.failures))
	}
	return err
}
