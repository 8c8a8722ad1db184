package ort_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// TestRunLent holds the results of several runs at once: later runs, and the
// collector, leave them alone until they are released.
func TestRunLent(t *testing.T) {
	s := orttest.SessionOf(t, identity(tensor.Float32, "n", "m"), ort.Options{})
	var held []tensor.Tensor
	var releases []func()
	for k := range 5 {
		v := make([]float32, 3*(k+1))
		for i := range v {
			v[i] = float32(100*k + i)
		}
		out, release, err := s.RunLent(context.Background(), map[string]tensor.Tensor{"x": reals(3, k+1, v)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		held, releases = append(held, out["y"]), append(releases, release)
	}
	runtime.GC()
	for k, got := range held {
		if want := (tensor.Shape{3, int64(k + 1)}); !got.Shape.Equal(want) || got.DType != tensor.Float32 {
			t.Fatalf("run %d: %s %v, want %v", k, got.DType, got.Shape, want)
		}
		for i, x := range tensor.As[float32](got.Data) {
			if x != float32(100*k+i) {
				t.Fatalf("run %d, element %d: %v", k, i, x)
			}
		}
		releases[k]()
		releases[k]()
	}
}

// reals returns a matrix of rows × columns.
func reals(rows, columns int, v []float32) tensor.Tensor {
	return tensor.Of(tensor.Float32, tensor.Shape{int64(rows), int64(columns)}, v)
}

// TestRunLentIsRun compares with Run, for types with and without elements.
func TestRunLentIsRun(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float16, tensor.Int64, tensor.Bool} {
		s := orttest.SessionOf(t, identity(d, "n"), ort.Options{})
		for _, n := range []int64{0, 1, 7} {
			x, err := tensor.New(d, tensor.Shape{n})
			if err != nil {
				t.Fatal(err)
			}
			out, release, err := s.RunLent(context.Background(), map[string]tensor.Tensor{"x": x}, []string{"y"})
			if err != nil {
				t.Fatal(err)
			}
			if y := out["y"]; y.DType != d || !y.Shape.Equal(x.Shape) || !bytes.Equal(y.Data, x.Data) {
				t.Errorf("%s, %d elements: %v", d, n, y)
			}
			release()
		}
	}
}

func TestRunLentRefuses(t *testing.T) {
	s := orttest.SessionOf(t, identity(tensor.Float32, "n", "m"), ort.Options{})
	x := map[string]tensor.Tensor{"x": reals(1, 1, []float32{1})}
	if _, release, err := s.RunLent(context.Background(), nil, nil); err == nil || release != nil {
		t.Errorf("without inputs: %v", err)
	}
	if _, _, err := s.RunLent(context.Background(), x, []string{"z"}); err == nil {
		t.Error("an output that is not there")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.RunLent(ctx, x, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	s.Close()
	if _, _, err := s.RunLent(context.Background(), x, nil); !errors.Is(err, ort.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
