//go:build ignore

package security

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
)

// DefaultCSRFHeader is the header that repeats the claim csrf of a token in a cookie.
const DefaultCSRFHeader = "X-CSRF-Token"

// DefaultCSRFField is the field of a form that repeats it, where the document says x-guard: {csrf: form}.
const DefaultCSRFField = "csrf_token"

// maxForm bounds the form that is read for the field, in bytes.
const maxForm = 64 << 10

// WithCSRFField sets the field of a form that repeats the claim csrf, [DefaultCSRFField] by default.
func WithCSRFField(name string) ValidatorOption {
	return func(v *Validator) error {
		if name == "" {
			return errors.New("security: WithCSRFField needs the name of a field")
		}
		v.csrfField = name
		return nil
	}
}

// WithTrustedOrigins names the origins, such as https://app.example.com, whose pages may send requests with cookies from another
// site. Their scripts still have to repeat the token's claim csrf. See http.CrossOriginProtection.
func WithTrustedOrigins(origins ...string) ValidatorOption {
	return func(v *Validator) error {
		for _, origin := range origins {
			if err := v.crossOrigin.AddTrustedOrigin(origin); err != nil {
				return errors.New("security: a trusted origin is like https://app.example.com, without a path")
			}
		}
		return nil
	}
}

// WithCSRFHeader sets the header that repeats the claim csrf of a token in a cookie, [DefaultCSRFHeader] by default.
func WithCSRFHeader(name string) ValidatorOption {
	return func(v *Validator) error {
		if name == "" {
			return errors.New("security: WithCSRFHeader needs the name of a header")
		}
		v.csrfHeader = http.CanonicalHeaderKey(name)
		return nil
	}
}

// unsafeRequest reports whether a request may change something: by its method, or because it asks to upgrade the connection,
// which a page of any site can do with GET.
func unsafeRequest(r Request) bool {
	switch r.Method() {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return len(r.Header("Upgrade")) > 0
	default:
		return true
	}
}

// checkOrigin checks an unsafe request whose credential a browser sends whoever made it send the request: it has to come from a page of
// the same origin or a trusted one. Requests that are not of a browser pass.
func (v *Validator) checkOrigin(r Request) error {
	request := &http.Request{
		// Any unsafe method: the check would let an upgrade by GET pass.
		Method: http.MethodPost, Host: r.Host(), URL: &url.URL{},
		Header: http.Header{"Sec-Fetch-Site": r.Header("Sec-Fetch-Site"), "Origin": r.Header("Origin")},
	}
	if len(request.Header["Sec-Fetch-Site"]) > 1 || len(request.Header["Origin"]) > 1 || v.crossOrigin.Check(request) != nil {
		return ErrCrossOrigin
	}
	return nil
}

// checkHeader checks that an unsafe request with a token in a cookie repeats the token's claim csrf in a header, which only a page of
// the application can read. A token without the claim is refused: it was not issued for a cookie. With form, a request without the
// header is not decided yet: checkForm has to.
func (v *Validator) checkHeader(r Request, c *claims, form bool) (needsForm bool, err error) {
	repeated := r.Header(v.csrfHeader)
	if form && len(repeated) == 0 && c.csrf != "" {
		return true, nil
	}
	return false, c.checkCSRF(repeated)
}

// checkForm checks the field of a form that repeats the token's claim csrf.
func (v *Validator) checkForm(r Request, c *claims) error {
	values, err := formValues(r, v.csrfField)
	if err != nil {
		return err
	}
	return c.checkCSRF(values)
}

// checkCSRF checks that the claim csrf is repeated exactly once, in constant time.
func (c *claims) checkCSRF(repeated []string) error {
	if len(repeated) != 1 || c.csrf == "" || subtle.ConstantTimeCompare([]byte(repeated[0]), []byte(c.csrf)) != 1 {
		return ErrCSRF
	}
	return nil
}
