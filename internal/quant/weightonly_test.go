package quant_test

import (
	"fmt"
	"regexp"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// blockProducts has products with weights in every layout that blocks take.
func blockProducts() *onnx.Model {
	n := newNet(17)
	x := n.input("x", 6, 72)
	x = n.op("MatMul", []string{x, n.weight("w", 72, 80)})
	x = n.gemm(n.op("Tanh", []string{x}), 80, 64, true)
	x = n.gemm(n.op("Tanh", []string{x}), 64, 48, false)
	return n.output(n.op("Gemm", []string{x, n.weight("v", 48, 40), n.weight("c", 6, 40)}, onnx.FloatAttr("beta", 0.5)))
}

// int4 are the options of 4-bit weights in blocks.
func int4(bits, block int, symmetric bool, form quant.Form) func(*quant.Options) {
	return func(o *quant.Options) {
		o.Format, o.Bits, o.BlockSize, o.Symmetric, o.Form = quant.Int4, bits, block, symmetric, form
	}
}

func TestWeightOnly(t *testing.T) {
	for _, block := range []int{0, 16, 32, 64, 128, 256} {
		for _, symmetric := range []bool{false, true} {
			t.Run(fmt.Sprint(block, symmetric), func(t *testing.T) {
				o := options(t, quant.WeightOnly, func(o *quant.Options) { o.BlockSize, o.Symmetric = block, symmetric })
				apply(t, blockProducts(), o).close(0.02).runs("MatMulNBits:4 MatMul:0 Gemm:0").floatsBelow(400)
			})
		}
	}
	n := newNet(17)
	x := n.input("x", 4, 64)
	a := n.op("MatMul", []string{x, n.weight("w", 64, 64)})
	b := n.op("Gemm", []string{x, n.weight("v", 64, 64)}, onnx.FloatAttr("alpha", 3))
	c := n.op("Gemm", []string{n.input("y", 64, 4), n.weight("u", 64, 64)}, onnx.IntAttr("transA", 1))
	apply(t, n.output(a, b, c), options(t, quant.WeightOnly)).close(0.02).left("Gemm", "no counterpart").nodes("Gemm:2 MatMulNBits:1")
}

// blockTolerance is the relative error that weights of that many bits may have
// in blocks of normal numbers, over the four layers of blockProducts.
var blockTolerance = map[int]float64{2: 1, 3: 0.5, 4: 0.25}

func TestInt4(t *testing.T) {
	for bits := 2; bits <= 4; bits++ {
		for _, method := range []quant.Method{quant.RTN, quant.HQQ} {
			for _, symmetric := range []bool{false, true} {
				t.Run(fmt.Sprint(bits, method, symmetric), func(t *testing.T) {
					o := options(t, method, int4(bits, 32, symmetric, quant.AutoForm))
					apply(t, blockProducts(), o).close(blockTolerance[bits]).runs("MatMulNBits:4 MatMul:0 Gemm:0").floatsBelow(2000)
				})
			}
		}
	}
}

// TestInt4Standard: the portable form loads, computes the same, and has none of
// the runtime's own operators.
func TestInt4Standard(t *testing.T) {
	for bits := 2; bits <= 4; bits++ {
		for _, symmetric := range []bool{false, true} {
			t.Run(fmt.Sprint(bits, symmetric), func(t *testing.T) {
				own := apply(t, blockProducts(), options(t, quant.RTN, int4(bits, 16, symmetric, quant.AutoForm), fp32))
				standard := apply(t, blockProducts(), options(t, quant.RTN, int4(bits, 16, symmetric, quant.QDQ)))
				standard.nodes("DequantizeLinear:4 MatMul:1 Gemm:3 MatMulNBits:0")
				if got := standard.model.Opset(""); got < 21 {
					t.Errorf("opset %d", got)
				}
				for i := range own.outputs {
					for name, a := range own.outputs[i] {
						if s := tensor.SQNR(floats(t, a), floats(t, standard.outputs[i][name])); s < 30 {
							t.Errorf("sample %d output %s: the forms differ: %.1f dB", i, name, s)
						}
					}
				}
			})
		}
	}
}

func fp32(o *quant.Options) { o.Compute = quant.ComputeFP32 }

func floats(t *testing.T, x tensor.Tensor) []float32 {
	t.Helper()
	v, err := x.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// tiedHead is an embedding whose table is the head's weight, too.
func tiedHead(v, k int64) *onnx.Model {
	n := newNet(17)
	table := n.weight("table", v, k)
	ids := n.ints("ids", 1, 5, 7)
	x := n.op("Gather", []string{table, ids})
	x = n.op("Add", []string{x, n.input("x", 3, k)})
	x = n.op("MatMul", []string{x, n.weight("w", k, k)})
	return n.output(n.op("MatMul", []string{x, n.op("Transpose", []string{table}, onnx.IntListAttr("perm", 1, 0))}))
}

// TestTied: one table feeds the look-up and the head, in every form.
func TestTied(t *testing.T) {
	for _, k := range []int64{64, 96} {
		r := apply(t, tiedHead(100, k), options(t, quant.RTN, int4(4, 32, false, quant.AutoForm)))
		r.close(0.25).nodes("GatherBlockQuantized:1 MatMulNBits:2 Transpose:0 Reshape:1").runs("MatMulNBits:2 Reshape:0").floatsBelow(700)
		standard := apply(t, tiedHead(100, k), options(t, quant.RTN, int4(4, 32, false, quant.QDQ)))
		standard.close(0.25).nodes("DequantizeLinear:2 GatherBlockQuantized:0").floatsBelow(700)
	}
	r := apply(t, tiedHead(100, 72+1), options(t, quant.RTN, int4(4, 32, false, quant.AutoForm)))
	r.close(0.25).left("Gather", "do not divide").nodes("Gather:1 MatMulNBits:2")
	r = apply(t, tiedHead(100, 64), options(t, quant.RTN, int4(4, 32, false, quant.AutoForm), func(o *quant.Options) { o.Embeddings = false }))
	r.close(0.25).left("Gather", "--embeddings=false").nodes("Gather:1 MatMulNBits:2")
}

// TestTiedFine: the table and the head that shares it have 8 bits in either form, not
// the 4 of other products.
func TestTiedFine(t *testing.T) {
	keep := func(o *quant.Options) { o.Keep = []*regexp.Regexp{regexp.MustCompile("^w$")} }
	for _, form := range []quant.Form{quant.AutoForm, quant.QDQ} {
		apply(t, tiedHead(100, 64), options(t, quant.RTN, int4(4, 32, false, form), keep)).close(0.02)
	}
}

// TestFloat4: 4-bit floats with plain and with quantized scales, in blocks that
// end inside of rows.
func TestFloat4(t *testing.T) {
	for _, format := range []quant.Format{quant.NF4, quant.FP4} {
		for _, block := range []int{0, 16, 128, 256} {
			for _, double := range []bool{false, true} {
				t.Run(fmt.Sprint(format, block, double), func(t *testing.T) {
					o := options(t, quant.RTN, func(o *quant.Options) { o.Format, o.BlockSize, o.DoubleQuant = format, block, double })
					apply(t, blockProducts(), o).close(0.5).runs("MatMulBnb4:4 MatMul:0 Gemm:0 Gather:0").floatsBelow(2400)
				})
			}
		}
	}
	o := options(t, quant.RTN, func(o *quant.Options) { o.Format = quant.NF4 })
	apply(t, tiedHead(100, 64), o).close(0.3).nodes("GatherBlockQuantized:1 MatMulNBits:1 MatMulBnb4:1")
}
