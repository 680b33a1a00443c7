package codegen

import (
	"go/token"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// The keys of x-guard on an operation or on the document.
const (
	keyCredential = "credential"
	keyFresh      = "fresh"
	keyRoles      = "roles"
	keyAllow      = "allow"
	keyDeny       = "deny"
)

var operationKeys = []string{keyCredential, keyFresh, keyRoles}

// operation is an operation of the document with its security.
type operation struct {
	route
	// id is the raw operationId, or METHOD and path.
	id          string
	at          place
	requirement *requirement
	rules       rules
	// credential is the name of the argument's type that the document chooses, at credentialAt, or "".
	credential   string
	credentialAt place
	argument     argument
	// aliases are the other paths that refer to the path of the operation.
	aliases []route

	// goName is the name of the operation's methods in the generated code.
	goName string
}

// route is a method and a path of the document.
type route struct{ method, path string }

func (r route) String() string { return r.method + " " + r.path }

// rules are what an operation asks beyond a valid token.
type rules struct {
	fresh       bool
	maxAge      time.Duration
	allow, deny []string
}

// reader reads the operations of a document.
type reader struct {
	doc     *openapi3.T
	spec    *source
	config  *Config
	schemes map[string]*scheme
	used    map[string]bool
	// ids are the operationIds as the document has them: oapi-codegen overwrites them.
	ids      map[*openapi3.Operation]string
	defaults entries
	// general is the requirement of the document, read when an operation has none of its own.
	general *requirement
	problems
}

// readOperations reads what the operations of the document say of their security. They are sorted by path and method.
func (r *reader) readOperations() []*operation {
	top := place{source: r.spec}
	value, present := r.doc.Extensions[guardKey]
	r.defaults = readEntries(value, present, top.at(guardKey), operationKeys, &r.problems)
	checkSpelling(r.doc.Extensions, top, []string{guardKey}, &r.problems)
	readRules(r.defaults, &r.problems)

	var operations []*operation
	byPointer := map[*openapi3.Operation]*operation{}
	aliases := map[route]*openapi3.Operation{}
	unmatched := maps.Clone(r.config.operations)
	items := r.doc.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(items)) {
		item := items[path]
		if item == nil {
			continue
		}
		at := top.at("paths", path)
		checkSpelling(item.Extensions, at, nil, &r.problems)
		methods := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			source := methods[method]
			if isAlias(item) {
				aliases[route{method, path}] = source
				continue
			}
			o := r.readOperation(route{method, path}, source, at.at(strings.ToLower(method)), unmatched)
			operations = append(operations, o)
			byPointer[source] = o
		}
	}
	for _, alias := range slices.SortedFunc(maps.Keys(aliases), func(a, b route) int { return strings.Compare(a.String(), b.String()) }) {
		o := byPointer[aliases[alias]]
		if o == nil {
			r.add(top.at("paths", alias.path), "the path refers to another one whose %s is not an operation of the document", alias.method)
			continue
		}
		o.aliases = append(o.aliases, alias)
	}
	for _, key := range slices.Sorted(maps.Keys(unmatched)) {
		r.add(r.config.top().at(keyOperations, key), "no operation has the operationId %q, nor is it METHOD and path of one, such as \"GET /users/{id}\"", key)
	}
	return operations
}

// isAlias reports whether the path refers to another path of the same document, which is when oapi-codegen registers the
// handlers of that one again.
func isAlias(item *openapi3.PathItem) bool { return strings.HasPrefix(item.Ref, "#/paths/") }

func (r *reader) readOperation(where route, source *openapi3.Operation, at place, unmatched map[string]entries) *operation {
	o := &operation{route: where, id: r.ids[source], at: at}
	if o.id == "" {
		o.id = where.String()
	}
	value, present := source.Extensions[guardKey]
	checkSpelling(source.Extensions, at, []string{guardKey}, &r.problems)
	own := readEntries(value, present, at.at(guardKey), operationKeys, &r.problems)
	for _, name := range slices.Compact([]string{o.id, where.String()}) {
		own = r.config.operations[name].over(own)
		delete(unmatched, name)
	}
	if source.Security != nil {
		o.requirement = r.readRequirement(*source.Security, at.at("security"), "operation "+o.id)
	} else {
		if r.config.RequireSecurity {
			r.add(at, "operation %s has no security of its own, and the configuration says %s: true; say what it needs, or security: [] if it is public", o.id, keyRequireSecurity)
		}
		if r.general == nil {
			r.general = r.readRequirement(r.doc.Security, place{source: r.spec}.at("security"), "the document")
		}
		o.requirement = r.general
	}

	if o.requirement.public() {
		for _, e := range own {
			r.add(e.at, "operation %s is public: rules hold for those who identify; give it a security requirement, or remove the rule", o.id)
		}
		return o
	}
	e, named := own[keyCredential]
	if !named && source.Security == nil {
		e, named = r.defaults[keyCredential]
	}
	if named {
		o.credential, o.credentialAt = readCredential(e, &r.problems), e.at
	}
	before := len(r.list)
	readRules(own, &r.problems)
	if len(r.list) > before {
		return o
	}
	var known problems // those of the document are reported once
	o.rules = readRules(own.over(r.defaults), &known)
	for _, p := range o.requirement.parts() {
		at := own.over(r.defaults)[keyFresh].at
		switch {
		case !o.rules.fresh || p.token == "access":
		case p.kind == kindJWT:
			r.add(at, "operation %s takes %s tokens, and only access tokens are fresh; ask for a duration such as 15m since the login instead", o.id, p.token)
		default:
			r.add(at, "operation %s takes credentials of scheme %q (%s), and only access tokens are fresh; ask for a duration such as 15m since the authentication instead", o.id, p.name, p.text)
		}
	}
	return o
}

// readCredential reads the name of the type of an operation's argument.
func readCredential(e entry, p *problems) string {
	name, _ := e.value.(string)
	if !token.IsIdentifier(name) || !token.IsExported(name) {
		p.add(e.at, "%s is the name of the Go type of the operation's argument, such as UploadCredential", keyCredential)
		return ""
	}
	return name
}

// readRules reads the keys of x-guard of an operation.
func readRules(e entries, p *problems) rules {
	var read rules
	if fresh, ok := e[keyFresh]; ok {
		read.fresh, read.maxAge = readFresh(fresh, p)
	}
	roles, ok := e[keyRoles]
	if !ok {
		return read
	}
	object := roles.object([]string{keyAllow, keyDeny}, p)
	if object == nil {
		return read
	}
	allow, hasAllow := object[keyAllow]
	deny, hasDeny := object[keyDeny]
	switch {
	case hasAllow && hasDeny:
		p.add(roles.at, "roles are allowed or denied, never both; remove one of the keys")
	case hasAllow:
		read.allow = allow.texts(p)
	case hasDeny:
		read.deny = deny.texts(p)
	case len(roles.value.(map[string]any)) == 0:
		p.add(roles.at, "roles says nothing; add allow or deny, or remove it")
	}
	return read
}

func readFresh(e entry, p *problems) (bool, time.Duration) {
	switch value := e.value.(type) {
	case bool:
		if !value {
			p.add(e.at, "fresh is true or a duration such as 15m; a rule of the document can be replaced, not dropped: remove this line, or ask for a longer duration")
		}
		return value, 0
	case string:
		age, err := time.ParseDuration(value)
		if err != nil || age < time.Second || age%time.Second != 0 {
			p.add(e.at, "%q is not a duration of whole seconds such as 15m or 90s", value)
			return false, 0
		}
		return false, age
	default:
		p.add(e.at, "fresh is true or a duration such as 15m, not %s", jsonType(value))
		return false, 0
	}
}

// requirement is the security of an operation: alternatives in the order of the document.
type requirement struct {
	at           place
	alternatives []alternative
}

func (r *requirement) public() bool { return len(r.alternatives) == 0 }

func (r *requirement) optional() bool {
	return slices.ContainsFunc(r.alternatives, func(a alternative) bool { return len(a) == 0 })
}

// parts returns the schemes of all alternatives.
func (r *requirement) parts() []part { return slices.Concat(r.alternatives...) }

// alternative is a list of schemes that hold together, sorted by name; none for anonymous callers.
type alternative = []part

// part is a scheme with the scopes or roles that its credential has to have.
type part struct {
	*scheme
	scopes, roles []string
}

// readRequirement reads a list of alternatives.
func (r *reader) readRequirement(list openapi3.SecurityRequirements, at place, owner string) *requirement {
	read := &requirement{at: at}
	for i, wanted := range list {
		at := at.item(i)
		if wanted == nil {
			r.add(at, "security of %s has an element without a scheme; name one, or say {} if anonymous callers are welcome", owner)
		}
		a := alternative{}
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			if p, ok := r.readPart(name, wanted[name], at.at(name), owner); ok {
				a = append(a, p)
			}
		}
		read.alternatives = append(read.alternatives, a)
		r.checkTogether(a, at, owner)
	}
	if len(list) > 0 && !slices.ContainsFunc(list, func(a openapi3.SecurityRequirement) bool { return len(a) > 0 }) {
		r.add(at, "security of %s has the empty alternative only; say security: [] if it is public, or add a scheme", owner)
	}
	return read
}

// checkTogether reports schemes of one alternative that can never hold together, because one place would have to hold two different
// credentials.
func (r *reader) checkTogether(a alternative, at place, owner string) {
	for i, own := range a {
		for _, other := range a[:i] {
			in, name := own.standsIn()
			if otherIn, otherName := other.standsIn(); in != otherIn || name != otherName {
				continue
			}
			if own.kind == kindJWT && other.kind == kindJWT && own.token == other.token && own.verifier == other.verifier && own.prefix == other.prefix {
				continue // one token satisfies both
			}
			r.add(at, "security of %s: %q and %q can never hold together, because both stand in the %s; let them be alternatives, each an element of its own", owner, other.name, own.name, strings.TrimSpace(in+" "+name))
		}
	}
}

// standsIn returns where the credential of a scheme stands.
func (s *scheme) standsIn() (in, name string) {
	switch {
	case s.kind == kindCertificate:
		return "client certificate", ""
	case s.in == "":
		return "header", "Authorization"
	case s.in == "header":
		return s.in, http.CanonicalHeaderKey(s.parameter)
	}
	return s.in, s.parameter
}

// readPart reads a scheme of an alternative, and reports false where there is a problem with it.
func (r *reader) readPart(name string, list []string, at place, owner string) (part, bool) {
	s := r.schemes[name]
	if s == nil {
		r.add(at, "security of %s: the document defines no security scheme %q; it defines %s", owner, name, listed(r.schemes))
		return part{}, false
	}
	if s.unsupported != "" {
		r.add(s.at, "security scheme %q (%s): %s", name, s.text, s.unsupported)
		return part{}, false
	}
	r.used[name] = true
	p := part{scheme: s}
	switch {
	case len(list) == 0:
	case s.scoped:
		p.scopes = slices.Clone(list)
		for _, scope := range list {
			if !validScope(scope) {
				r.add(at, "security of %s: %q is no scope; scopes are printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3)", owner, scope)
			}
		}
	case r.doc.IsOpenAPI31OrLater() || r.config.RolesIn30:
		p.roles = slices.Clone(list)
		if slices.Contains(list, "") {
			r.add(at, "security of %s: scheme %q has an empty role, which names nothing; remove it", owner, name)
		}
	default:
		r.add(at, "security of %s: the list of scheme %q has to be empty in OpenAPI 3.0; use %s.roles instead, or say %s: true in the configuration if it names roles", owner, name, guardKey, keyRolesIn30)
	}
	return p, true
}

// validScope reports whether a text is a scope-token of RFC 6749, section 3.3.
func validScope(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' })
}
