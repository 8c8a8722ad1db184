package prune

import (
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
	"optim/internal/train"
)

// TestWandaLayouts: of a weight in every layout the channels that it sums over are looked at.
func TestWandaLayouts(t *testing.T) {
	b := &builder{autodiff.NewGraph(), rand.New(rand.NewPCG(3, 1)), map[string]bool{}}
	x := b.Input("x", autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{1, 3, 4}})
	flat := b.op("Reshape", tensor.Shape{3, 4}, []string{x, b.Ints(3, 4)})
	columns, rows := map[string]bool{}, map[string]bool{} // by which channels of x a weight is weighed
	weight := func(of map[string]bool, s ...int64) string {
		w := b.weight(s...)
		of[w] = true
		return w
	}
	b.Output("right", b.op("MatMul", tensor.Shape{3, 5}, []string{flat, weight(columns, 4, 5)}))
	b.Output("left", b.op("MatMul", tensor.Shape{5, 4}, []string{weight(rows, 5, 3), flat}))
	b.Output("turned", b.op("MatMul", tensor.Shape{3, 5}, []string{flat, b.Transpose(weight(columns, 5, 4), 1, 0)}))
	b.Output("turned, left", b.op("MatMul", tensor.Shape{5, 4}, []string{b.Transpose(weight(rows, 3, 5), 1, 0), flat}))
	b.Output("gemm", b.op("Gemm", tensor.Shape{3, 5}, []string{flat, weight(columns, 5, 4)}, onnx.IntAttr("transB", 1)))
	b.Output("gemm, turned", b.op("Gemm", tensor.Shape{4, 5}, []string{flat, weight(rows, 3, 5)}, onnx.IntAttr("transA", 1)))
	m := onnxtest.Reparse(t, b.Model())
	m.Graph.Inputs[0].Type.Dims[0] = onnx.Dim{Symbol: "batch"}

	s, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	session := orttest.SessionOf(t, s, ort.Options{})
	set, err := dataset.Open("random", dataset.ModelInfo{Inputs: session.Inputs(), Outputs: session.Outputs()}, dataset.Options{Samples: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	data, err := train.ReadRows(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	var byColumn, byRow [4]float64
	batch, err := data.Batch(1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data.Len() {
		data.Copy(batch, 0, i)
		for j, e := range tensor.As[float32](batch["x"].Data) {
			byColumn[j%4] += float64(e) * float64(e)
			byRow[j/4] += float64(e) * float64(e)
		}
	}
	list := Matrices(m.Graph, false)
	if len(list) != 6 {
		t.Fatalf("%d matrices", len(list))
	}
	if err := Wanda(t.Context(), orttest.Runtime(t), m, list, data, ort.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		want := byColumn[:]
		if rows[w.Tensor.Name] {
			want = byRow[:3]
		} else if !columns[w.Tensor.Name] {
			t.Fatalf("%q is no weight", w.Tensor.Name)
		}
		for i, square := range want {
			if len(w.Norms) != len(want) || math.Abs(w.Norms[i]-math.Sqrt(square)) > 1e-6 {
				t.Fatalf("%s %v: %v, not the roots of %v", w.Node.OpType, w.Tensor.Shape, w.Norms, want)
			}
		}
	}
}
