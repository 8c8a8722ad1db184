package host

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Driver tells of NVIDIA's driver and CUDA. Available means that driver,
// device and library are there; nothing was loaded.
type Driver struct {
	Available     bool     `json:"available"`
	DriverVersion string   `json:"driver_version,omitempty"`
	Devices       []string `json:"devices,omitempty"`
	Library       string   `json:"library,omitempty"` // libcuda, which comes with the driver
	Runtime       string   `json:"runtime,omitempty"` // libcudart
	CuDNN         string   `json:"cudnn,omitempty"`
}

// Installed tells of a library.
type Installed struct {
	Available bool   `json:"available"`
	Library   string `json:"library,omitempty"`
	Version   string `json:"version,omitempty"`
}

// libraryFolders lists where the loader and NVIDIA's installers put libraries.
func libraryFolders() []string {
	var out []string
	for _, list := range []string{os.Getenv("LD_LIBRARY_PATH")} {
		out = append(out, filepath.SplitList(list)...)
	}
	for _, home := range []string{os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"), os.Getenv("TENSORRT_HOME"), "/usr/local/cuda"} {
		if home != "" {
			out = append(out, filepath.Join(home, "lib64"), filepath.Join(home, "lib"))
		}
	}
	return append(out, "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/lib/x86_64-linux-gnu",
		"/usr/lib64", "/usr/local/lib", "/usr/lib", "/opt/tensorrt/lib", "/usr/local/tensorrt/lib", "/usr/lib/wsl/lib")
}

// findLibrary returns the path of the library in the first folder that has it,
// the newest version first.
func findLibrary(root fs.FS, folders []string, name string) string {
	for _, folder := range folders {
		rel := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(folder)), "/")
		if !filepath.IsAbs(folder) || rel == "" {
			continue
		}
		found, err := fs.Glob(root, path.Join(rel, name+".so*"))
		if err != nil || len(found) == 0 {
			continue
		}
		slices.SortFunc(found, func(a, b string) int {
			if len(a) != len(b) {
				return len(b) - len(a) // the longest name has the full version
			}
			return strings.Compare(b, a)
		})
		return "/" + found[0]
	}
	return ""
}

// driverVersion is in "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.1 …".
var driverVersion = regexp.MustCompile(`Kernel Module(?: for \S+)?\s+([0-9.]+)`)

// soVersion is what follows ".so.".
var soVersion = regexp.MustCompile(`\.so\.([0-9.]+)$`)

func findCUDA(root fs.FS, folders []string) Driver {
	d := Driver{
		Library: findLibrary(root, folders, "libcuda"),
		Runtime: findLibrary(root, folders, "libcudart"),
		CuDNN:   findLibrary(root, folders, "libcudnn"),
	}
	if text, err := fs.ReadFile(root, "proc/driver/nvidia/version"); err == nil {
		if m := driverVersion.FindSubmatch(text); m != nil {
			d.DriverVersion = string(m[1])
		}
	}
	infos, err := fs.Glob(root, "proc/driver/nvidia/gpus/*/information")
	if err == nil {
		for _, file := range infos {
			d.Devices = append(d.Devices, deviceModel(root, file))
		}
	}
	d.Available = d.Library != "" && (d.DriverVersion != "" || len(d.Devices) > 0)
	return d
}

// deviceModel reads the line "Model: NVIDIA …" of a device's information.
func deviceModel(root fs.FS, file string) string {
	text, err := fs.ReadFile(root, file)
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if model, ok := strings.CutPrefix(line, "Model:"); ok {
				return strings.TrimSpace(model)
			}
		}
	}
	return path.Base(path.Dir(file))
}

func findTensorRT(root fs.FS, folders []string) Installed {
	t := Installed{Library: findLibrary(root, folders, "libnvinfer")}
	if t.Library == "" {
		t.Library = findLibrary(root, folders, "libtensorrt_rtx")
	}
	t.Available = t.Library != ""
	if m := soVersion.FindStringSubmatch(t.Library); m != nil {
		t.Version = m[1]
	}
	return t
}
