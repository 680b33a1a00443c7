package hooks

import (
	"slices"
	"testing"
)

func TestCallCallsWhatWasAddedAndNotStopped(t *testing.T) {
	var list List
	var called []string
	list.Call() // of an empty list
	stopFirst := list.Add(func() { called = append(called, "first") })
	list.Add(func() { called = append(called, "second") })
	list.Call()
	stopFirst()
	stopFirst()
	list.Call()
	if want := []string{"first", "second", "second"}; !slices.Equal(called, want) {
		t.Errorf("called %v, want %v", called, want)
	}
}
