package crosstest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oapi-guard/oapi-guard/crosstest/service"
	"github.com/oapi-guard/oapi-guard/security"
)

// eachRouter runs a test on every router.
func eachRouter(t *testing.T, test func(*testing.T, Router)) {
	for _, r := range Routers {
		t.Run(r.Name, func(t *testing.T) { test(t, r) })
	}
}

// TestSameAnswersOnEveryRouter sends the same requests to every router. All must answer them in the
// same way.
func TestSameAnswersOnEveryRouter(t *testing.T) {
	f := newFixture(t)
	fresh, role := security.WithFresh(), security.WithRoles("ADMIN")
	access := "Authorization: " + f.bearer(accessType, "alice")
	freshAccess := "Authorization: " + f.bearer(accessType, "alice", fresh)
	admin := "Authorization: " + f.bearer(accessType, "root", role)
	scoped := "Authorization: " + f.bearer(accessType, "alice", security.WithScopes("report", "read"))
	old := "Authorization: " + f.bearer(accessType, "alice", security.WithSessionStart(time.Now().Add(-time.Hour)))
	refresh := "Authorization: " + f.bearer(refreshType, "alice")
	csrf := f.token(accessType, "carol", security.WithCSRF())
	cookie := "Cookie: access_token=" + csrf.Text()
	repeated := "X-CSRF-Token: " + csrf.CSRF()
	crossSite := "Sec-Fetch-Site: cross-site"
	const form = "Content-Type: application/x-www-form-urlencoded"
	formToken := f.token(accessType, "carol", security.WithCSRF())
	formCookie := "Cookie: form_token=" + formToken.Text()
	const jsonBody = "Content-Type: application/json"

	rows := []struct {
		request string
		fields  []string
		body    string
		status  int
		// seen is the operation and the token that the handler got.
		seen string
	}{
		{request: "GET /public", status: 200, seen: "GetPublic"},
		{request: "GET /public", fields: []string{"Authorization: Bearer x"}, status: 200, seen: "GetPublic"},
		{request: "GET /me", status: 401},
		{request: "GET /me", fields: []string{access}, status: 200, seen: "GetMe access alice"},
		{request: "GET /me", fields: []string{refresh}, status: 401},
		{request: "GET /me", fields: []string{"Authorization: Bearer x"}, status: 401},
		{request: "GET /me", fields: []string{"Authorization: Basic eDp5"}, status: 401},
		{request: "GET /me", fields: []string{access, access}, status: 400},
		{request: "GET /me", fields: []string{cookie}, status: 401},
		{request: "GET /optional", status: 200, seen: "GetOptional"},
		{request: "GET /optional", fields: []string{access}, status: 200, seen: "GetOptional access alice"},
		{request: "GET /optional", fields: []string{"Authorization: Bearer x"}, status: 401},
		{request: "GET /optional", fields: []string{"Authorization: Basic eDp5"}, status: 401},
		{request: "POST /tokens", fields: []string{refresh}, status: 200, seen: "PostTokens refresh alice"},
		{request: "POST /tokens", fields: []string{access}, status: 401},
		{request: "GET /resource", fields: []string{access}, status: 200, seen: "GetResource access alice"},
		{request: "GET /resource", fields: []string{refresh}, status: 401},
		{request: "HEAD /resource", fields: []string{refresh}, status: 200},
		{request: "HEAD /resource", fields: []string{access}, status: 401},
		{request: "HEAD /resource", status: 401},
		// The concrete path is another operation than the one with the parameter.
		{request: "GET /items/mine", fields: []string{refresh}, status: 200, seen: "GetMyItems refresh alice"},
		{request: "GET /items/mine", fields: []string{access}, status: 401},
		// Credentials are checked before parameters.
		{request: "GET /items/7?limit=5", fields: []string{access}, status: 200, seen: `GetItem access alice {"id":7,"Params":{"limit":5}}`},
		{request: "GET /items/x", status: 401},
		{request: "GET /items/x", fields: []string{access}, status: 400},
		{request: "GET /items/7?limit=x", status: 401},
		{request: "GET /items/7?limit=x", fields: []string{access}, status: 400},
		{request: "GET /items/7", fields: []string{access, "X-Trace: x"}, status: 400},
		{request: "PUT /items/7", fields: []string{jsonBody}, body: `{"title":`, status: 401},
		{request: "PUT /items/7", fields: []string{jsonBody, access}, body: `{"title":`, status: 400},
		{
			request: "PUT /items/7", fields: []string{jsonBody, access}, body: `{"title":"a"}`, status: 200,
			seen: `PutItem access alice {"id":7,"Body":{"title":"a"}}`,
		},
		{request: "DELETE /items/7", fields: []string{access}, status: 403},
		{request: "DELETE /items/7", fields: []string{admin}, status: 200, seen: `DeleteItem access root {"id":7}`},
		{request: "GET /names/a%20b", fields: []string{access}, status: 200, seen: `GetName access alice {"name":"a b"}`},
		{request: "GET /alias/b", fields: []string{access}, status: 200, seen: `GetName access alice {"name":"b"}`},
		{request: "GET /alias/b", status: 401},
		{request: "PATCH /email", fields: []string{access}, status: 401},
		{request: "PATCH /email", fields: []string{freshAccess}, status: 200, seen: "PatchEmail access alice"},
		{request: "GET /recent", fields: []string{old}, status: 401},
		{request: "GET /recent", fields: []string{access}, status: 200, seen: "GetRecent access alice"},
		{request: "GET /report", fields: []string{access}, status: 403},
		{request: "GET /report", fields: []string{scoped}, status: 200, seen: "GetReport access alice"},
		{request: "OPTIONS /settings", fields: []string{access}, status: 200, seen: "OptionsSettings access alice"},
		{request: "OPTIONS /settings", status: 401},
		{request: "GET /anywhere", fields: []string{cookie}, status: 200, seen: "GetAnywhere access carol"},
		{request: "GET /anywhere", fields: []string{"Cookie: a=b; access_token=" + csrf.Text() + "; access_token=x"}, status: 200, seen: "GetAnywhere access carol"},
		{request: "GET /anywhere", fields: []string{access, cookie}, status: 200, seen: "GetAnywhere access alice"},
		{request: "GET /anywhere?access_token=" + csrf.Text(), status: 200, seen: "GetAnywhere access carol"},
		{request: "GET /anywhere?access_token=" + csrf.Text(), fields: []string{cookie}, status: 400},
		{request: "GET /anywhere?access_token=x&access_token=y", status: 400},
		{request: "POST /anywhere", fields: []string{cookie}, status: 403},
		{request: "POST /anywhere", fields: []string{cookie, repeated}, status: 200, seen: "PostAnywhere access carol"},
		{request: "POST /anywhere", fields: []string{cookie, repeated, crossSite}, status: 403},
		{request: "POST /anywhere", fields: []string{cookie, repeated, "Origin: https://other.example"}, status: 403},
		{request: "POST /form", fields: []string{formCookie, form}, body: "title=a", status: 403},
		{
			request: "POST /form", fields: []string{formCookie, form}, body: "title=a&csrf_token=" + formToken.CSRF(),
			status: 200, seen: "PostForm access carol",
		},
		{
			request: "POST /form", fields: []string{formCookie, form},
			body: "title=" + strings.Repeat("a", 65<<10) + "&csrf_token=" + formToken.CSRF(), status: 400,
		},
	}
	eachRouter(t, func(t *testing.T, r Router) {
		c := f.start(t, r, service.Server{}, Options{})
		for _, tt := range rows {
			got := c.send(tt.request, tt.body, tt.fields...)
			if got.status != tt.status {
				t.Errorf("%s %q: status %d, want %d: %s", tt.request, tt.fields, got.status, tt.status, got.body)
			}
			if got.status == http.StatusUnauthorized && len(got.header["Www-Authenticate"]) == 0 {
				t.Errorf("%s: no challenge", tt.request)
			}
			if inQuery := strings.Contains(tt.request, "?access_token="); got.status == 200 && inQuery != (got.header.Get("Cache-Control") == "private, no-store") {
				t.Errorf("%s: Cache-Control %q", tt.request, got.header.Get("Cache-Control"))
			}
			seen := fmt.Sprint(got.seen.Operation, " ", got.seen.Type, " ", got.seen.Subject, " ", string(got.seen.Request))
			if !strings.HasPrefix(seen, tt.seen) || tt.seen == "" && got.seen.Operation != "" {
				t.Errorf("%s: the handler got %q, want %q", tt.request, seen, tt.seen)
			}
			if got.seen.Context != got.seen.Subject {
				t.Errorf("%s: the handler got a token of %q, and its context has one of %q", tt.request, got.seen.Subject, got.seen.Context)
			}
		}
	})
}
