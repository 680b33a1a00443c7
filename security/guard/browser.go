package guard

import (
	"crypto/subtle"
	"net/http"
	"net/url"

	"github.com/oapi-guard/oapi-guard/security"
)

// maxForm bounds the form that is read for the claim csrf, in bytes.
const maxForm = 64 << 10

// unsafeRequest reports whether a request may change something: by its method, or because it asks
// to upgrade the connection, which a page of any site can do with GET.
func unsafeRequest(r Request) bool {
	return !isSafeMethod(r.Method()) || isUpgrade(r)
}

func isSafeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// isUpgrade reports whether a request with a safe method asks to upgrade the connection.
func isUpgrade(r Request) bool { return isSafeMethod(r.Method()) && len(r.Header("Upgrade")) > 0 }

// checkOrigin checks that an unsafe request with an ambient credential comes from a page of the same
// origin or of a trusted one. A request that no browser sent passes.
func (p *Policy) checkOrigin(r Request) error {
	request := &http.Request{
		// Any unsafe method: the check would let an upgrade by GET pass.
		Method: http.MethodPost, Host: r.Host(), URL: &url.URL{},
		Header: http.Header{"Sec-Fetch-Site": r.Header("Sec-Fetch-Site"), "Origin": r.Header("Origin")},
	}
	if len(request.Header["Sec-Fetch-Site"]) > 1 || len(request.Header["Origin"]) > 1 || p.crossOrigin.Check(request) != nil {
		return security.ErrCrossOrigin
	}
	return nil
}

// checkCSRFHeader checks that an unsafe request with a token in a cookie repeats the claim csrf in a
// header. Only a page of the application can read the claim. A token without the claim is refused,
// because it was not issued for a cookie. With form, a request without the header is not decided
// yet: checkCSRFForm decides.
func (p *Policy) checkCSRFHeader(r Request, token security.AnyToken, form bool) (needsForm bool, err error) {
	repeated := r.Header(p.csrfHeader)
	if form && len(repeated) == 0 && token.CSRF() != "" {
		return true, nil
	}
	return false, checkCSRF(token, repeated)
}

// checkCSRFForm checks that a form field repeats the claim csrf.
func (p *Policy) checkCSRFForm(r Request, token security.AnyToken) error {
	values, err := formValues(r, p.csrfField)
	if err != nil {
		return err
	}
	return checkCSRF(token, values)
}

// checkCSRF checks that the claim csrf is repeated exactly once, in constant time.
func checkCSRF(token security.AnyToken, repeated []string) error {
	csrf := token.CSRF()
	if len(repeated) != 1 || csrf == "" || subtle.ConstantTimeCompare([]byte(repeated[0]), []byte(csrf)) != 1 {
		return security.ErrCSRF
	}
	return nil
}
