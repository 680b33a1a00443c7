package audit_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oapi-guard/oapi-guard/internal/audit"
	"github.com/oapi-guard/oapi-guard/internal/codegen"
)

// schemes are those of the oracle. The tokens of access and login are the same tokens.
var schemes = []codegen.SchemeDefinition{
	{Name: "access", Credential: "token", Token: "access", In: "header", Parameter: "Authorization", Prefix: "Bearer"},
	{Name: "login", Credential: "token", Token: "access", In: "header", Parameter: "Authorization", Prefix: "Bearer"},
	{Name: "key", Credential: "key", In: "header", Parameter: "X-Key"},
}

// sent is a credential of a request.
type sent struct {
	present       bool
	scopes, roles []string
	fresh         bool
	age           int
}

// request has the credentials that it sends.
type request struct{ token, key sent }

// admits reports whether an operation admits a request. It follows the documentation of the rules and
// shares no code with the comparison.
func admits(o codegen.ListedOperation, r request) bool {
	if len(o.Security) == 0 {
		return true
	}
	for _, alternative := range o.Security {
		if len(alternative) == 0 {
			if !r.token.present && !r.key.present {
				return true
			}
			continue
		}
		satisfied := true
		for _, s := range alternative {
			c := r.token
			if s.Name == "key" {
				c = r.key
			}
			satisfied = satisfied && c.present && all(c.scopes, s.Scopes) && all(c.roles, s.Roles) && follows(o, c)
		}
		if satisfied {
			return true
		}
	}
	return false
}

// follows reports whether a credential follows the rules of an operation.
func follows(o codegen.ListedOperation, c sent) bool {
	has := func(role string) bool { return slices.Contains(c.roles, role) }
	switch {
	case o.Fresh && !c.fresh, o.MaxAge > 0 && c.age > o.MaxAge:
		return false
	case o.AllowRoles != nil:
		return slices.ContainsFunc(o.AllowRoles, has)
	case o.DenyRoles != nil:
		return len(c.roles) > 0 && !slices.ContainsFunc(o.DenyRoles, has)
	}
	return true
}

func all(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(list, w) })
}

// requests returns every request that the rules of the oracle tell apart.
func requests() []request {
	credentials := []sent{{}}
	for _, scopes := range [][]string{nil, {"r"}} {
		for _, roles := range [][]string{nil, {"A"}, {"B"}, {"C"}, {"A", "B"}, {"A", "C"}, {"B", "C"}, {"A", "B", "C"}} {
			for _, fresh := range []bool{false, true} {
				for _, age := range []int{60, 600, 6000} {
					credentials = append(credentials, sent{true, scopes, roles, fresh, age})
				}
			}
		}
	}
	var all []request
	for _, token := range credentials {
		all = append(all, request{token: token}, request{key: token})
		for _, key := range credentials {
			all = append(all, request{token, key})
		}
	}
	return all
}

// anOperation returns a random operation. Its lists of allowed roles have several elements if
// disjunctions are wanted.
func anOperation(random *rand.Rand, disjunctions bool) codegen.ListedOperation {
	o := codegen.ListedOperation{Method: "GET", Path: "/x"}
	some := func(of ...string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(string) bool { return random.IntN(3) > 0 })
	}
	for range random.IntN(4) {
		var alternative []codegen.ListedScheme
		for _, s := range schemes {
			if random.IntN(2) == 0 && (s.Name != "login" || len(alternative) == 0) {
				alternative = append(alternative, codegen.ListedScheme{Name: s.Name, Scopes: some("r"), Roles: some("A", "B")})
			}
		}
		o.Security = append(o.Security, alternative)
	}
	o.Public = len(o.Security) == 0
	o.Optional = slices.ContainsFunc(o.Security, func(a []codegen.ListedScheme) bool { return len(a) == 0 })
	switch random.IntN(6) {
	case 0:
		o.Fresh = true
	case 1:
		o.MaxAge = []int{60, 600}[random.IntN(2)]
	case 2:
		o.AllowRoles = []string{"A"}
		if disjunctions {
			o.AllowRoles = append(o.AllowRoles, "B")
		}
	case 3:
		o.DenyRoles = [][]string{{"A"}, {"B"}, {"A", "B"}}[random.IntN(3)]
	}
	return o
}

// satisfiable removes required roles where roles are denied: a role that is both admits nobody, which
// the comparison does not see.
func satisfiable(o *codegen.ListedOperation) {
	for _, alternative := range o.Security {
		for i := range alternative {
			if o.DenyRoles != nil {
				alternative[i].Roles = nil
			}
		}
	}
}

// TestOracle compares random operations, and checks each verdict with all requests. An operation that
// admits a request that the old version refuses is always weaker. One that is weaker admits such a
// request, and one that is stronger refuses a request that the old version admits.
func TestOracle(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	every := requests()
	kinds := map[audit.Kind]int{}
	rounds := 1500
	if testing.Short() {
		rounds = 300
	}
	for i := range rounds {
		disjunctions := i%3 == 0
		before, after := anOperation(random, disjunctions), anOperation(random, disjunctions)
		if i%2 == 0 { // versions that are nearer to each other
			after.Fresh, after.MaxAge, after.AllowRoles, after.DenyRoles = before.Fresh, before.MaxAge, before.AllowRoles, before.DenyRoles
		}
		satisfiable(&before)
		satisfiable(&after)
		c := audit.Compare(&codegen.Listing{Operations: []codegen.ListedOperation{before}, Schemes: schemes}, &codegen.Listing{Operations: []codegen.ListedOperation{after}, Schemes: schemes})
		kind := audit.Same
		if len(c.Changes) > 0 {
			kind = c.Changes[0].Kind
		}
		kinds[kind]++
		admitted, refused := false, false
		for _, r := range every {
			was, is := admits(before, r), admits(after, r)
			admitted, refused = admitted || is && !was, refused || was && !is
		}
		switch {
		case admitted && kind != audit.Weaker:
			t.Fatalf("a weaker operation is %s:\n%#v\n%#v", kind, before, after)
		case disjunctions: // may be compared too strictly
		case kind == audit.Weaker && !admitted:
			t.Fatalf("a weaker operation was invented (%v):\n%#v\n%#v", c.Changes[0].Reasons, before, after)
		case (kind == audit.Stronger) != (refused && !admitted):
			t.Fatalf("refused %t, admitted %t, and it is %s:\n%#v\n%#v", refused, admitted, kind, before, after)
		}
	}
	if kinds[audit.Weaker] < rounds/3 || kinds[audit.Stronger] < rounds/10 || kinds[audit.Same] < rounds/30 {
		t.Errorf("the pairs are of few kinds: %v", kinds)
	}
	t.Logf("%v with %d requests each", kinds, len(every))
}
