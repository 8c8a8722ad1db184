package prune

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/tensor"
)

// layers is a chain of products with the given weights [k, n].
func chain(weights ...*onnx.Tensor) (*onnx.Graph, []Matrix) {
	g := &onnx.Graph{Initializers: weights}
	in := "x"
	for i, w := range weights {
		out := string(rune('a' + i))
		g.Nodes = append(g.Nodes, onnx.NewNode("MatMul", out, []string{in, w.Name}, []string{out}))
		in = out
	}
	return g, Matrices(g, false)
}

func floatsOf(t *testing.T, w *onnx.Tensor) []float32 {
	t.Helper()
	v, err := values(w)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func values(w *onnx.Tensor) ([]float32, error) {
	value, err := w.Value()
	if err != nil {
		return nil, err
	}
	return value.Float32s()
}

// TestSmallest: exactly round(F·n) zeros, the smallest by sorting, ties by matrix, then
// index; also when most scores are equal or zero.
func TestSmallest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	kinds := map[string]func() float32{
		"normal":   func() float32 { return float32(rnd.NormFloat64()) },
		"few":      func() float32 { return float32(rnd.IntN(3) - 1) },
		"zeros":    func() float32 { return float32(max(0, rnd.IntN(10)-8)) },
		"one":      func() float32 { return -0.25 },
		"tiny":     func() float32 { return float32(rnd.NormFloat64()) * 1e-42 },
		"adjacent": func() float32 { return math.Float32frombits(0x3f800000 + uint32(rnd.IntN(4))) },
	}
	for name, draw := range kinds {
		for _, f := range []float64{0, 0.1, 0.5, 0.731, 0.99, 1} {
			var all []float32
			var ws []*onnx.Tensor
			for i, s := range []tensor.Shape{{7, 5}, {5, 11}, {11, 1}} {
				n, _ := s.Elements()
				v := make([]float32, n)
				for k := range v {
					v[k] = draw()
				}
				all = append(all, v...)
				ws = append(ws, onnx.NewTensor(string(rune('p'+i)), tensor.Of(tensor.Float32, s, v)))
			}
			want := bySorting(all, f)
			g, list := chain(ws...)
			r, err := Smallest(g, list, f)
			if err != nil {
				t.Fatal(err)
			}
			var got []float32
			for _, w := range g.Initializers {
				got = append(got, floatsOf(t, w)...)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s, %v: %v, not %v", name, f, got, want)
			}
			zeros := int64(0)
			for _, x := range got {
				if x == 0 {
					zeros++
				}
			}
			if r.Zeros != zeros || r.Elements != int64(len(all)) {
				t.Errorf("%s, %v: %d of %d zeros reported, %d there", name, f, r.Zeros, r.Elements, zeros)
			}
		}
	}
}

// TestSmallestLarge: of many weights, most of them equal, still exactly as many as sorting
// gives: nothing is estimated from a part.
func TestSmallestLarge(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 5))
	v := make([]float32, 400*700)
	for i := range v {
		if rnd.IntN(10) == 0 {
			v[i] = float32(rnd.NormFloat64())
		} else {
			v[i] = 0.125
		}
	}
	for _, f := range []float64{0.0012345, 0.5, 0.98765} {
		g, list := chain(onnx.NewTensor("w", tensor.Of(tensor.Float32, tensor.Shape{400, 700}, slices.Clone(v))))
		if _, err := Smallest(g, list, f); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(floatsOf(t, g.Initializers[0]), bySorting(v, f)) {
			t.Errorf("%v: not what sorting gives", f)
		}
	}
}

// TestSteps: the sparsity of each step is of the original weights, so that steps do not
// compound, and the last is what one step gives.
func TestSteps(t *testing.T) {
	for _, schedule := range []string{"linear", "cubic"} {
		rnd := rand.New(rand.NewPCG(4, 5))
		w := onnxtest.Random(rnd, "w", -1, 1, 31, 17)
		once, list := chain(w)
		if _, err := Smallest(once, list, 0.613); err != nil {
			t.Fatal(err)
		}
		g, _ := chain(w)
		for k := 1; k <= 7; k++ {
			f := SparsityAt(k, 7, 0.613, schedule)
			z, err := Smallest(g, Matrices(g, false), f)
			if want := int64(math.Round(f * 31 * 17)); err != nil || z.Zeros != want {
				t.Errorf("%s, step %d: %d zeros, not %d; %v", schedule, k, z.Zeros, want, err)
			}
		}
		if !slices.Equal(floatsOf(t, g.Initializers[0]), floatsOf(t, once.Initializers[0])) {
			t.Errorf("%s: not what one step gives", schedule)
		}
	}
}

func bySorting(v []float32, f float64) []float32 {
	out := slices.Clone(v)
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return int(int64(math.Float32bits(v[a])&^(1<<31)) - int64(math.Float32bits(v[b])&^(1<<31)))
	})
	for _, i := range order[:int(math.Round(f*float64(len(v))))] {
		out[i] = 0
	}
	return out
}

// TestRows: of every result's weights as many go, those of the lowest scores.
func TestRows(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 8))
	for _, turned := range []bool{false, true} {
		w := onnxtest.Random(rnd, "w", 1, 2, 6, 4) // [inputs, outputs]
		attr := onnx.IntAttr("transB", 0)
		if turned {
			w = onnxtest.Random(rnd, "w", 1, 2, 4, 6)
			attr = onnx.IntAttr("transB", 1)
		}
		g := &onnx.Graph{Initializers: []*onnx.Tensor{w}, Nodes: []*onnx.Node{onnx.NewNode("Gemm", "g", []string{"x", "w"}, []string{"y"}, attr)}}
		list := Matrices(g, false)
		score := make([]float32, 24)
		for i := range score {
			score[i] = rnd.Float32()
		}
		list[0].Score = score
		z, err := SmallestInRows(g, list, 0.5)
		if err != nil || z.Zeros != 12 {
			t.Fatal(z, err)
		}
		v := floatsOf(t, g.Initializers[0])
		at := func(input, output int) int {
			if turned {
				return output*6 + input
			}
			return input*4 + output
		}
		for output := range 4 {
			var kept, gone []float32
			for input := range 6 {
				if i := at(input, output); v[i] == 0 {
					gone = append(gone, score[i])
				} else {
					kept = append(kept, score[i])
				}
			}
			if len(gone) != 3 || slices.Max(gone) > slices.Min(kept) {
				t.Errorf("output %d: kept %v, gone %v", output, kept, gone)
			}
		}
	}
}

// TestBlocks: in every block along the inputs the greatest stay.
func TestBlocks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	for _, k := range []int64{3, 4, 8, 10} {
		w := onnxtest.Random(rnd, "w", -1, 1, k, 3)
		before := slices.Clone(floatsOf(t, w))
		g, list := chain(w)
		r, err := Blocks(g, list, 2, 4)
		if err != nil {
			t.Fatal(err)
		}
		after := floatsOf(t, g.Initializers[0])
		zeros := int64(0)
		for column := range 3 {
			for lo := 0; lo < int(k); lo += 4 {
				size := min(4, int(k)-lo)
				var kept, gone []float64
				for i := lo; i < lo+size; i++ {
					x := math.Abs(float64(before[i*3+column]))
					switch after[i*3+column] {
					case 0:
						gone = append(gone, x)
					case before[i*3+column]:
						kept = append(kept, x)
					default:
						t.Fatal("a weight has changed")
					}
				}
				if want := min((2*size+3)/4, size); len(kept) != want || len(gone) > 0 && slices.Max(gone) > slices.Min(kept) {
					t.Errorf("%d inputs: kept %v, gone %v", k, kept, gone)
				}
				zeros += int64(len(gone))
			}
		}
		if r.Zeros != zeros {
			t.Errorf("%d zeros reported, %d there", r.Zeros, zeros)
		}
	}
}

func TestNotFinite(t *testing.T) {
	g, list := chain(onnxtest.Floats("w", tensor.Shape{2, 2}, 1, 2, float32(math.NaN()), 4))
	if _, err := Smallest(g, list, 0.5); err == nil {
		t.Error("NaN has a place in the order")
	}
	if _, err := Blocks(g, list, 2, 4); err == nil {
		t.Error("NaN has a place in a block")
	}
}

func TestLowest(t *testing.T) {
	score := []float64{5, 1, 3, 3, 9, 0, 7, 2}
	for _, c := range []struct {
		sparsity float64
		round    int
		want     []int
	}{
		{0, 1, []int{}}, {0.5, 1, []int{1, 2, 5, 7}}, {0.49, 1, []int{1, 5, 7}}, {0.5, 8, []int{}}, {0.5, 3, []int{1, 5}}, {1, 1, []int{0, 1, 2, 3, 5, 6, 7}},
	} {
		if got := Lowest(score, len(score), c.sparsity, c.round); !slices.Equal(got, c.want) {
			t.Errorf("%v, round to %d: %v, not %v", c.sparsity, c.round, got, c.want)
		}
	}
	// Of eight at first, three of which have gone, half are to go.
	if got := Lowest(score[:5], 8, 0.5, 1); !slices.Equal(got, []int{1}) {
		t.Errorf("a later step: %v", got)
	}
	if a, b, c := SparsityAt(1, 2, 0.8, "cubic"), SparsityAt(1, 4, 0.8, "linear"), SparsityAt(10, 10, 0.8, "cubic"); math.Abs(a-0.7) > 1e-12 || b != 0.2 || c != 0.8 {
		t.Errorf("sparsities %v, %v, %v", a, b, c)
	}
	if got := Below(score, 0.25); !slices.Equal(got, []int{1, 5, 7}) {
		t.Errorf("below a quarter: %v", got)
	}
	if got := Below([]float64{0, 0}, 0.5); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
