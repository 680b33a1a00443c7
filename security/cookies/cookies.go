//go:build ignore

package security

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxCookie is what browsers keep of a cookie, in bytes of its Set-Cookie value (RFC 6265, section 6.1).
const maxCookie = 4096

// longestCookie is for how long browsers keep a cookie at most (RFC 6265bis, section 5.5).
const longestCookie = 400 * 24 * time.Hour

// TokenCookie makes the cookies that carry one type of token: the token itself, which no script can read, and its claim csrf,
// which the application's own scripts read and repeat in a header. It is immutable.
type TokenCookie struct {
	token, csrf http.Cookie
	// session says that the cookies end with the browser's session instead of with the token.
	session bool
}

// CookieOption changes a TokenCookie.
type CookieOption func(*TokenCookie)

// WithCookiePath sets the path below which browsers send the token, "/" by default; for a refresh token, the path of the operation
// that takes it. The readable cookie keeps the path "/", so that every page can read it.
func WithCookiePath(path string) CookieOption { return func(c *TokenCookie) { c.token.Path = path } }

// WithCookieDomain sets the domain whose hosts all get the cookies. The default is just the host that set them.
func WithCookieDomain(domain string) CookieOption {
	return func(c *TokenCookie) { c.token.Domain, c.csrf.Domain = domain, domain }
}

// WithSameSite sets which requests from other sites carry the cookies, http.SameSiteStrictMode by default.
func WithSameSite(mode http.SameSite) CookieOption {
	return func(c *TokenCookie) { c.token.SameSite, c.csrf.SameSite = mode, mode }
}

// WithSessionCookies makes the cookies end with the browser's session. The default is that they end with the token.
func WithSessionCookies() CookieOption { return func(c *TokenCookie) { c.session = true } }

// WithInsecureCookies lets browsers send the cookies without TLS: for development on one's own machine, where even browsers
// that treat localhost as secure may need it. Whoever can read the network can then take the token.
func WithInsecureCookies() CookieOption {
	return func(c *TokenCookie) { c.token.Secure, c.csrf.Secure = false, false }
}

// NewTokenCookie makes the cookies of the given names, which are those of the scheme in the document and of the cookie that
// scripts read. They are Secure, SameSite=Strict and for the path "/" by default, and that of the token is HttpOnly. A name that
// begins with __Host- or __Secure- binds what browsers accept (RFC 6265bis, section 4.1.3): options against it are an error.
func NewTokenCookie(name, csrfName string, options ...CookieOption) (*TokenCookie, error) {
	c := &TokenCookie{
		token: http.Cookie{Name: name, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode},
		csrf:  http.Cookie{Name: csrfName, Path: "/", Secure: true, SameSite: http.SameSiteStrictMode},
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("security: a nil option")
		}
		option(c)
	}
	if name == csrfName {
		return nil, errors.New("security: the cookies of a token and of its csrf claim have different names")
	}
	for _, cookie := range []http.Cookie{c.token, c.csrf} {
		if err := checkCookie(&cookie); err != nil {
			return nil, fmt.Errorf("security: cookie %q: %w", cookie.Name, err)
		}
	}
	return c, nil
}

func checkCookie(c *http.Cookie) error {
	lower := strings.ToLower(c.Name) // browsers compare the prefixes without case
	switch {
	case strings.HasPrefix(lower, "__host-") && (!c.Secure || c.Path != "/" || c.Domain != ""):
		return errors.New("the prefix __Host- asks for Secure, the path / and no domain")
	case strings.HasPrefix(lower, "__secure-") && !c.Secure:
		return errors.New("the prefix __Secure- asks for Secure")
	case c.SameSite == http.SameSiteNoneMode && !c.Secure:
		return errors.New("SameSite=None asks for Secure")
	case c.SameSite < http.SameSiteLaxMode || c.SameSite > http.SameSiteNoneMode:
		return errors.New("SameSite is Lax, Strict or None")
	case !strings.HasPrefix(c.Path, "/"):
		return errors.New("a path begins with /")
	}
	sample := *c
	sample.Value = "x"
	if err := sample.Valid(); err != nil {
		return errors.New("its name, path or domain cannot stand in a cookie")
	}
	return nil
}

// Set returns the cookies for a token that was issued with [WithCSRF]. One without is an error, and so is one that browsers would
// not keep, beyond 4096 bytes. Responses that carry them say Cache-Control: no-store.
func (c *TokenCookie) Set(token IssuedToken) ([]*http.Cookie, error) {
	if token.Text() == "" || token.CSRF() == "" {
		return nil, errors.New("security: a token in a cookie is issued with WithCSRF")
	}
	cookies := c.both(token.Text(), token.CSRF())
	for _, cookie := range cookies {
		if !c.session {
			cookie.MaxAge = int(cmp.Or(token.ExpiresIn(), longestCookie) / time.Second)
		}
		if n := len(cookie.String()); n > maxCookie {
			return nil, fmt.Errorf("security: cookie %q has %d bytes and browsers keep %d: give the token fewer claims", cookie.Name, n, maxCookie)
		}
	}
	return cookies, nil
}

// Clear returns the cookies that remove those of Set.
func (c *TokenCookie) Clear() []*http.Cookie {
	cookies := c.both("", "")
	for _, cookie := range cookies {
		cookie.MaxAge = -1
	}
	return cookies
}

func (c *TokenCookie) both(token, csrf string) []*http.Cookie {
	first, second := c.token, c.csrf
	first.Value, second.Value = token, csrf
	return []*http.Cookie{&first, &second}
}
