package pgtest

import "syscall"

// dieWithParent makes the system end a server when the test process is killed.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
