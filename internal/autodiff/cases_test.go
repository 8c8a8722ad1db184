package autodiff_test

import (
	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

type shape = tensor.Shape

// two makes inputs of one shape each.
func list(in ...at) []at { return in }

func cases() []ruleCase {
	var all []ruleCase
	for _, group := range [][]ruleCase{elementwiseCases(), arithmeticCases(), matmulCases(), shapeCases(), gatherCases(), reduceCases(), normCases(), convCases(), poolCases(), resizeCases(), otherCases()} {
		all = append(all, group...)
	}
	return all
}

func elementwiseCases() []ruleCase {
	x := list(r(2, 3))
	float := onnx.FloatAttr
	double := func(op string, in at) ruleCase { return one(op, nil, list(in)) }
	return []ruleCase{
		double("Identity", r(2, 3)), double("Neg", r(2, 3)), double("Abs", apart(2, 3)), double("Exp", r(2, 3)),
		double("Log", pos(2, 3)), double("Sqrt", pos(2, 3)), double("Reciprocal", pos(2, 3)),
		double("Sin", r(2, 3)), double("Cos", r(2, 3)), double("Tanh", r(2, 3)), double("Sigmoid", r(2, 3)),
		double("Softplus", r(2, 3)).single(), double("Softsign", r(2, 3)).single(),
		double("Erf", r(2, 3)).single(), double("Relu", apart(2, 3)),
		one("LeakyRelu", nil, list(apart(2, 3)), float("alpha", 0.2)).single(),
		one("ThresholdedRelu", nil, list(apart(2, 3)), float("alpha", 1)).single(),
		one("Elu", nil, list(apart(2, 3)), float("alpha", 0.7)).single(),
		double("Selu", apart(2, 3)).single(),
		one("Celu", nil, list(apart(2, 3)), float("alpha", 1.3)).single(),
		one("HardSigmoid", nil, list(apart(3, 5)), float("alpha", 0.25)).single(),
		double("HardSwish", apart(4, 4)).single(),
		double("Mish", r(2, 3)).single(),
		one("PRelu", nil, list(apart(2, 3, 2), r(3, 1))).single(),
		one("Clip", nil, list(apart(3, 3))).with(tensor.Of(tensor.Float64, shape{}, []float64{-2}), tensor.Of(tensor.Float64, shape{}, []float64{2})),
		{op: "Clip", name: "upper only", in: list(apart(3, 3)), build: func(g *autodiff.Graph, v []string) string {
			return g.Op("Clip", g.Type(v[0]), []string{v[0], "", g.Scalar(tensor.Float64, 1)})
		}},
		{op: "Cast", in: x, f32: true, build: func(g *autodiff.Graph, v []string) string {
			return g.Cast(g.Unary("Tanh", g.Cast(v[0], tensor.Float64)), tensor.Float32)
		}},
		double("Dropout", r(2, 3)),
	}
}

func arithmeticCases() []ruleCase {
	var out []ruleCase
	for _, op := range []string{"Add", "Sub", "Mul", "Div"} {
		out = append(out,
			one(op, nil, list(r(2, 3), pos(2, 3))),
			one(op, nil, list(r(2, 3), pos(3))).called("row"),
			one(op, shape{2, 3}, list(r(1), pos(2, 3))).called("one element"),
			one(op, shape{2, 2, 3}, list(r(2, 1, 3), pos(2, 1))).called("both broadcast"),
			one(op, nil, list(r(2, 3), pos())).called("scalar"))
	}
	power := func(e float64) ruleCase {
		return one("Pow", nil, list(pos(2, 3))).with(tensor.Of(tensor.Float64, shape{}, []float64{e}))
	}
	return append(out,
		power(1).called("1"), power(2).called("2"), power(3).called("3"), power(0.5).called("0.5"), power(-1.7).called("-1.7"),
		one("Pow", nil, list(pos(2, 3), r(2, 3))).called("exponents"),
		one("Sum", shape{2, 3}, list(r(2, 3), r(3), r(1, 1))),
		one("Mean", shape{2, 3}, list(r(2, 3), r(3), r(1, 1))).single(),
		one("Max", shape{3, 3}, list(apart(3, 3), apart(3).within(0, 0))).called("broadcast"),
		one("Min", nil, list(apart(3, 3), at{shape: shape{3, 3}, lo: 0.01, hi: 0.2})),
		ruleCase{op: "Where", in: list(r(2, 3), r(3)), build: func(g *autodiff.Graph, v []string) string {
			cond := g.Tensor(tensor.Tensor{DType: tensor.Bool, Shape: shape{2, 1}, Data: []byte{0, 1}})
			return g.Where(cond, v[0], v[1])
		}},
	)
}

func matmulCases() []ruleCase {
	mm := func(name string, out shape, a, b at) ruleCase { return one("MatMul", out, list(a, b)).called(name) }
	gemm := func(name string, a, b at, attrs ...*onnx.Attribute) ruleCase {
		return one("Gemm", shape{2, 4}, list(a, b, r(4)), attrs...).called(name)
	}
	ta, tb := onnx.IntAttr("transA", 1), onnx.IntAttr("transB", 1)
	scaled := onnx.FloatAttr("alpha", 0.7)
	return []ruleCase{
		mm("matrices", shape{2, 4}, r(2, 3), r(3, 4)),
		mm("one element", shape{1, 1}, r(1, 1), r(1, 1)),
		mm("rows of batches", shape{2, 2, 4}, r(2, 2, 3), r(3, 4)),
		mm("batches", shape{2, 2, 4}, r(2, 2, 3), r(2, 3, 4)),
		mm("batches in float32", shape{2, 2, 4}, r(2, 2, 3), r(2, 3, 4)).single(),
		mm("broadcast batches", shape{3, 2, 2, 4}, r(2, 2, 3), r(3, 1, 3, 4)),
		mm("broadcast matrix", shape{3, 2, 4}, r(2, 3), r(3, 3, 4)),
		mm("vector times matrix", shape{4}, r(3), r(3, 4)),
		mm("matrix times vector", shape{2}, r(2, 3), r(3)),
		mm("vectors", shape{}, r(3), r(3)),
		mm("vector times batches", shape{2, 4}, r(3), r(2, 3, 4)),
		gemm("plain", r(2, 3), r(3, 4)),
		gemm("transA", r(3, 2), r(3, 4), ta, scaled),
		gemm("transB", r(2, 3), r(4, 3), tb, scaled),
		gemm("both", r(3, 2), r(4, 3), ta, tb, onnx.FloatAttr("beta", 0.3)),
		one("Gemm", shape{2, 4}, list(r(2, 3), r(3, 4), r())).called("scalar C"),
		one("Gemm", shape{2, 4}, list(r(2, 3), r(3, 4), r(2, 1))).called("column C"),
		one("Gemm", shape{2, 4}, list(r(2, 3), r(3, 4))).called("no C"),
	}
}

func shapeCases() []ruleCase {
	x := list(r(2, 3, 4))
	iattr := func(name string, v int64) *onnx.Attribute { return onnx.IntAttr(name, v) }
	slice := func(name string, out shape, starts, ends, axes, steps []int64) ruleCase {
		c := one("Slice", out, x).called(name)
		if steps == nil {
			return c.with(ints(starts...), ints(ends...), ints(axes...))
		}
		return c.with(ints(starts...), ints(ends...), ints(axes...), ints(steps...))
	}
	return []ruleCase{
		one("Reshape", shape{4, 6}, x).with(ints(4, 6)),
		one("Flatten", shape{2, 12}, x),
		one("Squeeze", shape{2, 3}, list(r(2, 1, 3))).with(ints(1)),
		one("Unsqueeze", shape{2, 1, 3}, list(r(2, 3))).with(ints(1)),
		one("Expand", shape{2, 3, 4}, list(r(3, 1))).with(ints(2, 3, 4)),
		one("Transpose", shape{4, 2, 3}, x, onnx.IntListAttr("perm", 2, 0, 1)),
		one("Transpose", shape{4, 3, 2}, x).called("reversed"),
		one("Concat", shape{2, 5}, list(r(2, 3), r(2, 2)), iattr("axis", -1)),
		{op: "Split", in: x, build: func(g *autodiff.Graph, v []string) string {
			d := g.Type(v[0]).DType
			parts := g.Ops("Split", []autodiff.Type{{DType: d, Shape: shape{2, 1, 4}}, {DType: d, Shape: shape{2, 2, 4}}},
				[]string{v[0], g.Ints(1, 2)}, iattr("axis", 1))
			return g.Unary("Tanh", parts[1]) // the other part has no gradient
		}},
		slice("middle", shape{2, 1, 3}, []int64{1, 1}, []int64{2, 4}, []int64{1, 2}, nil),
		slice("from the end", shape{2, 3, 2}, []int64{-2}, []int64{1 << 40}, []int64{-1}, nil),
		slice("steps", shape{2, 2, 2}, []int64{0, 1}, []int64{3, 4}, []int64{1, 2}, []int64{2, 2}),
		slice("backwards", shape{2, 3, 4}, []int64{-1}, []int64{-1 << 40}, []int64{1}, []int64{-1}),
		one("Pad", shape{2, 5, 3}, x).with(ints(0, 1, -1, 0, 1, 0)),
		one("Tile", shape{4, 9, 4}, x).with(ints(2, 3, 1)),
		one("Trilu", nil, x, iattr("upper", 0)),
		one("DepthToSpace", shape{1, 2, 4, 6}, list(r(1, 8, 2, 3)), iattr("blocksize", 2)),
		one("DepthToSpace", shape{1, 2, 4, 6}, list(r(1, 8, 2, 3)), iattr("blocksize", 2), onnx.StrAttr("mode", "CRD")).called("CRD"),
		one("SpaceToDepth", shape{1, 8, 1, 2}, list(r(1, 2, 2, 4)), iattr("blocksize", 2)),
	}
}

func gatherCases() []ruleCase {
	idx := func(s shape, v ...int64) tensor.Tensor { return tensor.Of(tensor.Int64, s, v) }
	return []ruleCase{
		one("Gather", shape{2, 2, 3}, list(r(4, 3))).with(idx(shape{2, 2}, 1, -1, 1, 0)),
		one("Gather", shape{2, 3, 2}, list(r(2, 3, 4)), onnx.IntAttr("axis", -1)).with(ints(3, 3)).called("last axis"),
		one("Gather", shape{2, 4}, list(r(2, 3, 4)), onnx.IntAttr("axis", 1)).with(idx(shape{}, 1)).called("scalar"),
		one("GatherElements", shape{2, 2}, list(r(2, 3)), onnx.IntAttr("axis", 1)).with(idx(shape{2, 2}, 2, 2, -3, 1)),
		one("GatherND", shape{2, 3}, list(r(2, 2, 3))).with(idx(shape{2, 2}, 1, 0, 1, 0)),
		{op: "ScatterElements", in: list(r(2, 3), r(2, 1)), build: func(g *autodiff.Graph, v []string) string {
			return g.Op("ScatterElements", g.Type(v[0]), []string{v[0], g.Tensor(idx(shape{2, 1}, 2, 0)), v[1]}, onnx.IntAttr("axis", 1))
		}},
		{op: "ScatterElements", name: "add", in: list(r(2, 3), r(2, 1)), build: func(g *autodiff.Graph, v []string) string {
			return g.Op("ScatterElements", g.Type(v[0]), []string{v[0], g.Tensor(idx(shape{2, 1}, 2, 0)), v[1]},
				onnx.IntAttr("axis", 1), onnx.StrAttr("reduction", "add"))
		}},
		one("CumSum", nil, list(r(2, 3))).with(idx(shape{}, 1)),
		one("CumSum", nil, list(r(2, 3)), onnx.IntAttr("reverse", 1), onnx.IntAttr("exclusive", 1)).with(idx(shape{}, 0)).called("reverse, exclusive"),
	}
}

func reduceCases() []ruleCase {
	var out []ruleCase
	for _, op := range []string{"ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMin"} {
		x := pos(2, 3, 2)
		if op == "ReduceMax" || op == "ReduceMin" {
			x = apart(2, 3, 2)
		}
		keep := onnx.IntAttr("keepdims", 0)
		out = append(out,
			one(op, shape{2, 1, 2}, list(x)).with(ints(1)),
			one(op, shape{2}, list(x), keep).with(ints(-1, 1)).called("no dims"),
			one(op, shape{}, list(x), keep).called("all"))
	}
	return append(out,
		one("GlobalAveragePool", shape{2, 3, 1, 1}, list(r(2, 3, 2, 2))).single(),
		one("GlobalMaxPool", shape{2, 3, 1, 1}, list(apart(2, 3, 2, 2))).single())
}

func normCases() []ruleCase {
	eps := onnx.FloatAttr("epsilon", 1e-3)
	gelu := func(mode string) ruleCase {
		return one("Gelu", nil, list(r(3, 4)), onnx.StrAttr("approximate", mode)).single().called(mode)
	}
	return []ruleCase{
		one("Softmax", nil, list(r(2, 3)), onnx.IntAttr("axis", -1)),
		one("Softmax", nil, list(r(2, 3, 2)), onnx.IntAttr("axis", 1)).called("middle"),
		one("LogSoftmax", nil, list(r(2, 3)), onnx.IntAttr("axis", -1)),
		one("LayerNormalization", nil, list(r(3, 4), r(4), r(4)), eps).single(),
		one("LayerNormalization", nil, list(r(3, 2, 4), r(2, 4), r(2, 4)), eps, onnx.IntAttr("axis", 1)).single().called("two axes"),
		one("LayerNormalization", nil, list(r(3, 4), r(4)), eps).single().called("no bias"),
		one("SimplifiedLayerNormalization", nil, list(r(3, 4), r(4)), eps),
		one("InstanceNormalization", nil, list(r(2, 3, 4), r(3), r(3)), eps).single(),
		gelu("none"), gelu("tanh"),
		one("com.microsoft::Gelu", nil, list(r(3, 4))).single(),
		one("com.microsoft::FastGelu", nil, list(r(3, 4), r(4))).single(),
		one("com.microsoft::BiasGelu", nil, list(r(3, 4), r(4))).single(),
		one("com.microsoft::QuickGelu", nil, list(r(3, 4)), onnx.FloatAttr("alpha", 1.5)).single(),
	}
}
