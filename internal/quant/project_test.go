package quant

import (
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// TestProject compares the shift of a product's mean with its definition.
func TestProject(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	check := func(name string, got, want []float64) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d numbers, want %d", name, len(got), len(want))
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-9*(1+math.Abs(want[i])) {
				t.Errorf("%s: channel %d is %g, want %g", name, i, got[i], want[i])
			}
		}
	}
	means := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = r.NormFloat64()
		}
		return out
	}
	for _, group := range []int{1, 2, 4} {
		const out, per, kh, kw = 8, 3, 2, 5
		d, mean := random(r, out*per*kh*kw), means(per*group)
		want := make([]float64, out)
		for c := range out {
			for i := range per {
				for k := range kh * kw {
					want[c] += float64(d[(c*per+i)*kh*kw+k]) * mean[c/(out/group)*per+i]
				}
			}
		}
		u := &unit{node: onnx.NewNode("Conv", "", nil, nil, onnx.IntAttr("group", int64(group)))}
		u.weight.tensor = onnx.NewTensor("w", tensor.Of(tensor.Float32, tensor.Shape{out, per, kh, kw}, d))
		check("Conv", u.project(d, mean), want)
	}
	for _, n := range []int{5, 16} { // square, too: then only the flag tells the layout
		const k = 16
		d, mean := random(r, k*n), means(k)
		plain, turned := make([]float64, n), make([]float64, n)
		for c := range n {
			for j := range k {
				plain[c] += float64(d[j*n+c]) * mean[j]
				turned[c] += float64(d[c*k+j]) * mean[j]
			}
		}
		matmul := &unit{node: onnx.NewNode("MatMul", "", nil, nil)}
		matmul.weight.tensor = onnx.NewTensor("w", tensor.Of(tensor.Float32, tensor.Shape{k, int64(n)}, d))
		check("MatMul", matmul.project(d, mean), plain)
		gemm := &unit{node: onnx.NewNode("Gemm", "", nil, nil, onnx.IntAttr("transB", 1))}
		gemm.weight.tensor = onnx.NewTensor("w", tensor.Of(tensor.Float32, tensor.Shape{int64(n), k}, d))
		check("Gemm", gemm.project(d, mean), turned)
		tied := &unit{node: onnx.NewNode("MatMul", "", nil, nil)}
		tied.weight = operand{tensor: gemm.weight.tensor, transposed: onnx.NewNode("Transpose", "", nil, nil)}
		check("tied MatMul", tied.project(d, mean), turned)
	}
}
