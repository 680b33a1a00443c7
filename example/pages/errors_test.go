package pages

import (
	"context"
	"errors"
	"fmt"
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
