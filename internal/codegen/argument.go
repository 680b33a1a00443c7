package codegen

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// argument is the credential argument of an operation's method. At most one of token, principal
// and credential is set; a public operation has none of them.
type argument struct {
	// token is set where every alternative is one token of this type.
	token *tokenType
	// principal is set where every alternative is one principal of this type.
	principal *goType
	// credential is set where the alternatives differ or where one of them has several schemes.
	credential *credentialType
	optional   bool
}

// credentialType is a generated struct with the credentials of one alternative.
type credentialType struct {
	goName string
	fields []field
	// all says that every alternative sets every field.
	all bool
	// text describes the fields that the alternatives set.
	text string
}

// field is a field of a credentialType. It holds a token of a type, whatever its scheme, or the
// credential of one scheme.
type field struct {
	goName string
	token  *tokenType
	scheme *scheme
}

// accepts reports whether the field holds credentials of the scheme.
func (f field) accepts(s *scheme) bool {
	return f.scheme == s || f.scheme == nil && s.kind == kindJWT && f.token.name == s.token
}

// reservedTypeName matches the exported names that guard.gen.go always declares.
var reservedTypeName = regexp.MustCompile(`^(Authenticator|UnimplementedGuardedServer|(New|Register)?Guarded.*)$`)

// assignArguments sets the argument of every operation. It returns the structs that the arguments
// need, sorted by name.
func assignArguments(operations []*operation, types []*tokenType, p *problems) []*credentialType {
	byName := map[string]*tokenType{}
	for _, t := range types {
		byName[t.name] = t
	}
	structs := map[string]*credentialType{}
	for _, o := range operations {
		o.argument = argumentOf(o.requirement, byName)
		switch {
		case o.argument.credential != nil:
			nameCredential(o, types, p)
			shareCredential(o, structs, p)
		case o.credential != "" && !o.requirement.public():
			p.add(o.credentialAt, "operation %s takes one kind of credential, so that %s has no struct to name; remove it", o.id, keyCredential)
		}
	}
	return slices.SortedFunc(maps.Values(structs), func(a, b *credentialType) int { return strings.Compare(a.goName, b.goName) })
}

// nameCredential gives the struct of an operation the name that the document chooses, if any.
func nameCredential(o *operation, types []*tokenType, p *problems) {
	if o.credential == "" {
		return
	}
	name := o.credential
	o.argument.credential.goName = name
	isToken := slices.ContainsFunc(types, func(t *tokenType) bool { return t.goName == name })
	if isToken || reservedTypeName.MatchString(name) {
		p.add(o.credentialAt, "the Go name %s has another meaning in %s; choose another name", name, GuardFile)
	}
}

// shareCredential lets the operation use the struct of an earlier operation with the same name. A
// struct with other fields under that name is a problem.
func shareCredential(o *operation, structs map[string]*credentialType, p *problems) {
	credential := o.argument.credential
	earlier := structs[credential.goName]
	if earlier == nil {
		structs[credential.goName] = credential
		return
	}
	if !earlier.equal(credential) {
		at, fix := o.credentialAt, "choose another name"
		if o.credential == "" {
			at, fix = o.requirement.at, fmt.Sprintf("choose one with %s.%s", guardKey, keyCredential)
		}
		p.add(at, "operation %s takes other credentials than the struct %s of an earlier operation; %s", o.id, credential.goName, fix)
	}
	o.argument.credential = earlier
}

func (c *credentialType) equal(other *credentialType) bool {
	return c.all == other.all && c.text == other.text && slices.Equal(c.fields, other.fields)
}

// argumentOf returns the argument for a requirement. A requirement with problems may have none.
func argumentOf(r *requirement, types map[string]*tokenType) argument {
	a := argument{optional: r.optional()}
	schemes := r.schemes()
	switch {
	case len(schemes) == 0:
	case !r.uniform():
		a.credential = newCredentialType(r, types)
	case schemes[0].kind == kindJWT:
		a.token = types[schemes[0].token]
	default:
		a.principal = &schemes[0].principal
	}
	return a
}

// uniform reports whether every alternative is a single credential and all of them have the same
// Go type.
func (r *requirement) uniform() bool {
	schemes := r.schemes()
	first := schemes[0]
	for _, s := range schemes {
		if s.token != first.token || s.kind != kindJWT && s.principal != first.principal {
			return false
		}
	}
	return !slices.ContainsFunc(r.alternatives, func(a alternative) bool { return len(a) > 1 })
}

// newCredentialType returns the struct for a requirement. The requirement alone decides over the
// names of the struct and of its fields, so that no other operation changes them.
func newCredentialType(r *requirement, types map[string]*tokenType) *credentialType {
	credentialed := slices.DeleteFunc(slices.Clone(r.alternatives), func(a alternative) bool { return len(a) == 0 })
	c := &credentialType{fields: credentialFields(r, types), all: true}
	var names, texts []string
	for _, a := range credentialed {
		fields := c.fieldsOf(a)
		c.all = c.all && len(fields) == len(c.fields)
		names = append(names, strings.Join(fields, "And"))
		texts = append(texts, strings.Join(fields, " and "))
	}
	slices.Sort(names)
	slices.Sort(texts)
	c.goName = strings.Join(slices.Compact(names), "Or") + "Credential"
	c.text = strings.Join(slices.Compact(texts), ", or ")
	return c
}

// credentialFields returns a field for each token type and for each other scheme of a requirement.
// A token type that one alternative asks for twice gets a field for each of its schemes.
func credentialFields(r *requirement, types map[string]*tokenType) []field {
	schemes := map[string]*scheme{}
	for _, s := range r.schemes() {
		schemes[s.name] = s.scheme
	}
	sorted := slices.SortedFunc(maps.Values(schemes), func(a, b *scheme) int {
		return strings.Compare(a.order(), b.order())
	})
	repeated := r.repeatedTokens()
	taken := map[string]bool{}
	var fields []field
	for _, s := range sorted {
		if slices.ContainsFunc(fields, func(f field) bool { return f.accepts(s) }) {
			continue
		}
		f := field{goName: s.goName, scheme: s}
		if s.kind == kindJWT {
			f.token = types[s.token]
			if !repeated[s.token] {
				f.goName, f.scheme = fieldOfType(f.token.goName), nil
			}
		}
		f.goName = unused(f.goName, taken)
		fields = append(fields, f)
	}
	return fields
}

// fieldOfType returns the name of the field for tokens of a Go type.
func fieldOfType(goType string) string {
	if name := strings.TrimSuffix(goType, "Token"); name != "" {
		return name
	}
	return goType
}

// repeatedTokens returns the token types that one alternative asks for more than once.
func (r *requirement) repeatedTokens() map[string]bool {
	repeated := map[string]bool{}
	for _, a := range r.alternatives {
		seen := map[string]bool{}
		for _, s := range a {
			if s.kind == kindJWT && seen[s.token] {
				repeated[s.token] = true
			}
			seen[s.token] = true
		}
	}
	return repeated
}

// fieldsOf returns the names of the fields that an alternative sets.
func (c *credentialType) fieldsOf(a alternative) []string {
	var names []string
	for _, f := range c.fields {
		if slices.ContainsFunc(a, func(s requiredScheme) bool { return f.accepts(s.scheme) }) {
			names = append(names, f.goName)
		}
	}
	return names
}

// order sorts tokens before principals, access and refresh tokens first.
func (s *scheme) order() string {
	if s.kind == kindJWT {
		return "0" + tokenOrder(s.token) + "\x00" + s.name
	}
	return "1" + s.name
}
