package pages

import (
	"context"
	"fmt"
	"time"

	"github.com/oapi-guard/oapi-guard/security/keys"
)

// replaceKeys takes one step of a rotation. The first key signs, and all of them verify.
func replaceKeys(rotation *keys.Rotation, all ...*keys.Key) error {
	set, err := keys.NewSet(all...)
	if err != nil {
		return err
	}
	return rotation.Replace(set)
}

// A rotation has three steps: the new key verifies, the new key signs, the old key leaves.
func Example_rotation() {
	before, err := newKey("b", "2026-01")
	must(err)
	after, err := newKey("a", "2026-07")
	must(err)
	rotation, err := keys.NewRotation(newSet(before))
	must(err)
	authority, handler := newHandler(rotation, time.Now)
	old, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)

	must(replaceKeys(rotation, before, after))
	must(replaceKeys(rotation, after, before))
	current, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)
	fmt.Println("old token:", ask(handler, "GET", "/me", old.Text()))

	must(replaceKeys(rotation, after)) // when the old tokens have expired
	fmt.Println("old token:", ask(handler, "GET", "/me", old.Text()))
	fmt.Println("new token:", ask(handler, "GET", "/me", current.Text()))
	// Output:
	// old token: 200 user alice
	// old token: 401 {"title":"Unauthorized","status":401,"detail":"The token is not valid."}
	// new token: 200 user alice
}
