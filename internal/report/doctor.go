package report

import (
	"fmt"
	"io"
	"strconv"

	"optim/internal/host"
	"optim/internal/trt"
)

// Doctor is the result of "optim doctor".
type Doctor struct {
	Header
	Runtime Runtime `json:"onnxruntime"`
	host.Facts
	Builder  Builder      `json:"build_engine"`
	Cache    *host.Folder `json:"cache,omitempty"`
	Output   *host.Folder `json:"working_folder,omitempty"`
	Warnings []string     `json:"warnings,omitempty"`
}

// Runtime tells of the runtime library. Error is why it cannot be loaded.
type Runtime struct {
	Path      string   `json:"path,omitempty"`
	Version   string   `json:"version,omitempty"`
	Source    string   `json:"source,omitempty"` // how it was found
	Providers []string `json:"providers,omitempty"`
	// Unusable are the providers that do not work on this machine, with the reason.
	Unusable map[string]string `json:"unusable,omitempty"`
	Error    string            `json:"error,omitempty"`
}

// Builder tells whether this program builds TensorRT engines, or why not.
type Builder struct {
	trt.Info
	Error string `json:"error,omitempty"`
}

func (b Builder) line() string {
	if b.Error != "" {
		return "no engines: " + b.Error
	}
	return fmt.Sprintf("%s %s, built for %s, %s", b.Flavour, b.Library, b.Headers, b.Path)
}

// Text implements Report.
func (d *Doctor) Text(w io.Writer, s Style) error {
	if s.Quiet {
		line := "ONNX Runtime " + d.Runtime.Version
		if d.Runtime.Error != "" {
			line = "no ONNX Runtime: " + clean(d.Runtime.Error)
		}
		_, err := fmt.Fprintln(w, line)
		return err
	}
	if err := d.facts().text(w, s); err != nil {
		return err
	}
	return notes(w, s, d.Warnings)
}

// Markdown implements Report.
func (d *Doctor) Markdown(w io.Writer) error {
	if _, err := fmt.Fprint(w, "### optim doctor\n\n"); err != nil {
		return err
	}
	if err := d.facts().markdown(w); err != nil {
		return err
	}
	return markdownNotes(w, d.Warnings)
}

func (d *Doctor) facts() *facts {
	f := &facts{}
	if r := d.Runtime; r.Error != "" {
		f.add("ONNX Runtime", "missing: %s", r.Error)
	} else {
		f.add("ONNX Runtime", "%s, %s", r.Version, r.Path)
		f.add("  found", "%s", r.Source)
		f.add("  providers", "%s", join(r.Providers))
		for _, p := range r.Providers {
			f.add("  "+p, "%s", r.Unusable[p])
		}
	}
	f.add("processor", "%s, %s, %s", d.CPU.Model, plural(d.CPU.Cores, "core"), plural(d.CPU.Threads, "thread"))
	f.add("  features", "%s", join(d.CPU.Features))
	f.add("  8-bit kernels", "%s", eightBit(d.CPU))
	f.add("memory", "%s, %s available", formatBytes(d.Memory), formatBytes(d.Available))
	if c := d.Container; c != nil {
		if c.CPUs != nil {
			f.add("  limit", "%s processors (control group)", strconv.FormatFloat(*c.CPUs, 'g', 4, 64))
		}
		if c.Memory != nil {
			f.add("  limit", "%s of memory (control group)", formatBytes(*c.Memory))
		}
	}
	f.add("CUDA", "%s", cudaLine(d.CUDA))
	for _, device := range d.CUDA.Devices {
		f.add("  device", "%s", device)
	}
	f.add("TensorRT", "%s", installedLine(d.TensorRT))
	f.add("  build-engine", "%s", d.Builder.line())
	f.add("cache", "%s", folderLine(d.Cache))
	f.add("working folder", "%s", folderLine(d.Output))
	f.add("settings", "%s", d.Config)
	return f
}

func eightBit(c host.CPU) string {
	if c.HasVNNI() {
		return "full speed: dot products of 8-bit integers (VNNI or its like)"
	}
	return "without VNNI: slower, and unsigned weights avoid saturation"
}

func cudaLine(c host.Driver) string {
	switch {
	case c.Available:
		return fmt.Sprintf("driver %s, %s (found, not loaded)", c.DriverVersion, c.Library)
	case c.Library != "":
		return "no device or driver, though there is " + c.Library
	case c.DriverVersion != "":
		return "driver " + c.DriverVersion + ", but no libcuda was found"
	}
	return "not found"
}

func installedLine(t host.Installed) string {
	if !t.Available {
		return "not found"
	}
	return fmt.Sprintf("%s (found, not loaded)", t.Library)
}

func folderLine(f *host.Folder) string {
	if f == nil {
		return ""
	}
	if !f.Writable {
		return fmt.Sprintf("%s is not writable: %s", f.Path, f.Problem)
	}
	return fmt.Sprintf("%s, %s free", f.Path, formatBytes(f.Free))
}
