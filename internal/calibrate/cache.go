package calibrate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
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

// Describe returns the inputs and outputs of a model as the runtime sees them;
// its weights stay in its files.
func Describe(rt *ort.Runtime, m *onnx.Model, so ort.Options) (dataset.ModelInfo, error) {
	so.GraphOpt, so.NoPrepack = ort.GraphOptOff, true
	s, err := open(rt, m, so)
	if err != nil {
		return dataset.ModelInfo{}, err
	}
	defer s.Close()
	return dataset.ModelInfo{Path: m.Path, Inputs: s.Inputs(), Outputs: s.Outputs()}, nil
}
