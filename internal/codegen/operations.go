package codegen

import (
	"fmt"
	"go/token"
	"maps"
	"net/http"
	"slices"
	"strconv"
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
	keyRevocation = "revocation"
	keyWatch      = "watch"
)

var operationKeys = []string{keyCredential, keyFresh, keyRoles, keyRevocation, keyWatch}

// operation is an operation of a path, with its security.
type operation struct {
	route
	// id is the operationId as the document has it, or METHOD and path where it has none.
	id          string
	at          place
	requirement *requirement
	rules       rules
	// credential is the name that the document chooses for the argument's type, or "".
	credential   string
	credentialAt place
	argument     argument
	// aliases are the other paths that refer to the path item of the operation.
	aliases []route

	// goName is the name of the operation's methods in the generated code.
	goName string
}

// route is a method and a path of the document.
type route struct{ method, path string }

func (r route) String() string { return r.method + " " + r.path }

// rules are what an operation demands beyond a valid credential.
type rules struct {
	fresh       bool
	maxAge      time.Duration
	allow, deny []string
	// immediate asks the store of the blacklist itself, and watch ends the handler's context with the
	// token.
	immediate, watch bool
}

// readOperations reads the security of the operations of all paths. The result is sorted by path
// and method.
func (r *reader) readOperations() []*operation {
	top := place{source: r.spec}
	value, present := r.doc.Extensions[guardKey]
	r.defaults = readEntries(value, present, top.at(guardKey), operationKeys, &r.problems)
	readRules(r.defaults, &r.problems)

	var operations []*operation
	byPointer := map[*openapi3.Operation]*operation{}
	aliases := map[route]*openapi3.Operation{}
	unmatched := maps.Clone(r.config.operations)
	byID := map[string]*operation{}
	items := r.doc.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(items)) {
		item := items[path]
		if item == nil {
			continue
		}
		at := top.at("paths", path)
		methods := item.Operations()
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			source := methods[method]
			if isAlias(item) {
				aliases[route{method, path}] = source
				continue
			}
			o := r.readOperation(route{method, path}, source, at.at(strings.ToLower(method)), unmatched)
			if first := byID[o.id]; first != nil {
				r.addRepeatedID(first, o)
			}
			operations, byPointer[source], byID[o.id] = append(operations, o), o, o
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
	if r.config.IgnoreUnmatched {
		clear(unmatched)
	}
	for _, key := range slices.Sorted(maps.Keys(unmatched)) {
		at := r.config.top().at(keyOperations, key)
		if r.document.excluded[key] {
			r.add(at, "the configuration of oapi-codegen excludes the operation %q (output-options: include-tags, exclude-tags, include-operation-ids, exclude-operation-ids); remove the rule, or the exclusion", key)
			continue
		}
		r.add(at, "no operation has the operationId %q, nor is it METHOD and path of one, such as \"GET /users/{id}\"", key)
	}
	return operations
}

// addRepeatedID reports two operations of one operationId, which identifies the rules and the methods
// of an operation.
func (r *reader) addRepeatedID(first, second *operation) {
	other := first.at.problem("")
	r.addWithOverlay(second.at.at("operationId"), []overlayAction{addition(second.at, "{operationId: "+r.unusedID(second)+"}")},
		"operations %s and %s have the same operationId %s (the first at %s:%d); give one of them another", first.route, second.route, second.id, other.File, other.Line)
}

// unusedID returns an operationId made of method and path that no operation has.
func (r *reader) unusedID(o *operation) string {
	name := strings.ToLower(o.method) + goFieldName(o.path)
	taken := map[string]bool{}
	for _, id := range r.ids {
		taken[id] = true
	}
	return unused(name, taken)
}

// isAlias reports whether the path item refers to another path of the same document. oapi-codegen
// then registers the handlers of that path again.
func isAlias(item *openapi3.PathItem) bool { return strings.HasPrefix(item.Ref, "#/paths/") }

func (r *reader) readOperation(where route, source *openapi3.Operation, at place, unmatched map[string]entries) *operation {
	o := &operation{route: where, id: r.ids[source], at: at}
	if o.id == "" {
		o.id = where.String()
	}
	value, present := source.Extensions[guardKey]
	guard := readEntries(value, present, at.at(guardKey), operationKeys, &r.problems)
	for _, name := range slices.Compact([]string{o.id, where.String()}) {
		guard = r.config.operations[name].over(guard)
		delete(unmatched, name)
	}
	if source.Security != nil {
		o.requirement = r.readRequirement(*source.Security, at.at("security"), "operation "+o.id)
	} else {
		if r.config.RequireSecurity {
			r.add(at, "operation %s has no security key, and the configuration has %s: true; give it one, or security: [] if it is public", o.id, keyRequireSecurity)
		}
		if r.inherited == nil {
			r.inherited = r.readRequirement(r.doc.Security, place{source: r.spec}.at("security"), "the document")
		}
		o.requirement = r.inherited
	}

	r.readOperationRules(o, guard, source.Security == nil)
	return o
}

// readOperationRules reads the x-guard of an operation. An operation that inherits its requirement
// from the document also inherits the name of the credential struct.
func (r *reader) readOperationRules(o *operation, guard entries, inherits bool) {
	if o.requirement.public() {
		for _, e := range guard {
			if r.config.IgnoreUnmatched && e.at.source == r.config.source {
				continue
			}
			r.add(e.at, "operation %s is public: rules apply to credentials, and it takes none; give it a security requirement, or remove the rule", o.id)
		}
		return
	}
	e, named := guard[keyCredential]
	if !named && inherits {
		e, named = r.defaults[keyCredential]
	}
	if named {
		o.credential, o.credentialAt = readCredential(e, &r.problems), e.at
	}
	before := len(r.list)
	readRules(guard, &r.problems)
	if len(r.list) > before {
		return
	}
	merged := guard.over(r.defaults)
	var reported problems // the rules of the document are reported once, by readOperations
	o.rules = readRules(merged, &reported)
	if o.rules.fresh {
		r.checkFresh(o, merged[keyFresh].at)
	}
	if o.rules.watch {
		r.checkWatch(o, merged[keyWatch].at)
	}
	if (o.rules.allow != nil || o.rules.deny != nil) && o.requirement.needsRefreshToken() {
		fix := "remove the rule, or let the operation take access tokens"
		if _, ofOperation := guard[keyRoles]; !ofOperation {
			fix = "move the rule from the document to the operations that take access tokens"
		}
		r.add(merged[keyRoles].at, "operation %s takes refresh tokens, which have no roles, so that no request can satisfy the rule; %s", o.id, fix)
	}
}

// checkWatch reports credentials that are not tokens: nothing would end the context of the handler.
func (r *reader) checkWatch(o *operation, at place) {
	for _, s := range o.requirement.schemes() {
		if s.kind != kindJWT {
			r.add(at, "operation %s takes credentials of scheme %q (%s), and only tokens are watched; remove the rule, or let the operation take tokens only", o.id, s.name, s.text)
		}
	}
}

// checkFresh reports credentials that cannot be fresh: only access tokens can.
func (r *reader) checkFresh(o *operation, at place) {
	for _, s := range o.requirement.schemes() {
		switch {
		case s.token == "access":
		case s.kind == kindJWT:
			r.add(at, "operation %s takes %s tokens, and only access tokens are fresh; use a duration such as 15m instead", o.id, s.token)
		default:
			r.add(at, "operation %s takes credentials of scheme %q (%s), and only access tokens are fresh; use a duration such as 15m instead", o.id, s.name, s.text)
		}
	}
}

// readCredential reads the name of the type of an operation's argument.
func readCredential(e entry, p *problems) string {
	name, _ := e.value.(string)
	if !token.IsIdentifier(name) || !token.IsExported(name) {
		p.add(e.at, "%s is an exported Go name for the operation's argument, such as UploadCredential", keyCredential)
		return ""
	}
	return name
}

// readRules reads the rules in the x-guard of an operation or of the document.
func readRules(e entries, p *problems) rules {
	var read rules
	if fresh, ok := e[keyFresh]; ok {
		read.fresh, read.maxAge = readFresh(fresh, p)
	}
	if revocation, ok := e[keyRevocation]; ok {
		if read.immediate = revocation.value == "immediate"; !read.immediate {
			p.add(revocation.at, "%s is immediate, or it is left out", keyRevocation)
		}
	}
	if watch, ok := e[keyWatch]; ok {
		if read.watch, _ = watch.value.(bool); !read.watch {
			p.add(watch.at, "%s is true, or it is left out", keyWatch)
		}
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
		p.add(roles.at, "roles is empty; add allow or deny, or remove it")
	}
	return read
}

func readFresh(e entry, p *problems) (bool, time.Duration) {
	switch value := e.value.(type) {
	case bool:
		if !value {
			p.add(e.at, "fresh is true or a duration such as 15m; an operation can replace a rule of the document and cannot drop it: remove this line, or use a longer duration")
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

// requirement is the security of an operation: its alternatives in document order. A public
// operation has none.
type requirement struct {
	at           place
	alternatives []alternative
}

func (r *requirement) public() bool { return len(r.alternatives) == 0 }

func (r *requirement) optional() bool {
	return slices.ContainsFunc(r.alternatives, func(a alternative) bool { return len(a) == 0 })
}

// needsRefreshToken reports whether every alternative with a credential has a refresh token of the
// application.
func (r *requirement) needsRefreshToken() bool {
	isRefresh := func(s requiredScheme) bool { return s.token == "refresh" && s.verifier == "" }
	return !slices.ContainsFunc(r.alternatives, func(a alternative) bool { return len(a) > 0 && !slices.ContainsFunc(a, isRefresh) })
}

// schemes returns the schemes of all alternatives.
func (r *requirement) schemes() []requiredScheme { return slices.Concat(r.alternatives...) }

// alternative is a list of schemes that a request has to satisfy together, sorted by name. An empty
// alternative admits anonymous callers.
type alternative = []requiredScheme

// requiredScheme is a scheme with the scopes or roles that its credential needs.
type requiredScheme struct {
	*scheme
	scopes, roles []string
}

// readRequirement reads the value of security. owner names the operation or the document.
func (r *reader) readRequirement(list openapi3.SecurityRequirements, at place, owner string) *requirement {
	read := &requirement{at: at}
	for i, wanted := range list {
		at := at.item(i)
		if wanted == nil {
			r.add(at, "security of %s has an element without a scheme; name one, or use {} for anonymous callers", owner)
		}
		a := alternative{}
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			if s, ok := r.readRequiredScheme(name, wanted[name], at.at(name), owner); ok {
				a = append(a, s)
			}
		}
		r.checkConflicts(a, at, owner)
		read.alternatives = append(read.alternatives, r.matchAny(a, at, owner)...)
	}
	if len(list) > 0 && !slices.ContainsFunc(list, func(a openapi3.SecurityRequirement) bool { return len(a) > 0 }) {
		r.addWithOverlay(at, []overlayAction{removal(at), addition(at.parent(), "{security: []}")},
			"security of %s has only the empty alternative; use security: [] if it is public, or add a scheme", owner)
	}
	return read
}

// checkConflicts reports schemes of one alternative that no request can satisfy together, because
// their credentials would have to be in the same place.
func (r *reader) checkConflicts(a alternative, at place, owner string) {
	for i, second := range a {
		for _, first := range a[:i] {
			in, name := second.location()
			if firstIn, firstName := first.location(); in != firstIn || name != firstName {
				continue
			}
			if second.acceptsSameToken(first.scheme) {
				continue // one token satisfies both
			}
			r.add(at, "security of %s: no request can satisfy %q and %q together, because both are in the %s; make them alternatives, two elements of the list", owner, first.name, second.name, strings.TrimSpace(in+" "+name))
		}
	}
}

// acceptsSameToken reports whether one token in one place satisfies both schemes.
func (s *scheme) acceptsSameToken(other *scheme) bool {
	return s.kind == kindJWT && other.kind == kindJWT &&
		s.token == other.token && s.verifier == other.verifier && s.prefix == other.prefix
}

// location returns where a request carries the credential of the scheme.
func (s *scheme) location() (in, name string) {
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

// readRequiredScheme reads a scheme of an alternative. It returns false where the document has no
// usable scheme of that name.
func (r *reader) readRequiredScheme(name string, list []string, at place, owner string) (requiredScheme, bool) {
	s := r.schemes[name]
	if s == nil {
		r.addUndefined(name, list, at, owner)
		return requiredScheme{}, false
	}
	if s.unsupported != "" {
		r.add(s.at, "security scheme %q (%s): %s", name, s.text, s.unsupported)
		return requiredScheme{}, false
	}
	r.used[name] = true
	return r.readSchemeList(requiredScheme{scheme: s}, list, at, owner), true
}

// addUndefined reports a scheme that the document does not define.
func (r *reader) addUndefined(name string, list []string, at place, owner string) {
	for _, known := range slices.Sorted(maps.Keys(r.schemes)) {
		if near(name, strings.ToLower(known)) {
			actions := []overlayAction{addition(at.parent(), fmt.Sprintf("{%s: [%s]}", yamlKey(known), strings.Join(quoted(list), ", "))), removal(at)}
			r.addWithOverlay(at, actions, "security of %s: the document defines no security scheme %q; it defines %s; say %s", owner, name, listed(r.schemes), known)
			return
		}
	}
	if strings.ContainsAny(name, "#:/") && !r.doc.IsOpenAPI30() {
		r.add(at, "security of %s: %q names a security scheme by a URI, as OpenAPI 3.2 has it, which is not read; add the scheme to components.securitySchemes and name its key", owner, name)
		return
	}
	definition := "{type: http, scheme: bearer}"
	if len(list) > 0 {
		definition = "{type: http, scheme: bearer, x-guard: {list: scopes}}"
	}
	action := addition(place{}, fmt.Sprintf("{components: {securitySchemes: {%s: %s}}}", yamlKey(name), definition))
	r.addWithOverlay(at, []overlayAction{action}, "security of %s: the document defines no security scheme %q; it defines %s; correct the name, or define the scheme, here one of bearer tokens",
		owner, name, listed(r.schemes))
}

// quoted returns texts as scalars of YAML.
func quoted(texts []string) []string {
	var scalars []string
	for _, text := range texts {
		scalars = append(scalars, strconv.Quote(text))
	}
	return scalars
}

// validScope reports whether a text is a scope-token (RFC 6749, section 3.3).
func validScope(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' })
}
