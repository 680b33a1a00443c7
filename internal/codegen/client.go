package codegen

import (
	"bytes"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
)

// serverNone is the server of a configuration that generates a client alone.
const serverNone = "none"

// clientConfig is what the key client says.
type clientConfig struct {
	at place
	// refresh is the operationId of the refresh, or "" for none.
	refresh   string
	refreshAt place
}

// clientOnly reports whether the configuration generates no server.
func (c *Config) clientOnly() bool { return c.Server == serverNone }

// readClientConfig reads the key client: true, false, or an object with the key refresh.
func readClientConfig(found entries, p *problems) *clientConfig {
	e, ok := found[keyClient]
	if !ok || e.value == false {
		return nil
	}
	read := &clientConfig{at: e.at}
	if e.value == true {
		return read
	}
	if _, ok := e.value.(map[string]any); !ok {
		p.add(e.at, "%s is true, or {%s: OPERATION-ID}, not %s", keyClient, keyRefresh, jsonType(e.value))
		return read
	}
	refresh, ok := e.object([]string{keyRefresh}, p)[keyRefresh]
	if !ok {
		p.add(e.at, "%s is empty; say {%s: OPERATION-ID}, or true for an API without refresh tokens", keyClient, keyRefresh)
		return read
	}
	read.refreshAt = refresh.at
	if read.refresh, _ = refresh.value.(string); read.refresh == "" {
		p.add(refresh.at, "%s is the operationId of the operation that exchanges a refresh token, not %s", keyRefresh, jsonType(refresh.value))
	}
	return read
}

// clientSettings sets what the client needs of oapi-codegen, and reports keys that contradict it.
func (c *Config) clientSettings(s *codegen.Configuration, p *problems) {
	if c.clientOnly() {
		if c.client == nil {
			p.add(c.top().at(keyServer), "%s: %s generates nothing without a client; say %s: {%s: OPERATION-ID}, or %s: true for an API without refresh tokens",
				keyServer, serverNone, keyClient, keyRefresh, keyClient)
		}
		if c.Sessions {
			p.add(c.top().at(keySessions), "%s is for a server, and the configuration says %s: %s; remove one of them", keySessions, keyServer, serverNone)
		}
		if len(c.shadowing) > 0 {
			p.add(c.top().at(keyShadowing), "%s is for a server, and the configuration says %s: %s; remove one of them", keyShadowing, keyServer, serverNone)
		}
	}
	if c.client == nil {
		return
	}
	client := c.top().at(keyOapiCodegen, "generate", "client")
	if c.has(client) && !s.Generate.Client {
		p.add(client, "client contradicts %s; remove this line", keyClient)
	}
	s.Generate.Client = true
}

// refreshOperation returns the operation that the configuration names for refreshes, or nil. It
// reports an operation that cannot be one.
func (r *reader) refreshOperation() *operation {
	c := r.config.client
	if c.refresh == "" {
		return nil
	}
	at := slices.IndexFunc(r.operations, func(o *operation) bool { return o.id == c.refresh })
	if at < 0 {
		r.add(c.refreshAt, "no operation has the operationId %q; %s", c.refresh, r.refreshCandidates())
		return nil
	}
	o := r.operations[at]
	if !slices.ContainsFunc(o.requirement.schemes(), isRefreshToken) {
		r.add(o.at, "operation %s is the refresh of the client, and it requires no refresh token of the application; %s", o.id, r.refreshCandidates())
	}
	source := r.doc.Paths.Value(o.path).GetOperation(o.method)
	r.checkRefreshRequest(o, source)
	r.checkRefreshAnswer(o, source)
	return o
}

func isRefreshToken(s requiredScheme) bool {
	return s.kind == kindJWT && s.token == "refresh" && s.verifier == ""
}

// refreshCandidates names the operations that require a refresh token, or says how to require one.
func (r *reader) refreshCandidates() string {
	var ids []string
	for _, o := range r.operations {
		if slices.ContainsFunc(o.requirement.schemes(), isRefreshToken) {
			ids = append(ids, o.id)
		}
	}
	if ids == nil {
		return "no operation requires a refresh token: give the scheme of refresh tokens " + guardKey + ": {" + keyToken + ": refresh}, and name it in the security of the operation"
	}
	return "these require a refresh token: " + strings.Join(ids, ", ")
}

// checkRefreshRequest reports what a refresh would have to send besides credentials.
func (r *reader) checkRefreshRequest(o *operation, source *openapi3.Operation) {
	const fix = "; make it optional, or write a client.Refresher and use client.NewTokenSource"
	parameters := slices.Concat(r.doc.Paths.Value(o.path).Parameters, source.Parameters)
	for _, ref := range parameters {
		if ref != nil && ref.Value != nil && ref.Value.Required {
			r.add(o.at, "operation %s is the refresh of the client, which sends no parameters, and %s is required%s", o.id, word(ref.Value.Name), fix)
		}
	}
	if body := source.RequestBody; body != nil && body.Value != nil && body.Value.Required {
		r.add(o.at.at("requestBody"), "operation %s is the refresh of the client, which sends no body, and its body is required%s", o.id, fix)
	}
}

// answerField is a field of the answer of a refresh (RFC 6749, section 5.1), and what the client does
// without it.
type answerField struct{ name, schema, without string }

var answerFields = []answerField{
	{"access_token", "{type: string}", ""},
	{"expires_in", "{type: integer}", "the lifetime is that of the claims iat and exp, or unknown"},
	{"refresh_token", "{type: string}", "the client sends the first refresh token each time"},
	{"token_type", "{type: string}", "the client assumes Bearer"},
}

// checkRefreshAnswer reports an answer without the fields of RFC 6749, section 5.1.
func (r *reader) checkRefreshAnswer(o *operation, source *openapi3.Operation) {
	at, schema := successSchema(o.at.at("responses"), source.Responses)
	if schema == nil {
		r.add(at, "operation %s is the refresh of the client, and it has no response 2xx with JSON; give it one with access_token, token_type, expires_in and refresh_token (RFC 6749, section 5.1)", o.id)
		return
	}
	var missing []string
	for _, field := range answerFields {
		value := property(schema, field.name, 0)
		switch {
		case value == nil && field.without == "":
			r.add(at, "operation %s is the refresh of the client, and its response has no %s; add it to the properties of the schema: %s: %s (RFC 6749, section 5.1)", o.id, field.name, field.name, field.schema)
		case value == nil:
			missing = append(missing, field.name+" ("+field.without+")")
		case !fits(value, field.schema):
			r.add(at, "operation %s is the refresh of the client, and %s in its response is not %s (RFC 6749, section 5.1); correct its type", o.id, field.name, field.schema)
		}
	}
	if missing != nil {
		text := "the response of the refresh has no " + strings.Join(missing, ", no ") + "; see RFC 6749, section 5.1"
		r.warnings = append(r.warnings, at.problem(text).Error())
	}
}

// fits reports whether a property may have the type of a field.
func fits(value *openapi3.Schema, field string) bool {
	switch {
	case value.Type == nil || len(*value.Type) == 0:
		return true
	case strings.Contains(field, "integer"):
		return value.Type.Includes("integer") || value.Type.Includes("number")
	}
	return value.Type.Includes("string")
}

// successSchema returns the schema of the first JSON response 2xx, and the place of that or of all
// responses.
func successSchema(at place, responses *openapi3.Responses) (place, *openapi3.Schema) {
	if responses == nil {
		return at.parent(), nil
	}
	all := responses.Map()
	for _, status := range sortedKeys(all) {
		response := all[status]
		if !strings.HasPrefix(status, "2") || response == nil || response.Value == nil {
			continue
		}
		for _, media := range sortedKeys(response.Value.Content) {
			content := response.Value.Content[media]
			name, _, _ := strings.Cut(media, ";")
			isJSON := strings.EqualFold(name, "application/json") || strings.HasSuffix(strings.ToLower(name), "+json")
			if isJSON && content != nil && content.Schema != nil && content.Schema.Value != nil {
				return at.at(status, "content", media, "schema"), content.Schema.Value
			}
		}
	}
	return at, nil
}

// maxDepth bounds the schemas within a schema that are looked through: they may form a cycle.
const maxDepth = 20

// property returns a property of a schema or of the schemas that it is made of, or nil.
func property(schema *openapi3.Schema, name string, depth int) *openapi3.Schema {
	if ref := schema.Properties[name]; ref != nil && ref.Value != nil {
		return ref.Value
	}
	if depth == maxDepth {
		return nil
	}
	for _, ref := range slices.Concat(schema.AllOf, schema.OneOf, schema.AnyOf) {
		if ref == nil || ref.Value == nil {
			continue
		}
		if found := property(ref.Value, name, depth+1); found != nil {
			return found
		}
	}
	return nil
}

// addClient generates ClientFile.
func (a *attempt) addClient(pkg, version string) error {
	r, g := a.reader, a.generated
	refresh := r.refreshOperation()
	view := newClientView(pkg, version, a.operations, refresh, r, g)
	if err := r.err(); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "client.tmpl", view); err != nil {
		return err
	}
	text, names, err := formatPart(b.String())
	if err != nil {
		return err
	}
	code := &guardCode{text, names}
	if err := checkNames(code, ClientFile, r, g); err != nil {
		return err
	}
	a.files[ClientFile] = []byte(text)
	return nil
}
