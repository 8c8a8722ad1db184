package main

import (
	"errors"
	"io/fs"
	"os"

	"optim/internal/gpu"
	"optim/internal/report"
	"optim/internal/trt"
)

// inspectEngine tells what the first bytes of an engine say, and what its sidecar knows.
func (a *app) inspectEngine(path string) error {
	h, err := trt.ReadHeader(path)
	if err != nil {
		return badInput(fileError(err))
	}
	side, err := trt.ReadSidecar(path)
	var notes []string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		notes = append(notes, "there is no "+trt.SidecarPath(path)+", which build-engine writes: of the engine's layers and sizes nothing is known here")
	case err != nil:
		notes = append(notes, "its sidecar is ignored: "+err.Error())
	}
	if side == nil {
		side = &trt.Sidecar{Layers: map[string]int{}, Inputs: []trt.Tensor{}, Outputs: []trt.Tensor{}}
	}
	info, err := os.Stat(path)
	if err != nil {
		return badInput(fileError(err))
	}
	sum := ""
	if side.Plan != nil {
		sum = side.Plan.SHA256
	}
	side.Command, side.Config = "inspect", a.configFile
	side.Flavour, side.Plan = h.Flavour, &trt.PlanFacts{Magic: h.Magic, Version: h.Version, SHA256: sum}
	side.Output = trt.File{Path: path, Bytes: info.Size(), SHA256: sum}
	if gpu.Built {
		if err := a.loadEngine(path, side); err != nil {
			notes = append(notes, "it was not loaded: "+err.Error())
		}
	}
	side.Warnings = append(append([]string{}, side.Warnings...), notes...)
	return a.emit(&report.Engine{Sidecar: side, Inspected: true})
}

// loadEngine loads an engine on the GPU, and takes what the library and its inspector tell.
func (a *app) loadEngine(path string, side *trt.Sidecar) error {
	lib, err := trt.Open(os.Getenv("OPTIM_TRT_LIB"))
	if err != nil {
		return err
	}
	defer lib.Close()
	device, err := gpu.Open(0)
	if err != nil {
		return err
	}
	defer device.Close()
	plan, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	e, err := lib.Load(plan)
	if err != nil {
		return err
	}
	defer e.Close()
	return side.Load(e)
}
