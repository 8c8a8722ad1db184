//go:build unix

package bench

import (
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// detach puts a worker into a process group of its own, so that a Ctrl-C at the
// terminal reaches the parent alone, which then asks for what was measured.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signaled reports whether a signal ended a process: crashes do not, Go's runtime
// turns them into an exit status.
func signaled(s *os.ProcessState) bool {
	status, ok := s.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// ownOutput returns a writer that leads to where out does. Where that is the standard
// output of the process, it leads to standard error from now on: what a library
// prints is not to stand between the answers.
func ownOutput(out io.Writer) (io.Writer, error) {
	if f, ok := out.(*os.File); !ok || f != os.Stdout {
		return out, nil
	}
	fd, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.Dup2(unix.Stderr, unix.Stdout)
	}
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(fd), os.Stdout.Name()), nil
}
