package kinopenapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-guard/oapi-guard/security/guard"
	"github.com/oapi-guard/oapi-guard/security/kinopenapi"
)

// FuzzValidateRequest checks that whatever a request says, it is either accepted or told in short
// what is wrong with it: the document is a valid one, so nothing is ever the service's fault. The
// handler reads what was sent.
func FuzzValidateRequest(f *testing.F) {
	type subject struct {
		v *kinopenapi.SchemaValidator
		o *guard.Operation
	}
	var subjects []subject
	for _, file := range []string{"testdata/api.yaml", "testdata/api31.yaml"} {
		document := load(f, file)
		v := must(kinopenapi.NewSchemaValidator(document, kinopenapi.WithJSONSchema2020(4096)))(f)
		for path, item := range document.Paths.Map() {
			for method := range item.Operations() {
				subjects = append(subjects, subject{v, &guard.Operation{ID: file + path, Method: method, Path: path}})
			}
		}
	}
	slices.SortFunc(subjects, func(a, b subject) int { return strings.Compare(a.o.ID, b.o.ID) })
	for i := range subjects {
		for _, body := range []string{`{"name":"a","size":1,"children":[{"name":"b"}],"contact":{"email":"e"}}`, `null`, `[{"a":1e999}]`, "name=a&age=1&ids=1&ids=2", "--b\r\nContent-Disposition: form-data; name=age\r\n\r\n1\r\n--b--\r\n"} {
			for _, kind := range []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"} {
				f.Add(byte(i), "limit=1&f[a][b]=1&f[c]=2&ids=1&tags=new,old&colors=a|b&either=1&json={}&q=a+b&ratio=1.5", "1, 2", "theme=dark", "item", kind, body)
			}
		}
		f.Add(byte(i), "f[a]=1&f[a][b]=2&f[]=1&f[a][]=1&ratio=NaN&limit=99999999999999999999&json=1&json=2&%zz", "", "theme=\"", "", "", "")
	}
	f.Fuzz(func(t *testing.T, which byte, query, list, cookie, path, kind, body string) {
		s := subjects[int(which)%len(subjects)]
		r := &http.Request{
			Method: s.o.Method, URL: &url.URL{Path: "/", RawQuery: query}, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{"X-List": {list}, "X-Trace": {list}, "Cookie": {cookie}, "Content-Type": {kind}},
		}
		err := s.v.ValidateRequest(r, s.o, params{"item-id": path, "name": path})
		if err == nil {
			if text, err := io.ReadAll(r.Body); err != nil || string(text) != body {
				t.Errorf("the handler reads %q, %v", text, err)
			}
			return
		}
		var invalid *guard.InvalidRequestError
		if !errors.As(err, &invalid) || len(invalid.Violations) == 0 || len(invalid.Violations) > 20 || !slices.Contains([]int{0, 415}, invalid.Status) {
			t.Fatalf("%v %+v", err, invalid)
		}
		for _, one := range invalid.Violations {
			text, err := json.Marshal(one)
			if one.Rule == "" || one.In == "" || len(one.Name) > 256 || err != nil || strings.Contains(string(text), `\ufffd`) && !strings.Contains(body, "\uFFFD") {
				t.Errorf("%s %v", text, err)
			}
		}
	})
}
