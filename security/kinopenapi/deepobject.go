package kinopenapi

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxDepth is how deep the names of a parameter of the style deepObject may nest. Each level costs
// kin-openapi a map.
const maxDepth = 32

// brackets matches the names of a parameter of the style deepObject as kin-openapi does.
var brackets = regexp.MustCompile(`\[(.*?)\]`)

// level has the names below a name. It is nil for a value.
type level map[string]level

// tangled reports whether a parameter of the style deepObject nests too deeply, or gives one name
// both a value and members, as in f[a]=1&f[a][b]=2. kin-openapi panics on that.
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
		parent := top
		for i, key := range keys {
			below, present := parent[key[1]]
			last := i == len(keys)-1
			switch {
			case present && (last || below == nil):
				return true
			case last:
				parent[key[1]] = nil
			case !present:
				below = level{}
				parent[key[1]] = below
			}
			parent = below
		}
	}
	return false
}
