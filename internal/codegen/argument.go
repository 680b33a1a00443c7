package codegen

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// argument is what an operation's method gets of the credentials that its guard accepted.
type argument struct {
	// token is set where every alternative is one token of the type, principal where every one is one principal of the type, and
	// credential where they differ or where one has several schemes. A public operation has none of them.
	token      *tokenType
	principal  *goType
	credential *credentialType
	optional   bool
}

// credentialType is a struct that holds the credentials of one alternative.
type credentialType struct {
	goName string
	fields []field
	// all says that there is one alternative only, so that every field is set.
	all bool
	// text says which fields the alternatives fill in.
	text string
}

// field is a field of a credentialType: a token type, or what came by one scheme.
type field struct {
	goName string
	token  *tokenType
	scheme *scheme
}

// holds reports whether the field is for the credential of a scheme.
func (f field) holds(s *scheme) bool {
	return f.scheme == s || f.scheme == nil && s.kind == kindJWT && f.token.name == s.token
}

// ownName matches what guard.gen.go calls its other exported types and functions.
var ownName = regexp.MustCompile(`^(Authenticator|(New|Register)?Guarded.*)$`)

// giveArguments gives every operation its argument, and returns the structs that they need, by name.
func giveArguments(operations []*operation, types []*tokenType, p *problems) []*credentialType {
	byName := map[string]*tokenType{}
	for _, t := range types {
		byName[t.name] = t
	}
	structs := map[string]*credentialType{}
	for _, o := range operations {
		o.argument = argumentOf(o.requirement, byName)
		own := o.argument.credential
		if own == nil {
			if o.credential != "" && !o.requirement.public() {
				p.add(o.credentialAt, "operation %s takes no struct that %s could name: all of its alternatives are one kind of credential; remove it", o.id, keyCredential)
			}
			continue
		}
		if o.credential != "" {
			own.goName = o.credential
			if slices.ContainsFunc(types, func(t *tokenType) bool { return t.goName == own.goName }) || ownName.MatchString(own.goName) {
				p.add(o.credentialAt, "the Go name %s is needed for something else in %s; choose another name", own.goName, GuardFile)
			}
		}
		other := structs[own.goName]
		if other == nil {
			structs[own.goName] = own
			continue
		}
		if !other.same(own) {
			at, fix := o.credentialAt, "choose another name"
			if o.credential == "" {
				at, fix = o.requirement.at, fmt.Sprintf("choose one with %s.%s", guardKey, keyCredential)
			}
			p.add(at, "operation %s takes other credentials than those that the name %s stands for already; %s", o.id, own.goName, fix)
		}
		o.argument.credential = other
	}
	return slices.SortedFunc(maps.Values(structs), func(a, b *credentialType) int { return strings.Compare(a.goName, b.goName) })
}

func (c *credentialType) same(other *credentialType) bool {
	return c.all == other.all && c.text == other.text && slices.Equal(c.fields, other.fields)
}

func argumentOf(r *requirement, types map[string]*tokenType) argument {
	a := argument{optional: r.optional()}
	if r.public() {
		return a
	}
	var first *part
	alike := true
	for _, alternative := range r.alternatives {
		for i := range alternative {
			if first == nil {
				first = &alternative[i]
			}
			own := &alternative[i]
			alike = alike && len(alternative) == 1 && own.token == first.token && (own.kind == kindJWT || own.principal == first.principal)
		}
	}
	switch {
	case first == nil: // reported already
	case !alike:
		a.credential = newCredentialType(r, types)
	case first.kind == kindJWT:
		a.token = types[first.token]
	default:
		a.principal = &first.principal
	}
	return a
}

// newCredentialType names a struct and its fields by the requirement alone, so that no other operation changes them.
func newCredentialType(r *requirement, types map[string]*tokenType) *credentialType {
	c := &credentialType{}
	twice := map[string]bool{} // token types that an alternative asks for more than once
	alternatives := 0
	for _, alternative := range r.alternatives {
		count := map[string]int{}
		for _, p := range alternative {
			count[p.token]++
			twice[p.token] = twice[p.token] || p.kind == kindJWT && count[p.token] > 1
		}
		if len(alternative) > 0 {
			alternatives++
		}
	}
	c.all = alternatives == 1

	schemes := map[string]*scheme{}
	for _, p := range r.parts() {
		schemes[p.name] = p.scheme
	}
	sorted := slices.SortedFunc(maps.Values(schemes), func(a, b *scheme) int {
		return strings.Compare(a.order(), b.order())
	})
	taken := map[string]bool{}
	for _, s := range sorted {
		if slices.ContainsFunc(c.fields, func(f field) bool { return f.holds(s) }) {
			continue
		}
		f := field{goName: s.goName, scheme: s}
		if s.kind == kindJWT {
			f.token = types[s.token]
			if !twice[s.token] {
				f.goName, f.scheme = strings.TrimSuffix(f.token.goName, "Token"), nil
			}
		}
		f.goName = unused(f.goName, taken)
		c.fields = append(c.fields, f)
	}

	var names, texts []string
	for _, alternative := range r.alternatives {
		var fields []string
		for _, f := range c.fields {
			if slices.ContainsFunc(alternative, func(p part) bool { return f.holds(p.scheme) }) {
				fields = append(fields, f.goName)
			}
		}
		if len(alternative) > 0 {
			names = append(names, strings.Join(fields, "And"))
			texts = append(texts, strings.Join(fields, " and "))
		}
	}
	slices.Sort(names)
	slices.Sort(texts)
	c.goName = strings.Join(slices.Compact(names), "Or") + "Credential"
	c.text = strings.Join(slices.Compact(texts), ", or ")
	return c
}

// order sorts tokens before principals, access and refresh first.
func (s *scheme) order() string {
	if s.kind == kindJWT {
		return "0" + tokenOrder(s.token) + "\x00" + s.name
	}
	return "1" + s.name
}
