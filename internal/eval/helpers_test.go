package eval

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// function is a model that is computed in Go, so that a metric can be checked
// against outputs that are known.
type function struct {
	in, out []ort.Info
	f       func(in map[string]tensor.Tensor) map[string]tensor.Tensor
}

func (m function) Inputs() []ort.Info  { return m.in }
func (m function) Outputs() []ort.Info { return m.out }
func (m function) RunContext(_ context.Context, in map[string]tensor.Tensor, names []string) (map[string]tensor.Tensor, error) {
	all := m.f(in)
	out := map[string]tensor.Tensor{}
	for _, n := range names {
		out[n] = all[n]
	}
	return out, nil
}

func info(name string, d tensor.DType, dims ...int64) ort.Info {
	return ort.Info{Name: name, Kind: "tensor", DType: d, Dims: dims, Symbols: make([]string, len(dims))}
}

// reals returns a tensor of float32.
func reals(v []float32, shape ...int64) tensor.Tensor {
	return tensor.Of(tensor.Float32, shape, v)
}

// echo is a model whose output is its input.
func echo(dims ...int64) function {
	return function{
		in: []ort.Info{info("x", tensor.Float32, dims...)}, out: []ort.Info{info("logits", tensor.Float32, dims...)},
		f: func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
			return map[string]tensor.Tensor{"logits": in["x"]}
		},
	}
}

// with returns the model with its output changed.
func (m function) with(change func(v []float32)) function {
	f := m.f
	m.f = func(in map[string]tensor.Tensor) map[string]tensor.Tensor {
		out := f(in)
		for name, t := range out {
			v, err := t.Float32s()
			if err != nil {
				panic(err)
			}
			v = append([]float32(nil), v...)
			change(v)
			out[name] = tensor.Of(tensor.Float32, t.Shape, v)
		}
		return out
	}
	return m
}

// records opens a data set of JSON objects for a model.
func records(t testing.TB, m Model, list ...map[string]any) *dataset.Set {
	t.Helper()
	var text strings.Builder
	for _, r := range list {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(append(line, '\n'))
	}
	path := filepath.Join(t.TempDir(), "data.jsonl")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(path, dataset.ModelInfo{Inputs: m.Inputs(), Outputs: m.Outputs()}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	return set
}

// labelled opens rows of logits with their labels, for echo.
func labelled(t testing.TB, m Model, rows [][]float32, labels []int) *dataset.Set {
	t.Helper()
	list := make([]map[string]any, len(rows))
	for i := range rows {
		list[i] = map[string]any{"x": rows[i]}
		if labels != nil {
			list[i]["label"] = labels[i]
		}
	}
	return records(t, m, list...)
}

// wantError checks for the words, and whether it is a data error.
func wantError(t testing.TB, err error, data bool, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", words)
	}
	var de *dataset.Error
	if errors.As(err, &de) != data {
		t.Errorf("%v: a data error: %v, want %v", err, !data, data)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not have %q", err, w)
		}
	}
}

// wantNear compares with an absolute tolerance.
func wantNear(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tol {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}
