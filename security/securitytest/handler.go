package securitytest

import (
	"io"
	"maps"
	"net/http"
	"net/url"
)

// Exchange returns a handler for a router that is not built on net/http, from a function that sends
// it a request, such as the method Test of a fiber application:
//
//	securitytest.Exchange(func(r *http.Request) (*http.Response, error) { return app.Test(r) })
func Exchange(send func(*http.Request) (*http.Response, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response, err := send(r)
		if err != nil {
			http.Error(w, "securitytest: the router did not answer: "+err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		maps.Copy(w.Header(), response.Header)
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	})
}

// ServerAt returns a handler that sends each request to a server, such as http://127.0.0.1:8080. A
// client of nil is one that follows no redirect.
func ServerAt(server string, client *http.Client) http.Handler {
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	base, err := url.Parse(server)
	return Exchange(func(r *http.Request) (*http.Response, error) {
		if err != nil {
			return nil, err
		}
		sent := r.Clone(r.Context())
		sent.URL.Scheme, sent.URL.Host, sent.Host, sent.RequestURI = base.Scheme, base.Host, base.Host, ""
		return client.Do(sent)
	})
}
