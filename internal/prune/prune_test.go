package prune

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
	"optim/internal/onnx/opset"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// want says what is found in a model.
type want struct {
	model   string
	widths  []int // units of the groups, most members first
	layers  int
	notHere bool // it lies beside the project only
}

var wants = []want{
	{"tinygpt/tinygpt.onnx", []int{192, 4, 768, 4, 768, 4, 768, 4, 768}, 4, false},
	{"tinygpt-s/tinygpt-s.onnx", []int{128, 4, 512, 4, 512}, 2, false},
	{"mnist-cnn/mnist-cnn.onnx", []int{48, 32, 16, 48}, 0, false},
	{"mnist-cnn/mnist-cnn-bn.onnx", []int{48, 32, 48, 16}, 0, false},
	{"resnet-tiny/resnet-tiny-bn.onnx", []int{32, 64, 128, 32, 32, 64, 64, 128, 128}, 2, false},
	{"digits-mlp/digits-mlp.onnx", []int{256, 128}, 0, false},
	{"tinygpt/tinygpt-dynamo.onnx", []int{192, 4, 768, 4, 768, 4, 768, 4, 768}, 4, true},
	{"minilm/minilm.onnx", []int{12, 12, 12, 12, 12, 12, 1536, 1536, 1536, 1536, 1536, 1536}, 6, true},
}

func load(t *testing.T, w want) *onnx.Model {
	t.Helper()
	folder := filepath.Join(orttest.Root(t), "testdata/models")
	if w.notHere {
		folder = filepath.Join(orttest.Root(t), "../shared/models")
	}
	m, err := onnx.Open(filepath.Join(folder, w.model))
	if w.notHere && os.IsNotExist(err) {
		t.Skip("the model is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if _, err := opset.Upgrade(m, 13); err != nil {
		t.Fatal(err)
	}
	if _, err := fold.Simplify(m); err != nil {
		t.Fatal(err)
	}
	return m
}

func find(t *testing.T, m *onnx.Model) (*Groups, map[string]tensor.Tensor) {
	t.Helper()
	in := onnxtest.Inputs(t, m, 1, map[string]int64{"batch": 2, "sequence": 5})
	other := onnxtest.Inputs(t, m, 1, map[string]int64{"batch": 3, "sequence": 7})
	gs, err := Find(t.Context(), orttest.Runtime(t), m, in, other, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return gs, in
}

func TestGroups(t *testing.T) {
	for _, w := range wants {
		t.Run(w.model, func(t *testing.T) {
			m := load(t, w)
			gs, _ := find(t, m)
			var got []int
			for _, g := range gs.List {
				got = append(got, g.Units())
			}
			if !slices.Equal(got, w.widths) {
				t.Errorf("groups of %v units, not %v", got, w.widths)
			}
			if n := len(Layers(m.Graph)); n != w.layers {
				t.Errorf("%d layers, not %d", n, w.layers)
			}
		})
	}
}

// TestRemoveZeros: units whose weights are all zero change nothing when they go.
func TestRemoveZeros(t *testing.T) {
	for _, w := range wants {
		t.Run(w.model, func(t *testing.T) {
			m := load(t, w)
			gs, in := find(t, m)
			drop := map[*Group][]int{}
			for i, g := range gs.List {
				if normalized(m, g) {
					continue // a mean over the width sees how wide it is
				}
				drop[g] = []int{0, g.Units() - 1}[i%2 : i%2+1]
				if g.Units() > 8 {
					drop[g] = []int{1, 2, 7}
				}
			}
			zero(t, m, drop)
			before := onnxtest.Run(t, m, in)
			parameters := elements(m)
			if err := gs.Remove(drop); err != nil {
				t.Fatal(err)
			}
			if elements(m) >= parameters {
				t.Error("nothing was removed")
			}
			onnxtest.Equal(t, onnxtest.Run(t, m, in), before, 2e-5)
		})
	}
}

// TestRemoveHalf: half of everything goes, and what is left runs with sizes that the
// analysis never saw.
func TestRemoveHalf(t *testing.T) {
	for _, w := range wants {
		t.Run(w.model, func(t *testing.T) {
			m := load(t, w)
			gs, _ := find(t, m)
			drop := map[*Group][]int{}
			for _, g := range gs.List {
				for u := range g.Units() / 2 {
					drop[g] = append(drop[g], 2*u)
				}
			}
			if err := gs.Remove(drop); err != nil {
				t.Fatal(err)
			}
			if layers := Layers(m.Graph); len(layers) > 0 {
				Bypass(m.Graph, layers[1])
			}
			m = onnxtest.Reparse(t, m)
			for _, n := range []int64{1, 4} {
				in := onnxtest.Inputs(t, m, 1, map[string]int64{"batch": n, "sequence": 11})
				for name, out := range onnxtest.Run(t, m, in) {
					if out.Shape[0] != n {
						t.Errorf("%s: shape %v", name, out.Shape)
					}
				}
			}
		})
	}
}

func normalized(m *onnx.Model, g *Group) bool {
	for _, n := range m.Graph.Nodes {
		for _, member := range g.Members {
			if n.Is("LayerNormalization") && n.Input(1) == member.Weight {
				return true
			}
		}
	}
	return false
}

func elements(m *onnx.Model) int64 {
	n := int64(0)
	for _, w := range m.Graph.Initializers {
		n += w.Elements()
	}
	return n
}

// zero sets all weights of some units to zero.
func zero(t *testing.T, m *onnx.Model, drop map[*Group][]int) {
	t.Helper()
	for i, w := range m.Graph.Initializers {
		var v []float32
		for g, units := range drop {
			for _, member := range g.Members {
				if member.Weight != w.Name {
					continue
				}
				if v == nil {
					value, err := w.Value()
					if err != nil {
						t.Fatal(err)
					}
					v = slices.Clone(tensor.As[float32](value.Data))
				}
				stride := int64(1)
				for _, d := range w.Shape[member.Axis+1:] {
					stride *= d
				}
				for at := range v {
					index := int64(at) / stride % w.Shape[member.Axis]
					for _, u := range units {
						if slices.Contains(member.Of[u], index) {
							v[at] = 0
						}
					}
				}
			}
		}
		if v != nil {
			m.Graph.Initializers[i] = onnx.NewTensor(w.Name, tensor.Of(tensor.Float32, w.Shape, v))
		}
	}
}

func TestPairs(t *testing.T) {
	text := func(in, out []int64) string {
		var b strings.Builder
		for _, p := range pairs(in, out) {
			for _, a := range p.from {
				b.WriteByte(byte('a' + a))
			}
			b.WriteByte('>')
			for _, a := range p.to {
				b.WriteByte(byte('a' + a))
			}
			b.WriteByte(' ')
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		in, out []int64
		want    string
	}{
		{[]int64{2, 5, 192}, []int64{2, 5, 4, 48}, "a>a b>b c>cd"},
		{[]int64{2, 5, 192}, []int64{10, 4, 48}, "ab>a c>bc"},
		{[]int64{2, 4, 5, 48}, []int64{8, 5, 48}, "ab>a c>b d>c"},
		{[]int64{1, 3, 1}, []int64{3}, "b>a"},
		{[]int64{6, 4}, []int64{3, 8}, "ab>ab"},
		{[]int64{1, 1}, []int64{1}, ""},
		{[]int64{}, []int64{1, 1}, ""},
	} {
		if got := text(c.in, c.out); got != c.want {
			t.Errorf("%v → %v: %q, not %q", c.in, c.out, got, c.want)
		}
	}
}

// TestBypass: each layer can go, the last one of an encoder, whose end is the model's
// output, too.
func TestBypass(t *testing.T) {
	for _, w := range wants {
		t.Run(w.model, func(t *testing.T) {
			for i, l := range Layers(load(t, w).Graph) {
				m := load(t, w)
				before := len(m.Graph.Nodes)
				Bypass(m.Graph, l)
				if gone := before - len(m.Graph.Nodes); gone < l.Nodes-1 {
					t.Errorf("layer %d: %d of %d nodes are gone", i, gone, l.Nodes)
				}
				m = onnxtest.Reparse(t, m)
				onnxtest.Run(t, m, onnxtest.Inputs(t, m, 1, map[string]int64{"batch": 1, "sequence": 11}))
			}
		})
	}
}

// TestLayersOfMany: a long chain of equal products is one run, found in no time.
func TestLayersOfMany(t *testing.T) {
	b := &builder{autodiff.NewGraph(), rand.New(rand.NewPCG(1, 1)), map[string]bool{}}
	x, w := b.Input("x", autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{2, 2}}), b.weight(2, 2)
	for range 20000 {
		x = b.op("MatMul", tensor.Shape{2, 2}, []string{x, w})
	}
	b.Output("y", x)
	if got := len(Layers(b.Model().Graph)); got != 19999 {
		t.Errorf("%d layers", got)
	}
}
