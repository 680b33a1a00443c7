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

// at makes a list of violations of fields of three words: place, name, rule. The name "-" is that of the whole body.
func at(fields ...string) []guard.Violation {
	var list []guard.Violation
	for _, field := range fields {
		words := strings.Fields(field)
		list = append(list, guard.Violation{In: words[0], Name: strings.TrimPrefix(words[1], "-"), Rule: words[2]})
	}
	return list
}

// TestParameters checks what the answer says of parameters that are not what the document says, over HTTP.
func TestParameters(t *testing.T) {
	document := load(t, "testdata/api.yaml")
	url, saw := checked(t, document).serve(t, document)
	needed := []string{"X-Need: secret", "Cookie: need=secret"}
	for _, tt := range []struct {
		name, target string
		header       []string
		want         []guard.Violation
	}{
		{"nothing", "/items/x", nil, nil},
		{"everything", "/items/x?limit=100&ratio=1e3&exact=true&since=2024-02-29&q=a+b&ids=1&ids=2&tags=new,old&colors=a|b&f[a][b]=1&f[c]=2" +
			"&either=1&any=true&json={\"x\":1}", []string{"X-Trace: abcd", "X-List: 1, 2", "Cookie: theme=dark"}, nil},
		{"unknown parameters", "/items/x?what=secret&theme=secret", []string{"X-What: secret", "Cookie: what=secret"}, nil},
		{"a header that OpenAPI ignores", "/items/x", []string{"Authorization: Basic secret"}, nil},
		{"a longer path parameter", "/items/secretsecret", nil, at("path item-id maxLength")},
		{"the operation's own parameter", "/items/x?limit=2", nil, nil},
		{"minimum", "/items/x?limit=0", nil, at("query limit minimum")},
		{"maximum", "/items/x?limit=101", nil, at("query limit maximum")},
		{"no integer", "/items/x?limit=secret", nil, at("query limit type")},
		{"a broken number", "/items/x?limit=1.5", nil, at("query limit type")},
		{"over int32", "/items/x?limit=2147483648", nil, at("query limit format")},
		{"over int64", "/items/x?ids=9223372036854775808", nil, at("query ids format")},
		{"an empty integer", "/items/x?limit=", nil, at("query limit allowEmptyValue")},
		{"NaN", "/items/x?ratio=NaN", nil, at("query ratio type")},
		{"infinity", "/items/x?ratio=-Inf", nil, at("query ratio type")},
		{"no boolean", "/items/x?exact=secret", nil, at("query exact type")},
		{"no date", "/items/x?since=secret", nil, at("query since format")},
		{"no day of the month", "/items/x?since=2024-02-32", nil, at("query since format")},
		{"two rules", "/items/x?q=S", nil, at("query q minLength")},
		{"too many items", "/items/x?ids=1&ids=2&ids=3&ids=4", nil, at("query ids maxItems")},
		{"an item twice", "/items/x?ids=1&ids=1", nil, at("query ids uniqueItems")},
		{"one item of a type", "/items/x?ids=1&ids=secret", nil, at("query ids type")},
		{"an item of an enum, with commas", "/items/x?tags=new,secret", nil, at("query tags enum")},
		{"too many items, with pipes", "/items/x?colors=a|secret|c", nil, at("query colors maxItems")},
		{"a member of an object", "/items/x?f[c]=secret", nil, at("query f type")},
		{"an unknown member of an object", "/items/x?f[secret]=1&f[c]=1", nil, nil}, // kin-openapi does not decode it
		{"a value where an object belongs", "/items/x?f[a]=secret", nil, at("query f type")},
		{"an object that is also a value", "/items/x?f[a]=secret&f[a][b]=2", nil, at("query f style")},
		{"a value that is also an object", "/items/x?f[a][b][c]=1&f[a][b]=secret", nil, at("query f style")},
		{"a deep object", "/items/x?f" + strings.Repeat("[a]", 33) + "=secret", nil, at("query f style")},
		{"one of none", "/items/x?either=secret", nil, at("query either oneOf")},
		{"any of none", "/items/x?any=secret", nil, at("query any anyOf")},
		{"a parameter in JSON", "/items/x?json={\"x\":\"secret\"}", nil, at("query json type")},
		{"a parameter in JSON without a member", "/items/x?json={}", nil, at("query json required")},
		{"a parameter that is no JSON", "/items/x?json=secret", nil, at("query json content")},
		{"a header", "/items/x", []string{"X-Trace: secret"}, at("header X-Trace maxLength")},
		{"a list in a header", "/items/x", []string{"X-List: 1, secret"}, at("header X-List type")},
		{"a cookie", "/items/x", []string{"Cookie: theme=secret"}, at("cookie theme enum")},
		{"all places", "/items/secretsecret?exact=secret", []string{"X-Trace: secret", "Cookie: theme=secret"},
			at("path item-id maxLength", "query exact type", "header X-Trace maxLength", "cookie theme enum")},

		{"nothing of what is needed", "/needs", nil, at("query q required", "query json required", "header X-Need required", "cookie need required")},
		{"all that is needed", "/needs?q=secret&json=1", needed, nil},
		{"an empty value that is allowed", "/needs?q=secret&json=1&empty=", needed, nil},
		{"a value where an empty one is allowed", "/needs?q=secret&json=1&empty=a", needed, at("query empty minLength")},
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
		{"a body", "POST /items", asJSON, `{"name":"secret"}`, 204, nil},
		{"with a charset", "POST /items", asJSON + "; charset=utf-8", `{"name":"secret"}`, 204, nil},
		{"in capitals", "POST /items", "Content-Type: Application/JSON", `{"name":"secret"}`, 204, nil},
		{"with a suffix", "POST /items", "Content-Type: application/merge-patch+json", `{"name":"secretsecret"}`, 400, at("body /name maxLength")},
		{"all of a body", "POST /items", asJSON, `{"name":"secret","kind":"good","price":0.01,"count":1,"note":null,"made":"2024-01-01T00:00:00Z",
			"contact":{"email":"secret"},"choice":true,"both":{"l":1,"r":1},"not":"secret","labels":{"secret":"abc"},"children":[{"name":"secret"}],"a/b~c":1}`, 204, nil},
		{"no body", "POST /items", asJSON, "", 400, at("body - required")},
		{"no body of no type", "POST /items", "", "", 400, at("body - required")},
		{"no body where none is needed", "PUT /notes", "", "", 204, nil},
		{"another media type", "POST /items", "Content-Type: application/xml", "<secret/>", 415, at("body - content")},
		{"no media type", "POST /items", "", `{"name":"secret"}`, 415, at("body - content")},
		{"no real media type", "POST /items", "Content-Type: secret", `{"name":"secret"}`, 415, at("body - content")},
		{"no JSON", "POST /items", asJSON, `{"name":"secret"`, 400, at("body - content")},
		{"another type", "POST /items", asJSON, `["secret"]`, 400, at("body - type")},
		{"null", "POST /items", asJSON, `null`, 400, at("body - nullable")},
		{"a missing member", "POST /items", asJSON, `{}`, 400, at("body /name required")},
		{"an unknown member", "POST /items", asJSON, `{"name":"n","secret":1}`, 400, at("body - additionalProperties")},
		{"a member of another case", "POST /items", asJSON, `{"name":"n","NAME":"secretsecret"}`, 400, at("body - additionalProperties")},
		{"a read-only member", "POST /items", asJSON, `{"name":"n","id":"secret"}`, 400, at("body /id readOnly")},
		{"enum", "POST /items", asJSON, `{"name":"n","kind":"secret"}`, 400, at("body /kind enum")},
		{"exclusive minimum", "POST /items", asJSON, `{"name":"n","price":0}`, 400, at("body /price exclusiveMinimum")},
		{"multiple of", "POST /items", asJSON, `{"name":"n","price":0.001}`, 400, at("body /price multipleOf")},
		{"a number of a thousand digits", "POST /items", asJSON, `{"name":"n","price":` + strings.Repeat("9", 1000) + `}`, 400, at("body /price type")},
		{"over int32", "POST /items", asJSON, `{"name":"n","count":2147483648}`, 400, at("body /count format")},
		{"not nullable", "POST /items", asJSON, `{"name":null}`, 400, at("body /name nullable")},
		{"no time", "POST /items", asJSON, `{"name":"n","made":"secret"}`, 400, at("body /made format")},
		{"one of none", "POST /items", asJSON, `{"name":"n","contact":{"secret":1}}`, 400, at("body /contact oneOf")},
		{"one of two", "POST /items", asJSON, `{"name":"n","contact":{"email":"secret","phone":"secret"}}`, 400, at("body /contact oneOf")},
		{"any of none", "POST /items", asJSON, `{"name":"n","choice":"secret"}`, 400, at("body /choice anyOf")},
		{"all of one", "POST /items", asJSON, `{"name":"n","both":{"r":"secret"}}`, 400, at("body /both/l required")},
		{"all of none", "POST /items", asJSON, `{"name":"n","both":{}}`, 400, at("body /both/l required", "body /both/r required")},
		{"not", "POST /items", asJSON, `{"name":"n","not":1}`, 400, at("body /not not")},
		{"a member of a map", "POST /items", asJSON, `{"name":"n","labels":{"l":"secret"}}`, 400, at("body /labels/l maxLength")},
		{"a child of a child", "POST /items", asJSON, `{"name":"n","children":[{"name":"a"},{"name":"b","children":[{"name":""}]}]}`, 400,
			at("body /children/1/children/0/name minLength")},
		{"a name to escape", "POST /items", asJSON, `{"name":"n","a/b~c":"secret"}`, 400, at("body /a~1b~0c type")},
		{"several", "POST /items", asJSON, `{"name":"","kind":"secret","note":1}`, 400, at("body /kind enum", "body /name minLength", "body /note type")},
		{"the alias of a path", "POST /v1/items", asJSON, `{"name":""}`, 400, at("body /name minLength")},
		{"the alias of a path, rightly", "POST /v1/items", asJSON, `{"name":"secret"}`, 204, nil},

		{"a text", "PUT /notes", "Content-Type: text/plain", "abcde", 204, nil},
		{"a long text", "PUT /notes", "Content-Type: text/plain", "secret", 400, at("body - maxLength")},

		{"a form", "POST /forms", asForm, "name=secret&age=1&ids=1&ids=2", 204, nil},
		{"a form without a field", "POST /forms", asForm, "age=1", 400, at("body /name required")},
		{"a form with a text for a number", "POST /forms", asForm, "name=secret&age=secret", 400, at("body /age type")},
		{"a form with a text for numbers", "POST /forms", asForm, "name=secret&ids=1&ids=secret", 400, at("body /ids type")},
		{"no form", "POST /forms", asForm, "name=%zzsecret", 400, at("body - content")},
		{"a form in parts", "POST /forms", asMultipart, multipart("file; filename=a\r\nContent-Type: image/png\r\n\r\nsecret", "age\r\n\r\n1",
			"meta\r\nContent-Type: application/json\r\n\r\n{\"x\":1}"), 204, nil},
		{"a part that lacks", "POST /forms", asMultipart, multipart("age\r\n\r\n1"), 400, at("body /file required")},
		{"a part of a type", "POST /forms", asMultipart, multipart("file\r\n\r\nsecret", "age\r\n\r\nsecret"), 400, at("body /age type")},
		{"a part in JSON", "POST /forms", asMultipart, multipart("file\r\n\r\nsecret", "meta\r\nContent-Type: application/json\r\n\r\n{}"), 400, at("body /meta/x required")},
		{"a part that is no JSON", "POST /forms", asMultipart, multipart("file\r\n\r\nsecret", "meta\r\nContent-Type: application/json\r\n\r\nsecret"), 400, at("body /meta content")},
		{"a part of a media type that is not decoded", "POST /forms", asMultipart, multipart("file\r\n\r\nsecret", "meta\r\nContent-Type: secret/x\r\n\r\nsecret"), 400, at("body /meta content")},
		{"an unknown part", "POST /forms", asMultipart, multipart("file\r\n\r\nsecret", "secret\r\n\r\nsecret"), 400, at("body - content")},
		{"no parts", "POST /forms", asMultipart, "secret", 400, at("body - content")},
		{"no boundary", "POST /forms", "Content-Type: multipart/form-data", "secret", 400, at("body - content")},

		{"bytes", "PUT /files/a", "Content-Type: application/octet-stream", "\x00\xffsecret", 204, nil},
		{"a parameter and the body", "PUT /files/secret", "Content-Type: application/octet-stream", "", 400, at("path name maxLength", "body - required")},
		{"a parameter and the media type", "PUT /files/secret", asJSON, "1", 415, at("path name maxLength", "body - content")},
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
		{"a thing", "/things?ratio=0.5&kind=good", `{"name":null,"size":1,"fixed":"x","pair":[1,"secret"],"either":1,"both":{"l":1,"r":1},"not":"secret","card":{},"made":"2024-01-01"}`, nil},
		{"parameters", "/things?ratio=0&kind=secret", `{"name":"secret","size":1}`, at("query kind enum", "query ratio exclusiveMinimum")},
		{"no number", "/things?ratio=secret", `{"name":"secret","size":1}`, at("query ratio type")},
		{"NaN", "/things?ratio=NaN", `{"name":"secret","size":1}`, at("query ratio type")},
		{"a type", "/things", `"secret"`, at("body - type")},
		{"missing members", "/things", `{}`, at("body - required")},
		{"an unknown member", "/things", `{"name":"secret","size":1,"secret":1}`, at("body - additionalProperties")},
		{"several", "/things", `{"name":"n","size":"secret","fixed":"secret"}`, at("body /fixed const", "body /name minLength", "body /size type")},
		{"a pair", "/things", `{"name":"secret","size":1,"pair":["secret","x"]}`, at("body /pair/0 type")},
		{"more than a pair", "/things", `{"name":"secret","size":1,"pair":[1,"x","secret"]}`, at("body /pair/2 schema")},
		{"one of none", "/things", `{"name":"secret","size":1,"either":"secret"}`, at("body /either oneOf")},
		{"all of none", "/things", `{"name":"secret","size":1,"both":{}}`, at("body /both required")},
		{"not", "/things", `{"name":"secret","size":1,"not":1}`, at("body /not schema")},
		{"none", "/things", `{"name":"secret","size":1,"none":1}`, at("body /none schema")},
		{"what another needs", "/things", `{"name":"secret","size":1,"card":{"number":"secret"}}`, at("body /card schema")},
		{"a format", "/things", `{"name":"secret","size":1,"made":"secret"}`, at("body /made format")},
		{"a read-only member", "/things", `{"name":"secret","size":1,"id":"secret"}`, nil}, // an annotation of JSON Schema 2020-12
		{"a huge number", "/things", `{"name":"secret","size":1e999999999}`, at("body /size type")},
		{"a number of a number's digits", "/things", `{"name":"secret","size":1e-99999999999999999999}`, at("body /size type")},
		{"a number that is just too long", "/things", `{"name":"secret","size":1e401}`, at("body /size type")},
		{"the longest number", "/things", `{"name":"secret","size":1e400}`, nil},
		{"a tiny number", "/things", `{"name":"secret","pair":[1e-999999999]}`, at("body /pair/0 type")},
		{"a long number", "/things", `{"name":"secret","size":` + strings.Repeat("9", 401) + `}`, at("body /size type")},
		{"a number of no use", "/things", `{"name":"secret","size":1e}`, at("body - content")},
		{"another validator", "/nodes", `{"name":null,"weight":0.1}`, nil},
		{"its references", "/nodes", `{"name":"secret","next":{"name":"n"}}`, at("body /next/name minLength")},
		{"its bounds", "/nodes", `{"name":"secret","weight":0}`, at("body /weight exclusiveMinimum")},
		{"its types", "/nodes", `{"name":1}`, at("body /name type")},
		{"its read-only member", "/nodes", `{"name":"secret","id":"secret"}`, at("body /id readOnly")},
		{"its huge number", "/nodes", `{"name":"secret","weight":1e999999999}`, at("body /weight type")},
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
