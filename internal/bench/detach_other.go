//go:build !unix

package bench

import (
	"io"
	"os"
	"os/exec"
)

func detach(*exec.Cmd) {}

func ownOutput(out io.Writer) (io.Writer, error) { return out, nil }

func signaled(*os.ProcessState) bool { return false }
