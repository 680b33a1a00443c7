package keys_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/keys"
	"github.com/oapi-guard/oapi-guard/security/keys/keystest"
)

// TestSourcesKeepTheContract runs the kit of package keystest on each source of this package.
func TestSourcesKeepTheContract(t *testing.T) {
	k := testKeys()
	known := keys.Header{Algorithm: keys.ES256, KeyID: "one", HasKeyID: true}
	set := must(keys.NewSet(must(keys.NewECDSA(k.p256, keys.WithID("one")))(t)))(t)
	for _, tt := range []struct {
		name            string
		header, unknown keys.Header
		// source returns the source, and what makes it fail.
		source func(t *testing.T) (keys.Source, func())
	}{
		{
			name: "a set", header: known, unknown: keys.Header{Algorithm: keys.ES256, KeyID: "two", HasKeyID: true},
			source: func(*testing.T) (keys.Source, func()) { return set, nil },
		},
		{
			name: "a set, without an id", header: keys.Header{Algorithm: keys.ES256}, unknown: keys.Header{Algorithm: keys.ES384},
			source: func(*testing.T) (keys.Source, func()) { return set, nil },
		},
		{
			name: "a set with a signer", header: known, unknown: keys.Header{Algorithm: keys.RS256, KeyID: "one", HasKeyID: true},
			source: func(t *testing.T) (keys.Source, func()) {
				return must(keys.NewSet(must(keys.NewSigner("", serviceOf(k.p256), keys.WithID("one")))(t)))(t), nil
			},
		},
		{
			name: "a rotation", header: known, unknown: keys.Header{Algorithm: keys.ES256, KeyID: "two", HasKeyID: true},
			source: func(t *testing.T) (keys.Source, func()) { return must(keys.NewRotation(set))(t), nil },
		},
		{
			name: "a remote set", header: known, unknown: keys.Header{Algorithm: keys.ES256, KeyID: "two", HasKeyID: true},
			source: func(t *testing.T) (keys.Source, func()) {
				f := newRemoteFixture(t)
				return f.remote, func() {
					f.settle()
					f.provider.answer(http.StatusInternalServerError, "")
					f.Clock.Advance(keys.DefaultMaxStale)
				}
			},
		},
		{
			name: "a remote set, closed", header: known, unknown: keys.Header{Algorithm: keys.EdDSA, KeyID: "one", HasKeyID: true},
			source: func(t *testing.T) (keys.Source, func()) {
				f := newRemoteFixture(t)
				return f.remote, func() { _ = f.remote.Close() }
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source, fail := tt.source(t)
			keystest.Test(t, keystest.Source{Source: source, Header: tt.header, Unknown: tt.unknown, Fail: fail})
		})
	}
}

// TestStartErrorShowsURLAndCause starts an application while its provider does not answer well. The
// error tells the operator where and why, and has no password.
func TestStartErrorShowsURLAndCause(t *testing.T) {
	p := newProvider(t)
	_, _, edKey := publicJWKs(t)
	client := keys.WithHTTPClient(p.Client())
	// noServer refuses every connection.
	noServer := keys.WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("lookup idp.example: no such host")
	})})
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		path    string
		options keys.RemoteOption
		want    []string
	}{
		{name: "another status", status: 404, path: "/keys", options: client, want: []string{p.URL + "/keys", "another status than 200"}},
		{name: "not JSON", status: 200, body: "<html>", path: "/keys", options: client, want: []string{p.URL + "/keys", "not strict JSON"}},
		{name: "no key that can be used", status: 200, body: `{"keys":[]}`, path: "/keys", options: client, want: []string{p.URL + "/keys", "no key for signatures"}},
		{
			name: "a private key", status: 200, body: string(jwksText(t, edKey.with(jwkMembers{"d": "c2VjcmV0"}))), path: "/keys", options: client,
			want: []string{p.URL + "/keys", "private or symmetric"},
		},
		{name: "no such host", path: "/keys", options: noServer, want: []string{p.URL + "/keys", "no such host"}},
	} {
		p.answer(max(tt.status, 200), tt.body)
		_, err := keys.NewRemote(t.Context(), p.URL+tt.path, tt.options)
		if !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", tt.name, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, lacks %q", tt.name, err, want)
			}
		}
		if strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the error quotes the key", tt.name)
		}
	}
	p.answer(404, "")
	if _, err := keys.Discover(t.Context(), p.URL+"/tenant", client); err == nil || !strings.Contains(err.Error(), p.URL+"/tenant") {
		t.Errorf("a discovery that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := keys.NewRemote(ctx, p.URL, client); !errors.Is(err, context.Canceled) || !errors.As(err, new(*url.Error)) {
		t.Errorf("cancelled: %v", err)
	}
}
