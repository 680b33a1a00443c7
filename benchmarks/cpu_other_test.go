//go:build !unix

package benchmarks

import (
	"errors"
	"time"
)

// cpuTime returns the time that this process used on all cores.
func cpuTime() (time.Duration, error) { return 0, errors.ErrUnsupported }
