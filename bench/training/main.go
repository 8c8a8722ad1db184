// Command training measures a step of training: forward, gradients, AdamW. It is the
// other side of `bench/peers/train.py time`; bench/training.sh runs both in turn.
//
//	training mlp|gpt|cnn MODELS DATA LIBRARY
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"optim/internal/autodiff"
	"optim/internal/dataset"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/train"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: training mlp|gpt|cnn MODELS DATA LIBRARY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "training:", err)
		os.Exit(1)
	}
}

var options = train.Options{Optimizer: "adamw", Rate: 1e-4, WeightDecay: 0.01, Steps: 1 << 20}

func run(name, models, data, library string) error {
	begin := time.Now()
	rt, err := ort.Load(ort.Config{Library: library})
	if err != nil {
		return err
	}
	var tr *train.Trainer
	switch name {
	case "mlp":
		tr, err = mlp(rt)
	case "gpt":
		tr, err = model(rt, filepath.Join(models, "tinygpt/tinygpt.onnx"), filepath.Join(data, "text/valid.txt"), 16)
	case "cnn":
		tr, err = model(rt, filepath.Join(models, "mnist-cnn/mnist-cnn.onnx"), filepath.Join(data, "digits/calib.npz"), 64)
	default:
		err = fmt.Errorf("no case %q", name)
	}
	if err != nil {
		return err
	}
	defer tr.Close()
	nothing := func(int) error { return nil } // the batch lies there already
	var times []float64
	first := time.Duration(0)
	for start := time.Now(); len(times) < 10 || time.Since(start) < 8*time.Second; {
		t := time.Now()
		if _, err := tr.Step(context.Background(), nothing); err != nil {
			return err
		}
		times = append(times, float64(time.Since(t).Microseconds())/1e3)
		if first == 0 {
			first = time.Since(begin)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"name": name, "milliseconds": times[3:], "peak_rss_bytes": measure.PeakRSS(), "first_step_s": first.Seconds(),
	})
}

// mlp is 768-3072-768 with a batch of 256 and the squared error.
func mlp(rt *ort.Runtime) (*train.Trainer, error) {
	const batch, width, inner = 256, 768, 3072
	g := autodiff.NewGraph()
	f32 := func(s ...int64) autodiff.Type { return autodiff.Type{DType: tensor.Float32, Shape: s} }
	rnd := rand.New(rand.NewPCG(1, 1))
	var list []train.Weight
	weight := func(name string, s ...int64) string {
		t := f32(s...)
		v := make([]float32, t.Elements())
		for i := range v {
			v[i] = float32(rnd.NormFloat64() * 0.02)
		}
		list = append(list, train.Weight{Name: name, Shape: t.Shape, First: v, Decay: len(s) > 1})
		return g.Input(name, t)
	}
	x, y := g.Input("x", f32(batch, width)), g.Input("y", f32(batch, width))
	dense := func(x, w, b string, n int64) string {
		return g.Op("Gemm", f32(batch, n), []string{x, w, b}, onnx.IntAttr("transB", 1))
	}
	h := g.Unary("Relu", dense(x, weight("a", inner, width), weight("c", inner), inner))
	out := dense(h, weight("b", width, inner), weight("d", width), width)
	tr, err := train.New(rt, train.Model{Graph: g, Loss: train.SquaredError(g, out, y, ""), Weights: list}, options)
	if err != nil {
		return nil, err
	}
	for _, t := range tr.Inputs() {
		for i := range tensor.As[float32](t.Data) {
			tensor.As[float32](t.Data)[i] = float32(rnd.NormFloat64())
		}
	}
	return tr, nil
}

// model trains a model on the first batch of some data.
func model(rt *ort.Runtime, path, data string, batch int) (*train.Trainer, error) {
	m, err := onnx.Open(path)
	if err != nil {
		return nil, err
	}
	rows, err := readRows(rt, path, data, batch)
	if err != nil {
		return nil, err
	}
	in, err := rows.Batch(batch)
	if err != nil {
		return nil, err
	}
	labels := in[train.Labels]
	delete(in, train.Labels)
	delete(in, train.Counted)
	if err := autodiff.Prepare(m); err != nil {
		return nil, err
	}
	list, err := train.Trainable(m)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, w := range list {
		names = append(names, w.Name)
	}
	g, err := autodiff.Freeze(context.Background(), rt, m, in, names, ort.Options{})
	if err != nil {
		return nil, err
	}
	g.FuseGelu()
	g.Input(train.Labels, autodiff.Type{DType: tensor.Int64, Shape: labels.Shape})
	loss := train.CrossEntropy(g, m.Graph.Outputs[0].Name, train.Labels)
	tr, err := train.New(rt, train.Model{Graph: g, Loss: loss, Weights: list}, options)
	if err != nil {
		return nil, err
	}
	for i := range batch {
		rows.Copy(tr.Inputs(), i, i)
	}
	return tr, nil
}

func readRows(rt *ort.Runtime, path, data string, batch int) (*train.Rows, error) {
	s, err := rt.Open(path, ort.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	set, err := dataset.Open(data, dataset.ModelInfo{Path: path, Inputs: s.Inputs(), Outputs: s.Outputs()}, dataset.Options{Samples: batch})
	if errors.Is(err, io.EOF) || err != nil {
		return nil, err
	}
	defer set.Close()
	return train.ReadRows(context.Background(), set)
}
