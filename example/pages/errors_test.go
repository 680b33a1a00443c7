package pages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oapi-guard/oapi-guard/security"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// explainExpiry gives one reason a body of the application. Other responses stay as they are.
func explainExpiry(_ context.Context, failure guard.Failure) guard.Response {
	response := failure.Response
	if errors.Is(failure.Err, security.ErrTokenExpired) {
		response.Body = []byte(`{"error":"expired","hint":"POST /refresh"}`)
	}
	return response
}

// printReasons shows what an error handler knows of a failure. A service logs it.
func printReasons(next guard.ErrorHandler) guard.ErrorHandler {
	return func(ctx context.Context, failure guard.Failure) guard.Response {
		fmt.Println(failure.Operation.ID, failure.Response.Status, failure.Err)
		return next(ctx, failure)
	}
}

// An error handler sees the reason, which clients do not, and may replace the response.
func Example_errorHandler() {
	key, err := newKey("k", "application")
	must(err)
	now := time.Now()
	authority, handler := newHandler(newSet(key), func() time.Time { return now }, guard.WithErrorHandler(printReasons(explainExpiry)))
	token, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)

	fmt.Println(ask(handler, "PUT", "/password", ""))
	fmt.Println(ask(handler, "PUT", "/password", token.Text()+"x"))
	now = now.Add(time.Hour)
	fmt.Println(ask(handler, "PUT", "/password", token.Text()))
	// Output:
	// changePassword 401 security: This operation needs credentials.
	// 401 {"title":"Unauthorized","status":401,"detail":"This operation needs credentials."}
	// changePassword 401 security: The token is not valid. (the signature)
	// 401 {"title":"Unauthorized","status":401,"detail":"The token is not valid."}
	// changePassword 401 security: The token has expired.
	// 401 {"error":"expired","hint":"POST /refresh"}
}

// An observer counts the requests that are not served, for metrics.
func Example_observer() {
	key, err := newKey("k", "application")
	must(err)
	refusals := map[string]int{}
	var mu sync.Mutex
	counter := func(_ context.Context, refusal guard.Refusal) {
		mu.Lock()
		defer mu.Unlock()
		refusals[fmt.Sprintf("%s %d %s", refusal.Operation, refusal.Status, refusal.Reason)]++
	}
	now := time.Now()
	authority, handler := newHandler(newSet(key), func() time.Time { return now }, guard.WithObserver(counter), guard.WithErrorHandler(printOwner))
	token, err := authority.Issuer.IssueAccessToken(context.Background(), "alice", nil)
	must(err)

	ask(handler, "PUT", "/password", "")
	ask(handler, "PUT", "/password", token.Text()+"x")
	now = now.Add(time.Hour)
	ask(handler, "PUT", "/password", token.Text())
	for _, line := range slices.Sorted(maps.Keys(refusals)) {
		fmt.Println(refusals[line], line)
	}
	// Output:
	// a token of alice was refused: security: The token has expired.
	// 1 changePassword 401 The token has expired.
	// 1 changePassword 401 This operation needs credentials.
	// 1 changePassword 401 the signature
}

// printOwner prints whose token was refused, if its signature was verified.
func printOwner(_ context.Context, failure guard.Failure) guard.Response {
	if failure.Identity.Subject != "" {
		fmt.Printf("a token of %s was refused: %v\n", failure.Identity.Subject, failure.Err)
	}
	return failure.Response
}
