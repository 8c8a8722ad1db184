package trt

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestHeaders compiles the shim against every set of NVIDIA's headers under the folder that
// OPTIM_TRT_HEADERS names (see make trt-deps), without a warning, and looks for symbols that
// would have to be linked.
func TestHeaders(t *testing.T) {
	folder := os.Getenv("OPTIM_TRT_HEADERS")
	if folder == "" {
		t.Skip("OPTIM_TRT_HEADERS names no folder with headers: see make trt-deps")
	}
	cxx, err := exec.LookPath("g++")
	if err != nil {
		t.Skip("g++ is missing")
	}
	sets, _ := filepath.Glob(filepath.Join(folder, "*", "TRT-*"))
	if len(sets) == 0 {
		t.Fatalf("no headers under %s", folder)
	}
	for _, set := range sets {
		t.Run(filepath.Base(set), func(t *testing.T) {
			t.Parallel()
			object := filepath.Join(t.TempDir(), "shim.o")
			out, err := exec.Command(cxx, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations", "-fPIC", "-c", "shim.cpp", "-o", object,
				"-isystem", set, "-isystem", filepath.Dir(set)).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err = exec.Command("nm", "-u", object).Output()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(out)) {
				if s := strings.ToLower(line); strings.Contains(s, "createinfer") || strings.Contains(s, "nvonnx") || strings.Contains(s, "cuda") || strings.Contains(s, "getplugin") {
					t.Errorf("the shim needs %s", strings.TrimSpace(line))
				}
			}
		})
	}
}
