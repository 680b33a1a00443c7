package pages

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A change of password revokes every session of the user. The caller gets a new one.
func Example_changePassword() {
	key, err := newKey("k", "application")
	must(err)
	authority, handler := newHandler(newSet(key), time.Now)
	phone, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)
	laptop, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)

	next, _ := strings.CutPrefix(ask(handler, "PUT", "/password", laptop.Text()), "200 ")
	fmt.Println("phone: ", ask(handler, "GET", "/me", phone.Text()))
	fmt.Println("laptop:", ask(handler, "GET", "/me", laptop.Text()))
	fmt.Println("new:   ", ask(handler, "GET", "/me", next))
	// Output:
	// phone:  401 {"title":"Unauthorized","status":401,"detail":"The token has been revoked."}
	// laptop: 401 {"title":"Unauthorized","status":401,"detail":"The token has been revoked."}
	// new:    200 user alice
}
