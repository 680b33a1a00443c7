package redistest

import "syscall"

// dieWithParent ends a server also where the test process is killed and cannot clean up.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
