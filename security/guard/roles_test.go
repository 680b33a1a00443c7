package guard

import "testing"

// TestRolesOfNobody sends tokens whose claim roles names no role. They pass neither a rule that
// allows roles nor one that denies roles.
func TestRolesOfNobody(t *testing.T) {
	f := newFixture(t)
	for _, roles := range []string{`""`, `[]`, `[""]`, `"a\u0000"`, `null`, `7`} {
		for _, rules := range []Rules{{DenyRoles: []string{"BANNED"}}, {AllowRoles: []string{""}}} {
			handler, saw := f.serve(t, &Operation{ID: "op", Requirement: Requirement{{accessScheme}}, Rules: rules})
			if w := get(handler, bearer(compactHS256(goodHeader, payloadWith("roles", roles)))); w.Code != 403 || saw.calls != 0 {
				t.Errorf("roles %s, %+v: status %d and %d calls of the handler, want 403 and none", roles, rules, w.Code, saw.calls)
			}
		}
	}
}
