package keys

import "slices"

// Limits of a fetch.
const (
	RemoteTimeout = remoteTimeout
	MaxRemoteSize = maxRemoteSize
)

// Failures returns the number of failed fetches in a row.
func (r *Remote) Failures() int { return r.failures }

// WaitForFetch waits for the fetch in progress.
func (r *Remote) WaitForFetch() { r.fetches.Wait() }

// WithOtherID returns the key under another id.
func (k *Key) WithOtherID(id string) *Key {
	other := *k
	other.id = id
	return &other
}

// RSAAlgorithms and HMACAlgorithms are the algorithms of those kinds.
func RSAAlgorithms() []Algorithm  { return algorithmsOf(rsaMethods) }
func HMACAlgorithms() []Algorithm { return algorithmsOf(hmacMethods) }

func algorithmsOf[M any](methods map[Algorithm]M) []Algorithm {
	var all []Algorithm
	for algorithm := range methods {
		all = append(all, algorithm)
	}
	slices.Sort(all)
	return all
}
