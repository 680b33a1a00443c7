package main

import (
	"errors"
	"net/http"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/cookies"
)

// browserCookies are the cookies of a browser that is logged in. Their names are those of the schemes in api.yaml.
type browserCookies struct{ access, refresh *cookies.TokenCookie }

func newBrowserCookies() (browserCookies, error) {
	// The example is served without TLS, on loopback. A real service leaves this option out and names its cookies __Host-....
	access, err := cookies.New("access_token", "csrf_access_token", cookies.WithoutSecure())
	if err != nil {
		return browserCookies{}, err
	}
	refresh, err := cookies.New("refresh_token", "csrf_refresh_token", cookies.WithoutSecure())
	return browserCookies{access, refresh}, err
}

// set answers with the tokens in cookies.
func (c browserCookies) set(pair security.TokenPair) (cookieResponse, error) {
	access, err1 := c.access.Set(pair.Access)
	refresh, err2 := c.refresh.Set(pair.Refresh)
	return append(access, refresh...), errors.Join(err1, err2)
}

// clear answers with cookies that remove the tokens.
func (c browserCookies) clear() cookieResponse { return append(c.access.Clear(), c.refresh.Clear()...) }

// cookieResponse is an answer of 204 that sets cookies: a response of one's own beside the generated ones, which have one value for
// each header.
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
