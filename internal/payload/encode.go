//go:build ignore

package security

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// WithPublicClaims sets public claims (RFC 7519, section 4.2): a tree of objects whose leaves are any JSON. Each leaf is written under the
// verifier's namespace and its path, such as https://claims.example.com/user/name; empty objects are left out. The verifier needs
// [WithPublicNamespace]. A name in the tree has no slash, and is not empty.
func WithPublicClaims(tree map[string]any) TokenOption {
	return func(r *tokenRequest) error { r.publicTree = tree; return nil }
}

// inNamespace reports whether a name belongs to the public claims.
func (l *layout) inNamespace(name string) bool {
	return l.namespace != "" && strings.HasPrefix(name, l.namespace)
}

// flatten returns the tree as members of a JSON object, each behind a comma.
func (l *layout) flatten(tree map[string]any) ([]byte, error) {
	if len(tree) == 0 {
		return nil, nil
	}
	if l.namespace == "" {
		return nil, errors.New("security: public claims need a namespace; see WithPublicNamespace")
	}
	var b []byte
	var walk func(path string, tree map[string]any) error
	walk = func(path string, tree map[string]any) error {
		for _, name := range slices.Sorted(maps.Keys(tree)) {
			if name == "" || strings.Contains(name, "/") {
				return errors.New("security: the name of a public claim is empty or has a slash")
			}
			if inner, ok := tree[name].(map[string]any); ok {
				if err := walk(path+name+"/", inner); err != nil {
					return err
				}
				continue
			}
			value, err := json.Marshal(tree[name], json.Deterministic(true))
			if err != nil {
				return errors.New("security: a public claim cannot be written as JSON")
			}
			if nestedDeeper(value, maxDepth-1) {
				return errors.New("security: a public claim is nested too deeply")
			}
			b = append(b, ',')
			if b, err = jsontext.AppendQuote(b, path+name); err != nil {
				return errors.New("security: the name of a public claim is not UTF-8")
			}
			b = append(append(b, ':'), value...)
		}
		return nil
	}
	return b, walk(l.namespace, tree)
}

// PublicClaims returns the public claims as a tree, as [WithPublicClaims] takes it: objects are map[string]any, numbers float64. It is a
// new one with each call. Which of several claims is read whose paths contradict each other, one being a leaf where the other has a branch, is not said.
func (t Token[C]) PublicClaims() map[string]any {
	var flat map[string]any
	if public := t.get().public; public == nil || json.Unmarshal(public, &flat) != nil {
		return nil
	}
	tree := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(flat)) {
		at := tree
		names := strings.Split(path, "/")
		for _, name := range names[:len(names)-1] {
			inner, ok := at[name].(map[string]any)
			if _, taken := at[name]; !ok && taken {
				at = nil
				break
			} else if !ok {
				inner = map[string]any{}
				at[name] = inner
			}
			at = inner
		}
		if at != nil {
			at[names[len(names)-1]] = flat[path]
		}
	}
	return tree
}
