package kinopenapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

const (
	asJSON = "Content-Type: application/json"
	asForm = "Content-Type: application/x-www-form-urlencoded"
)

// at makes a list of violations of fields of three words: place, name, rule. The name "-" is that
// of the whole body.
func at(fields ...string) []guard.Violation {
	var list []guard.Violation
	for _, field := range fields {
		words := strings.Fields(field)
		list = append(list, guard.Violation{In: words[0], Name: strings.TrimPrefix(words[1], "-"), Rule: words[2]})
	}
	return list
}

// TestParameters checks what the answer says of parameters that are not what the document says,
// over HTTP.
func TestParameters(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	url, saw := checked(t, document).serve(t, document)
	needed := []string{"X-Need: secret", "Cookie: need=secret"}
	for _, tt := range []struct {
		name, target string
		header       []string
		want         []guard.Violation
	}{
		{name: "nothing", target: "/items/x"},
		{
			name: "everything",
			target: "/items/x?limit=100&ratio=1e3&exact=true&since=2024-02-29&q=a+b&ids=1&ids=2&tags=new,old&colors=a|b&f[a][b]=1&f[c]=2" +
				"&either=1&any=true&json={\"x\":1}",
			header: []string{"X-Trace: abcd", "X-List: 1, 2", "Cookie: theme=dark"},
		},
		{name: "unknown parameters", target: "/items/x?what=secret&theme=secret", header: []string{"X-What: secret", "Cookie: what=secret"}},
		{name: "a header that OpenAPI ignores", target: "/items/x", header: []string{"Authorization: Basic secret"}},
		{name: "a longer path parameter", target: "/items/secretsecret", want: at("path item-id maxLength")},
		{name: "the operation's own parameter", target: "/items/x?limit=2"},
		{name: "minimum", target: "/items/x?limit=0", want: at("query limit minimum")},
		{name: "maximum", target: "/items/x?limit=101", want: at("query limit maximum")},
		{name: "no integer", target: "/items/x?limit=secret", want: at("query limit type")},
		{name: "a broken number", target: "/items/x?limit=1.5", want: at("query limit type")},
		{name: "over int32", target: "/items/x?limit=2147483648", want: at("query limit format")},
		{name: "over int64", target: "/items/x?ids=9223372036854775808", want: at("query ids format")},
		{name: "an empty integer", target: "/items/x?limit=", want: at("query limit allowEmptyValue")},
		{name: "NaN", target: "/items/x?ratio=NaN", want: at("query ratio type")},
		{name: "infinity", target: "/items/x?ratio=-Inf", want: at("query ratio type")},
		{name: "no boolean", target: "/items/x?exact=secret", want: at("query exact type")},
		{name: "no date", target: "/items/x?since=secret", want: at("query since format")},
		{name: "no day of the month", target: "/items/x?since=2024-02-32", want: at("query since format")},
		{name: "two rules", target: "/items/x?q=S", want: at("query q minLength")},
		{name: "too many items", target: "/items/x?ids=1&ids=2&ids=3&ids=4", want: at("query ids maxItems")},
		{name: "an item twice", target: "/items/x?ids=1&ids=1", want: at("query ids uniqueItems")},
		{name: "one item of a type", target: "/items/x?ids=1&ids=secret", want: at("query ids type")},
		{name: "an item of an enum, with commas", target: "/items/x?tags=new,secret", want: at("query tags enum")},
		{name: "too many items, with pipes", target: "/items/x?colors=a|secret|c", want: at("query colors maxItems")},
		{name: "a member of an object", target: "/items/x?f[c]=secret", want: at("query f type")},
		{name: "an unknown member of an object", target: "/items/x?f[secret]=1&f[c]=1"}, // kin-openapi does not decode it
		{name: "a value where an object belongs", target: "/items/x?f[a]=secret", want: at("query f type")},
		{name: "an object that is also a value", target: "/items/x?f[a]=secret&f[a][b]=2", want: at("query f style")},
		{name: "a value that is also an object", target: "/items/x?f[a][b][c]=1&f[a][b]=secret", want: at("query f style")},
		{name: "a deep object", target: "/items/x?f" + strings.Repeat("[a]", 33) + "=secret", want: at("query f style")},
		{name: "one of none", target: "/items/x?either=secret", want: at("query either oneOf")},
		{name: "any of none", target: "/items/x?any=secret", want: at("query any anyOf")},
		{name: "a parameter in JSON", target: "/items/x?json={\"x\":\"secret\"}", want: at("query json type")},
		{name: "a parameter in JSON without a member", target: "/items/x?json={}", want: at("query json required")},
		{name: "a parameter that is no JSON", target: "/items/x?json=secret", want: at("query json content")},
		{name: "a header", target: "/items/x", header: []string{"X-Trace: secret"}, want: at("header X-Trace maxLength")},
		{name: "a list in a header", target: "/items/x", header: []string{"X-List: 1, secret"}, want: at("header X-List type")},
		{name: "a cookie", target: "/items/x", header: []string{"Cookie: theme=secret"}, want: at("cookie theme enum")},
		{
			name: "all places", target: "/items/secretsecret?exact=secret",
			header: []string{"X-Trace: secret", "Cookie: theme=secret"},
			want:   at("path item-id maxLength", "query exact type", "header X-Trace maxLength", "cookie theme enum"),
		},

		{
			name: "nothing of what is needed", target: "/needs",
			want: at("query q required", "query json required", "header X-Need required", "cookie need required"),
		},
		{name: "all that is needed", target: "/needs?q=secret&json=1", header: needed},
		{name: "an empty value that is allowed", target: "/needs?q=secret&json=1&empty=", header: needed},
		{
			name: "a value where an empty one is allowed", target: "/needs?q=secret&json=1&empty=a", header: needed,
			want: at("query empty minLength"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, said := send(t, http.MethodGet, url+strings.ReplaceAll(tt.target, `"`, "%22"), "", tt.header...)
			status := http.StatusNoContent
			if tt.want != nil {
				status = http.StatusBadRequest
			}
			if response.StatusCode != status || !slices.Equal(said.Violations, tt.want) {
				t.Errorf("status %d %v, want %d %v", response.StatusCode, said.Violations, status, tt.want)
			}
			if ran := len(saw) > 0; ran != (tt.want == nil) {
				t.Errorf("the handler ran: %v", ran)
			}
			for len(saw) > 0 {
				<-saw
			}
		})
	}
}

// TestBodies does the same for bodies.
func TestBodies(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	url, saw := checked(t, document).serve(t, document)
	const part = "--b\r\nContent-Disposition: form-data; name="
	multipart := func(parts ...string) string { return part + strings.Join(parts, "\r\n"+part) + "\r\n--b--\r\n" }
	const asMultipart = "Content-Type: multipart/form-data; boundary=b"
	for _, tt := range []struct {
		name, route, contentType, body string
		status                         int
		want                           []guard.Violation
	}{
		{name: "a body", route: "POST /items", contentType: asJSON, body: `{"name":"secret"}`, status: 204},
		{name: "with a charset", route: "POST /items", contentType: asJSON + "; charset=utf-8", body: `{"name":"secret"}`, status: 204},
		{name: "in capitals", route: "POST /items", contentType: "Content-Type: Application/JSON", body: `{"name":"secret"}`, status: 204},
		{
			name: "with a suffix", route: "POST /items", contentType: "Content-Type: application/merge-patch+json",
			body: `{"name":"secretsecret"}`, status: 400, want: at("body /name maxLength"),
		},
		{
			name: "all of a body", route: "POST /items", contentType: asJSON,
			body: `{"name":"secret","kind":"good","price":0.01,"count":1,"note":null,"made":"2024-01-01T00:00:00Z",
			"contact":{"email":"secret"},"choice":true,"both":{"l":1,"r":1},"not":"secret","labels":{"secret":"abc"},"children":[{"name":"secret"}],"a/b~c":1}`,
			status: 204,
		},
		{name: "no body", route: "POST /items", contentType: asJSON, status: 400, want: at("body - required")},
		{name: "no body of no type", route: "POST /items", status: 400, want: at("body - required")},
		{name: "no body where none is needed", route: "PUT /notes", status: 204},
		{
			name: "another media type", route: "POST /items", contentType: "Content-Type: application/xml",
			body: "<secret/>", status: 415, want: at("body - content"),
		},
		{name: "no media type", route: "POST /items", body: `{"name":"secret"}`, status: 415, want: at("body - content")},
		{
			name: "no real media type", route: "POST /items", contentType: "Content-Type: secret",
			body: `{"name":"secret"}`, status: 415, want: at("body - content"),
		},
		{name: "no JSON", route: "POST /items", contentType: asJSON, body: `{"name":"secret"`, status: 400, want: at("body - content")},
		{name: "another type", route: "POST /items", contentType: asJSON, body: `["secret"]`, status: 400, want: at("body - type")},
		{name: "null", route: "POST /items", contentType: asJSON, body: `null`, status: 400, want: at("body - nullable")},
		{name: "a missing member", route: "POST /items", contentType: asJSON, body: `{}`, status: 400, want: at("body /name required")},
		{
			name: "an unknown member", route: "POST /items", contentType: asJSON, body: `{"name":"n","secret":1}`,
			status: 400, want: at("body - additionalProperties"),
		},
		{
			name: "a member of another case", route: "POST /items", contentType: asJSON,
			body: `{"name":"n","NAME":"secretsecret"}`, status: 400, want: at("body - additionalProperties"),
		},
		{
			name: "a read-only member", route: "POST /items", contentType: asJSON, body: `{"name":"n","id":"secret"}`,
			status: 400, want: at("body /id readOnly"),
		},
		{
			name: "enum", route: "POST /items", contentType: asJSON, body: `{"name":"n","kind":"secret"}`, status: 400,
			want: at("body /kind enum"),
		},
		{
			name: "exclusive minimum", route: "POST /items", contentType: asJSON, body: `{"name":"n","price":0}`,
			status: 400, want: at("body /price exclusiveMinimum"),
		},
		{
			name: "multiple of", route: "POST /items", contentType: asJSON, body: `{"name":"n","price":0.001}`,
			status: 400, want: at("body /price multipleOf"),
		},
		{
			name: "a number of a thousand digits", route: "POST /items", contentType: asJSON,
			body: `{"name":"n","price":` + strings.Repeat("9", 1000) + `}`, status: 400, want: at("body /price type"),
		},
		{
			name: "over int32", route: "POST /items", contentType: asJSON, body: `{"name":"n","count":2147483648}`,
			status: 400, want: at("body /count format"),
		},
		{
			name: "not nullable", route: "POST /items", contentType: asJSON, body: `{"name":null}`, status: 400,
			want: at("body /name nullable"),
		},
		{
			name: "no time", route: "POST /items", contentType: asJSON, body: `{"name":"n","made":"secret"}`, status: 400,
			want: at("body /made format"),
		},
		{
			name: "one of none", route: "POST /items", contentType: asJSON, body: `{"name":"n","contact":{"secret":1}}`,
			status: 400, want: at("body /contact oneOf"),
		},
		{
			name: "one of two", route: "POST /items", contentType: asJSON,
			body: `{"name":"n","contact":{"email":"secret","phone":"secret"}}`, status: 400,
			want: at("body /contact oneOf"),
		},
		{
			name: "any of none", route: "POST /items", contentType: asJSON, body: `{"name":"n","choice":"secret"}`,
			status: 400, want: at("body /choice anyOf"),
		},
		{
			name: "all of one", route: "POST /items", contentType: asJSON, body: `{"name":"n","both":{"r":"secret"}}`,
			status: 400, want: at("body /both/l required"),
		},
		{
			name: "all of none", route: "POST /items", contentType: asJSON, body: `{"name":"n","both":{}}`, status: 400,
			want: at("body /both/l required", "body /both/r required"),
		},
		{name: "not", route: "POST /items", contentType: asJSON, body: `{"name":"n","not":1}`, status: 400, want: at("body /not not")},
		{
			name: "a member of a map", route: "POST /items", contentType: asJSON,
			body: `{"name":"n","labels":{"l":"secret"}}`, status: 400, want: at("body /labels/l maxLength"),
		},
		{
			name: "a child of a child", route: "POST /items", contentType: asJSON,
			body: `{"name":"n","children":[{"name":"a"},{"name":"b","children":[{"name":""}]}]}`, status: 400,
			want: at("body /children/1/children/0/name minLength"),
		},
		{
			name: "a name to escape", route: "POST /items", contentType: asJSON, body: `{"name":"n","a/b~c":"secret"}`,
			status: 400, want: at("body /a~1b~0c type"),
		},
		{
			name: "several", route: "POST /items", contentType: asJSON, body: `{"name":"","kind":"secret","note":1}`,
			status: 400, want: at("body /kind enum", "body /name minLength", "body /note type"),
		},
		{
			name: "the alias of a path", route: "POST /v1/items", contentType: asJSON, body: `{"name":""}`, status: 400,
			want: at("body /name minLength"),
		},
		{name: "the alias of a path, rightly", route: "POST /v1/items", contentType: asJSON, body: `{"name":"secret"}`, status: 204},

		{name: "a text", route: "PUT /notes", contentType: "Content-Type: text/plain", body: "abcde", status: 204},
		{
			name: "a long text", route: "PUT /notes", contentType: "Content-Type: text/plain", body: "secret", status: 400,
			want: at("body - maxLength"),
		},

		{name: "a form", route: "POST /forms", contentType: asForm, body: "name=secret&age=1&ids=1&ids=2", status: 204},
		{
			name: "a form without a field", route: "POST /forms", contentType: asForm, body: "age=1", status: 400,
			want: at("body /name required"),
		},
		{
			name: "a form with a text for a number", route: "POST /forms", contentType: asForm,
			body: "name=secret&age=secret", status: 400, want: at("body /age type"),
		},
		{
			name: "a form with a text for numbers", route: "POST /forms", contentType: asForm,
			body: "name=secret&ids=1&ids=secret", status: 400, want: at("body /ids type"),
		},
		{name: "no form", route: "POST /forms", contentType: asForm, body: "name=%zzsecret", status: 400, want: at("body - content")},
		{
			name: "a form in parts", route: "POST /forms", contentType: asMultipart,
			body: multipart("file; filename=a\r\nContent-Type: image/png\r\n\r\nsecret", "age\r\n\r\n1",
				"meta\r\nContent-Type: application/json\r\n\r\n{\"x\":1}"),
			status: 204,
		},
		{
			name: "a part that lacks", route: "POST /forms", contentType: asMultipart, body: multipart("age\r\n\r\n1"),
			status: 400, want: at("body /file required"),
		},
		{
			name: "a part of a type", route: "POST /forms", contentType: asMultipart,
			body: multipart("file\r\n\r\nsecret", "age\r\n\r\nsecret"), status: 400, want: at("body /age type"),
		},
		{
			name: "a part in JSON", route: "POST /forms", contentType: asMultipart,
			body: multipart("file\r\n\r\nsecret", "meta\r\nContent-Type: application/json\r\n\r\n{}"), status: 400,
			want: at("body /meta/x required"),
		},
		{
			name: "a part that is no JSON", route: "POST /forms", contentType: asMultipart,
			body: multipart("file\r\n\r\nsecret", "meta\r\nContent-Type: application/json\r\n\r\nsecret"), status: 400,
			want: at("body /meta content"),
		},
		{
			name: "a part of a media type that is not decoded", route: "POST /forms", contentType: asMultipart,
			body: multipart("file\r\n\r\nsecret", "meta\r\nContent-Type: secret/x\r\n\r\nsecret"), status: 400,
			want: at("body /meta content"),
		},
		{
			name: "an unknown part", route: "POST /forms", contentType: asMultipart,
			body: multipart("file\r\n\r\nsecret", "secret\r\n\r\nsecret"), status: 400, want: at("body - content"),
		},
		{name: "no parts", route: "POST /forms", contentType: asMultipart, body: "secret", status: 400, want: at("body - content")},
		{
			name: "no boundary", route: "POST /forms", contentType: "Content-Type: multipart/form-data", body: "secret",
			status: 400, want: at("body - content"),
		},

		{name: "bytes", route: "PUT /files/a", contentType: "Content-Type: application/octet-stream", body: "\x00\xffsecret", status: 204},
		{
			name: "a parameter and the body", route: "PUT /files/secret",
			contentType: "Content-Type: application/octet-stream", status: 400,
			want: at("path name maxLength", "body - required"),
		},
		{
			name: "a parameter and the media type", route: "PUT /files/secret", contentType: asJSON, body: "1",
			status: 415, want: at("path name maxLength", "body - content"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.route, " ")
			var header []string
			if tt.contentType != "" {
				header = append(header, tt.contentType)
			}
			response, said := send(t, method, url+path, tt.body, header...)
			if response.StatusCode != tt.status || !slices.Equal(said.Violations, tt.want) {
				t.Errorf("status %d %v, want %d %v", response.StatusCode, said.Violations, tt.status, tt.want)
			}
			if ran := len(saw) > 0; ran != (tt.status == 204) {
				t.Errorf("the handler ran: %v", ran)
			}
			for len(saw) > 0 {
				if one := <-saw; one.body != tt.body {
					t.Errorf("the handler reads %q", one.body)
				}
			}
		})
	}
}

// TestJSONSchema2020 checks a document of OpenAPI 3.1, whose schemas another library checks.
func TestJSONSchema2020(t *testing.T) {
	document := load(t, "testdata/api31.yaml")
	url, saw := checked(t, document, kinopenapi.WithJSONSchema2020(4096)).serve(t, document)
	for _, tt := range []struct {
		name, target, body string
		want               []guard.Violation
	}{
		{
			name: "a thing", target: "/things?ratio=0.5&kind=good",
			body: `{"name":null,"size":1,"fixed":"x","pair":[1,"secret"],"either":1,"both":{"l":1,"r":1},"not":"secret","card":{},"made":"2024-01-01"}`,
		},
		{
			name: "parameters", target: "/things?ratio=0&kind=secret", body: `{"name":"secret","size":1}`,
			want: at("query kind enum", "query ratio exclusiveMinimum"),
		},
		{name: "no number", target: "/things?ratio=secret", body: `{"name":"secret","size":1}`, want: at("query ratio type")},
		{name: "NaN", target: "/things?ratio=NaN", body: `{"name":"secret","size":1}`, want: at("query ratio type")},
		{name: "a type", target: "/things", body: `"secret"`, want: at("body - type")},
		{name: "missing members", target: "/things", body: `{}`, want: at("body - required")},
		{
			name: "an unknown member", target: "/things", body: `{"name":"secret","size":1,"secret":1}`,
			want: at("body - additionalProperties"),
		},
		{
			name: "several", target: "/things", body: `{"name":"n","size":"secret","fixed":"secret"}`,
			want: at("body /fixed const", "body /name minLength", "body /size type"),
		},
		{name: "a pair", target: "/things", body: `{"name":"secret","size":1,"pair":["secret","x"]}`, want: at("body /pair/0 type")},
		{
			name: "more than a pair", target: "/things", body: `{"name":"secret","size":1,"pair":[1,"x","secret"]}`,
			want: at("body /pair/2 schema"),
		},
		{name: "one of none", target: "/things", body: `{"name":"secret","size":1,"either":"secret"}`, want: at("body /either oneOf")},
		{name: "all of none", target: "/things", body: `{"name":"secret","size":1,"both":{}}`, want: at("body /both required")},
		{name: "not", target: "/things", body: `{"name":"secret","size":1,"not":1}`, want: at("body /not schema")},
		{name: "none", target: "/things", body: `{"name":"secret","size":1,"none":1}`, want: at("body /none schema")},
		{
			name: "what another needs", target: "/things", body: `{"name":"secret","size":1,"card":{"number":"secret"}}`,
			want: at("body /card schema"),
		},
		{name: "a format", target: "/things", body: `{"name":"secret","size":1,"made":"secret"}`, want: at("body /made format")},
		{name: "a read-only member", target: "/things", body: `{"name":"secret","size":1,"id":"secret"}`}, // an annotation of JSON Schema 2020-12
		{name: "a huge number", target: "/things", body: `{"name":"secret","size":1e999999999}`, want: at("body /size type")},
		{
			name: "a number of a number's digits", target: "/things",
			body: `{"name":"secret","size":1e-99999999999999999999}`, want: at("body /size type"),
		},
		{name: "a number that is just too long", target: "/things", body: `{"name":"secret","size":1e401}`, want: at("body /size type")},
		{name: "the longest number", target: "/things", body: `{"name":"secret","size":1e400}`},
		{name: "a tiny number", target: "/things", body: `{"name":"secret","pair":[1e-999999999]}`, want: at("body /pair/0 type")},
		{
			name: "a long number", target: "/things", body: `{"name":"secret","size":` + strings.Repeat("9", 401) + `}`,
			want: at("body /size type"),
		},
		{name: "a number of no use", target: "/things", body: `{"name":"secret","size":1e}`, want: at("body - content")},
		{name: "another validator", target: "/nodes", body: `{"name":null,"weight":0.1}`},
		{name: "its references", target: "/nodes", body: `{"name":"secret","next":{"name":"n"}}`, want: at("body /next/name minLength")},
		{name: "its bounds", target: "/nodes", body: `{"name":"secret","weight":0}`, want: at("body /weight exclusiveMinimum")},
		{name: "its types", target: "/nodes", body: `{"name":1}`, want: at("body /name type")},
		{name: "its read-only member", target: "/nodes", body: `{"name":"secret","id":"secret"}`, want: at("body /id readOnly")},
		{name: "its huge number", target: "/nodes", body: `{"name":"secret","weight":1e999999999}`, want: at("body /weight type")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, said := send(t, http.MethodPost, url+tt.target, tt.body, asJSON)
			slices.SortFunc(said.Violations, func(a, b guard.Violation) int { return strings.Compare(a.Name, b.Name) })
			status := http.StatusNoContent
			if tt.want != nil {
				status = http.StatusBadRequest
			}
			if response.StatusCode != status || !slices.Equal(said.Violations, tt.want) {
				t.Errorf("status %d %v, want %d %v", response.StatusCode, said.Violations, status, tt.want)
			}
			for len(saw) > 0 {
				<-saw
			}
		})
	}
}
