package kinopenapi

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxDepth is how deep the names of a parameter of the style deepObject may go: every level costs
// kin-openapi a map.
const maxDepth = 32

// brackets is how kin-openapi reads the names of a parameter of the style deepObject.
var brackets = regexp.MustCompile(`\[(.*?)\]`)

// level is what stands below a name: nil for a value.
type level map[string]level

// tangled reports whether a parameter of the style deepObject has a name both with a value and with
// members, as in f[a]=1&f[a][b]=2, on which kin-openapi panics, or goes too deep.
func tangled(p *openapi3.Parameter, query url.Values) bool {
	if p.In != openapi3.ParameterInQuery || p.Style != openapi3.SerializationDeepObject {
		return false
	}
	top := level{}
	for name := range query {
		if !strings.HasPrefix(name, p.Name+"[") {
			continue
		}
		keys := brackets.FindAllStringSubmatch(name, maxDepth+1)
		if len(keys) > maxDepth {
			return true
		}
		own := top
		for i, key := range keys {
			below, present := own[key[1]]
			last := i == len(keys)-1
			switch {
			case present && (last || below == nil):
				return true
			case last:
				own[key[1]] = nil
			case !present:
				below = level{}
				own[key[1]] = below
			}
			own = below
		}
	}
	return false
}
