package codegen

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// The keys of x-guard on a security scheme. Those that a later version reads are known too, so that they are called by
// name instead of unknown.
const (
	keyToken    = "token"
	keyClaims   = "claims"
	keyRef      = "$ref"
	keyPrefix   = "prefix"
	keyCSRF     = "csrf"
	keyVerifier = "verifier"
)

var (
	schemeKeys      = []string{keyClaims, keyCSRF, "opaque", keyPrefix, "principal", keyToken, keyVerifier}
	schemeSupported = []string{keyClaims, keyCSRF, keyPrefix, keyToken, keyVerifier}
)

// scheme is a security scheme of the document.
type scheme struct {
	name string
	at   place
	// unsupported says why no operation can use the scheme, or is "".
	unsupported string
	// token is the name of the token type.
	token   string
	tokenAt place
	// claims is the name of the component schema of the private claims, or "".
	claims   string
	claimsAt place
	// in and parameter say where the token stands, "" for the header Authorization of RFC 6750.
	in, parameter string
	// prefix is the word before the token in a header, "" for the default.
	prefix string
	// verifier is the name of the verifier, "" for the application's own.
	verifier string
	// csrfForm says that a form may prove where a request comes from, not only a header.
	csrfForm bool
	// scoped says that a requirement's list names scopes.
	scoped bool

	// goName is the scheme's field in the generated code.
	goName string
}

// readSchemes reads the security schemes of the document, with what the configuration says of them.
func readSchemes(doc *openapi3.T, spec *source, c *Config, p *problems) map[string]*scheme {
	schemes := map[string]*scheme{}
	top := place{source: spec}.at("components", "securitySchemes")
	if doc.Components != nil {
		for _, name := range slices.Sorted(maps.Keys(doc.Components.SecuritySchemes)) {
			ref := doc.Components.SecuritySchemes[name]
			if ref == nil || ref.Value == nil {
				p.add(top.at(name), "security scheme %q is empty", name)
				continue
			}
			schemes[name] = readScheme(name, ref, top.at(name), c.schemes[name], p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.schemes)) {
		if schemes[name] == nil {
			p.add(c.top().at(keySchemes, name), "the document has no security scheme %q; it has %s", name, listed(schemes))
		}
	}
	return schemes
}

// listed names the schemes, for errors.
func listed(schemes map[string]*scheme) string {
	if len(schemes) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(schemes)), ", ")
}

func readScheme(name string, ref *openapi3.SecuritySchemeRef, at place, fromConfig entries, p *problems) *scheme {
	s := &scheme{name: name, at: at, token: "access"}
	value, present := ref.Value.Extensions[guardKey]
	checkSpelling(ref.Value.Extensions, at, []string{guardKey}, p)
	guard := fromConfig.over(readEntries(value, present, at.at(guardKey), schemeKeys, p))

	_, hasToken := guard[keyToken]
	s.unsupported = unsupportedKind(ref.Value, hasToken)
	s.readKind(ref.Value)
	s.readPlace(guard, p)
	for _, key := range slices.Sorted(maps.Keys(guard)) {
		if s.unsupported == "" && !slices.Contains(schemeSupported, key) {
			s.unsupported = "with " + guardKey + "." + key
		}
	}
	if e, ok := guard[keyToken]; ok {
		s.tokenAt = e.at
		token, isText := e.value.(string)
		switch {
		case !isText:
			p.add(e.at, "%s has to be a string such as access or refresh, not %s", keyToken, jsonType(e.value))
		case !validTokenName(token):
			p.add(e.at, "%q cannot name a token type: use lower-case letters, digits and dashes, a letter first and no dash last", token)
		default:
			s.token = token
		}
	}
	if e, ok := guard[keyClaims]; ok {
		s.claimsAt = e.at
		s.claims = readClaims(e, ref, fromConfig, p)
	}
	return s
}

// readKind reads what the document itself says of the scheme.
func (s *scheme) readKind(of *openapi3.SecurityScheme) {
	switch of.Type {
	case "apiKey":
		s.in, s.parameter = of.In, of.Name
	case "oauth2":
		s.scoped = true
	case "openIdConnect":
		// Somebody else's tokens: each such scheme has a verifier of its own unless x-guard names one.
		s.scoped, s.verifier = true, s.name
	}
}

// readPlace reads the keys of x-guard that say how the token is carried and whose it is.
func (s *scheme) readPlace(guard entries, p *problems) {
	text := func(key string) (string, bool) {
		e, ok := guard[key]
		if !ok {
			return "", false
		}
		value, isText := e.value.(string)
		if !isText || value == "" {
			p.add(e.at, "%s has to be a string that is not empty, not %s", key, jsonType(e.value))
			return "", false
		}
		return value, true
	}
	if prefix, ok := text(keyPrefix); ok {
		at := guard[keyPrefix].at
		switch {
		case s.in != "header":
			p.add(at, "prefix is the word before a token in the header of an apiKey scheme; remove it here")
		case strings.ContainsAny(prefix, " \t"):
			p.add(at, "prefix %q has to be one word", prefix)
		default:
			s.prefix = prefix
		}
	}
	if check, ok := text(keyCSRF); ok {
		at := guard[keyCSRF].at
		switch {
		case s.in != "cookie":
			p.add(at, "csrf is about tokens in cookies; remove it here")
		case check == "form":
			s.csrfForm = true
		case check != "header":
			p.add(at, "csrf is header or form, not %q", check)
		}
	}
	if verifier, ok := text(keyVerifier); ok {
		s.verifier = verifier
	}
}

// unsupportedKind says what kind of scheme it is where its credential is not a JWT, or returns "".
func unsupportedKind(s *openapi3.SecurityScheme, hasToken bool) string {
	switch s.Type {
	case "http":
		if !strings.EqualFold(s.Scheme, "bearer") {
			return "http " + s.Scheme
		}
		if s.BearerFormat != "" && !strings.EqualFold(s.BearerFormat, "JWT") {
			return "http bearer with the opaque format " + strconv.Quote(s.BearerFormat)
		}
		return ""
	case "apiKey":
		if hasToken {
			return ""
		}
		return "apiKey in " + s.In + ", a plain key; where it is a JWT, say x-guard: {token: access}"
	case "oauth2", "openIdConnect":
		return ""
	default:
		return s.Type
	}
}

// readClaims returns the name of the component schema that claims refers to.
func readClaims(e entry, ref *openapi3.SecuritySchemeRef, fromConfig entries, p *problems) string {
	object := e.object([]string{keyRef}, p)
	if object == nil {
		return ""
	}
	target, ok := object[keyRef]
	text, isText := target.value.(string)
	if !ok || !isText {
		p.add(e.at, "claims has to name a schema: {$ref: '#/components/schemas/NAME'}")
		return ""
	}
	name, local := strings.CutPrefix(text, schemaRef)
	_, inConfig := fromConfig[keyClaims]
	// A reference is relative to the file that it stands in.
	if !local || ref.Ref != "" && !strings.HasPrefix(ref.Ref, "#") && !inConfig {
		p.add(target.at, "claims in another file are not supported yet; refer to a schema of the document: '#/components/schemas/NAME'")
		return ""
	}
	return pointerUnescape.Replace(name)
}

// validTokenName is what the runtime accepts, without a dash at the end, which no Go name shows.
func validTokenName(name string) bool {
	if name == "" || name[0] < 'a' || name[0] > 'z' || strings.HasSuffix(name, "-") {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// tokenType is a type of token that the operations use.
type tokenType struct {
	// name is as in x-guard.token; goName is the Go type.
	name, goName string
	// schemes are the names of the schemes that operations use.
	schemes []string
	// claims is the name of the component schema of the private claims, or "".
	claims   string
	claimsAt place
	// own says that the application itself issues such tokens.
	own bool
	// goClaims is the Go type of the claims, set once api.gen.go is there.
	goClaims string
}

// tokenTypes returns the token types of the schemes in use: access, refresh, then the others by name. A scheme that says
// nothing of claims takes those of its token type.
func tokenTypes(schemes map[string]*scheme, used map[string]bool, p *problems) []*tokenType {
	types := map[string]*tokenType{}
	goNames := map[string]string{}
	verifiers := map[string]*scheme{}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		s := schemes[name]
		t := types[s.token]
		if t == nil {
			t = &tokenType{name: s.token, goName: goTokenName(s.token), own: s.verifier == ""}
			types[s.token], verifiers[s.token] = t, s
			if other, taken := goNames[t.goName]; taken {
				p.add(s.tokenAt, "token types %q and %q get the same Go name %s; rename one", other, s.token, t.goName)
			}
			goNames[t.goName] = s.token
		}
		if first := verifiers[s.token]; first.verifier != s.verifier {
			p.add(s.at, "token type %q belongs to %s already, and to %s here; give one of them another %s.token", s.token, verifierText(first.verifier), verifierText(s.verifier), guardKey)
		}
		t.schemes = append(t.schemes, name)
	}
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		s := schemes[name]
		t := types[s.token]
		switch {
		case t == nil || s.claims == "" || s.unsupported != "":
		case t.claims == "":
			t.claims, t.claimsAt = s.claims, s.claimsAt
		case t.claims != s.claims:
			p.add(s.claimsAt, "token type %q already has the claims %s; give both schemes the same claims, or this one another %s.token", s.token, t.claims, guardKey)
		}
	}
	return slices.SortedFunc(maps.Values(types), func(a, b *tokenType) int {
		return strings.Compare(tokenOrder(a.name), tokenOrder(b.name))
	})
}

func verifierText(name string) string {
	if name == "" {
		return "the application itself"
	}
	return "verifier " + strconv.Quote(name)
}

// tokenOrder sorts access and refresh before the names of one's own, which begin with a letter.
func tokenOrder(name string) string {
	switch name {
	case "access":
		return "0"
	case "refresh":
		return "1"
	}
	return name
}
