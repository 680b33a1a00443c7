package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// accessType is the type of token that a connection needs.
var accessType = security.NewTokenType[security.NoClaims]("access")

// protocolToken returns the token that a page has sent as a subprotocol: "bearer." and the token.
func protocolToken(r *http.Request) string {
	for name := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(name), "bearer."); ok {
			return text
		}
	}
	return ""
}

// serveSocket verifies the token of a handshake.
func serveSocket(validator *security.Validator, policy *guard.Policy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, err := validator.Verify(r.Context(), accessType, protocolToken(r))
		if err != nil {
			policy.WriteResponseError(w, r, err)
			return
		}
		w.Header().Set("Sec-WebSocket-Protocol", "notes") // never the one with the token
		accept(w, r, token)
	}
}

// accept stands for a library that takes the connection over. It closes the connection when the
// token expires.
func accept(w http.ResponseWriter, _ *http.Request, token security.AnyToken) {
	fmt.Fprintf(w, "connected: %s, for %v", token.Subject(), token.ExpiresAt().Sub(token.IssuedAt()))
}

// A page sends its token as a subprotocol: new WebSocket(url, ["notes", "bearer." + token]).
func Example_webSocket() {
	key, err := newKey("k", "application")
	must(err)
	authority := newAuthority(newSet(key))
	policy, err := guard.New(authority.Validator)
	must(err)
	server := httptest.NewServer(serveSocket(authority.Validator, policy))
	defer server.Close()
	connect := func(protocols string) {
		request, err := http.NewRequest("GET", server.URL, nil)
		must(err)
		request.Header.Set("Sec-WebSocket-Protocol", protocols)
		fmt.Println(send(server.Client(), request))
	}

	token, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)
	refresh, err := authority.Issuer.IssueRefreshToken(context.Background(), "alice", nil)
	must(err)
	connect("notes, bearer." + token.Text())
	connect("notes, bearer." + refresh.Text())
	connect("notes")
	// Output:
	// 200 connected: alice, for 15m0s
	// 401 {"title":"Unauthorized","status":401,"detail":"The token is of the wrong type."}
	// 401 {"title":"Unauthorized","status":401,"detail":"The token is not valid."}
}
