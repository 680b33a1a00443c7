package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/oapi-guard/oapi-guard/gen"
	"github.com/oapi-guard/oapi-guard/security/guard"
)

// response returns the response of the document.
func (e *tooManyFailures) response() gen.TooManyRequestsApplicationProblemPlusJSONResponse {
	detail := "Too many failed log-ins. Try again later."
	return gen.TooManyRequestsApplicationProblemPlusJSONResponse{
		Body:    gen.Problem{Title: "Too Many Requests", Status: http.StatusTooManyRequests, Detail: &detail},
		Headers: gen.TooManyRequestsResponseHeaders{RetryAfter: int(e.retryAfter / time.Second), CacheControl: "no-store"},
	}
}

// answerTooMany is the error handler of the guards. Package security has no status for too many
// failures, so the error of the authenticator is ErrInvalidCredentials with the cause. All other
// responses stay as they are.
func answerTooMany(_ context.Context, failure guard.Failure) guard.Response {
	tooMany, ok := errors.AsType[*tooManyFailures](failure.Err)
	if !ok {
		return failure.Response
	}
	response := tooMany.response()
	body, err := json.Marshal(response.Body)
	if err != nil {
		return failure.Response
	}
	return guard.Response{Status: http.StatusTooManyRequests, Body: body, Header: http.Header{
		"Content-Type":  {"application/problem+json"},
		"Cache-Control": {response.Headers.CacheControl},
		"Retry-After":   {strconv.Itoa(response.Headers.RetryAfter)},
	}}
}

// refuseCrossOrigin responds to a request that a page of another origin made a browser send.
func refuseCrossOrigin(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusForbidden)
	detail := "The request comes from another origin."
	_ = json.NewEncoder(w).Encode(gen.Problem{Title: "Forbidden", Status: http.StatusForbidden, Detail: &detail}) // the client may be gone
}
