package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"optim/internal/host"
	"optim/internal/ort"
	"optim/internal/report"
	"optim/internal/trt"
)

const doctorLong = `Tell what this machine offers: the ONNX Runtime library and its providers, the
processor and what it can do with 8-bit numbers, memory and the limits of a
container, CUDA, TensorRT, the cache folder.

CUDA and TensorRT are looked for by their files; only where the library has a
provider for them, that is tried, and where this program builds engines, its TensorRT. That they are missing is no failure. Exit
status 5 says that ONNX Runtime itself cannot be loaded.`

func newDoctorCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:         "doctor [flags]",
		Short:       "Tell what this machine offers",
		Long:        doctorLong,
		Example:     "  optim doctor\n  optim doctor --json\n  optim doctor --ort-lib /opt/onnxruntime/lib/libonnxruntime.so",
		Annotations: map[string]string{noteExit: "5"},
		Args:        noArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), a) },
	}
}

// runDoctor reports everything it can, and then fails if the library cannot be
// loaded.
func runDoctor(ctx context.Context, a *app) error {
	d := &report.Doctor{Header: report.Header{Command: "doctor", Config: a.configFile}}
	rt, missing := a.runtime()
	if missing != nil {
		d.Runtime.Error = missing.Error()
	} else {
		defer rt.Close()
		d.Runtime = report.Runtime{
			Path: rt.Library(), Version: rt.Version(), Providers: rt.Providers(),
			Source: rt.Source(), Unusable: map[string]string{},
		}
		for _, p := range rt.Providers() {
			if err := rt.Usable(p); err != nil {
				d.Runtime.Unusable[p] = "does not work: " + strings.TrimPrefix(err.Error(), fmt.Sprintf("%v: %q: ", ort.ErrProvider, p))
			}
		}
		if a.ortLib != "" {
			d.Runtime.Source = "named by --ort-lib, OPTIM_ORT_LIB or the configuration"
		}
	}
	var err error
	if d.Facts, err = host.Probe(ctx); err != nil {
		return err
	}
	if lib, err := trt.Open(os.Getenv("OPTIM_TRT_LIB")); err != nil {
		d.Builder.Error = err.Error()
	} else {
		d.Builder.Info = lib.Info()
		if !d.Facts.TensorRT.Available { // where --trt-lib or its variable says, and not where the system looks
			d.Facts.TensorRT = host.Installed{Available: true, Library: d.Builder.Info.Path, Version: d.Builder.Info.Library}
		}
	}
	if cache, err := a.cacheFolder(); err != nil {
		d.Warnings = append(d.Warnings, "no cache folder: "+err.Error())
	} else {
		f := host.CheckFolder(cache)
		d.Cache = &f
	}
	if wd, err := os.Getwd(); err == nil {
		f := host.CheckFolder(wd)
		d.Output = &f
	}
	if missing != nil && a.json {
		return missing // stdout stays empty after a failure
	}
	if err := a.emit(d); err != nil {
		return err
	}
	return missing
}
