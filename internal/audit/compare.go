package audit

import (
	"fmt"
	"slices"

	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// comparer compares operations of two documents with these schemes.
type comparer struct {
	before, after map[string]codegen.SchemeDefinition
}

// compare returns what happened to an operation. One of the versions may be nil.
func (c comparer) compare(before, after *codegen.ListedOperation) Change {
	change := Change{Before: before, After: after, Reasons: []Reason{}}
	switch {
	case after == nil:
		change.Kind = Gone
		change.Method, change.Path, change.ID = before.Method, before.Path, before.ID
		return change
	case before == nil:
		change.Kind = New
		if after.Public || after.Optional {
			change.Weaker = true
			change.Reasons = append(change.Reasons, Reason{Weaker, "a new operation that anonymous callers reach"})
		}
	default:
		change.Reasons = append(change.Reasons, reasons(requirementOf(before, c.before), requirementOf(after, c.after))...)
		change.Kind = kindOf(change.Reasons)
		change.Weaker = change.Kind == Weaker
	}
	change.Method, change.Path, change.ID = after.Method, after.Path, after.ID
	return change
}

func kindOf(reasons []Reason) Kind {
	kind := Same
	for _, r := range reasons {
		if r.Kind == Weaker {
			return Weaker
		}
		kind = Stronger
	}
	return kind
}

// reasons returns how an operation became weaker and stronger. There is a weaker one if the new
// requirement admits a request that the old one refuses, or if that cannot be excluded.
func reasons(before, after requirement) []Reason {
	switch {
	case before.public && after.public:
		return nil
	case after.public:
		return []Reason{{Weaker, "no credential is checked any more"}}
	case before.public:
		return []Reason{{Stronger, "a credential is checked: " + alternativesText(after)}}
	}
	var found list
	switch {
	case after.anonymous && !before.anonymous:
		found.add(Weaker, "anonymous callers are admitted too")
	case before.anonymous && !after.anonymous:
		found.add(Stronger, "anonymous callers are not admitted any more")
	}
	found.compareAlternatives(before.alternatives, after.alternatives)
	return found
}

// list collects reasons, each once.
type list []Reason

func (l *list) add(kind Kind, format string, args ...any) {
	if r := (Reason{kind, fmt.Sprintf(format, args...)}); !slices.Contains(*l, r) {
		*l = append(*l, r)
	}
}

// compareAlternatives adds a weaker reason for each new alternative that implies no old one, and a
// stronger reason for each old one that implies no new one. Two alternatives of the same credentials
// are explained by what differs between them.
func (l *list) compareAlternatives(before, after []alternative) {
	var weaker, stronger []alternative
	for _, a := range after {
		if !a.impliesAny(before) {
			weaker = append(weaker, a)
		}
	}
	for _, b := range before {
		if !b.impliesAny(after) {
			stronger = append(stronger, b)
		}
	}
	var explained []string
	for _, a := range weaker {
		b, found := counterpart(a, stronger, sameIdentity, sameScheme)
		if found {
			explained = append(explained, b.key())
		} else if b, found = counterpart(a, before, sameIdentity, sameScheme); !found {
			l.add(Weaker, "accepted too: %s", a)
			continue
		}
		l.differences(Weaker, b, a)
	}
	for _, b := range stronger {
		a, found := counterpart(b, after, sameIdentity)
		switch {
		case found:
			l.differences(Stronger, b, a)
		case !slices.Contains(explained, b.key()):
			l.add(Stronger, "no longer accepted: %s", b)
		}
	}
}

// sameIdentity and sameScheme say which credentials of two alternatives belong together.
func sameIdentity(a, b credential) bool { return a.identity == b.identity }
func sameScheme(a, b credential) bool   { return a.definition.Name == b.definition.Name }

// counterpart returns the alternative of a list that has the credentials of another one, or else more
// or fewer of them.
func counterpart(of alternative, among []alternative, rules ...func(a, b credential) bool) (alternative, bool) {
	for _, same := range rules {
		for _, fits := range []func(alternative) bool{
			func(a alternative) bool { return len(a) == len(of) && a.includes(of, same) },
			func(a alternative) bool { return a.includes(of, same) || of.includes(a, same) },
		} {
			if i := slices.IndexFunc(among, fits); i >= 0 {
				return among[i], true
			}
		}
	}
	return nil, false
}

// key identifies the credentials of an alternative and what they have to satisfy.
func (a alternative) key() string { return fmt.Sprintf("%+v", []credential(a)) }

// includes reports whether an alternative has the credentials of another.
func (a alternative) includes(other alternative, same func(a, b credential) bool) bool {
	return !slices.ContainsFunc(other, func(wanted credential) bool {
		return !slices.ContainsFunc(a, func(c credential) bool { return same(c, wanted) })
	})
}

// find returns the credential of the same identity, or of the same scheme.
func (a alternative) find(wanted credential) (credential, bool) {
	for _, same := range []func(a, b credential) bool{sameIdentity, sameScheme} {
		if i := slices.IndexFunc(a, func(c credential) bool { return same(c, wanted) }); i >= 0 {
			return a[i], true
		}
	}
	return credential{}, false
}

// differences adds what differs between two alternatives in one direction.
func (l *list) differences(kind Kind, before, after alternative) {
	for _, b := range before {
		a, found := after.find(b)
		switch {
		case found && kind == Weaker:
			l.weaknesses(b, a)
		case found:
			l.strengths(b, a)
		case kind == Weaker:
			l.add(Weaker, "no longer required: %s beside %s", b.text(), after)
		}
	}
	for _, a := range after {
		if _, found := before.find(a); !found && kind == Stronger {
			l.add(Stronger, "required too: %s", a.text())
		}
	}
}

// weaknesses adds what a credential had to satisfy and does not have to any more.
func (l *list) weaknesses(b, a credential) {
	name := a.definition.Name
	if b.identity != a.identity {
		l.add(Weaker, "scheme %s changed in a way that cannot be compared: %s", name, identityText(b.identity, a.identity))
	}
	if scopes := without(b.scopes, a.scopes); scopes != nil {
		l.add(Weaker, "no longer required: %s of %s", names("scope", scopes), name)
	}
	for _, roles := range b.roles {
		if a.hasRoleOf(roles) {
			continue
		}
		if grown, found := closest(roles, a.roles); found {
			l.add(Weaker, "admitted too: %s", names("role", without(grown, roles)))
			continue
		}
		l.add(Weaker, "no longer required: %s", oneOf(roles))
	}
	if roles := without(b.deny, a.deny); roles != nil {
		l.add(Weaker, "no longer denied: %s", names("role", roles))
	}
	if b.fresh && !a.fresh {
		l.add(Weaker, "no longer required: a fresh token")
	}
	switch {
	case atMost(a.maxAge, b.maxAge):
	case a.maxAge == 0:
		l.add(Weaker, "the authentication may have any age, not at most %s", codegen.AgeText(b.maxAge))
	default:
		l.add(Weaker, "the authentication may be %s old, not %s", codegen.AgeText(a.maxAge), codegen.AgeText(b.maxAge))
	}
	if b.immediate && !a.immediate {
		l.add(Weaker, "no longer required: immediate revocation")
	}
	if b.watch && !a.watch {
		l.add(Weaker, "no longer required: the token is watched during the request")
	}
	if b.definition.CSRF != a.definition.CSRF && a.definition.CSRF != "header" {
		l.add(Weaker, "the CSRF token of %s may come in a form too", name)
	}
	if !impliesClaims(a.definition.Claims, b.definition.Claims) {
		l.add(Weaker, "the claims of %s may have values that the old schema refuses, or the schemas cannot be compared", name)
	}
}

// strengths adds what a credential has to satisfy and did not have to before.
func (l *list) strengths(b, a credential) {
	name := a.definition.Name
	if scopes := without(a.scopes, b.scopes); scopes != nil {
		l.add(Stronger, "required: %s of %s", names("scope", scopes), name)
	}
	for _, roles := range a.roles {
		if b.hasRoleOf(roles) {
			continue
		}
		if shrunk, found := closest(roles, b.roles); found {
			if gone := without(shrunk, roles); gone != nil {
				l.add(Stronger, "no longer admitted: %s", names("role", gone))
				continue
			}
		}
		l.add(Stronger, "required: %s", oneOf(roles))
	}
	if roles := without(a.deny, b.deny); roles != nil {
		l.add(Stronger, "denied: %s", names("role", roles))
	}
	if a.fresh && !b.fresh {
		l.add(Stronger, "required: a fresh token")
	}
	if !atMost(b.maxAge, a.maxAge) {
		l.add(Stronger, "the authentication may be at most %s old", codegen.AgeText(a.maxAge))
	}
	if a.immediate && !b.immediate {
		l.add(Stronger, "required: immediate revocation")
	}
	if a.watch && !b.watch {
		l.add(Stronger, "required: the token is watched during the request")
	}
	if b.definition.CSRF != a.definition.CSRF && a.definition.CSRF == "header" {
		l.add(Stronger, "the CSRF token of %s has to come in a header", name)
	}
	if !impliesClaims(b.definition.Claims, a.definition.Claims) {
		l.add(Stronger, "the claims of %s have to satisfy a schema that refuses more", name)
	}
}

// closest returns the list that shares the most roles with another.
func closest(roles []string, lists [][]string) (closest []string, found bool) {
	shared := 0
	for _, list := range lists {
		if n := len(roles) - len(without(roles, list)); n > shared {
			closest, shared = list, n
		}
	}
	return closest, shared > 0
}
