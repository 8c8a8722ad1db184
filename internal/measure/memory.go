package measure

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// ErrUnsupported says that this system does not offer a measurement.
var ErrUnsupported = errors.New("not supported on this system")

// RSS returns the bytes of this process that are resident in memory now, or 0
// where the system does not tell.
func RSS() int64 { return statusField("VmRSS:") }

// PeakRSS returns the most bytes that were ever resident (since ResetPeak),
// including mapped files; where the system does not tell, what getrusage says.
func PeakRSS() int64 {
	if n := statusField("VmHWM:"); n > 0 {
		return n
	}
	return rusagePeak()
}

// statusField reads a size from /proc/self/status; 0 where there is none.
func statusField(name string) int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return parseStatus(raw, name)
}

// parseStatus finds "VmHWM:	  1234 kB" in a status file, in bytes.
func parseStatus(raw []byte, name string) int64 {
	for line := range bytes.Lines(raw) {
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok {
			continue
		}
		f := bytes.Fields(rest)
		if len(f) != 2 || string(f[1]) != "kB" {
			return 0
		}
		n, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil || n < 0 || n > 1<<50 {
			return 0
		}
		return n << 10
	}
	return 0
}

// ResetPeak makes PeakRSS begin anew from what is resident now. Some systems
// and containers do not allow it.
func ResetPeak() error {
	err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrUnsupported
	}
	return err
}

// DiskFree returns the bytes that this user may still write on the file system
// of path, which need not exist yet.
func DiskFree(path string) (int64, error) {
	dir, err := filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	for {
		if _, err := os.Stat(dir); err == nil {
			return diskFree(dir)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		up := filepath.Dir(dir)
		if up == dir {
			return 0, fs.ErrNotExist
		}
		dir = up
	}
}
