package quant_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// cached is a layer that appends to a cache and looks at the whole of it; its
// length is asked for, too.
func cached() *onnx.Model {
	n := newNet(17)
	past := n.input("past", 1, 2, -1, 16)
	x := n.op("MatMul", []string{n.input("x", 1, 2, 3, 16), n.weight("w", 16, 16)})
	whole := n.op("Concat", []string{n.op("Concat", []string{past}, onnx.IntAttr("axis", 2)), x}, onnx.IntAttr("axis", 2))
	scores := n.op("MatMul", []string{x, n.op("Transpose", []string{whole}, onnx.IntListAttr("perm", 0, 1, 3, 2))})
	length := n.op("Cast", []string{n.op("Shape", []string{past})}, onnx.IntAttr("to", int64(tensor.Float32)))
	return n.output(whole, scores, length)
}

// TestHalveCache: the cache is half as large, what was in it comes out untouched,
// and the rest computes what it did.
func TestHalveCache(t *testing.T) {
	source := marshal(t, cached())
	m := parse(t, source)
	if n, err := quant.HalveCache(m); n != 1 || err != nil {
		t.Fatalf("%d tensors, %v", n, err)
	}
	before, after := session(t, source), session(t, marshal(t, m))
	n := newNet(17)
	past, x := n.normal(2*5*16, 1), n.normal(2*3*16, 1)
	half, err := tensor.Convert(tensor.Of(tensor.Float32, tensor.Shape{1, 2, 5, 16}, past), tensor.Float16)
	if err != nil {
		t.Fatal(err)
	}
	kept := floats(t, half) // as float16 holds it
	in := map[string]tensor.Tensor{"past": tensor.Of(tensor.Float32, tensor.Shape{1, 2, 5, 16}, kept), "x": tensor.Of(tensor.Float32, tensor.Shape{1, 2, 3, 16}, x)}
	want, err := before.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	in["past"] = half
	got, err := after.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range before.Outputs() {
		a, b := floats(t, want[o.Name]), floats(t, got[o.Name])
		if s := tensor.SQNR(a, b); s < 60 {
			t.Errorf("output %s: %.0f dB", o.Name, s)
		}
		if isHalf := got[o.Name].DType == tensor.Float16; isHalf != (i == 0) {
			t.Errorf("output %s is %s", o.Name, got[o.Name].DType)
		}
	}
	whole := floats(t, got[before.Outputs()[0].Name])
	for h := range 2 {
		for i := range 5 * 16 {
			if whole[h*8*16+i] != kept[h*5*16+i] {
				t.Fatalf("element %d of head %d was rounded twice", i, h)
			}
		}
	}
	if n, err := quant.HalveCache(mixed()); n != 0 || err != nil {
		t.Errorf("a model without a cache: %d, %v", n, err)
	}
}
