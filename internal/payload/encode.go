package payload

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/oapi-guard/oapi-guard/internal/jose"
)

// Writer is a JSON object under construction.
type Writer struct{ text []byte }

// Text writes a string, or nothing if it is empty.
func (w *Writer) Text(name, value string) {
	if value != "" {
		w.text = append(w.text, `,"`+name+`":`...)
		w.text, _ = jsontext.AppendQuote(w.text, value) // fails on invalid UTF-8 only, which the issuer refuses
	}
}

// Date writes a NumericDate, or nothing for None.
func (w *Writer) Date(name string, at Instant) {
	if at != None {
		w.text = AppendNumericDate(append(w.text, `,"`+name+`":`...), at)
	}
}

// Milliseconds writes an integer of milliseconds since 1970, or nothing for None.
func (w *Writer) Milliseconds(name string, at Instant) {
	if at != None {
		w.text = strconv.AppendInt(append(w.text, `,"`+name+`":`...), int64(at), 10)
	}
}

// List writes a list of strings, or nothing if it is empty.
func (w *Writer) List(name string, values []string) {
	for i, value := range values {
		if i == 0 {
			w.text = append(w.text, `,"`+name+`":[`...)
		} else {
			w.text = append(w.text, ',')
		}
		w.text, _ = jsontext.AppendQuote(w.text, value) // see Text
	}
	if len(values) > 0 {
		w.text = append(w.text, ']')
	}
}

// Encode writes the claims as a JSON object: the known ones, then those that the function special
// writes, then the public ones, then the private ones. private is what the private claims marshal
// to: nothing, or a JSON object. A member of it with a reserved name, or with a name of the layout,
// is an error, so that no private claim stands in for a known one.
func Encode(c *Claims, names Names, private []byte, layoutNames []string, special func(w *Writer)) ([]byte, error) {
	w := &Writer{make([]byte, 0, 384)}
	w.Text("iss", c.Issuer)
	w.Text("sub", c.Subject)
	if len(c.Audience) == 1 {
		w.Text("aud", c.Audience[0])
	} else {
		w.List("aud", c.Audience)
	}
	w.Date("exp", c.Expires)
	w.Date("nbf", c.NotBefore)
	w.Date("iat", c.Issued)
	w.Text("jti", c.ID)
	w.Text("sid", c.Session)
	w.Date("auth_time", c.AuthTime)
	w.Milliseconds("session_start", c.Start)
	w.Text("client_id", c.ClientID)
	w.Text("csrf", c.CSRF)
	if c.Fresh {
		w.text = append(w.text, `,"fresh":true`...)
	}
	special(w)
	w.Text("scope", strings.Join(c.Scopes, " "))
	w.text[0] = '{'
	w.text = append(w.text, c.Public...)

	if len(private) == 0 || string(private) == "null" {
		return append(w.text, '}'), nil
	}
	if jose.DeeperThan(private, jose.MaxDepth) {
		return nil, errors.New("security: the private claims are nested too deeply")
	}
	e := privateEncoder{object: w.text, names: names, layoutNames: layoutNames}
	if err := json.Unmarshal(private, &e); err != nil {
		return nil, fmt.Errorf("security: the private claims cannot be written: %w", errors.Join(e.fault, errNotAnObject))
	}
	return append(e.object, '}'), nil
}

var errNotAnObject = errors.New("they must marshal to a JSON object without reserved names")

// privateEncoder copies the members of a JSON object behind those of object.
type privateEncoder struct {
	object      []byte
	names       Names
	layoutNames []string
	fault       error
}

// UnmarshalJSONFrom implements the copying.
func (p *privateEncoder) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return jose.EachMember(dec, func(name []byte, value jsontext.Value) error {
		claim := p.names.Prefix + string(name)
		if IsReserved(claim) || slices.Contains(p.layoutNames, claim) || p.names.InNamespace(claim) {
			p.fault = fmt.Errorf("the name %q is reserved", claim)
			return p.fault
		}
		var err error
		p.object, err = appendMember(p.object, []byte(claim), value)
		return err
	})
}

// Flatten returns a tree of public claims as members of a JSON object, each behind a comma. Each
// leaf has the name of the namespace and its path. Empty objects are left out.
func (n Names) Flatten(tree map[string]any) ([]byte, error) {
	if len(tree) == 0 {
		return nil, nil
	}
	if n.Namespace == "" {
		return nil, errors.New("security: public claims need a namespace; see WithPublicNamespace")
	}
	return flatten(nil, n.Namespace, tree)
}

func flatten(text []byte, path string, tree map[string]any) ([]byte, error) {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if name == "" || strings.Contains(name, "/") {
			return nil, errors.New("security: the name of a public claim is empty or has a slash")
		}
		if inner, ok := tree[name].(map[string]any); ok {
			var err error
			if text, err = flatten(text, path+name+"/", inner); err != nil {
				return nil, err
			}
			continue
		}
		value, err := json.Marshal(tree[name], json.Deterministic(true))
		if err != nil {
			return nil, errors.New("security: a public claim cannot be written as JSON")
		}
		if jose.DeeperThan(value, jose.MaxDepth-1) {
			return nil, errors.New("security: a public claim is nested too deeply")
		}
		text = append(text, ',')
		if text, err = jsontext.AppendQuote(text, path+name); err != nil {
			return nil, errors.New("security: the name of a public claim is not UTF-8")
		}
		text = append(append(text, ':'), value...)
	}
	return text, nil
}

// Tree returns the public claims as a new tree: objects are map[string]any and numbers are float64.
// Where one claim is a leaf and another a branch of the same path, one of them is left out.
func (c *Claims) Tree() map[string]any {
	var flat map[string]any
	if c.Public == nil || json.Unmarshal(c.Public, &flat) != nil {
		return nil
	}
	tree := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(flat)) {
		names := strings.Split(path, "/")
		if branch := branchAt(tree, names[:len(names)-1]); branch != nil {
			branch[names[len(names)-1]] = flat[path]
		}
	}
	return tree
}

// branchAt returns the object at a path of the tree. It makes the objects that are missing, and
// returns nil where a leaf is in the way.
func branchAt(tree map[string]any, names []string) map[string]any {
	for _, name := range names {
		inner, ok := tree[name].(map[string]any)
		if !ok {
			if _, isLeaf := tree[name]; isLeaf {
				return nil
			}
			inner = map[string]any{}
			tree[name] = inner
		}
		tree = inner
	}
	return tree
}
