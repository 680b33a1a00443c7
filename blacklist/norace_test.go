//go:build !race

package blacklist

// raceDetector says whether the race detector is on, which makes tests about twenty times slower.
const raceDetector = false
