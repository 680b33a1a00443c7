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

// TestTable sends the same requests to every router, which has to answer them in the same way.
func TestTable(t *testing.T) {
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
		// seen is the operation and the token that the handler saw.
		seen string
	}{
		{"GET /public", nil, "", 200, "GetPublic"},
		{"GET /public", []string{"Authorization: Bearer x"}, "", 200, "GetPublic"},
		{"GET /me", nil, "", 401, ""},
		{"GET /me", []string{access}, "", 200, "GetMe access alice"},
		{"GET /me", []string{refresh}, "", 401, ""},
		{"GET /me", []string{"Authorization: Bearer x"}, "", 401, ""},
		{"GET /me", []string{"Authorization: Basic eDp5"}, "", 401, ""},
		{"GET /me", []string{access, access}, "", 400, ""},
		{"GET /me", []string{cookie}, "", 401, ""},
		{"GET /optional", nil, "", 200, "GetOptional"},
		{"GET /optional", []string{access}, "", 200, "GetOptional access alice"},
		{"GET /optional", []string{"Authorization: Bearer x"}, "", 401, ""},
		{"GET /optional", []string{"Authorization: Basic eDp5"}, "", 401, ""},
		{"POST /tokens", []string{refresh}, "", 200, "PostTokens refresh alice"},
		{"POST /tokens", []string{access}, "", 401, ""},
		{"GET /resource", []string{access}, "", 200, "GetResource access alice"},
		{"GET /resource", []string{refresh}, "", 401, ""},
		{"HEAD /resource", []string{refresh}, "", 200, ""},
		{"HEAD /resource", []string{access}, "", 401, ""},
		{"HEAD /resource", nil, "", 401, ""},
		// The concrete path is another operation than the one with the parameter.
		{"GET /items/mine", []string{refresh}, "", 200, "GetMyItems refresh alice"},
		{"GET /items/mine", []string{access}, "", 401, ""},
		// Credentials are looked at before parameters are.
		{"GET /items/7?limit=5", []string{access}, "", 200, `GetItem access alice {"id":7,"Params":{"limit":5}}`},
		{"GET /items/x", nil, "", 401, ""},
		{"GET /items/x", []string{access}, "", 400, ""},
		{"GET /items/7?limit=x", nil, "", 401, ""},
		{"GET /items/7?limit=x", []string{access}, "", 400, ""},
		{"GET /items/7", []string{access, "X-Trace: x"}, "", 400, ""},
		{"PUT /items/7", []string{jsonBody}, `{"title":`, 401, ""},
		{"PUT /items/7", []string{jsonBody, access}, `{"title":`, 400, ""},
		{"PUT /items/7", []string{jsonBody, access}, `{"title":"a"}`, 200, `PutItem access alice {"id":7,"Body":{"title":"a"}}`},
		{"DELETE /items/7", []string{access}, "", 403, ""},
		{"DELETE /items/7", []string{admin}, "", 200, `DeleteItem access root {"id":7}`},
		{"GET /names/a%20b", []string{access}, "", 200, `GetName access alice {"name":"a b"}`},
		{"GET /alias/b", []string{access}, "", 200, `GetName access alice {"name":"b"}`},
		{"GET /alias/b", nil, "", 401, ""},
		{"PATCH /email", []string{access}, "", 401, ""},
		{"PATCH /email", []string{freshAccess}, "", 200, "PatchEmail access alice"},
		{"GET /recent", []string{old}, "", 401, ""},
		{"GET /recent", []string{access}, "", 200, "GetRecent access alice"},
		{"GET /report", []string{access}, "", 403, ""},
		{"GET /report", []string{scoped}, "", 200, "GetReport access alice"},
		{"OPTIONS /settings", []string{access}, "", 200, "OptionsSettings access alice"},
		{"OPTIONS /settings", nil, "", 401, ""},
		{"GET /anywhere", []string{cookie}, "", 200, "GetAnywhere access carol"},
		{"GET /anywhere", []string{"Cookie: a=b; access_token=" + csrf.Text() + "; access_token=x"}, "", 400, ""},
		{"GET /anywhere", []string{access, cookie}, "", 200, "GetAnywhere access alice"},
		{"GET /anywhere?access_token=" + csrf.Text(), nil, "", 200, "GetAnywhere access carol"},
		{"GET /anywhere?access_token=" + csrf.Text(), []string{cookie}, "", 400, ""},
		{"GET /anywhere?access_token=x&access_token=y", nil, "", 400, ""},
		{"POST /anywhere", []string{cookie}, "", 403, ""},
		{"POST /anywhere", []string{cookie, repeated}, "", 200, "PostAnywhere access carol"},
		{"POST /anywhere", []string{cookie, repeated, crossSite}, "", 403, ""},
		{"POST /anywhere", []string{cookie, repeated, "Origin: https://other.example"}, "", 403, ""},
		{"POST /form", []string{formCookie, form}, "title=a", 403, ""},
		{"POST /form", []string{formCookie, form}, "title=a&csrf_token=" + formToken.CSRF(), 200, "PostForm access carol"},
		{"POST /form", []string{formCookie, form}, "title=" + strings.Repeat("a", 65<<10) + "&csrf_token=" + formToken.CSRF(), 400, ""},
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
				t.Errorf("%s: the handler saw %q, want %q", tt.request, seen, tt.seen)
			}
			if got.seen.Context != got.seen.Subject {
				t.Errorf("%s: the handler got a token of %q, and %q stands on its context", tt.request, got.seen.Subject, got.seen.Context)
			}
		}
	})
}
