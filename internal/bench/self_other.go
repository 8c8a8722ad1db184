//go:build !linux

package bench

import "os"

func self() (string, error) { return os.Executable() }

func isStopped(int) bool { return false }
