package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// transport adds the credentials to requests. It stands below http.Client, so that a redirect never
// copies a credential: each hop gets what its place allows.
type transport struct {
	base        http.RoundTripper
	origin      string
	credentials map[*Scheme]Credential
	csrfHeader  string
	refused     func(*http.Response) bool
	// access and refresh are the tokens of the source, for schemes without a credential.
	access, refresh Credential
}

// addTokens uses the tokens of the source for the schemes that have no other credential.
func (t *transport) addTokens(source *TokenSource) {
	t.access, t.refresh = source.Credential(), SecretFunc(source.refreshToken)
}

// credential returns what the client holds for a scheme.
func (t *transport) credential(s *Scheme) Credential {
	credential := t.credentials[s]
	switch {
	case credential.kind != credentialNone:
	case s.Kind == KindAccessToken:
		return t.access
	case s.Kind == KindRefreshToken:
		return t.refresh
	}
	return credential
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	send := t.base.RoundTrip
	if operation := operationOf(r.Context()); operation != nil && len(operation.Alternatives) > 0 && t.stayed(r) {
		send = func(r *http.Request) (*http.Response, error) { return t.send(r, operation) }
	}
	response, err := send(r)
	if err != nil {
		return nil, err
	}
	response.Request = r // that which was sent has the credentials
	return response, nil
}

// stayed reports whether the request goes to the server of the client, and no redirect left it before.
func (t *transport) stayed(r *http.Request) bool {
	for {
		if originOf(r.URL) != t.origin {
			return false
		}
		if r.Response == nil || r.Response.Request == nil {
			return true
		}
		r = r.Response.Request
	}
}

// send sends a request with the credentials of the first alternative that the client holds. If the
// server refuses the access token it renews it, and sends the request once more.
func (t *transport) send(r *http.Request, operation *Operation) (*http.Response, error) {
	chosen, err := choose(r, operation, t.credential)
	if err != nil {
		closeBody(r)
		return nil, err
	}
	response, err := t.base.RoundTrip(t.with(r, chosen))
	if err != nil || !t.refused(response) {
		return response, err
	}
	renewed, err := renew(r.Context(), chosen)
	if errors.Is(err, errNothingRenewed) {
		return response, nil
	}
	discard(response)
	if err != nil {
		return nil, fmt.Errorf("operation %s: %w", operation.ID, err)
	}
	again, err := repeat(r)
	if err != nil {
		return nil, fmt.Errorf("operation %s: %w", operation.ID, err)
	}
	return t.base.RoundTrip(t.with(again, renewed))
}

// chosenCredential is a credential that a request is sent with.
type chosenCredential struct {
	*Scheme
	Credential
	text string
}

// choose returns the credentials of the first alternative that the client holds all of. The
// alternative of anonymous callers comes last, because a client that holds a credential is not
// anonymous. What the caller of the operation has put into the request stays.
func choose(r *http.Request, operation *Operation, held func(*Scheme) Credential) ([]chosenCredential, error) {
	cause := ErrNoCredential
	anonymous := false
	for _, alternative := range operation.Alternatives {
		if len(alternative) == 0 {
			anonymous = true
			continue
		}
		chosen, err := take(r, alternative, held)
		if err == nil {
			return chosen, nil
		}
		if !errors.Is(err, ErrNoCredential) {
			return nil, fmt.Errorf("operation %s: %w", operation.ID, err)
		}
		if errors.Is(err, ErrLoggedOut) {
			cause = errEmpty
		}
	}
	if anonymous {
		return nil, nil
	}
	return nil, fmt.Errorf("operation %s needs %s: %w", operation.ID, describe(operation.Alternatives), cause)
}

// take returns the credentials of an alternative, or ErrNoCredential.
func take(r *http.Request, alternative []*Scheme, held func(*Scheme) Credential) ([]chosenCredential, error) {
	var chosen []chosenCredential
	for _, scheme := range alternative {
		if scheme.given(r) {
			continue
		}
		credential := held(scheme)
		if credential.kind == credentialNone {
			return nil, ErrNoCredential
		}
		chosen = append(chosen, chosenCredential{Scheme: scheme, Credential: credential})
	}
	for i := range chosen {
		c := &chosen[i]
		if c.get == nil {
			continue
		}
		var err error
		if c.text, err = c.get(r.Context()); err != nil {
			return nil, err
		}
		if err := c.check(c.text); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// describe names the schemes of alternatives, for errors.
func describe(alternatives [][]*Scheme) string {
	var all []string
	for _, alternative := range alternatives {
		var names []string
		for _, scheme := range alternative {
			names = append(names, scheme.Name)
		}
		all = append(all, strings.Join(names, " and "))
	}
	return strings.Join(all, ", or ")
}

// errNothingRenewed means that no credential of a request can be renewed.
var errNothingRenewed = errors.New("client: nothing renewed")

// renew returns the credentials with new texts for those that can be renewed.
func renew(ctx context.Context, chosen []chosenCredential) ([]chosenCredential, error) {
	renewed := append([]chosenCredential(nil), chosen...)
	changed := false
	for i := range renewed {
		c := &renewed[i]
		if c.Credential.renew == nil {
			continue
		}
		text, err := c.Credential.renew(ctx, c.text)
		if err != nil {
			return nil, err
		}
		if err := c.check(text); err != nil {
			return nil, err
		}
		changed = changed || text != c.text
		c.text = text
	}
	if !changed {
		return nil, errNothingRenewed
	}
	return renewed, nil
}

// repeat returns the request with its body from the beginning, or ErrBodyNotRepeatable.
func repeat(r *http.Request) (*http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	if r.GetBody == nil {
		return nil, ErrBodyNotRepeatable
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBodyNotRepeatable, err)
	}
	again := r.Clone(r.Context())
	again.Body = body
	return again, nil
}

// RepeatBody returns a function that says how to read the body of a request once more, for bodies
// that are streams. Pass it to the call of an operation as a RequestEditorFn.
func RepeatBody(open func() (io.ReadCloser, error)) func(context.Context, *http.Request) error {
	return func(_ context.Context, r *http.Request) error {
		r.GetBody = open
		return nil
	}
}

// invalidToken reports whether a response refuses the access token (RFC 6750, section 3.1).
func invalidToken(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		if challengeError.MatchString(challenge) {
			return true
		}
	}
	return false
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// maxDiscard bounds what is read of a response that nobody gets, so that its connection can be used
// again.
const maxDiscard = 64 << 10

func discard(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, maxDiscard)
	_ = response.Body.Close()
}
