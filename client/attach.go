package client

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// challengeError matches the error code invalid_token in a challenge.
var challengeError = regexp.MustCompile(`(?i)(^|[\s,])error\s*=\s*("invalid_token"|invalid_token([\s,]|$))`)

// header returns the header of the credential.
func (s *Scheme) header() string {
	if s.Parameter == "" {
		return "Authorization"
	}
	return s.Parameter
}

// given reports whether the caller of the operation has put a credential in the place of this one.
func (s *Scheme) given(r *http.Request) bool {
	switch {
	case s.Kind == KindCertificate:
		return false
	case s.In == InQuery:
		return r.URL.Query().Has(s.Parameter)
	case s.In == InCookie:
		_, err := r.Cookie(s.Parameter)
		return err == nil
	}
	return len(r.Header.Values(s.header())) > 0
}

// errCredentialText means that a credential cannot be sent. It does not contain the credential.
var errCredentialText = errors.New("the credential is empty or has characters that its place cannot carry")

// check reports a text that its place cannot carry.
func (s *Scheme) check(text string) error {
	visible := func(r rune) bool { return r >= ' ' && r <= '~' }
	bad := text == "" || s.In == InHeader && s.Kind != KindBasic && strings.ContainsFunc(text, func(r rune) bool { return !visible(r) }) ||
		s.In == InCookie && strings.ContainsFunc(text, func(r rune) bool { return !visible(r) || strings.ContainsRune(` ",;\`, r) })
	if bad {
		return fmt.Errorf("scheme %s: %w", s.Name, errCredentialText)
	}
	return nil
}

// with returns a copy of a request with the credentials.
func (t *transport) with(r *http.Request, chosen []chosenCredential) *http.Request {
	sent := r.Clone(r.Context())
	for _, c := range chosen {
		switch {
		case c.Scheme.Kind == KindCertificate:
		case c.Scheme.Kind == KindBasic:
			sent.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.text)))
		case c.In == InQuery:
			addQuery(sent.URL, c.Parameter, c.text)
		case c.In == InCookie:
			addCookie(sent.Header, c.Parameter, c.text)
			if c.JWT {
				t.addCSRF(sent, c.text)
			}
		case c.Prefix != "":
			sent.Header.Set(c.header(), c.Prefix+" "+c.text)
		default:
			sent.Header.Set(c.header(), c.text)
		}
	}
	return sent
}

// addQuery adds a parameter to the query, which otherwise stays as it is.
func addQuery(u *url.URL, name, value string) {
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += url.QueryEscape(name) + "=" + url.QueryEscape(value)
}

// addCookie adds a cookie to the header Cookie, of which a request has one (RFC 6265, section 5.4).
func addCookie(header http.Header, name, value string) {
	cookies := append(header.Values("Cookie"), name+"="+value)
	header.Set("Cookie", strings.Join(cookies, "; "))
}

// addCSRF repeats the claim csrf of a token in a cookie, where the request changes something.
func (t *transport) addCSRF(r *http.Request, token string) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "":
		return
	}
	if csrf := claimsOf(token).CSRF; csrf != "" && sendable(csrf) && r.Header.Get(t.csrfHeader) == "" {
		r.Header.Set(t.csrfHeader, csrf)
	}
}
