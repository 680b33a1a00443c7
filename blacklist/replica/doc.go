// Package replica keeps an exact copy of a shared blacklist in every process, so that a look-up
// costs about what one in [blacklist.Memory] costs.
package replica
