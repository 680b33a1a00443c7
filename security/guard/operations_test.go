package guard

import "testing"

// TestOperations checks the order, the addresses and the aliases of the operations of an API, and that
// a list shares nothing with them.
func TestOperations(t *testing.T) {
	var operations Operations
	if list := operations.List(); list == nil || len(list) != 0 {
		t.Errorf("no operations: %v, want an empty list", list)
	}
	first := operations.Add(Operation{ID: "first", Path: "/a", Rules: Rules{AllowRoles: []string{"ADMIN"}}}, "/b", "/c")
	second := operations.Add(Operation{ID: "second", Path: "/d"})
	all := operations.All()
	if len(all) != 2 || all[0] != first || all[1] != second {
		t.Errorf("operations %v, want the two that were added", all)
	}
	var paths string
	list := operations.List()
	for _, o := range list {
		paths += o.ID + o.Path + " "
	}
	if want := "first/a first/b first/c second/d "; paths != want {
		t.Errorf("%q, want %q", paths, want)
	}
	list[0].Rules.AllowRoles[0], all[1] = "changed", nil
	if first.Rules.AllowRoles[0] != "ADMIN" || operations.All()[1] != second {
		t.Error("a list changes the operations")
	}
}
