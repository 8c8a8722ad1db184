//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/trt"
	"optim/internal/trt/trttest"
)

// half is what a builder says of a layer in half precision.
const half = "Layers:\nName: fc1, LayerType: gemm, Inputs: [ { Name: x, Datatype: Half }], Constants: [], Outputs: [ { Datatype: Half }]\nTotal Weights Memory: 1234 bytes"

// engineRun runs build-engine on digits-mlp with a library that is a fake.
func engineRun(t *testing.T, ctx context.Context, lib *trttest.Lib, change func(o *buildEngineOptions)) (folder, out string, err error) {
	t.Helper()
	var b, errs bytes.Buffer
	a := newApp(&Streams{In: strings.NewReader(""), Out: &b, Err: &errs})
	o := &buildEngineOptions{model: data(t, "models/digits-mlp/digits-mlp.onnx"), precision: "fp16", ranges: trt.Ranges{MaxBatch: 8, MaxSeq: 8}}
	o.build.Device, o.build.OptLevel = -1, trt.DefaultOptLevel
	folder = t.TempDir()
	o.write.output = filepath.Join(folder, "a.engine")
	change(o)
	if lib.About == (trt.Info{}) {
		lib.About = trt.Info{Flavour: trt.RTX, Library: "1.7.1", Headers: "1.7.1"}
	}
	j := &engineJob{app: a, o: o, library: func(string) (trt.Lib, error) { return lib, nil }}
	defer j.close()
	err = j.run(ctx)
	if lib.Open != 0 {
		t.Errorf("%d plans were not given back", lib.Open)
	}
	return folder, b.String(), err
}

func TestBuildEngine(t *testing.T) {
	lib := &trttest.Lib{Log: []string{half}, Types: map[string]int{"float16": 3}}
	folder, out, err := engineRun(t, context.Background(), lib, func(o *buildEngineOptions) {})
	if err != nil || !slices.Equal(entries(t, folder), []string{"a.engine", "a.engine.json"}) {
		t.Fatalf("%v, %v", entries(t, folder), err)
	}
	if !strings.Contains(out, "1 in float16") || !strings.Contains(out, "input 1x1x28x28, best at 4x1x28x28, up to 8x1x28x28") {
		t.Errorf("the report is\n%s", out)
	}
	if p := lib.Options.Profiles; len(p) != 1 || p[0]["input"].Max[0] != 8 || !lib.Options.Detailed || strings.HasSuffix(lib.Model, "digits-mlp.onnx") {
		t.Errorf("built of %s with %+v", lib.Model, lib.Options)
	}
	if _, err := os.Stat(lib.Model); !os.IsNotExist(err) {
		t.Errorf("the prepared model is left: %v", err)
	}
	side, err := trt.ReadSidecar(filepath.Join(folder, "a.engine"))
	if err != nil || side.Layers["float16"] != 1 || *side.WeightsBytes != 1234 || len(side.Prepared) == 0 {
		t.Errorf("%+v, %v", side, err)
	}
	_, _, err = engineRun(t, context.Background(), lib, func(o *buildEngineOptions) { o.precision = "fp32" })
	if err != nil || !strings.HasSuffix(lib.Model, "digits-mlp.onnx") || lib.Options.Detailed {
		t.Errorf("fp32 is built of %s, %v", lib.Model, err)
	}
}

// TestBuildEngineUnchanged: an engine stands only while contents of the files, flags of
// reading and the library are those it was built with.
func TestBuildEngineUnchanged(t *testing.T) {
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("p.so", "one")
	write("calib.txt", "one")
	write("tokenizer.json", "one")
	run := func(version string, change func(o *buildEngineOptions)) (built bool, err error) {
		lib := &trttest.Lib{Log: []string{half}, About: trt.Info{Flavour: trt.RTX, Library: version}}
		_, _, err = engineRun(t, context.Background(), lib, func(o *buildEngineOptions) {
			o.write.output, o.write.ifUnchanged, o.plugins = path("a.engine"), "skip", []string{path("p.so")}
			o.calib, o.read.tokenizer = path("calib.txt"), path("tokenizer.json")
			change(o)
		})
		return lib.Options != nil, err
	}
	same := func(*buildEngineOptions) {}
	if built, err := run("1.7.1", same); !built || err != nil {
		t.Fatalf("built %v, %v", built, err)
	}
	if built, err := run("1.7.1", same); built || err != nil {
		t.Fatalf("the same is built again: %v, %v", built, err)
	}
	refused := func(what, version string, change func(o *buildEngineOptions)) {
		t.Helper()
		if built, err := run(version, change); built || exitOf(err) != exitUsage {
			t.Errorf("%s: built %v, %v", what, built, err)
		}
	}
	for _, name := range []string{"p.so", "calib.txt", "tokenizer.json"} {
		write(name, "two")
		refused(name, "1.7.1", same)
		write(name, "one")
	}
	refused("library", "1.8.0", same)
	refused("seq-len", "1.7.1", func(o *buildEngineOptions) { o.read.seqLen = 7 })
	refused("preprocess", "1.7.1", func(o *buildEngineOptions) { o.read.preprocess = "imagenet" })
	refused("layout", "1.7.1", func(o *buildEngineOptions) { o.read.layout = "nhwc" })
	if err := os.Remove(path("a.engine")); err != nil {
		t.Fatal(err)
	}
	refused("sidecar alone", "1.7.1", same)
}

// TestBuildEngineMissed: an engine without the precision is not written; where the builder
// tells nothing, the network's types count.
func TestBuildEngineMissed(t *testing.T) {
	single := strings.ReplaceAll(half, "Half", "Float")
	for name, lib := range map[string]*trttest.Lib{"log": {Log: []string{single}}, "network": {Types: map[string]int{"float32": 3}}} {
		folder, out, err := engineRun(t, context.Background(), lib, func(o *buildEngineOptions) {})
		if exitOf(err) != exitLimit || len(entries(t, folder)) > 0 || !strings.Contains(out, "no layer of the engine computes in fp16") {
			t.Errorf("%s: %v, left %v\n%s", name, err, entries(t, folder), out)
		}
	}
	_, out, err := engineRun(t, context.Background(), &trttest.Lib{Types: map[string]int{"float16": 3}}, func(o *buildEngineOptions) {})
	if err != nil || !strings.Contains(out, "the builder told nothing") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBuildEngineFails(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		fails error
		ctx   context.Context
		exit  exitCode
		hint  string
	}{
		"parser":    {&trt.ParseError{Nodes: []trt.NodeError{{Index: 3, Name: "odd", Op: "MyOp", Description: "Plugin not found"}}}, context.Background(), exitBadInput, "--plugins"},
		"workspace": {errors.New("TensorRT built no engine: no tactics within workspace limit"), context.Background(), exitBadInput, "--workspace"},
		"canceled":  {nil, ctx, exitInterrupted, ""},
	} {
		folder, _, err := engineRun(t, c.ctx, &trttest.Lib{Log: []string{half}, Fails: c.fails}, func(o *buildEngineOptions) { o.precision = "fp32" })
		var e *exitError
		hint := ""
		if errors.As(err, &e) {
			hint = e.hint
		}
		if exitOf(err) != c.exit || !strings.Contains(hint, c.hint) || len(entries(t, folder)) > 0 {
			t.Errorf("%s: exit %d, %v, hint %q, left %v", name, exitOf(err), err, hint, entries(t, folder))
		}
	}
}
