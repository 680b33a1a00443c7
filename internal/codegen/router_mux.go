package codegen

import (
	"fmt"
	"net/http"
	"strings"
)

// muxRefusals returns the routes that net/http's router does not take. The router is asked itself: it
// panics on patterns that it does not accept, and would do so when the service starts.
func muxRefusals(rt *router, operations []*operation, spec *source) []refusal {
	mux := http.NewServeMux()
	var found []refusal
	eachRoute(operations, spec, func(o *operation, r route, at place) {
		if err := register(mux, rt.pattern(r)); err != nil {
			found = append(found, refusal{o, at, fmt.Sprintf("%s: %v", r, err)})
		}
	})
	return found
}

// register registers a pattern and returns the router's panic as an error.
func register(mux *http.ServeMux, pattern string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			text := fmt.Sprint(r)
			// The router adds the Go position of the other registration, which is always this file.
			if _, conflict, found := strings.Cut(text, "conflicts with pattern "); found {
				other, reason, _ := strings.Cut(conflict, " (registered at ")
				_, reason, _ = strings.Cut(reason, "):")
				text = fmt.Sprintf("it conflicts with %s: %s", other, strings.Join(strings.Fields(reason), " "))
			} else if at := strings.LastIndex(text, ": "); strings.HasPrefix(text, "parsing ") && at >= 0 {
				text = text[at+2:]
			}
			err = fmt.Errorf("%s", text)
		}
	}()
	mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	return nil
}
