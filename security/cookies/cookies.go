// Package cookies sets and clears the cookies that carry tokens to browsers. The guard reads them;
// see x-guard in the documentation and security.WithCSRF.
package cookies

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
)

// maxCookie is the longest cookie that browsers store, in bytes of its Set-Cookie value (RFC 6265,
// section 6.1).
const maxCookie = 4096

// longestCookie is how long browsers store a cookie at most (RFC 6265bis, section 5.5).
const longestCookie = 400 * 24 * time.Hour

// TokenCookie makes the two cookies for one type of token: the token itself, which no script can
// read, and its claim csrf, which the scripts of the application read and repeat in a header. It is
// immutable.
type TokenCookie struct {
	token, csrf http.Cookie
	// session is set where the cookies end with the browser's session and not with the token.
	session bool
	// former has the attributes that the cookies had before.
	former []*TokenCookie
}

// Option changes a TokenCookie.
type Option func(*TokenCookie)

// WithPath sets the path below which browsers send the token, "/" by default. For a refresh token,
// set the path of the operation that takes it. The readable cookie has the path "/", so that every
// page can read it.
func WithPath(path string) Option { return func(c *TokenCookie) { c.token.Path = path } }

// WithDomain sends the cookies to all hosts of the domain. The default is only the host that set
// them.
func WithDomain(domain string) Option {
	return func(c *TokenCookie) { c.token.Domain, c.csrf.Domain = domain, domain }
}

// WithSameSite sets which requests from other sites carry the cookies, http.SameSiteStrictMode by
// default.
func WithSameSite(mode http.SameSite) Option {
	return func(c *TokenCookie) { c.token.SameSite, c.csrf.SameSite = mode, mode }
}

// WithSessionCookies makes the cookies end with the browser's session. By default they end with the
// token.
func WithSessionCookies() Option { return func(c *TokenCookie) { c.session = true } }

// WithoutSecure lets browsers send the cookies without TLS. It is for development on localhost,
// where some browsers need it. On a network, anybody who reads the traffic can take the token.
func WithoutSecure() Option {
	return func(c *TokenCookie) { c.token.Secure, c.csrf.Secure = false, false }
}

// WithFormer names attributes that the cookies had before a change, such as another path or domain. A
// browser keeps a cookie with former attributes beside the new one, and sends both. [TokenCookie.Set]
// and [TokenCookie.Clear] delete it.
func WithFormer(options ...Option) Option {
	return func(c *TokenCookie) {
		former := &TokenCookie{token: c.token, csrf: c.csrf}
		former.token.Path, former.csrf.Path, former.token.Domain, former.csrf.Domain = "/", "/", "", ""
		for _, option := range options {
			if option != nil {
				option(former)
			}
		}
		c.former = append(c.former, former)
	}
}

// New makes the cookies of the given names: name is that of the scheme in the document, csrfName
// that of the cookie that scripts read. By default both are Secure, SameSite=Strict and for the
// path "/". The cookie of the token is HttpOnly. The prefixes __Host- and __Secure- restrict the
// attributes (RFC 6265bis, section 4.1.3): an option that contradicts them is an error.
func New(name, csrfName string, options ...Option) (*TokenCookie, error) {
	c := &TokenCookie{
		token: http.Cookie{Name: name, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode},
		csrf:  http.Cookie{Name: csrfName, Path: "/", Secure: true, SameSite: http.SameSiteStrictMode},
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("cookies: a nil option")
		}
		option(c)
	}
	if name == csrfName {
		return nil, errors.New("cookies: the cookie of the token and the cookie of its claim csrf need different names")
	}
	for _, cookie := range []http.Cookie{c.token, c.csrf} {
		if err := checkCookie(&cookie); err != nil {
			return nil, fmt.Errorf("cookies: cookie %q: %w", cookie.Name, err)
		}
	}
	// net/http leaves out an attribute that is not valid, and what is left may name today's cookie.
	for _, former := range c.former {
		for _, cookie := range []http.Cookie{former.token, former.csrf} {
			if err := checkCookie(&cookie); err != nil {
				return nil, fmt.Errorf("cookies: former cookie %q: %w", cookie.Name, err)
			}
		}
	}
	return c, nil
}

func checkCookie(c *http.Cookie) error {
	lower := strings.ToLower(c.Name) // browsers compare prefixes without case
	switch {
	case strings.HasPrefix(lower, "__host-") && (!c.Secure || c.Path != "/" || c.Domain != ""):
		return errors.New("the prefix __Host- needs Secure, the path / and no domain")
	case strings.HasPrefix(lower, "__secure-") && !c.Secure:
		return errors.New("the prefix __Secure- needs Secure")
	case c.SameSite == http.SameSiteNoneMode && !c.Secure:
		return errors.New("SameSite=None needs Secure")
	case c.SameSite < http.SameSiteLaxMode || c.SameSite > http.SameSiteNoneMode:
		return errors.New("SameSite is Lax, Strict or None")
	}
	return checkScope(c)
}

// checkScope checks name, path and domain. Without a path browsers take one from the URL.
func checkScope(c *http.Cookie) error {
	if !strings.HasPrefix(c.Path, "/") {
		return errors.New("a path begins with /")
	}
	sample := *c
	sample.Value = "x"
	if err := sample.Valid(); err != nil {
		return errors.New("its name, path or domain is not valid in a cookie")
	}
	return nil
}

// Set returns the cookies for a token. The token must be issued with security.WithCSRF. A cookie
// above 4096 bytes is an error, because browsers drop it. A response with the cookies says
// Cache-Control: no-store.
func (c *TokenCookie) Set(token security.IssuedToken) ([]*http.Cookie, error) {
	if token.Text() == "" || token.CSRF() == "" {
		return nil, errors.New("cookies: a token in a cookie must be issued with security.WithCSRF")
	}
	cookies := c.both(token.Text(), token.CSRF())
	for _, cookie := range cookies {
		if !c.session {
			cookie.MaxAge = int(cmp.Or(token.ExpiresIn(), longestCookie) / time.Second)
		}
		if n := len(cookie.String()); n > maxCookie {
			return nil, fmt.Errorf("cookies: cookie %q has %d bytes and browsers store %d: give the token fewer claims", cookie.Name, n, maxCookie)
		}
	}
	return append(cookies, c.clearFormer()...), nil
}

// Clear returns the cookies that delete those of Set.
func (c *TokenCookie) Clear() []*http.Cookie {
	return append(c.expired(), c.clearFormer()...)
}

// expired returns the cookies with a time in the past, which deletes them.
func (c *TokenCookie) expired() []*http.Cookie {
	cookies := c.both("", "")
	for _, cookie := range cookies {
		cookie.MaxAge = -1
	}
	return cookies
}

// clearFormer returns the cookies that delete those with former attributes, except those with the
// attributes of now.
func (c *TokenCookie) clearFormer() []*http.Cookie {
	var cookies []*http.Cookie
	now := c.both("", "")
	for _, former := range c.former {
		for i, cookie := range former.expired() {
			if cookie.Path != now[i].Path || domainOf(cookie) != domainOf(now[i]) {
				cookies = append(cookies, cookie)
			}
		}
	}
	return cookies
}

// domainOf returns the domain as browsers compare it: without a dot in front and without case (RFC
// 6265, section 5.2.3).
func domainOf(c *http.Cookie) string { return strings.ToLower(strings.TrimPrefix(c.Domain, ".")) }

// both returns the cookie of the token and that of its claim csrf, with the given values.
func (c *TokenCookie) both(token, csrf string) []*http.Cookie {
	first, second := c.token, c.csrf
	first.Value, second.Value = token, csrf
	return []*http.Cookie{&first, &second}
}
