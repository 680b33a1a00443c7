package caller

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/valyala/fasthttp"
)

type key struct{}

// TestCall checks that each request is new, with the next token and the next URL.
func TestCall(t *testing.T) {
	var seen []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != nil || len(w.Header()) != 0 {
			t.Error("the request or the response is left over from the one before")
		}
		seen = append(seen, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "text/plain")
		*r = *r.WithContext(context.WithValue(r.Context(), key{}, true))
		_, _ = w.Write([]byte("ok\n"))
	})
	c := New(t.Context(), handler, [][]string{{"a"}, {"b"}, {"c"}}, []*url.URL{{Path: "/1"}, {Path: "/2"}}, 2, 1)
	for range 4 {
		if err := c.Call(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"GET /2 b", "GET /1 c", "GET /2 a", "GET /1 b"}; !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
}

// TestCallErrors checks that refused requests are errors, so that no benchmark measures them.
func TestCallErrors(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("ok"))
		},
		"a late status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			w.WriteHeader(200)
			_, _ = w.Write([]byte("ok"))
		},
		"a shorter body": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("o")) },
		"a longer body": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("ok"))
			_, _ = w.Write([]byte("!"))
		},
		"nothing written": func(http.ResponseWriter, *http.Request) {},
	} {
		if err := New(t.Context(), handler, [][]string{{"a"}}, []*url.URL{{Path: "/"}}, 2, 0).Call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestCallFast checks the same of a handler of fasthttp.
func TestCallFast(t *testing.T) {
	var seen []string
	handler := func(c *fasthttp.RequestCtx) {
		if c.UserValue("key") != nil || len(c.Response.Body()) != 0 {
			t.Error("the request or the response is left over from the one before")
		}
		seen = append(seen, string(c.Method())+" "+string(c.Path())+" "+string(c.Request.Header.Peek("Authorization")))
		c.SetUserValue("key", true)
		_, _ = c.WriteString("ok\n")
	}
	c := NewFast(handler, [][]string{{"a"}, {"b"}}, "/1", 2, 1)
	for range 3 {
		if err := c.Call(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"GET /1 b", "GET /1 a", "GET /1 b"}; !slices.Equal(seen, want) {
		t.Errorf("%q, want %q", seen, want)
	}
}

// TestCallFastErrors checks that refused requests are errors.
func TestCallFastErrors(t *testing.T) {
	for name, handler := range map[string]fasthttp.RequestHandler{
		"a status":        func(c *fasthttp.RequestCtx) { c.Error("ok", http.StatusUnauthorized) },
		"a shorter body":  func(c *fasthttp.RequestCtx) { _, _ = c.WriteString("o") },
		"a longer body":   func(c *fasthttp.RequestCtx) { _, _ = c.WriteString("ok!") },
		"nothing written": func(*fasthttp.RequestCtx) {},
	} {
		if err := NewFast(handler, [][]string{{"a"}}, "/", 2, 0).Call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
