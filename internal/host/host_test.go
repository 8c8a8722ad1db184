package host

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"
)

func files(m map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range m {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestContainerLimits(t *testing.T) {
	cpus := func(v float64) *float64 { return &v }
	bytes := func(v int64) *int64 { return &v }
	for name, c := range map[string]struct {
		fs   map[string]string
		want *Limits
	}{
		"none":      {nil, nil},
		"unlimited": {map[string]string{"sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}, nil},
		"version 2": {map[string]string{"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": "4000000000\n"},
			&Limits{cpus(1.5), bytes(4e9)}},
		"a group below": {map[string]string{
			"proc/self/cgroup":              "0::/a/b\n",
			"sys/fs/cgroup/a/cpu.max":       "400000 100000",
			"sys/fs/cgroup/a/b/cpu.max":     "200000 100000",
			"sys/fs/cgroup/a/memory.max":    "1000",
			"sys/fs/cgroup/a/b/memory.max":  "2000",
			"sys/fs/cgroup/a/b/c/cpu.max":   "100000 100000",
			"sys/fs/cgroup/other/other.max": "1",
		}, &Limits{cpus(2), bytes(1000)}},
		"version 1": {map[string]string{
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":            "50000",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":           "100000",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":    "9223372036854771712",
			"sys/fs/cgroup/memory/memory.memsw.usage_bytes": "1",
		}, &Limits{cpus(0.5), nil}},
		"version 1 without quota": {map[string]string{
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":  "-1",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
		}, nil},
		"nonsense": {map[string]string{"sys/fs/cgroup/cpu.max": "a b", "sys/fs/cgroup/memory.max": "-5", "proc/self/cgroup": "0::/../../etc\n"}, nil},
	} {
		if got := containerLimits(files(c.fs)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

const nvrm = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12\nGCC version: 12\n"

func TestFindCUDA(t *testing.T) {
	folders := []string{"relative", "/opt/none", "/usr/lib64"}
	got := findCUDA(files(map[string]string{
		"usr/lib64/libcuda.so.1":                           "",
		"usr/lib64/libcuda.so.535.183.01":                  "",
		"usr/lib64/libcudart.so.12":                        "",
		"relative/libcudnn.so":                             "",
		"proc/driver/nvidia/version":                       nvrm,
		"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA Example\nIRQ: 1\n",
		"proc/driver/nvidia/gpus/0000:02:00.0/information": "IRQ: 2\n",
	}), folders)
	want := Driver{
		Available: true, DriverVersion: "535.183.01", Library: "/usr/lib64/libcuda.so.535.183.01",
		Runtime: "/usr/lib64/libcudart.so.12", Devices: []string{"NVIDIA Example", "0000:02:00.0"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for name, fs := range map[string]map[string]string{
		"nothing":            nil,
		"library alone":      {"usr/lib64/libcuda.so.1": ""},
		"driver alone":       {"proc/driver/nvidia/version": nvrm},
		"toolkit, no driver": {"usr/lib64/libcudart.so.12": ""},
	} {
		if d := findCUDA(files(fs), folders); d.Available {
			t.Errorf("%s: available: %+v", name, d)
		}
	}
	open := findCUDA(files(map[string]string{
		"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n",
	}), folders)
	if open.DriverVersion != "550.54.15" {
		t.Errorf("open driver: %+v", open)
	}
}

func TestFindTensorRT(t *testing.T) {
	got := findTensorRT(files(map[string]string{"opt/rt/libnvinfer.so.10": "", "opt/rt/libnvinfer.so.10.3.0": "", "opt/rt/libnvinfer_plugin.so.10": ""}), []string{"/opt/rt"})
	if want := (Installed{true, "/opt/rt/libnvinfer.so.10.3.0", "10.3.0"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := findTensorRT(files(nil), []string{"/opt/rt"}); got != (Installed{}) {
		t.Errorf("got %+v", got)
	}
}

func TestProbe(t *testing.T) {
	f, err := Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.CPU.Model == "" || f.CPU.Cores < 1 || f.CPU.Cores > f.CPU.Threads || f.Memory < 1<<20 || f.Available > f.Memory {
		t.Errorf("%+v", f)
	}
	if slices.Contains(f.CPU.Features, "avx512-vnni") && !f.CPU.HasVNNI() {
		t.Error("VNNI is there and not seen")
	}
	if (CPU{Features: []string{"avx2"}}).HasVNNI() {
		t.Error("AVX2 alone is no VNNI")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Probe(canceled); err == nil {
		t.Error("a canceled probe succeeds")
	}
}

func TestCheckFolder(t *testing.T) {
	dir := t.TempDir()
	if f := CheckFolder(filepath.Join(dir, "not", "yet")); !f.Writable || f.Free <= 0 {
		t.Errorf("a folder to be made: %+v", f)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if f := CheckFolder(file); f.Writable || f.Problem == "" {
		t.Errorf("a file: %+v", f)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestRoom: the least of what is free and what the container may have.
func TestRoom(t *testing.T) {
	limit := int64(100)
	for _, c := range []struct {
		f    Facts
		want int64
	}{
		{Facts{Memory: 400}, 400},
		{Facts{Memory: 400, Available: 200}, 200},
		{Facts{Memory: 400, Available: 200, Container: &Limits{}}, 200},
		{Facts{Memory: 400, Available: 200, Container: &Limits{Memory: &limit}}, 100},
		{Facts{Memory: 400, Available: 50, Container: &Limits{Memory: &limit}}, 50},
	} {
		if got := c.f.Room(); got != c.want {
			t.Errorf("%+v: %d, want %d", c.f, got, c.want)
		}
	}
}
