package quant

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

func TestTranspose(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	sizes := []int{0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 200}
	for _, rows := range sizes {
		for _, cols := range sizes {
			src := make([]byte, rows*cols)
			for i := range src {
				src[i] = byte(r.IntN(256))
			}
			dst, back := make([]byte, len(src)), make([]byte, len(src))
			transpose(dst, src, rows, cols)
			for i := range rows {
				for j := range cols {
					if dst[j*rows+i] != src[i*cols+j] {
						t.Fatalf("%d × %d: element %d, %d", rows, cols, i, j)
					}
				}
			}
			if transpose(back, dst, cols, rows); !bytes.Equal(back, src) {
				t.Fatalf("%d × %d: twice is not the source", rows, cols)
			}
		}
	}
}

func random(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// made quantizes one weight.
func made(t *testing.T, v []float32, s tensor.Shape, l layout, sm *smoothing) *weight {
	t.Helper()
	m := &onnx.Model{Graph: &onnx.Graph{}}
	ws := newWeights(m.NewNamer(), nil, func(func() error) {})
	w := ws.get(onnx.NewTensor("w", tensor.Of(tensor.Float32, s, v)), &scope{graph: m.Graph}, l, sm)
	if again := ws.get(w.source, w.home, l, sm); again != w {
		t.Fatal("the same weight twice")
	}
	if err := w.fit(); err != nil {
		t.Fatal(err)
	}
	return w
}

func stored[T tensor.Number](t *testing.T, x *onnx.Tensor) []T {
	t.Helper()
	b, err := x.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return tensor.As[T](b)
}

// TestFitRefuses: a weight that holds no numbers is an error that names it,
// also where a bias bounds its scales.
func TestFitRefuses(t *testing.T) {
	w := made(t, []float32{1, 2, 3, 4}, tensor.Shape{2, 2}, layout{axis: 1, dtype: tensor.Int8, max: 127, factor: 1}, nil)
	w.source = onnx.NewTensor("broken", tensor.Of(tensor.Float32, tensor.Shape{2, 2}, []float32{1, float32(math.NaN()), 3, 4}))
	w.least = []float32{1, 1}
	if err := w.fit(); err == nil || !strings.Contains(err.Error(), `tensor "broken": element 1 is NaN`) {
		t.Errorf("got %v", err)
	}
}

// TestLayoutOfLSTM: [directions, 4·hidden, input] becomes [directions, input,
// 4·hidden], with a scale for each of its columns.
func TestLayoutOfLSTM(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	const input = 7
	for _, directions := range []int{1, 2} {
		for _, rows := range []int{4, 12, 68} {
			v := random(r, directions*rows*input)
			s := tensor.Shape{int64(directions), int64(rows), input}
			w := made(t, v, s, layout{axis: 1, blocks: directions, dtype: tensor.Int8, max: 127, factor: 1}, nil)
			if want := (tensor.Shape{int64(directions), input, int64(rows)}); !w.data.Shape.Equal(want) {
				t.Fatalf("shape %v, want %v", w.data.Shape, want)
			}
			scales := stored[float32](t, w.scale)
			q := stored[int8](t, w.data)
			for d := range directions {
				for i := range rows {
					row := v[(d*rows+i)*input:][:input]
					scale := tensor.AbsMax(row) / 127
					if scales[d*rows+i] != scale {
						t.Fatalf("scale %d, %d is %g, want %g", d, i, scales[d*rows+i], scale)
					}
					for j, x := range row {
						want := int8(math.RoundToEven(float64(x / scale)))
						if got := q[(d*input+j)*rows+i]; got != want {
							t.Fatalf("direction %d, row %d, input %d: %d, want %d", d, i, j, got, want)
						}
					}
				}
			}
		}
	}
}

// TestLayouts: scales along either axis or in all, transposed or not, with a
// factor and with lower bounds.
func TestLayouts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const rows, cols = 65, 9
	v := random(r, rows*cols)
	for axis := -1; axis < 2; axis++ {
		for blocks := range 2 {
			w := made(t, v, tensor.Shape{rows, cols}, layout{axis: axis, blocks: blocks, dtype: tensor.Int8, max: 64, factor: 0.5}, nil)
			scales, q := stored[float32](t, w.scale), stored[int8](t, w.data)
			for i := range rows {
				for j := range cols {
					at := i*cols + j
					if blocks == 1 {
						at = j*rows + i
					}
					scale := scales[[]int{0, i, j}[axis+1]] * 2
					if d := math.Abs(float64(float32(q[at])*scale - v[i*cols+j])); d > float64(scale)*0.5001 {
						t.Fatalf("axis %d blocks %d: element %d, %d is off by %g, half a step is %g", axis, blocks, i, j, d, scale/2)
					}
				}
			}
			if n := map[int]int{-1: 1, 0: rows, 1: cols}[axis]; len(scales) != n {
				t.Errorf("axis %d: %d scales, want %d", axis, len(scales), n)
			}
		}
	}
}

// TestReserve: a bias that would not fit into 32 bits widens the scale.
func TestReserve(t *testing.T) {
	w := made(t, []float32{1e-6, 2e-6, 1, 2}, tensor.Shape{2, 2}, layout{axis: 0, dtype: tensor.Int8, max: 127, factor: 1}, nil)
	bias := onnx.NewTensor("b", tensor.Of(tensor.Float32, tensor.Shape{2}, []float32{-1e4, 3}))
	const in = 0.01
	w.reserve(bias, in)
	if err := w.fit(); err != nil {
		t.Fatal(err)
	}
	for i, b := range []float64{1e4, 3} {
		if q := b / in / float64(w.affine.Scale[i]); q > 1<<30+1000 {
			t.Errorf("bias %d becomes %g", i, q)
		}
	}
	if want := float32(2) / 127; w.affine.Scale[1] != want {
		t.Errorf("scale %g, want %g: its bias fits", w.affine.Scale[1], want)
	}
}
