package client

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

const (
	lockExclusive     = 2
	lockFailAtOnce    = 1
	errLockViolation  = syscall.Errno(33)
	everyByte         = 0xffffffff
	reservedParameter = 0
)

// tryLock locks a file, and returns false if another open file has the lock.
func tryLock(file *os.File) (bool, error) {
	var overlapped syscall.Overlapped
	ok, _, err := lockFileEx.Call(file.Fd(), lockExclusive|lockFailAtOnce, reservedParameter, everyByte, everyByte,
		uintptr(unsafe.Pointer(&overlapped)))
	switch {
	case ok != 0:
		return true, nil
	case errors.Is(err, errLockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return false, nil
	}
	return false, err
}
