package prune

import (
	"fmt"
	"strings"

	"optim/internal/onnx"
)

// follow says what an operator couples.
type follow func(t *tracker, n *onnx.Node)

var follows = map[string]follow{}

func register(ops string, f follow) bool {
	for _, op := range strings.Fields(ops) {
		follows[op] = f
	}
	return true
}

var _ = register(`Identity Cast Dropout Relu LeakyRelu Elu Selu Celu Sigmoid Tanh Erf Exp Log Sqrt Reciprocal Neg Abs
	Softplus Softsign HardSigmoid HardSwish Mish Gelu Clip Floor Ceil Round Sign Sin Cos ThresholdedRelu IsNaN Not`, func(t *tracker, n *onnx.Node) {
	t.set(n.Output(0), t.of(n.Input(0)))
})

var _ = register(`Add Sub Mul Div Pow Min Max Sum Mean Where PRelu And Or Xor Equal Greater Less GreaterOrEqual LessOrEqual Mod`, broadcasts)

var _ = register(`Shape Size ConstantOfShape Range NonZero EyeLike Constant RandomNormalLike RandomUniformLike ArgMax ArgMin`, func(t *tracker, n *onnx.Node) {
	for _, v := range n.Outputs {
		t.set(v, make([]labels, len(t.shape(v))))
	}
})

// walk follows all nodes of a graph.
func (t *tracker) walk(g *onnx.Graph) {
	t.weights(g)
	index := onnx.NewIndex(g)
	for _, n := range g.Nodes {
		t.at = fmt.Sprintf("node %q (%s)", n.Name, n.OpType)
		f := follows[n.OpType]
		if f == nil || n.Domain != "" && n.Domain != "ai.onnx" || !t.known(n) {
			index.Uses(n, func(v string) { t.lockValue(v, "nothing is known of this operator") })
			continue
		}
		f(t, n)
	}
	t.at = ""
	for _, v := range g.Outputs {
		t.lockValue(v.Name, "it is an output of the model")
	}
}

// known reports whether the types of all that the node reads and makes were seen.
func (t *tracker) known(n *onnx.Node) bool {
	for _, list := range [][]string{n.Inputs, n.Outputs} {
		for _, v := range list {
			if _, ok := t.types[v]; v != "" && !ok {
				return false
			}
		}
	}
	return true
}

// broadcasts joins the axes of equal size, aligned at the last one.
func broadcasts(t *tracker, n *onnx.Node) {
	rank := len(t.shape(n.Output(0)))
	out := make([]labels, rank)
	seen := make([]bool, rank)
	for _, v := range n.Inputs {
		shape := t.shape(v)
		for i, l := range t.of(v) {
			at := rank - len(shape) + i
			if shape[i] == 1 {
				continue
			}
			if !seen[at] {
				out[at], seen[at] = l, true
				continue
			}
			out[at] = t.joinAll(out[at], l)
		}
	}
	t.set(n.Output(0), out)
}

var _ = register("MatMul", func(t *tracker, n *onnx.Node) {
	a, b := n.Input(0), n.Input(1)
	ra, rb := len(t.shape(a)), len(t.shape(b))
	if ra < 2 || rb < 2 {
		t.lockValue(a, "a product of vectors")
		t.lockValue(b, "a product of vectors")
		t.set(n.Output(0), make([]labels, len(t.shape(n.Output(0)))))
		return
	}
	t.joinAll(t.axis(a, -1), t.axis(b, -2))
	out := make([]labels, max(ra, rb))
	for i := range len(out) - 2 {
		x, y := i-len(out), i-len(out)
		switch {
		case -x > ra:
			out[i] = t.axis(b, y)
		case -y > rb:
			out[i] = t.axis(a, x)
		case t.shape(a)[ra+x] == 1:
			out[i] = t.axis(b, y)
		case t.shape(b)[rb+y] == 1:
			out[i] = t.axis(a, x)
		default:
			out[i] = t.joinAll(t.axis(a, x), t.axis(b, y))
		}
	}
	out[len(out)-2], out[len(out)-1] = t.axis(a, -2), t.axis(b, -1)
	t.set(n.Output(0), out)
})

var _ = register("Gemm", func(t *tracker, n *onnx.Node) {
	ma, ka := t.axis(n.Input(0), 0), t.axis(n.Input(0), 1)
	if n.AttrInt("transA", 0) != 0 {
		ma, ka = ka, ma
	}
	kb, nb := t.axis(n.Input(1), 0), t.axis(n.Input(1), 1)
	if n.AttrInt("transB", 0) != 0 {
		kb, nb = nb, kb
	}
	t.joinAll(ka, kb)
	if c := t.shape(n.Input(2)); len(c) == 2 && c[0] > 1 {
		ma = t.joinAll(ma, t.axis(n.Input(2), 0))
	}
	t.set(n.Output(0), []labels{ma, nb})
	t.bias(n.Input(2), nb)
})

// bias joins the last axis of a bias with the axis it is added along.
func (t *tracker) bias(v string, l labels) {
	if shape := t.shape(v); v != "" && len(shape) > 0 && shape[len(shape)-1] > 1 {
		t.joinAll(l, t.axis(v, -1))
	}
}

var _ = register("MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool Resize Upsample", func(t *tracker, n *onnx.Node) {
	t.spatial(n, t.channels(n.Input(0)))
})

var _ = register("BatchNormalization InstanceNormalization", func(t *tracker, n *onnx.Node) {
	for _, v := range n.Inputs[1:] {
		t.bias(v, t.channels(n.Input(0)))
	}
	t.set(n.Output(0), t.of(n.Input(0)))
})

var _ = register("LayerNormalization SimplifiedLayerNormalization", func(t *tracker, n *onnx.Node) {
	axes := t.of(n.Input(0))
	axis := n.AttrInt("axis", -1)
	if axis < 0 {
		axis += int64(len(axes))
	}
	if axis == int64(len(axes)-1) {
		for _, v := range n.Inputs[1:] {
			t.bias(v, axes[axis])
		}
	} else {
		t.lock("it is normalized over several axes", axes[max(axis, 0):]...)
		for _, v := range n.Inputs[1:] {
			t.lockValue(v, "it is normalized over several axes")
		}
	}
	t.set(n.Output(0), axes)
})

var _ = register("Softmax LogSoftmax Hardmax CumSum", func(t *tracker, n *onnx.Node) {
	axes := t.of(n.Input(0))
	axis := int(n.AttrInt("axis", -1))
	if n.OpType == "CumSum" {
		axis = 0
		t.lock("sums run along it", axes...)
	}
	t.lock("its elements are weighed against each other", t.axis(n.Input(0), axis))
	t.set(n.Output(0), axes)
})

var _ = register(`ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum ReduceLogSumExp`, func(t *tracker, n *onnx.Node) {
	in := t.of(n.Input(0))
	axes := n.AttrInts("axes")
	if v := n.Input(1); v != "" {
		axes = t.ints[v]
	}
	if len(axes) == 0 && n.AttrInt("noop_with_empty_axes", 0) != 0 {
		t.set(n.Output(0), in)
		return
	}
	reduced := map[int]bool{}
	for _, a := range axes {
		reduced[int((a+int64(len(in)))%int64(max(len(in), 1)))] = true
	}
	var out []labels
	for i, l := range in {
		switch {
		case !reduced[i] && len(axes) > 0:
			out = append(out, l)
		case n.AttrInt("keepdims", 1) != 0:
			out = append(out, nil)
		}
	}
	t.set(n.Output(0), out)
})

var _ = register("Einsum", func(t *tracker, n *onnx.Node) {
	left, right, ok := strings.Cut(strings.ReplaceAll(n.AttrString("equation", ""), " ", ""), "->")
	terms := strings.Split(left, ",")
	if !ok || strings.Contains(left, ".") || len(terms) != len(n.Inputs) {
		for _, v := range n.Inputs {
			t.lockValue(v, "its equation is not understood")
		}
		return
	}
	of := map[rune]labels{}
	have := map[rune]bool{}
	for i, term := range terms {
		for j, r := range term {
			l := t.axis(n.Inputs[i], j)
			if have[r] {
				l = t.joinAll(of[r], l)
			}
			of[r], have[r] = l, true
		}
	}
	var out []labels
	for _, r := range right {
		out = append(out, of[r])
	}
	t.set(n.Output(0), out)
})
