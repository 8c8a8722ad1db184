package calibrate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cacheFiles is how many calibrations a cache folder keeps.
const cacheFiles = 32

// Prune removes all but the newest calibrations from a cache folder. What
// cannot be read or removed is left.
func Prune(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	type file struct {
		name string
		age  int64
	}
	var files []file
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && strings.HasSuffix(e.Name(), ".json") {
			files = append(files, file{e.Name(), -info.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return int(max(-1, min(1, a.age-b.age))) })
	for _, f := range files[min(len(files), cacheFiles):] {
		os.Remove(filepath.Join(dir, f.name))
	}
}
