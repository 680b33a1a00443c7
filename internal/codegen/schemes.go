package codegen

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
)

// The keys of x-guard on a security scheme.
const (
	keyToken     = "token"
	keyOpaque    = "opaque"
	keyClaims    = "claims"
	keyRef       = "$ref"
	keyPrefix    = "prefix"
	keyPrincipal = "principal"
	keyCSRF      = "csrf"
	keyVerifier  = "verifier"
	keyList      = "list"
	keyMatch     = "match"
	keyGoName    = "go-name"
	keyGoType    = "go-type"
)

var (
	schemeKeys = []string{
		keyClaims, keyCSRF, keyGoName, keyGoType, keyList, keyMatch, keyOpaque, keyPrefix, keyPrincipal, keyToken, keyVerifier,
	}
	// jwtKeys apply to schemes whose credential is a JWT, otherKeys to the others.
	jwtKeys   = []string{keyClaims, keyCSRF, keyGoType, keyVerifier}
	otherKeys = []string{keyPrincipal}
)

// kind is a kind of credential.
type kind int

const (
	kindJWT kind = iota
	kindBasic
	kindKey
	kindCertificate
)

// scheme is a security scheme of the document.
type scheme struct {
	name string
	at   place
	// text describes the scheme in words of the document, such as "http basic".
	text string
	// unsupported says why no operation can use the scheme. It is "" where operations can.
	unsupported string
	kind        kind
	// token is the name of the token type of a JWT.
	token   string
	tokenAt place
	// tokenKnown says that the document or the configuration says whose tokens and which these are.
	tokenKnown bool
	// description is the description in the document.
	description string
	// claims is the component schema of the private claims, or "".
	claims   string
	claimsAt place
	// principal is the type that the Authenticator returns for a credential that is not a JWT.
	principal goType
	// in and parameter say where a request carries the credential. They are "" for Authorization.
	in, parameter string
	// prefix is the word before the credential in a header, or "" for the default.
	prefix string
	// verifier is the name of the verifier, or "" for the verifier of the application's own tokens.
	verifier string
	// csrfForm says that a form field may carry the CSRF token, not only a header.
	csrfForm bool
	// list says what the list in a requirement names.
	list listMeaning
	// matchAny says that one of the list is enough.
	matchAny bool

	// goName is the name of the scheme's field and of its method of the Authenticator.
	goName string
	// goType is the Go type of the tokens that the document chooses, or "".
	goType   string
	goTypeAt place
}

// readSchemes reads the security schemes of the document and their keys in the configuration.
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
			schemes[name] = readScheme(name, ref, doc.Components.Schemas, top.at(name), c.schemes[name], p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.schemes)) {
		if schemes[name] == nil && !c.IgnoreUnmatched {
			p.add(c.top().at(keySchemes, name), "the document has no security scheme %q; it has %s", name, listed(schemes))
		}
	}
	return schemes
}

// listed returns the names of the schemes, for errors.
func listed(schemes map[string]*scheme) string {
	if len(schemes) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(schemes)), ", ")
}

func readScheme(name string, ref *openapi3.SecuritySchemeRef, schemas openapi3.Schemas, at place, fromConfig entries, p *problems) *scheme {
	s := &scheme{name: name, at: at, description: ref.Value.Description, principal: goType{text: "guard.Principal"}}
	value, present := ref.Value.Extensions[guardKey]
	guard := fromConfig.over(readEntries(value, present, at.at(guardKey), schemeKeys, p))

	s.readKind(ref.Value, s.readOpaque(ref.Value, guard, p), guard)
	s.checkKeys(guard, p)
	_, hasToken := guard[keyToken]
	_, hasVerifier := guard[keyVerifier]
	s.tokenKnown = hasToken || hasVerifier || ref.Value.Type == "openIdConnect"
	s.readPlace(guard, p)
	s.readList(guard, p)
	s.readNames(guard, p)
	if s.kind == kindJWT {
		s.token = "access"
	}
	if e, ok := guard[keyToken]; ok && s.kind == kindJWT {
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
	if e, ok := guard[keyClaims]; ok && s.kind == kindJWT {
		s.claimsAt = e.at
		s.claims = readClaims(e, ref, schemas, fromConfig, p)
	}
	if e, ok := guard[keyPrincipal]; ok && s.kind != kindJWT {
		s.principal = readGoType(e, p)
	}
	return s
}

// readNames reads the Go names of the scheme and of its tokens.
func (s *scheme) readNames(guard entries, p *problems) {
	s.goName = goFieldName(s.name)
	if e, ok := guard[keyGoName]; ok {
		s.goName = readExported(e, p)
	}
	if e, ok := guard[keyGoType]; ok && s.kind == kindJWT {
		s.goType, s.goTypeAt = readExported(e, p), e.at
		if reservedTypeName.MatchString(s.goType) {
			p.add(e.at, "the Go name %s has another meaning in %s; choose another name", s.goType, GuardFile)
		}
	}
}

// readOpaque reports whether the bearer tokens of a scheme are not JWTs.
func (s *scheme) readOpaque(of *openapi3.SecurityScheme, guard entries, p *problems) bool {
	opaque := of.Type == "http" && of.BearerFormat != "" && !strings.EqualFold(of.BearerFormat, "JWT")
	_, hasToken := guard[keyToken]
	e, ok := guard[keyOpaque]
	if !ok {
		return opaque && !hasToken // token: NAME says that it is a JWT, whatever its bearerFormat
	}
	value, isBool := e.value.(bool)
	switch {
	case !isBool:
		p.add(e.at, "%s is true or false, not %s", keyOpaque, jsonType(e.value))
	case value && hasToken:
		p.add(e.at, "an opaque credential has no token type; remove %s or %s", keyOpaque, keyToken)
	}
	return value
}

// readKind reads the keys that OpenAPI defines for a scheme.
func (s *scheme) readKind(of *openapi3.SecurityScheme, opaque bool, guard entries) {
	s.text = of.Type
	if opaque {
		s.kind = kindKey
	}
	switch of.Type {
	case "http":
		s.text = "http " + strings.ToLower(of.Scheme)
		switch {
		case strings.EqualFold(of.Scheme, "bearer"):
		case strings.EqualFold(of.Scheme, "basic"):
			s.kind = kindBasic
		case !validWord(of.Scheme):
			s.unsupported = "its scheme is not the name of an HTTP auth scheme (RFC 9110, section 11.1)"
		default:
			s.kind, s.prefix = kindKey, of.Scheme
		}
	case "apiKey":
		s.text = "apiKey in " + of.In
		s.in, s.parameter = of.In, of.Name
		if _, hasToken := guard[keyToken]; !hasToken {
			s.kind = kindKey
		}
		switch {
		case !slices.Contains([]string{"header", "query", "cookie"}, of.In):
			s.unsupported = "in has to be header, query or cookie"
		case of.Name == "":
			s.unsupported = "it does not name its " + of.In
		}
	case "oauth2":
		s.list = listScopes
	case "openIdConnect":
		s.list = listScopes
		if !opaque {
			// An identity provider issues the tokens: each such scheme has its verifier, unless x-guard
			// names another.
			s.verifier = s.name
		}
	case "mutualTLS":
		s.kind = kindCertificate
	default:
		s.unsupported = "OpenAPI has no such type; use http, apiKey, oauth2, openIdConnect or mutualTLS"
	}
}

// checkKeys reports keys that do not apply to the kind of scheme.
func (s *scheme) checkKeys(guard entries, p *problems) {
	for _, key := range slices.Sorted(maps.Keys(guard)) {
		at := guard[key].at
		switch {
		case s.kind == kindJWT && slices.Contains(otherKeys, key):
			p.add(at, "%s is the type that an Authenticator returns, and the credential of this scheme is a JWT; remove it, or set opaque: true", key)
		case s.kind != kindJWT && slices.Contains(jwtKeys, key):
			p.add(at, "%s is for JWTs, and the credential of this scheme (%s) is not one; remove it%s", key, s.text, s.orToken())
		case (s.kind == kindBasic || s.kind == kindCertificate || s.text != "http bearer" && strings.HasPrefix(s.text, "http ")) && (key == keyToken || key == keyOpaque):
			p.add(at, "%s does not apply to a scheme of type %s; remove it", key, s.text)
		}
	}
}

// orToken says how the scheme could be one of JWTs.
func (s *scheme) orToken() string {
	if s.kind == kindKey && s.prefix == "" {
		return ", or say which token type it is with " + keyToken
	}
	return ""
}

// validWord reports whether a text is a token (RFC 9110, section 5.6.2).
func validWord(text string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		return c > 0x7e || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune(others, c)
	})
}

// readPlace reads the keys of x-guard that say where the credential is and who verifies it.
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
			p.add(at, "prefix is the word before the credential in the header of an apiKey scheme; remove it here")
		case strings.ContainsAny(prefix, " \t"):
			p.add(at, "prefix %q has to be one word", prefix)
		default:
			s.prefix = prefix
		}
	}
	if check, ok := text(keyCSRF); ok && s.kind == kindJWT {
		at := guard[keyCSRF].at
		switch {
		case s.in != "cookie":
			p.add(at, "csrf is for tokens in cookies; remove it here")
		case check == "form":
			s.csrfForm = true
		case check != "header":
			p.add(at, "csrf is header or form, not %q", check)
		}
	}
	if verifier, ok := text(keyVerifier); ok && s.kind == kindJWT {
		s.verifier = verifier
	}
}

// readClaims returns the name of the component schema that claims refers to.
func readClaims(e entry, ref *openapi3.SecuritySchemeRef, schemas openapi3.Schemas, fromConfig entries, p *problems) string {
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
	// A reference is relative to the file that contains it: the file of the scheme, or the document
	// for a reference in the configuration.
	file, fragment, _ := strings.Cut(text, "#")
	base, _, _ := strings.Cut(ref.Ref, "#")
	if _, inConfig := fromConfig[keyClaims]; inConfig {
		base = ""
	}
	if file != "" {
		base = path.Join(path.Dir(base), file)
	}
	if base == "" {
		name, ok := strings.CutPrefix("#"+fragment, schemaRef)
		if !ok {
			p.add(target.at, "claims has to refer to a component schema: '%sNAME'", schemaRef)
		}
		return pointerUnescape.Replace(name)
	}
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		if schema := schemas[name]; schema != nil {
			if file, to, _ := strings.Cut(schema.Ref, "#"); file != "" && path.Clean(file) == base && to == fragment {
				return name
			}
		}
	}
	p.add(target.at, "no component schema of the document refers to %s#%s, so that it has no Go type; add one, NAME: {$ref: '%s#%s'}", base, fragment, base, fragment)
	return ""
}

// validTokenName reports whether the runtime accepts the name of a token type. It also refuses a
// dash at the end, which would not show in a Go name.
func validTokenName(name string) bool {
	if name == "" || name[0] < 'a' || name[0] > 'z' || strings.HasSuffix(name, "-") {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// tokenType is a token type that operations use.
type tokenType struct {
	// name is the value of x-guard.token; goName is the Go type.
	name, goName string
	// chosen says that the document chooses goName.
	chosen bool
	// schemes are the names of its schemes that operations use.
	schemes []string
	// claims is the component schema of the private claims, or "".
	claims   string
	claimsAt place
	// issuedHere says that the application itself issues these tokens. Otherwise verifier is the name of
	// their verifier.
	issuedHere bool
	verifier   string
	// goClaims is the Go type of the claims. It is set after api.gen.go is generated.
	goClaims string
	// schema is what the runtime checks of the claims, or nil where the Go type does.
	schema *claimsSchema
}

// tokenTypes returns the token types of the schemes in use: access, refresh, then the others by name.
// A scheme without claims has the claims of its token type.
func tokenTypes(schemes map[string]*scheme, used map[string]bool, p *problems) []*tokenType {
	types := map[string]*tokenType{}
	verifiers := map[string]*scheme{}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		s := schemes[name]
		if s.kind != kindJWT {
			continue
		}
		t := types[s.token]
		if t == nil {
			t = &tokenType{name: s.token, goName: goTokenName(s.token), issuedHere: s.verifier == "", verifier: s.verifier}
			types[s.token], verifiers[s.token] = t, s
		}
		if first := verifiers[s.token]; first.verifier != s.verifier {
			p.add(s.at, "token type %q is for tokens of %s and, here, of %s; give one of them another %s.token", s.token, verifierText(first.verifier), verifierText(s.verifier), guardKey)
		}
		t.schemes = append(t.schemes, name)
	}
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		s := schemes[name]
		t := types[s.token]
		switch {
		case t == nil || s.claims == "":
		case t.claims == "":
			t.claims, t.claimsAt = s.claims, s.claimsAt
		case t.claims != s.claims:
			p.add(s.claimsAt, "token type %q already has the claims %s; give both schemes the same claims, or this one another %s.token", s.token, t.claims, guardKey)
		}
	}
	nameTokenTypes(schemes, types, p)
	return slices.SortedFunc(maps.Values(types), func(a, b *tokenType) int {
		return strings.Compare(tokenOrder(a.name), tokenOrder(b.name))
	})
}

// checkSessions reports the key sessions where operations do not take both tokens of a session.
func (r *reader) checkSessions() {
	if !r.config.Sessions {
		return
	}
	for _, name := range []string{"access", "refresh"} {
		if !slices.ContainsFunc(r.types, func(t *tokenType) bool { return t.name == name && t.issuedHere }) {
			r.problems.add(r.config.top().at(keySessions), "%s needs an access and a refresh token that the application itself issues, and no operation takes its %s token; "+
				"give a scheme of one %s: {token: %s}, or remove this line", keySessions, name, guardKey, name)
		}
	}
}

// nameTokenTypes gives the token types the Go names that their schemes choose, and reports names that
// stand for two types.
func nameTokenTypes(schemes map[string]*scheme, types map[string]*tokenType, p *problems) {
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		s := schemes[name]
		t := types[s.token]
		switch {
		case t == nil || s.goType == "":
		case t.chosen && t.goName != s.goType:
			p.add(s.goTypeAt, "token type %q already has the Go name %s; choose one", s.token, t.goName)
		default:
			t.goName, t.chosen = s.goType, true
		}
	}
	names := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		t := types[name]
		if other, taken := names[t.goName]; taken {
			s := schemes[t.schemes[0]]
			p.add(s.tokenAt, "token types %q and %q get the same Go name %s; choose another one in the configuration: %s: {%s: {%s: NAME}}",
				other, name, t.goName, keySchemes, yamlKey(s.name), keyGoType)
		}
		names[t.goName] = name
	}
	for _, s := range schemes {
		if t := types[s.token]; t != nil && s.kind == kindJWT {
			s.goType = t.goName
		}
	}
}

// verifierText names a verifier, for errors.
func verifierText(name string) string {
	if name == "" {
		return "the application itself"
	}
	return "verifier " + strconv.Quote(name)
}

// tokenOrder sorts access and refresh before all other names, which begin with a letter.
func tokenOrder(name string) string {
	switch name {
	case "access":
		return "0"
	case "refresh":
		return "1"
	}
	return name
}
