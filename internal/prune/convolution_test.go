package prune

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// TestConvolutionInGroups: small groups go whole, of large ones the same places; either way
// they are channels, and zeros that go change nothing.
func TestConvolutionInGroups(t *testing.T) {
	for _, c := range []struct {
		groups, in, out int64 // in and out of a group
		units           []int
		left            int64 // groups, when the first unit of everything has gone
	}{
		{6, 1, 1, []int{6}, 5}, {4, 1, 3, []int{4}, 3}, {8, 2, 4, []int{8}, 7}, {3, 3, 1, []int{3}, 2},
		{2, 4, 6, []int{4, 6}, 2}, {2, 2, 2, []int{2, 2}, 2}, {1, 5, 7, []int{5, 7}, 1},
	} {
		for _, op := range []string{"Conv", "ConvTranspose"} {
			t.Run(fmt.Sprint(op, c.groups, c.in, c.out), func(t *testing.T) {
				m := inGroups(op, c.groups, c.in, c.out)
				in := onnxtest.Inputs(t, m, 1, nil)
				gs, err := Find(t.Context(), orttest.Runtime(t), m, in, in, ort.Options{})
				if err != nil {
					t.Fatal(err)
				}
				var units []int
				drop := map[*Group][]int{}
				for _, g := range gs.List {
					units = append(units, g.Units())
					drop[g] = []int{0}
					if kind := gs.KindOf(g); kind != Channels {
						t.Errorf("units of %q are of kind %d", g.Name(), kind)
					}
				}
				slices.Sort(units)
				if !slices.Equal(units, c.units) {
					t.Fatalf("groups of %v units, not %v", units, c.units)
				}
				zero(t, m, drop)
				before := onnxtest.Run(t, m, in)
				if err := gs.Remove(drop); err != nil {
					t.Fatal(err)
				}
				m = onnxtest.Reparse(t, m)
				onnxtest.Equal(t, onnxtest.Run(t, m, in), before, 1e-5)
				for _, n := range m.Graph.Nodes {
					if left := n.AttrInt("group", 0); left != 0 && left != c.left {
						t.Errorf("%d groups are left, not %d", left, c.left)
					}
				}
			})
		}
	}
}

// inGroups is a convolution in groups between two others.
func inGroups(op string, groups, in, out int64) *onnx.Model {
	b := &builder{autodiff.NewGraph(), rand.New(rand.NewPCG(4, 4)), map[string]bool{}}
	x := b.conv(b.Input("x", autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{2, 3, 4, 5}}), groups*in)
	w := b.weight(groups*out, in, 3, 3)
	if op == "ConvTranspose" {
		w = b.weight(groups*in, out, 3, 3)
	}
	x = b.op(op, tensor.Shape{2, groups * out, 4, 5}, []string{x, w, b.weight(groups * out)}, onnx.IntListAttr("pads", 1, 1, 1, 1), onnx.IntAttr("group", groups))
	x = b.op("Relu", b.Shape(x), []string{x})
	b.Output("y", b.conv(x, 2))
	return b.Model()
}

// TestScoreInputsInGroups: a place of a convolution in groups is read in each of them.
func TestScoreInputsInGroups(t *testing.T) {
	m := inGroups("Conv", 2, 4, 6)
	in := onnxtest.Inputs(t, m, 1, nil)
	gs, err := Find(t.Context(), orttest.Runtime(t), m, in, in, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	list := Matrices(m.Graph, false)
	at := slices.IndexFunc(list, func(w Matrix) bool { return w.Node.AttrInt("group", 1) > 1 })
	seen := map[string]*Moments{list[at].Tensor.Name: {N: 1, Mean: []float64{1, 2, 3, 4, 5, 6, 7, 8}, M2: make([]float64, 8)}}
	for _, g := range gs.List {
		score, ok := gs.ScoreInputs(g, list, seen, Activation)
		if ok != (g.Units() == 4) {
			t.Errorf("%q of %d units: scored %v", g.Name(), g.Units(), ok)
		}
		for u, s := range score {
			if want := float64(2*u+6) / 36; ok && s != want {
				t.Errorf("unit %d is worth %g, not %g", u, s, want)
			}
		}
	}
}
