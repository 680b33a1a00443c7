package audit_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/oapi-guard/oapi-guard/internal/audit"
	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// The documents that the pairs are made of.
const (
	reference = "../../api.yaml"
	routers   = "../../crosstest/api/spec.yaml"
	rules     = "../codegen/testdata/rules/spec.yaml"
)

// edit changes a value of a document. at has the keys to it, with | between them. to is YAML, or "" to
// remove the value.
type edit struct{ at, to string }

// pair is two versions of a document. Before and after are edits of the document in the repository.
type pair struct {
	name, document string
	before, after  []edit
	operation      string
	want           audit.Kind
	// text is part of a reason.
	text string
	// others is how many other operations change in the same way.
	others int
}

// pairs has a pair for each way to change one operation. A scheme that one operation requires counts
// as a part of it.
var pairs = []pair{
	// Alternatives.
	{name: "an alternative is added", document: reference, operation: "GET /reports", want: audit.Weaker, text: "accepted too: basic",
		after: []edit{{"paths|/reports|get|security|2", "{basic: []}"}}},
	{name: "an alternative is removed", document: reference, operation: "GET /reports", want: audit.Stronger, text: "no longer accepted: apiKey",
		after: []edit{{"paths|/reports|get|security|1", ""}}},
	{name: "an alternative is replaced by another", document: routers, operation: "GET /key", want: audit.Weaker, text: "accepted too: basic",
		after: []edit{{"paths|/key|get|security", "[basic: []]"}}},
	{name: "alternatives change their order", document: reference, operation: "GET /reports", want: audit.Same,
		after: []edit{{"paths|/reports|get|security", "[{apiKey: []}, {oauth: [reports]}]"}}},
	{name: "a cookie is added as another place of the token", document: reference, operation: "DELETE /tokens/current", want: audit.Weaker, text: "accepted too: accessCookie",
		after: []edit{{"paths|/tokens/current|delete|security", "[access: [], accessCookie: []]"}}},
	{name: "a cookie is removed as another place of the token", document: reference, operation: "GET /protected", want: audit.Stronger,
		after: []edit{{"paths|/protected|get|security", "[access: []]"}}},
	{name: "an alternative is added that admits nobody else", document: routers, operation: "GET /key", want: audit.Same,
		after: []edit{{"paths|/key|get|security", "[{key: []}, {key: [], basic: []}]"}}},
	{name: "a scheme of an alternative is removed", document: reference, operation: "POST /reports", want: audit.Weaker, text: "no longer required: apiKey",
		after: []edit{{"paths|/reports|post|security", "[access: []]"}, {"paths|/reports|post|x-guard", ""}}},
	{name: "a scheme is added to an alternative", document: routers, operation: "GET /me", want: audit.Stronger, text: "required too: key",
		after: []edit{{"paths|/me|get|security", "[{access: [], key: []}]"}}},
	{name: "schemes that were required together become alternatives", document: routers, operation: "GET /both", want: audit.Weaker, text: "no longer required",
		after: []edit{{"paths|/both|get|security", "[access: [], key: []]"}}},
	{name: "alternatives become required together", document: routers, operation: "GET /either", want: audit.Stronger,
		after: []edit{{"paths|/either|get|security", "[{access: [], key: []}]"}}},

	// Anonymous callers.
	{name: "anonymous callers are admitted", document: reference, operation: "GET /protected", want: audit.Weaker, text: "anonymous callers are admitted",
		after: []edit{{"paths|/protected|get|security|2", "{}"}}},
	{name: "anonymous callers are not admitted any more", document: reference, operation: "GET /greeting", want: audit.Stronger,
		after: []edit{{"paths|/greeting|get|security", "[access: []]"}}},
	{name: "an operation becomes public", document: reference, operation: "DELETE /sessions/{id}", want: audit.Weaker, text: "no credential is checked",
		after: []edit{{"paths|/sessions/{id}|delete|security", "[]"}}},
	{name: "an optional operation becomes public", document: reference, operation: "GET /greeting", want: audit.Weaker,
		after: []edit{{"paths|/greeting|get|security", "[]"}}},
	{name: "a public operation gets a requirement", document: reference, operation: "POST /login", want: audit.Stronger, text: "a credential is checked: basic",
		after: []edit{{"paths|/login|post|security", "[basic: []]"}}},
	{name: "another credential is accepted beside anonymous callers", document: routers, operation: "GET /optional", want: audit.Weaker,
		after: []edit{{"paths|/optional|get|security|2", "{key: []}"}}},
	{name: "the credential beside anonymous callers needs less", document: routers, operation: "GET /optional", want: audit.Weaker, text: "admitted too: role B",
		before: []edit{{"paths|/optional|get|x-guard", "{roles: {allow: [A]}}"}},
		after:  []edit{{"paths|/optional|get|x-guard", "{roles: {allow: [A, B]}}"}}},

	// Lists.
	{name: "a scope is removed", document: routers, operation: "GET /report", want: audit.Weaker, text: "no longer required: scope report of oauth",
		after: []edit{{"paths|/report|get|security|0", "{oauth: [read]}"}}},
	{name: "a scope is added", document: routers, operation: "GET /report", want: audit.Stronger, text: "required: scope admin of oauth",
		after: []edit{{"paths|/report|get|security|1", "{oauth: [admin, read]}"}, {"paths|/report|get|security|0", "{oauth: [read, report, admin]}"}}},
	{name: "a scope is replaced by another", document: reference, operation: "GET /reports", want: audit.Weaker, text: "no longer required: scope reports of oauth",
		after: []edit{{"paths|/reports|get|security|0", "{oauth: [other]}"}}},
	{name: "scopes change their order", document: routers, operation: "GET /report", want: audit.Same,
		after: []edit{{"paths|/report|get|security|0", "{oauth: [report, read]}"}}},

	// Rules.
	{name: "the list of allowed roles grows", document: reference, operation: "GET /admin/users", want: audit.Weaker, text: "admitted too: role SUPPORT",
		after: []edit{{"paths|/admin/users|get|x-guard|roles|allow|1", "SUPPORT"}}},
	{name: "the list of allowed roles shrinks", document: rules, operation: "GET /seconds", want: audit.Stronger, text: "no longer admitted: role A",
		after: []edit{{"paths|/seconds|get|x-guard|roles|allow|0", ""}}},
	{name: "an allowed role is replaced", document: reference, operation: "GET /admin/users", want: audit.Weaker, text: "no longer required: role ADMIN",
		after: []edit{{"paths|/admin/users|get|x-guard|roles|allow", "[OWNER]"}}},
	{name: "the rule about roles is removed", document: reference, operation: "GET /admin/users", want: audit.Weaker, text: "no longer required: role ADMIN",
		after: []edit{{"paths|/admin/users|get|x-guard", ""}}},
	{name: "a rule about roles is added", document: reference, operation: "GET /protected", want: audit.Stronger, text: "required: role ADMIN",
		after: []edit{{"paths|/protected|get|x-guard", "{roles: {allow: [ADMIN]}}"}}},
	{name: "the list of denied roles shrinks", document: rules, operation: "GET /document", want: audit.Weaker, text: "no longer denied: role GUEST",
		before: []edit{{"paths|/document|get|x-guard", "{roles: {deny: [SUSPENDED, GUEST]}}"}}},
	{name: "the list of denied roles grows", document: rules, operation: "GET /document", want: audit.Stronger, text: "denied: role GUEST",
		after: []edit{{"paths|/document|get|x-guard", "{roles: {deny: [SUSPENDED, GUEST]}}"}}},
	{name: "roles are denied that were not allowed", document: reference, operation: "GET /admin/users", want: audit.Weaker, text: "no longer required: role ADMIN",
		after: []edit{{"paths|/admin/users|get|x-guard", "{roles: {deny: [GUEST]}}"}}},
	{name: "a role moves from the rule to the requirement", document: routers, operation: "GET /key", want: audit.Same,
		before: []edit{{"openapi", "3.1.0"}, {"paths|/key|get|x-guard", "{roles: {allow: [A]}}"}},
		after:  []edit{{"openapi", "3.1.0"}, {"paths|/key|get|security", "[key: [A]]"}}},
	{name: "a fresh token is not required any more", document: reference, operation: "PUT /email", want: audit.Weaker, text: "no longer required: a fresh token",
		after: []edit{{"paths|/email|put|x-guard", ""}}},
	{name: "a fresh token is replaced by an age", document: reference, operation: "PUT /email", want: audit.Weaker, text: "no longer required: a fresh token",
		after: []edit{{"paths|/email|put|x-guard|fresh", "5m"}}},
	{name: "the authentication may be older", document: reference, operation: "DELETE /admin/users/{username}/sessions", want: audit.Weaker, text: "the authentication may be 1h old, not 15m",
		after: []edit{{"paths|/admin/users/{username}/sessions|delete|x-guard|fresh", "1h"}}},
	{name: "the authentication may be less old", document: reference, operation: "DELETE /admin/users/{username}/sessions", want: audit.Stronger, text: "at most 1m30s old",
		after: []edit{{"paths|/admin/users/{username}/sessions|delete|x-guard|fresh", "90s"}}},
	{name: "the same age in other words", document: reference, operation: "DELETE /admin/users/{username}/sessions", want: audit.Same,
		after: []edit{{"paths|/admin/users/{username}/sessions|delete|x-guard|fresh", "900s"}}},
	{name: "immediate revocation is removed", document: reference, operation: "PUT /password", want: audit.Weaker, text: "immediate revocation",
		before: []edit{{"paths|/password|put|x-guard", "{revocation: immediate}"}}},
	{name: "immediate revocation is added", document: reference, operation: "PUT /password", want: audit.Stronger, text: "immediate revocation",
		after: []edit{{"paths|/password|put|x-guard", "{revocation: immediate}"}}},
	{name: "the token is not watched any more", document: reference, operation: "GET /events", want: audit.Weaker, text: "watched",
		after: []edit{{"paths|/events|get|x-guard", ""}}},
	{name: "one rule is stricter and another one is removed", document: reference, operation: "DELETE /admin/users/{username}/sessions", want: audit.Weaker, text: "no longer required: role ADMIN",
		after: []edit{{"paths|/admin/users/{username}/sessions|delete|x-guard", "{fresh: 1m}"}}},

	// Schemes.
	{name: "another type of token", document: routers, operation: "POST /tokens", want: audit.Weaker, text: "token type access in place of refresh",
		before: []edit{{"paths|/tokens|post|security", "[other: []]"}, {"components|securitySchemes|other", "{type: apiKey, in: header, name: X-Token, x-guard: {token: refresh}}"}},
		after:  []edit{{"paths|/tokens|post|security", "[other: []]"}, {"components|securitySchemes|other", "{type: apiKey, in: header, name: X-Token, x-guard: {token: access}}"}}},
	{name: "another verifier", document: reference, operation: "GET /reports", want: audit.Weaker, text: "verifier partner in place of none",
		after: []edit{{"components|securitySchemes|oauth|x-guard", "{token: partner, verifier: partner}"}}},
	{name: "a token becomes opaque", document: reference, operation: "GET /reports", want: audit.Weaker, text: "cannot be compared",
		after: []edit{{"components|securitySchemes|oauth|x-guard", "{opaque: true}"}}},
	{name: "a key comes in the query", document: routers, operation: "POST /key", want: audit.Weaker, text: "place query token in place of query key",
		after: []edit{{"components|securitySchemes|keyQuery|name", "token"}}},
	{name: "a password in place of a digest", document: routers, operation: "GET /digest", want: audit.Weaker, text: "cannot be compared",
		after: []edit{{"components|securitySchemes|digest|scheme", "basic"}}},
	{name: "the CSRF token may come in a form", document: routers, operation: "POST /form", want: audit.Weaker, text: "in a form too",
		before: []edit{{"components|securitySchemes|formCookie|x-guard", "{token: access}"}}},
	{name: "the CSRF token has to come in a header", document: routers, operation: "POST /form", want: audit.Stronger, text: "in a header",
		after: []edit{{"components|securitySchemes|formCookie|x-guard", "{token: access}"}}},
	{name: "a scheme of tokens has another name", document: routers, operation: "POST /form", want: audit.Same,
		after: []edit{{"components|securitySchemes|renamed", "{type: apiKey, in: cookie, name: form_token, x-guard: {token: access, csrf: form}}"}, {"paths|/form|post|security", "[renamed: []]"}}},
	{name: "bearer becomes oauth2 with the same tokens", document: routers, operation: "GET /me", want: audit.Same,
		after: []edit{{"paths|/me|get|security", "[oauth: []]"}}},

	// The claims are those of all operations that take the token.
	{name: "a claim is not required any more", document: reference, operation: "GET /protected", want: audit.Weaker, text: "the claims of", others: 12,
		after: []edit{{"components|schemas|UserClaims|required", ""}}},
	{name: "a claim is required", document: reference, operation: "GET /protected", want: audit.Stronger, text: "the claims of", others: 12,
		after: []edit{{"components|schemas|UserClaims|properties|team", "{type: string}"}, {"components|schemas|UserClaims|required", "[name, team]"}}},
	{name: "the claims have another description", document: reference, operation: "GET /protected", want: audit.Same,
		after: []edit{{"components|schemas|UserClaims|description", "other"}, {"components|schemas|UserClaims|properties|name|description", "other"}}},

	// Identity.
	{name: "another operationId", document: reference, operation: "GET /protected", want: audit.Same,
		after: []edit{{"paths|/protected|get|operationId", "other"}}},
	{name: "another name of a parameter in the path", document: reference, operation: "DELETE /sessions/{session}", want: audit.Same,
		after: []edit{{"paths|/sessions/{session}", "{delete: {operationId: endSession, security: [access: [], accessCookie: []], parameters: [{name: session, in: path, required: true, schema: {type: string}}], responses: {'204': {description: done}}}}"},
			{"paths|/sessions/{id}", ""}}},
	{name: "a new operation", document: reference, operation: "GET /new", want: audit.New,
		after: []edit{{"paths|/new", "{get: {operationId: new, responses: {'204': {description: done}}}}"}}},
	{name: "a new public operation", document: reference, operation: "GET /new", want: audit.New, text: "anonymous callers reach",
		after: []edit{{"paths|/new", "{get: {operationId: new, security: [], responses: {'204': {description: done}}}}"}}},
	{name: "an operation is gone", document: reference, operation: "GET /events", want: audit.Gone,
		after: []edit{{"paths|/events", ""}}},
}

// TestPairs compares pairs of documents, each of which changes one operation. It checks that every
// weaker one is found and that no other operation is reported.
func TestPairs(t *testing.T) {
	t.Parallel()
	weaker := 0
	for _, tt := range pairs {
		t.Run(tt.name, func(t *testing.T) {
			c := audit.Compare(list(t, tt.document, tt.before), list(t, tt.document, tt.after))
			if tt.want == audit.Same {
				if len(c.Changes) > 0 {
					t.Errorf("a change was invented: %+v", c.Changes)
				}
				return
			}
			if len(c.Changes) != 1+tt.others {
				t.Errorf("%d operations changed, want %d", len(c.Changes), 1+tt.others)
			}
			for _, change := range c.Changes {
				if change.Kind != tt.want {
					t.Errorf("%s %s is %s, want %s: %v", change.Method, change.Path, change.Kind, tt.want, change.Reasons)
				}
			}
			checkChange(t, c, tt)
			fails := tt.want == audit.Weaker || tt.want == audit.New && tt.text != ""
			if c.Weaker() != fails {
				t.Errorf("the check fails: %t, want %t", c.Weaker(), fails)
			}
		})
		if tt.want == audit.Weaker {
			weaker++
		}
	}
	if weaker < 20 || len(pairs) < 40 {
		t.Errorf("%d pairs, %d of them weaker", len(pairs), weaker)
	}
}

// checkChange checks the operation that a pair names.
func checkChange(t *testing.T, c *audit.Comparison, tt pair) {
	t.Helper()
	for _, change := range c.Changes {
		if change.Method+" "+change.Path != tt.operation {
			continue
		}
		var texts []string
		for _, r := range change.Reasons {
			texts = append(texts, string(r.Kind)+" "+r.Text)
			if tt.want == audit.Stronger && r.Kind != audit.Stronger {
				t.Errorf("a reason of a stronger operation is %s: %s", r.Kind, r.Text)
			}
		}
		if all := strings.Join(texts, "\n"); !strings.Contains(all, tt.text) {
			t.Errorf("the reasons are\n%s\nwant %q", all, tt.text)
		}
		return
	}
	t.Errorf("%s is not among the changes", tt.operation)
}

// TestDefault checks what an operation without security requires: nothing, where the document's own
// security is removed. The operations that inherit it are weaker too.
func TestDefault(t *testing.T) {
	t.Parallel()
	before := list(t, reference, nil)
	c := audit.Compare(before, list(t, reference, []edit{{"security", ""}, {"paths|/admin/users|get|x-guard", ""}}))
	if c.Default == nil || !c.Default.Weaker || !c.Weaker() {
		t.Fatalf("the default is %+v", c.Default)
	}
	inherited := 0
	for _, change := range c.Changes {
		if change.Kind != audit.Weaker || change.Reasons[0].Text != "no credential is checked any more" {
			t.Errorf("%s %s is %s: %v", change.Method, change.Path, change.Kind, change.Reasons)
		}
		inherited++
	}
	if inherited != 2 {
		t.Errorf("%d operations inherit the security of the document, want 2", inherited)
	}
	// Nobody inherits it.
	explicit := []edit{{"paths|/tokens/current|delete|security", "[access: []]"}, {"paths|/admin/users|get|security", "[access: []]"}}
	c = audit.Compare(before, list(t, reference, append(explicit, edit{"security", ""})))
	if len(c.Changes) != 0 || c.Default == nil || !c.Weaker() {
		t.Errorf("changes %+v, default %+v", c.Changes, c.Default)
	}
	c = audit.Compare(list(t, rules, nil), list(t, rules, []edit{{"x-guard|roles|deny|1", "GUEST"}, {"paths|/from-config|get|x-guard", "{}"}}))
	if c.Default == nil || c.Default.Kind != audit.Stronger {
		t.Errorf("the default is %+v", c.Default)
	}
}

// list returns what a document says after edits.
func list(t *testing.T, document string, edits []edit) *codegen.Listing {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	for _, e := range edits {
		var to any
		if e.to != "" {
			if err := yaml.Unmarshal([]byte(e.to), &to); err != nil {
				t.Fatal(err)
			}
		}
		value = change(t, value, strings.Split(e.at, "|"), to, e.to == "")
	}
	if text, err = yaml.Marshal(value); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "spec.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := codegen.List(&codegen.Config{Spec: file})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// change returns a value with another value at its keys.
func change(t *testing.T, value any, keys []string, to any, remove bool) any {
	t.Helper()
	key, last := keys[0], len(keys) == 1
	switch value := value.(type) {
	case map[string]any:
		_, exists := value[key]
		switch {
		case last && remove:
			if !exists {
				t.Fatalf("there is no %s to remove", key)
			}
			delete(value, key)
		case last:
			value[key] = to
		default:
			value[key] = change(t, value[key], keys[1:], to, remove)
		}
		return value
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i > len(value) {
			t.Fatalf("%s is no index of %v", key, value)
		}
		switch {
		case last && remove:
			return append(value[:i:i], value[i+1:]...)
		case last && i == len(value):
			return append(value, to)
		case last:
			value[i] = to
		default:
			value[i] = change(t, value[i], keys[1:], to, remove)
		}
		return value
	}
	t.Fatalf("there is no %s", key)
	return nil
}
