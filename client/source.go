package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// TokenSource has the tokens of a log-in, and refreshes them. Several goroutines can use it.
type TokenSource struct {
	keeper  Keeper
	refresh Refresher
	now     func() time.Time
	timeout time.Duration

	mu sync.Mutex
	// current are the tokens as the keeper had them last, or newer ones that it did not save. It is a
	// pointer, so that fmt does not print it.
	current *Tokens
	// replaced is the refresh token of the keeper that unsaved tokens replace, or nil if all is saved.
	replaced *string
	// patient is the time before which a token that is still valid is not refreshed, after a refresh
	// that failed.
	patient time.Time
	running *refreshRun
}

// refreshRun is a refresh that callers wait for. tokens and err are set when done is closed.
type refreshRun struct {
	done   chan struct{}
	tokens *Tokens
	err    error
}

// NewTokenSource returns a source that refreshes with the function, for servers whose refresh no
// generated client knows. A keeper that is nil keeps the tokens in memory.
// [WithClock] and [WithRefreshTimeout] apply.
func NewTokenSource(refresh Refresher, keeper Keeper, options ...Option) (*TokenSource, error) {
	s := settings{http: http.DefaultClient, now: time.Now, timeout: DefaultRefreshTimeout}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("client: an option is nil")
		}
		if err := option(&s); err != nil {
			return nil, err
		}
	}
	return newTokenSource(refresh, keeper, s)
}

func newTokenSource(refresh Refresher, keeper Keeper, s settings) (*TokenSource, error) {
	if refresh == nil {
		return nil, errors.New("client: a token source needs a refresher")
	}
	if keeper == nil {
		keeper = NewMemoryKeeper()
	}
	return &TokenSource{keeper: keeper, refresh: refresh, now: s.now, timeout: s.timeout, current: &Tokens{}}, nil
}

const redactedSource = "client.TokenSource(redacted)"

// Format writes a fixed text.
func (s *TokenSource) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedSource) }

// LogValue returns a fixed text.
func (s *TokenSource) LogValue() slog.Value { return slog.StringValue(redactedSource) }

// LogIn saves the tokens in the answer of a log-in, JSON with the fields of RFC 6749, section 5.1. They
// replace the tokens that the source had. The error is [ErrUnexpectedAnswer] for any other answer.
func (s *TokenSource) LogIn(ctx context.Context, answer []byte) error {
	tokens, err := ParseTokens(answer, s.now())
	if err != nil {
		return err
	}
	return s.SetTokens(ctx, tokens)
}

// SetTokens saves tokens in place of those that the source had.
func (s *TokenSource) SetTokens(ctx context.Context, tokens Tokens) error {
	if tokens.AccessToken == "" {
		return errors.New("client: SetTokens needs an access token; LogOut removes tokens")
	}
	return s.replace(ctx, tokens)
}

// LogOut forgets the tokens, here and in the keeper. It does not tell the server: call its log-out
// first.
func (s *TokenSource) LogOut(ctx context.Context) error { return s.replace(ctx, Tokens{}) }

// replace saves tokens, or removes them if they are zero.
func (s *TokenSource) replace(ctx context.Context, tokens Tokens) error {
	unlock, err := s.keeper.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.save(ctx, tokens); err != nil {
		return err
	}
	s.set(tokens, nil)
	return nil
}

// save gives tokens to the keeper. The lock is held.
func (s *TokenSource) save(ctx context.Context, tokens Tokens) error {
	var data []byte
	if tokens.AccessToken != "" {
		var err error
		if data, err = tokens.encode(); err != nil {
			return err
		}
	}
	if err := s.keeper.Save(ctx, data); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSaved, err)
	}
	return nil
}

func (s *TokenSource) set(tokens Tokens, replaced *string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.replaced, s.patient = &tokens, replaced, time.Time{}
}

// Tokens returns the tokens, after a refresh if the access token has ended or ends soon. Concurrent
// calls share a refresh, and each waits no longer than its context. The error is [ErrLoggedOut] if
// there are no tokens, or if the server refused the refresh token, and [ErrNoAnswer] if the refresh
// got no answer and the access token has ended.
func (s *TokenSource) Tokens(ctx context.Context) (Tokens, error) {
	tokens, err := s.tokens(ctx, "")
	if err != nil {
		return Tokens{}, err
	}
	return *tokens, nil
}

// Credential returns the access token as a credential that is renewed when a server refuses it, for
// clients of other servers that take the same tokens.
func (s *TokenSource) Credential() Credential {
	access := func(ctx context.Context, refused string) (string, error) {
		tokens, err := s.tokens(ctx, refused)
		if err != nil {
			return "", err
		}
		return tokens.AccessToken, nil
	}
	return Credential{
		kind:  credentialText,
		get:   func(ctx context.Context) (string, error) { return access(ctx, "") },
		renew: access,
	}
}

// refreshToken returns the refresh token, for operations that take it.
func (s *TokenSource) refreshToken(ctx context.Context) (string, error) {
	unlock, err := s.keeper.Lock(ctx) // a refresh that is running replaces the token
	if err != nil {
		return "", err
	}
	defer unlock()
	tokens, err := s.load(ctx)
	if err != nil {
		return "", err
	}
	if tokens.RefreshToken == "" {
		return "", errEmpty
	}
	return tokens.RefreshToken, nil
}

// tokens returns tokens whose access token is fresh and not the refused one.
func (s *TokenSource) tokens(ctx context.Context, refused string) (*Tokens, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		ready, run, started := s.readyOrRun(ctx, refused)
		if ready != nil {
			return ready, nil
		}
		select {
		case <-run.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		// A run that began before the refusal may have the refused token.
		if started || run.err != nil || run.tokens.AccessToken != refused {
			return run.tokens, run.err
		}
	}
}

// readyOrRun returns tokens that need no refresh, or the refresh to wait for, which it starts if none
// is running.
func (s *TokenSource) readyOrRun(ctx context.Context, refused string) (ready *Tokens, run *refreshRun, started bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replaced == nil && s.usable(s.current, refused) {
		return s.current, nil, false
	}
	if s.running != nil {
		return nil, s.running, false
	}
	run = &refreshRun{done: make(chan struct{})}
	s.running = run
	go func() {
		// The refresh goes on without its callers: its answer would be lost.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		tokens, err := s.renewed(ctx, refused)
		if err != nil {
			tokens, err = s.stillValid(refused, err)
		}
		run.tokens, run.err = &tokens, err
		s.mu.Lock()
		s.running = nil
		s.mu.Unlock()
		close(run.done)
	}()
	return nil, run, true
}

// usable reports whether an access token can be used without a refresh. The caller has mu.
func (s *TokenSource) usable(t *Tokens, refused string) bool {
	now := s.now()
	return t.AccessToken != refused && (t.fresh(now) || t.valid(now) && now.Before(s.patient))
}

// retryAfter is how long a token that is still valid is used after a refresh that failed.
const retryAfter = 5 * time.Second

// renewed returns new tokens: those that another process has saved, or those of a refresh.
func (s *TokenSource) renewed(ctx context.Context, refused string) (Tokens, error) {
	unlock, err := s.keeper.Lock(ctx)
	if err != nil {
		return Tokens{}, err
	}
	defer unlock()
	stored, err := s.load(ctx)
	if err != nil {
		return Tokens{}, err
	}
	s.mu.Lock()
	usable := s.usable(&stored, refused)
	s.mu.Unlock()
	switch {
	case usable:
		return stored, nil
	case stored.AccessToken == "":
		return Tokens{}, errEmpty
	case stored.RefreshToken == "":
		return Tokens{}, s.end(ctx, fmt.Errorf("%w: the access token has ended, and there is no refresh token", ErrLoggedOut))
	}
	tokens, err := s.exchange(ctx, stored.RefreshToken)
	switch {
	case err == nil:
		return s.keep(ctx, stored, tokens)
	case errors.Is(err, ErrLoggedOut):
		return Tokens{}, s.end(ctx, err)
	}
	return Tokens{}, err
}

// stillValid returns the tokens where a refresh has failed before the access token ends, or the error.
func (s *TokenSource) stillValid(refused string, err error) (Tokens, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if errors.Is(err, ErrLoggedOut) || errors.Is(err, ErrNotSaved) || s.current.AccessToken == refused || !s.current.valid(now) {
		return Tokens{}, err
	}
	s.patient = now.Add(retryAfter)
	return *s.current, nil
}

// load returns the tokens of the keeper, or those that it did not save yet, which it then saves. The
// lock is held.
func (s *TokenSource) load(ctx context.Context) (Tokens, error) {
	data, err := s.keeper.Load(ctx)
	if err != nil {
		return Tokens{}, err
	}
	stored, err := decodeTokens(data)
	if err != nil {
		return Tokens{}, err
	}
	s.mu.Lock()
	unsaved, replaced := *s.current, s.replaced
	s.mu.Unlock()
	if replaced != nil && *replaced == stored.RefreshToken {
		if err := s.save(ctx, unsaved); err != nil {
			return Tokens{}, err
		}
		stored = &unsaved
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.replaced = stored, nil
	return *stored, nil
}

// keep saves the tokens of a refresh. A server that returns no refresh token leaves the old one in
// force (RFC 6749, section 6).
func (s *TokenSource) keep(ctx context.Context, old, tokens Tokens) (Tokens, error) {
	if tokens.RefreshToken == "" {
		tokens.RefreshToken = old.RefreshToken
	}
	if err := s.save(ctx, tokens); err != nil {
		s.set(tokens, &old.RefreshToken)
		return Tokens{}, err
	}
	s.set(tokens, nil)
	return tokens, nil
}

// end removes the tokens of a session that has ended, and returns the cause.
func (s *TokenSource) end(ctx context.Context, cause error) error {
	s.set(Tokens{}, nil)
	return errors.Join(cause, s.save(ctx, Tokens{}))
}
