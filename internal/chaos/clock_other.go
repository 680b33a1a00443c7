//go:build !linux

package main

import (
	"syscall"
	"time"
)

// monotonic returns the wall clock of the machine in nanoseconds: the processes have no monotonic
// clock in common that the standard library reads. Nothing may set it during a run.
func monotonic() int64 { return time.Now().UnixNano() }

func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
