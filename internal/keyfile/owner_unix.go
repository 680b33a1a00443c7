//go:build unix

package keyfile

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// copyOwner gives a file the owner, the group and the permissions of a former one: a file that root
// writes must stay readable for the service.
func copyOwner(file *os.File, former fs.FileInfo) error {
	if stat, ok := former.Sys().(*syscall.Stat_t); ok {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		now, ok := info.Sys().(*syscall.Stat_t)
		if !ok || now.Uid != stat.Uid || now.Gid != stat.Gid {
			if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
				return fmt.Errorf("the key file belongs to user %d and group %d, and the new one cannot: run the command as that user", stat.Uid, stat.Gid)
			}
		}
	}
	return file.Chmod(former.Mode().Perm() & 0o640)
}
