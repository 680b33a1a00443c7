package guard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// TestPlainKeys checks which values of a request an authenticator of plain keys gets. It never gets the
// credential of another authentication scheme, and none of a request that is malformed.
func TestPlainKeys(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		name        string
		requirement Requirement
		header      http.Header
		keys        []string
	}{
		{name: "a key", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"secret"}}, keys: []string{"secret"}},
		{name: "a key of two words", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"two words"}}, keys: []string{"two words"}},
		{name: "a key that is the word of a scheme", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"Bearer"}}, keys: []string{"Bearer"}},
		{name: "a bearer token", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"bearer token"}}},
		{name: "a password", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"Basic YTpi"}}},
		{name: "a digest", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"DIGEST a=b"}}},
		{name: "Negotiate", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"Negotiate YII="}}},
		{
			name: "a key of another scheme of the operation", requirement: Requirement{{plainKeyScheme}, {wordKeyScheme}},
			header: http.Header{"Authorization": {"word secret"}}, keys: []string{"secret"},
		},
		{name: "a key that no scheme of the operation has", requirement: Requirement{{plainKeyScheme}}, header: http.Header{"Authorization": {"word secret"}}, keys: []string{"word secret"}},
		{name: "another header", requirement: Requirement{{keyScheme}}, header: http.Header{"X-Api-Key": {"Bearer token"}}, keys: []string{"Bearer token"}},
		{name: "a key twice", requirement: Requirement{{keyScheme}}, header: http.Header{"X-Api-Key": {"a", "b"}}},
		{name: "an empty key", requirement: Requirement{{keyScheme}}, header: http.Header{"X-Api-Key": {""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var keys []string
			authenticator := AuthenticateKey(func(_ context.Context, key string) (*Caller[Principal], error) {
				keys = append(keys, key)
				return account("alice")
			})
			o := &Operation{ID: "o", Requirement: tt.requirement}
			guards := must(NewGuards(f.policy, Authenticators{"plainKey": authenticator, "wordKey": authenticator, "key": authenticator}, o))(t)
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header = tt.header
			w := httptest.NewRecorder()
			guards.HandlerFunc(o, func(http.ResponseWriter, *http.Request) {})(w, r)
			if !slices.Equal(keys, tt.keys) {
				t.Errorf("the authenticator gets %q, want %q", keys, tt.keys)
			}
			if (w.Code == http.StatusOK) != (tt.keys != nil) {
				t.Errorf("status %d", w.Code)
			}
		})
	}
}
