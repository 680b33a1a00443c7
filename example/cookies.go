package main

import (
	"errors"
	"net/http"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/cookies"
)

// browserCookies are the cookies of a browser that is logged in. The schemes in api.yaml have the same
// names.
type browserCookies struct{ access, refresh *cookies.TokenCookie }

func newBrowserCookies() (browserCookies, error) {
	// The example is served without TLS, on loopback. A real service omits this option, and the names of
	// its cookies begin with __Host-.
	access, err := cookies.New("access_token", "csrf_access_token", cookies.WithoutSecure())
	if err != nil {
		return browserCookies{}, err
	}
	refresh, err := cookies.New("refresh_token", "csrf_refresh_token", cookies.WithoutSecure())
	return browserCookies{access, refresh}, err
}

// set returns a response with the tokens in cookies.
func (c browserCookies) set(pair security.TokenPair) (cookieResponse, error) {
	access, err1 := c.access.Set(pair.Access)
	refresh, err2 := c.refresh.Set(pair.Refresh)
	return append(access, refresh...), errors.Join(err1, err2)
}

// clear returns a response that removes the cookies.
func (c browserCookies) clear() cookieResponse { return append(c.access.Clear(), c.refresh.Clear()...) }

// cookieResponse is a response with status 204 that sets cookies. The generated responses have one
// value for each header, and this one needs several Set-Cookie lines.
type cookieResponse []*http.Cookie

var (
	_ gen.LoginResponseObject   = cookieResponse(nil)
	_ gen.RefreshResponseObject = cookieResponse(nil)
	_ gen.LogoutResponseObject  = cookieResponse(nil)
)

func (c cookieResponse) VisitLoginResponse(w http.ResponseWriter) error   { return c.write(w) }
func (c cookieResponse) VisitRefreshResponse(w http.ResponseWriter) error { return c.write(w) }
func (c cookieResponse) VisitLogoutResponse(w http.ResponseWriter) error  { return c.write(w) }

func (c cookieResponse) write(w http.ResponseWriter) error {
	for _, cookie := range c {
		http.SetCookie(w, cookie)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
