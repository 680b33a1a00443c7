package codegen

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/util"
	"github.com/speakeasy-api/openapi/overlay/loader"
	"gopkg.in/yaml.v3"
)

// loadRepaired applies the overlay to the text of a document and reads the result.
func loadRepaired(path string, options util.LoadSwaggerWithOverlayOpts) (*openapi3.T, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	overlay, err := loader.LoadOverlay(options.Path)
	if err != nil {
		return nil, err
	}
	if err := overlay.Validate(); err != nil {
		return nil, err
	}
	if options.Strict {
		_, err = overlay.ApplyToStrict(&document)
	} else {
		err = overlay.ApplyTo(&document)
	}
	if err != nil {
		return nil, err
	}
	if text, err = yaml.Marshal(&document); err != nil {
		return nil, err
	}
	return newLoader(options.AllowRemoteRefsFrom).LoadFromDataWithPath(text, &url.URL{Path: filepath.ToSlash(path)})
}

// newLoader returns a loader that follows references as oapi-codegen does.
func newLoader(allowed []string) *openapi3.Loader {
	if allowed == nil {
		allowed = []string{"*"}
	}
	l := openapi3.NewLoader()
	l.IsExternalRefsAllowed, l.IncludeOrigin = true, true
	l.ReadFromURIFunc = func(l *openapi3.Loader, location *url.URL) ([]byte, error) {
		switch {
		case location.Host == "":
			return openapi3.ReadFromFile(l, location)
		case util.RemoteRefAllowed(allowed, location):
			return openapi3.ReadFromHTTP(http.DefaultClient)(l, location)
		}
		return nil, fmt.Errorf("allow-remote-refs-from does not list %s", location)
	}
	return l
}

// checkSchemesRef reports a $ref in place of the map of security schemes. OpenAPI has it for each
// scheme only, and readers take it for a scheme of that name.
func checkSchemesRef(spec *source) error {
	at := place{source: spec}.at("components", "securitySchemes")
	node := spec.root(spec.path)
	for _, key := range []string{"components", "securitySchemes", "$ref"} {
		if node == nil {
			return nil
		}
		_, node = child(node, key)
	}
	if node == nil || node.Kind != yaml.ScalarNode || spec.overlay != "" {
		return nil
	}
	file, fragment, _ := strings.Cut(node.Value, "#")
	target := spec.root(resolveReference(spec.path, file))
	for _, key := range splitPointer(fragment) {
		if target != nil {
			_, target = child(target, key)
		}
	}
	refs := map[string]bool{}
	if target != nil && target.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(target.Content); i += 2 {
			name := target.Content[i].Value
			refs[fmt.Sprintf("%s: {$ref: '%s/%s'}", yamlKey(name), node.Value, pointerEscape.Replace(name))] = true
		}
	}
	var p problems
	p.addWithOverlay(at, []overlayAction{
		removal(at), addition(place{}.at("components"), "{securitySchemes: {"+strings.Join(slices.Sorted(maps.Keys(refs)), ", ")+"}}"),
	}, "components.securitySchemes is a $ref, which OpenAPI has for each scheme only; refer to each of the schemes")
	return p.err()
}
