package oauth2source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"

	"github.com/oapi-guard/oapi-guard/client"
	"github.com/oapi-guard/oapi-guard/client/oauth2source"
)

func TestMain(m *testing.M) {
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	goleak.VerifyTestMain(m)
}

// tokenEndpoint is a token endpoint of RFC 6749 and a resource that takes its access tokens.
type tokenEndpoint struct {
	*httptest.Server
	mu        sync.Mutex
	number    int
	refreshes int
	fail      int
}

func newTokenEndpoint(t *testing.T) *tokenEndpoint {
	t.Helper()
	e := &tokenEndpoint{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.refreshes++
		refused := r.FormValue("grant_type") != "refresh_token" || r.FormValue("refresh_token") != fmt.Sprint("refresh-", e.number)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case e.fail > 0:
			w.WriteHeader(e.fail)
			_, _ = io.WriteString(w, `{"error":"server_error","error_description":"refresh-0"}`)
		case refused:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"refresh-0"}`)
		default:
			e.number++
			_, _ = fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"refresh-%d","token_type":"bearer","expires_in":60}`, e.number, e.number)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if r.Header.Get("Authorization") != fmt.Sprint("Bearer access-", e.number) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	return e
}

// TestTheirTransportOverOurs checks that oauth2.Transport sends and refreshes the tokens of a source.
func TestTheirTransportOverOurs(t *testing.T) {
	e := newTokenEndpoint(t)
	now := time.Now()
	source, err := client.NewTokenSource(func(ctx context.Context, refreshToken string) (client.Tokens, error) {
		return refreshOverHTTP(ctx, e.URL+"/token", refreshToken, now)
	}, nil, client.WithClock(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	if err := source.SetTokens(t.Context(), client.Tokens{AccessToken: "access-0", RefreshToken: "refresh-0", Expires: now.Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	theirs, err := oauth2source.New(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	sender := &http.Client{Transport: &oauth2.Transport{Source: theirs}}
	for i := range 3 {
		response, err := sender.Get(e.URL + "/resource")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || e.refreshes != i {
			t.Errorf("status %d after %d refreshes, want 200 after %d", response.StatusCode, e.refreshes, i)
		}
		now = now.Add(2 * time.Minute)
	}
	if err := source.LogOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Get(e.URL + "/resource"); !errors.Is(err, client.ErrLoggedOut) {
		t.Errorf("after the log-out: error %v", err)
	}
}

func refreshOverHTTP(ctx context.Context, url, refreshToken string, now time.Time) (client.Tokens, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("grant_type=refresh_token&refresh_token="+refreshToken))
	if err != nil {
		return client.Tokens{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return client.Tokens{}, errors.Join(client.ErrNoAnswer, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return client.Tokens{}, errors.Join(client.ErrNoAnswer, err)
	}
	return client.ParseTokens(body, now)
}

var secured = &client.Operation{ID: "secured", Alternatives: [][]*client.Scheme{{access}}}

var access = &client.Scheme{Name: "access", Kind: client.KindAccessToken, Prefix: "Bearer"}

// TestOursOverTheirs checks that a client sends the tokens of an oauth2.Config, which refreshes them.
func TestOursOverTheirs(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refresh string
		fail    int
		want    error
	}{
		{name: "refreshed", refresh: "refresh-0"},
		{name: "refused", refresh: "refresh-x", want: client.ErrLoggedOut},
		{name: "no answer", refresh: "refresh-0", fail: 503, want: client.ErrNoAnswer},
		{name: "another error", refresh: "refresh-0", fail: 403, want: client.ErrUnexpectedAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newTokenEndpoint(t)
			e.fail = tt.fail
			config := &oauth2.Config{ClientID: "app", Endpoint: oauth2.Endpoint{TokenURL: e.URL + "/token", AuthStyle: oauth2.AuthStyleInParams}}
			theirs := config.TokenSource(t.Context(), &oauth2.Token{AccessToken: "old", RefreshToken: tt.refresh, Expiry: time.Now().Add(-time.Minute)})
			c, err := client.New(e.URL, client.Config{Credentials: map[*client.Scheme]client.Credential{access: oauth2source.Credential(theirs)}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(client.WithOperation(t.Context(), secured), http.MethodGet, e.URL+"/resource", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := c.Do(r)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err != nil {
				if strings.Contains(err.Error(), "refresh-") {
					t.Errorf("the error contains a token: %v", err)
				}
				return
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK || e.refreshes != 1 {
				t.Errorf("status %d after %d refreshes", response.StatusCode, e.refreshes)
			}
		})
	}
}
