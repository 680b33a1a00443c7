package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Refresher exchanges a refresh token for tokens. It returns [ErrLoggedOut] if the server refuses the
// refresh token, and [ErrNoAnswer] if it is not known whether the server has used it: the same token
// is then sent again. Errors must not contain the token.
type Refresher func(ctx context.Context, refreshToken string) (Tokens, error)

// refresher calls the refresh operation of the document.
type refresher struct {
	transport *transport
	operation *RefreshOperation
	url       string
	now       func() time.Time
}

// maxAnswer bounds the answer of a refresh, in bytes.
const maxAnswer = 1 << 20

func (f *refresher) refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	// The lifetime counts from before the request, because the server measures it from before the answer.
	received := f.now()
	response, err := f.send(ctx, refreshToken)
	if err != nil {
		return Tokens{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
	case ended(status, body):
		return Tokens{}, fmt.Errorf("%w: the server refused the refresh token", ErrLoggedOut)
	case status == http.StatusTooManyRequests || status >= 500:
		return Tokens{}, fmt.Errorf("%w: status %d", ErrNoAnswer, status)
	default:
		return Tokens{}, fmt.Errorf("%w: the refresh was answered with status %d", ErrUnexpectedAnswer, status)
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: it was cut: %w", ErrNoAnswer, err)
	}
	return ParseTokens(body, received)
}

// send sends the refresh token, and what else the operation requires. It follows no redirect.
func (f *refresher) send(ctx context.Context, refreshToken string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, f.operation.Method, f.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	chosen, err := choose(r, f.operation.Operation, func(s *Scheme) Credential {
		if s.Kind == KindRefreshToken {
			return Secret(refreshToken)
		}
		return f.transport.credentials[s]
	})
	if err != nil {
		return nil, err
	}
	response, err := f.transport.base.RoundTrip(f.transport.with(r, chosen))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	return response, nil
}

// ended reports whether a response refuses the refresh token: 401, or 400 with the error code
// invalid_grant (RFC 6749, section 5.2). A client that the server does not know is not the end of a
// session.
func ended(status int, body []byte) bool {
	var problem struct {
		Error any `json:"error"`
	}
	_ = json.Unmarshal(body, &problem)
	switch status {
	case http.StatusUnauthorized:
		return problem.Error != "invalid_client"
	case http.StatusBadRequest:
		return problem.Error == "invalid_grant"
	}
	return false
}

// refreshPauses are the pauses before a refresh that got no answer is sent again. The first follows
// at once: a server accepts the same refresh token for a short time only.
var refreshPauses = []time.Duration{0, 500 * time.Millisecond}

// exchange refreshes, and sends the same refresh token again after no answer.
func (s *TokenSource) exchange(ctx context.Context, refreshToken string) (Tokens, error) {
	for _, pause := range refreshPauses {
		tokens, err := s.refresh(ctx, refreshToken)
		if !errors.Is(err, ErrNoAnswer) || wait(ctx, pause) != nil {
			return tokens, err
		}
	}
	return s.refresh(ctx, refreshToken)
}
