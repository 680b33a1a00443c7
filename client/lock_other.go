//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package client

import (
	"errors"
	"os"
)

// tryLock fails: this system has no lock that ends with its process.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
