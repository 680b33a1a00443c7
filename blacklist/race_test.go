//go:build race

package blacklist

// raceDetector says that the tests run with the race detector, which makes them some twenty times slower.
const raceDetector = true
