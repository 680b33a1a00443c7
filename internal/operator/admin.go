package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Admin is a [Target] on the admin endpoint of a running service, which has the operations
// GET /operator/sessions and POST /operator/revocations of the reference API. It is for a store that
// no other process can open.
type Admin struct {
	base   *url.URL
	secret string
	client *http.Client
}

// secretForm is the form of a bearer token (RFC 6750, section 2.1).
var secretForm = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

const (
	adminTimeout  = 10 * time.Second
	maxAdminReply = 4 << 20
)

// OpenAdmin returns the admin endpoint at an address, such as http://127.0.0.1:8081. The secret leaves
// the machine over HTTPS only.
func OpenAdmin(address, secret string) (*Admin, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil || base.RawQuery != "" {
		return nil, errors.New("the address of the admin endpoint has the form http://127.0.0.1:8081")
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		return nil, errors.New("the secret of the operator would cross the network in clear: use https, " +
			"or a tunnel such as ssh -L 8081:127.0.0.1:8081 HOST")
	}
	if secret == "" {
		return nil, errors.New("set ADMIN_TOKEN to the secret with which the service was started")
	}
	if !secretForm.MatchString(secret) {
		return nil, errors.New("ADMIN_TOKEN has characters that no bearer token has: letters, digits and -._~+/ in front of any =")
	}
	client := &http.Client{Timeout: adminTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // another host must not get the secret
	}}
	return &Admin{base, secret, client}, nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close closes idle connections.
func (a *Admin) Close() error {
	a.client.CloseIdleConnections()
	return nil
}

// Sessions implements Target.
func (a *Admin) Sessions(ctx context.Context, subject, position string) (Page, error) {
	query := url.Values{"subject": {subject}}
	if position != "" {
		query.Set("position", position)
	}
	var page Page
	err := a.call(ctx, http.MethodGet, "/operator/sessions?"+query.Encode(), nil, &page)
	return page, err
}

// revocation is the body of POST /operator/revocations.
type revocation struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject,omitempty"`
	ID      string `json:"id,omitempty"`
}

func (a *Admin) revoke(ctx context.Context, r revocation) error {
	return a.call(ctx, http.MethodPost, "/operator/revocations", r, nil)
}

// EndSession implements Target.
func (a *Admin) EndSession(ctx context.Context, subject, id string) error {
	return a.revoke(ctx, revocation{"session", subject, id})
}

// RevokeToken implements Target. The service decides how long the entry is stored.
func (a *Admin) RevokeToken(ctx context.Context, subject, id string, _ time.Time) error {
	return a.revoke(ctx, revocation{"token", subject, id})
}

// EndSubject implements Target.
func (a *Admin) EndSubject(ctx context.Context, subject string) error {
	return a.revoke(ctx, revocation{Kind: "subject", Subject: subject})
}

// EndAll implements Target.
func (a *Admin) EndAll(ctx context.Context) error {
	return a.revoke(ctx, revocation{Kind: "all"})
}

// call sends a request and reads the answer into reply, or expects none.
func (a *Admin) call(ctx context.Context, method, path string, body, reply any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(a.base.String(), "/")+path, content)
	if err != nil {
		return errors.New("the admin endpoint cannot be called")
	}
	request.Header.Set("Authorization", "Bearer "+a.secret)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := a.client.Do(request)
	if err != nil {
		return fmt.Errorf("the admin endpoint at %s does not answer: is the service running with ADMIN_TOKEN, and is this its ADMIN_ADDR?", a.base.Host)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAdminReply))
	if err != nil {
		return errors.New("the answer of the admin endpoint was truncated: repeat the command")
	}
	if reply == nil && response.StatusCode == http.StatusNoContent {
		return nil
	}
	if reply != nil && response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, reply); err != nil {
			return errors.New("the answer of the admin endpoint is no list of sessions: is this the address of the admin endpoint?")
		}
		return nil
	}
	return a.refused(response, text)
}

// refused says what a status of the endpoint means.
func (a *Admin) refused(response *http.Response, text []byte) error {
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return errors.New("the service refuses the secret: set ADMIN_TOKEN to the one with which it was started")
	case http.StatusNotFound:
		return fmt.Errorf("%s has no admin endpoint: it is on another address than the API (ADMIN_ADDR), and off without ADMIN_TOKEN", a.base.Host)
	case http.StatusTooManyRequests:
		return fmt.Errorf("too many wrong secrets came from this address: wait %s seconds", digits(response.Header.Get("Retry-After")))
	case http.StatusServiceUnavailable:
		return errors.New("the store of the service is unavailable; the tokens may still be accepted: repeat the command")
	case http.StatusBadRequest:
		var problem struct{ Detail string }
		if json.Unmarshal(text, &problem) == nil && problem.Detail != "" {
			return fmt.Errorf("the service refuses the request: %s", printable(problem.Detail))
		}
	}
	return fmt.Errorf("the admin endpoint answers with status %d", response.StatusCode)
}

// digits returns a number of a header, or "some".
func digits(text string) string {
	if text == "" || len(text) > 6 || strings.Trim(text, "0123456789") != "" {
		return "some"
	}
	return text
}
