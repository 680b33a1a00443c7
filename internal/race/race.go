// Package race is for tests that the race detector makes twenty times slower.
package race

import "testing"

// Skip skips a test while the race detector is on. The Makefile runs such a test a second time
// without it, and names it there.
func Skip(t testing.TB) {
	t.Helper()
	if Enabled {
		t.Skip("takes minutes with the race detector: make test runs it without")
	}
}
