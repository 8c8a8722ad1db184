package host

import (
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// containerLimits reads the limits of the control group that this process is
// in: version 2 (one tree), else version 1. It returns nil where none is set.
// See the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1.
func containerLimits(root fs.FS) *Limits {
	const base = "sys/fs/cgroup"
	l := &Limits{}
	for _, path := range groupPaths(root) {
		l.lower(readQuota(root, base+path+"/cpu.max"), readLimit(root, base+path+"/memory.max"))
	}
	if l.CPUs == nil && l.Memory == nil {
		quota := readLimit(root, base+"/cpu/cpu.cfs_quota_us")
		period := readLimit(root, base+"/cpu/cpu.cfs_period_us")
		var cpus *float64
		if quota != nil && period != nil {
			n := float64(*quota) / float64(*period)
			cpus = &n
		}
		l.lower(cpus, readLimit(root, base+"/memory/memory.limit_in_bytes"))
	}
	if l.CPUs == nil && l.Memory == nil {
		return nil
	}
	return l
}

// lower takes the given limits where they are below those known so far.
func (l *Limits) lower(cpus *float64, memory *int64) {
	if cpus != nil && (l.CPUs == nil || *cpus < *l.CPUs) {
		l.CPUs = cpus
	}
	if memory != nil && (l.Memory == nil || *memory < *l.Memory) {
		l.Memory = memory
	}
}

// groupPaths returns the path of this process's control group and those above
// it, whose limits hold as well; "" is the root.
func groupPaths(root fs.FS) []string {
	out := []string{""}
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(text)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		at := ""
		for part := range strings.SplitSeq(path, "/") {
			if part == "" || part == "." || part == ".." {
				continue
			}
			at += "/" + part
			out = append(out, at)
		}
	}
	return out
}

// readQuota reads "QUOTA PERIOD", or "max PERIOD" for no limit.
func readQuota(root fs.FS, path string) *float64 {
	text, err := fs.ReadFile(root, path)
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return nil
	}
	quota, err1 := strconv.ParseFloat(fields[0], 64)
	period, err2 := strconv.ParseFloat(fields[1], 64)
	if err1 != nil || err2 != nil || quota <= 0 || period <= 0 {
		return nil
	}
	n := quota / period
	return &n
}

// readLimit reads a positive number; "max", -1 and numbers that only mean
// "as much as there is" are no limit.
func readLimit(root fs.FS, path string) *int64 {
	text, err := fs.ReadFile(root, path)
	if err != nil {
		return nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/2 {
		return nil
	}
	return &n
}
