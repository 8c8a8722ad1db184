//go:build unix

package gate

import (
	"os"

	"golang.org/x/sys/unix"
)

// writable reports why no file can be made in a folder.
func writable(folder string) error { return unix.Access(folder, unix.W_OK|unix.X_OK) }

// lock keeps other processes from renaming in a folder at the same time, until
// it is closed. Where the file system knows no locks there is none.
func lock(folder *os.File) { _ = unix.Flock(int(folder.Fd()), unix.LOCK_EX) }
