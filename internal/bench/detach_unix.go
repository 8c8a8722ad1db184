//go:build unix

package bench

import (
	"os/exec"
	"syscall"
)

// detach puts a worker into a process group of its own, so that a Ctrl-C at the
// terminal reaches the parent alone, which then asks for what was measured.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
