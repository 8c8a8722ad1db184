package bench

import (
	"bytes"
	"fmt"
	"os"
)

// self returns this program's file. It is there also when another one has been put
// in its place, or none: a worker has to be of the same make as its parent.
func self() (string, error) { return "/proc/self/exe", nil }

// isStopped reports whether a process was stopped by a signal.
func isStopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// The state stands behind the name, which may hold anything.
	_, state, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return err == nil && bytes.HasPrefix(state, []byte("T "))
}
