package keys

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// unavailableError is [ErrUnavailable] with a reason in fixed words. The cause is for errors.Is and
// errors.As and never part of the text.
type unavailableError struct {
	reason string
	cause  error
}

func (e *unavailableError) Error() string { return ErrUnavailable.Error() + " (" + e.reason + ")" }

// Unwrap returns ErrUnavailable and the cause.
func (e *unavailableError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrUnavailable}
	}
	return []error{ErrUnavailable, e.cause}
}

func unavailable(reason string, cause error) error { return &unavailableError{reason, cause} }

// fetch fetches the set and stores it if it is good. The error has a fixed text.
func (r *Remote) fetch(ctx context.Context, start time.Time) error {
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
	last := r.last.Load()
	next, err := r.parse(ctx, body, last)
	if err != nil {
		return err
	}
	next.at = start
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return unavailable("the remote key set is closed", nil)
	}
	r.last.Store(next)
	if last != nil && last.set != next.set {
		r.logger.LogAttrs(ctx, slog.LevelInfo, "remote key set changed", slog.String("host", r.host), slog.Int("keys", len(next.set.keys)))
	}
	return nil
}

// parse returns the set of a body. It is the last one if the keys are the same, in any order, so that
// the verifier can use what it remembers of the set. Each skipped key is logged once.
func (r *Remote) parse(ctx context.Context, body []byte, last *fetchedSet) (*fetchedSet, error) {
	sum := sha256.Sum256(body)
	if last != nil && last.sum == sum {
		return &fetchedSet{set: last.set, sum: sum, skipped: last.skipped}, nil
	}
	keys, skipped, err := ParsePublicJWKS(body)
	if err != nil {
		return nil, unavailable("the remote key set is refused", err)
	}
	next := &fetchedSet{set: newSet(keys), sum: sum, skipped: map[Skipped]bool{}}
	for _, key := range skipped {
		known := next.skipped[key] || last != nil && last.skipped[key]
		next.skipped[key] = true
		if known {
			continue
		}
		r.logger.LogAttrs(ctx, slog.LevelWarn, "key of a remote key set skipped",
			slog.String("host", r.host), slog.String("kid", key.ID), slog.String("reason", key.Reason))
	}
	if last != nil && last.set.equal(next.set) {
		next.set = last.set
	}
	return next, nil
}

// discover sets jwksURI from the OpenID configuration of the issuer.
func (r *Remote) discover(ctx context.Context) error {
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

// get returns the body of a response with status 200.
func (r *Remote) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, unavailable("the URL of the key server is not valid", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, unavailable("the key server cannot be reached", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, unavailable("the response of the key server has another status than 200", nil)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRemoteSize+1))
	if err != nil {
		return nil, unavailable("the response of the key server was truncated", err)
	}
	if len(body) > maxRemoteSize {
		return nil, unavailable("the response of the key server is too large", nil)
	}
	return body, nil
}
