package main

import (
	"errors"
	"io/fs"
	"os"

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
	side.Warnings = append(append([]string{}, side.Warnings...), notes...)
	return a.emit(&report.Engine{Sidecar: side, Inspected: true})
}
