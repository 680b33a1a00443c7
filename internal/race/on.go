//go:build race

// Package race tells tests whether the race detector is on, which makes some of them twenty times
// slower.
package race

// Enabled says whether the race detector is on.
const Enabled = true
