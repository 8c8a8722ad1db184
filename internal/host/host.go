// Package host tells what this machine offers: processor, memory, limits of a
// container, and whether CUDA and TensorRT are installed. It only looks at
// files; it loads no driver, so what it finds may still not work.
package host

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/klauspost/cpuid/v2"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
)

// CPU is the processor. Cores are physical, Threads logical ones.
type CPU struct {
	Model    string   `json:"model"`
	Cores    int      `json:"cores"`
	Threads  int      `json:"threads"`
	Features []string `json:"features"` // those that matter for ONNX Runtime's kernels
}

// Facts are what there is beside the runtime library.
type Facts struct {
	OS        string    `json:"os"`
	Arch      string    `json:"arch"`
	CPU       CPU       `json:"cpu"`
	Memory    int64     `json:"memory_bytes"`
	Available int64     `json:"memory_available_bytes,omitempty"`
	Container *Limits   `json:"container,omitempty"`
	CUDA      Driver    `json:"cuda"`
	TensorRT  Installed `json:"tensorrt"`
}

// Limits are those of a control group; nil fields: no limit.
type Limits struct {
	CPUs   *float64 `json:"cpus,omitempty"`
	Memory *int64   `json:"memory_bytes,omitempty"`
}

// Room returns the bytes of memory that a process may still take: what is
// available, and no more than the limit of the container.
func (f Facts) Room() int64 {
	room := f.Memory
	if f.Available > 0 {
		room = min(room, f.Available)
	}
	if f.Container != nil && f.Container.Memory != nil {
		room = min(room, *f.Container.Memory)
	}
	return room
}

// Probe collects the facts of this machine.
func Probe(ctx context.Context) (Facts, error) {
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: processor()}
	memory, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return f, err
	}
	f.Memory, f.Available = int64(memory.Total), int64(memory.Available)
	f.Container = containerLimits(os.DirFS("/"))
	f.CUDA = findCUDA(os.DirFS("/"), libraryFolders())
	f.TensorRT = findTensorRT(os.DirFS("/"), libraryFolders())
	return f, ctx.Err()
}

// features are the instruction sets that choose kernels in ONNX Runtime, from
// the least on.
var features = []struct {
	name string
	id   cpuid.FeatureID
}{
	{"sse4.1", cpuid.SSE4},
	{"avx", cpuid.AVX},
	{"f16c", cpuid.F16C},
	{"fma", cpuid.FMA3},
	{"avx2", cpuid.AVX2},
	{"avx-vnni", cpuid.AVXVNNI},
	{"avx512f", cpuid.AVX512F},
	{"avx512bw", cpuid.AVX512BW},
	{"avx512vl", cpuid.AVX512VL},
	{"avx512-vnni", cpuid.AVX512VNNI},
	{"avx512-bf16", cpuid.AVX512BF16},
	{"avx512-fp16", cpuid.AVX512FP16},
	{"amx-tile", cpuid.AMXTILE},
	{"amx-int8", cpuid.AMXINT8},
	{"amx-bf16", cpuid.AMXBF16},
	{"neon", cpuid.ASIMD},
	{"dotprod", cpuid.ASIMDDP},
	{"fp16", cpuid.ASIMDHP},
	{"sve", cpuid.SVE},
}

func processor() CPU {
	c := CPU{Model: cpuid.CPU.BrandName, Cores: cpuid.CPU.PhysicalCores, Threads: runtime.NumCPU(), Features: []string{}}
	if c.Model == "" {
		c.Model = "unknown " + runtime.GOARCH
	}
	// A virtual machine may hide its topology, or have part of the processor.
	if c.Cores < 1 || c.Cores > c.Threads {
		c.Cores = c.Threads
	}
	for _, f := range features {
		if cpuid.CPU.Supports(f.id) {
			c.Features = append(c.Features, f.name)
		}
	}
	return c
}

// HasVNNI reports whether c multiplies 8-bit integers in one instruction:
// without it, 8-bit kernels may saturate and are slower.
func (c CPU) HasVNNI() bool {
	return slices.Contains(c.Features, "avx-vnni") || slices.Contains(c.Features, "avx512-vnni") ||
		slices.Contains(c.Features, "dotprod")
}

// Folder is a folder that a program writes to.
type Folder struct {
	Path     string `json:"path"`
	Writable bool   `json:"writable"`
	Free     int64  `json:"free_bytes"`
	Problem  string `json:"problem,omitempty"`
}

// CheckFolder tells whether files can be made in path, which need not exist,
// and how much room there is. It leaves nothing behind.
func CheckFolder(path string) Folder {
	f := Folder{Path: path}
	at := path
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			f.Problem = at + " is no folder"
			return f
		}
		parent := filepath.Dir(at)
		if err == nil || parent == at {
			break
		}
		at = parent
	}
	if usage, err := disk.Usage(at); err == nil {
		f.Free = int64(usage.Free)
	}
	probe, err := os.MkdirTemp(at, ".optim-probe-*")
	if err != nil {
		f.Problem = err.Error()
		return f
	}
	if err := os.Remove(probe); err != nil {
		f.Problem = err.Error()
		return f
	}
	f.Writable = true
	return f
}
