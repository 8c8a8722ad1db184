package autodiff

import (
	"maps"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Unary adds an elementwise operator of one input.
func (g *Graph) Unary(op, x string, attrs ...*onnx.Attribute) string {
	return g.Op(op, g.Type(x), []string{x}, attrs...)
}

// Binary adds an elementwise operator of two inputs, which are broadcast.
func (g *Graph) Binary(op, a, b string) string {
	t := Type{g.Type(a).DType, broadcast(g.Shape(a), g.Shape(b))}
	switch op {
	case "Mul", "Div":
		if g.isScalar(b, 1) && g.Shape(a).Equal(t.Shape) {
			return a
		}
	case "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual":
		t.DType = tensor.Bool
	}
	return g.Op(op, t, []string{a, b})
}

// Add adds a + b.
func (g *Graph) Add(a, b string) string { return g.Binary("Add", a, b) }

// Sub adds a − b.
func (g *Graph) Sub(a, b string) string { return g.Binary("Sub", a, b) }

// Mul adds a · b.
func (g *Graph) Mul(a, b string) string { return g.Binary("Mul", a, b) }

// Div adds a / b.
func (g *Graph) Div(a, b string) string { return g.Binary("Div", a, b) }

// Scale adds f · x.
func (g *Graph) Scale(x string, f float64) string { return g.Mul(x, g.like(x, f)) }

// Offset adds x + f.
func (g *Graph) Offset(x string, f float64) string { return g.Add(x, g.like(x, f)) }

// Where adds cond ? a : b.
func (g *Graph) Where(cond, a, b string) string {
	shape := broadcast(g.Shape(cond), broadcast(g.Shape(a), g.Shape(b)))
	return g.Op("Where", Type{g.Type(a).DType, shape}, []string{cond, a, b})
}

// Cast adds x in another element type.
func (g *Graph) Cast(x string, d tensor.DType) string {
	t := g.Type(x)
	if t.DType == d {
		return x
	}
	return g.Op("Cast", Type{d, t.Shape}, []string{x}, onnx.IntAttr("to", int64(d)))
}

// Reshape adds x in another shape with as many elements.
func (g *Graph) Reshape(x string, s ...int64) string {
	t := g.Type(x)
	if t.Shape.Equal(s) {
		return x
	}
	// allowzero: a dimension of 0 means 0 here, not "as before".
	return g.Op("Reshape", Type{t.DType, slices.Clone(s)}, []string{x, g.Ints(s...)}, onnx.IntAttr("allowzero", 1))
}

// Transpose adds x with its axes in another order: axis i of the result is axis
// perm[i] of x.
func (g *Graph) Transpose(x string, perm ...int64) string {
	t := g.Type(x)
	out := make(tensor.Shape, len(perm))
	same := true
	for i, p := range perm {
		out[i] = t.Shape[p]
		same = same && int64(i) == p
	}
	if same {
		return x
	}
	return g.Op("Transpose", Type{t.DType, out}, []string{x}, onnx.IntListAttr("perm", perm...))
}

// Expand adds x broadcast to a shape.
func (g *Graph) Expand(x string, s tensor.Shape) string {
	t := g.Type(x)
	if t.Shape.Equal(s) {
		return x
	}
	return g.Op("Expand", Type{t.DType, s.Clone()}, []string{x, g.Ints(s...)})
}

// Sum adds the sum of x over axes, which stay with size 1.
func (g *Graph) Sum(x string, axes ...int64) string { return g.reduce("ReduceSum", x, axes) }

// Mean adds the mean of x over axes, which stay with size 1.
func (g *Graph) Mean(x string, axes ...int64) string { return g.reduce("ReduceMean", x, axes) }

func (g *Graph) reduce(op, x string, axes []int64) string {
	if len(axes) == 0 {
		return x
	}
	t := g.Type(x)
	shape := t.Shape.Clone()
	for _, a := range axes {
		shape[a] = 1
	}
	return g.Op(op, Type{t.DType, shape}, []string{x, g.Ints(axes...)}, onnx.IntAttr("keepdims", 1))
}

// Total adds the sum of all elements, of rank 0.
func (g *Graph) Total(x string) string {
	return g.Reshape(g.Sum(g.Reshape(x, g.Type(x).Elements()), 0))
}

// sumTo adds x summed over the axes along which a value of shape s was broadcast.
func (g *Graph) sumTo(x string, s tensor.Shape) string {
	have := g.Shape(x)
	if have.Equal(s) {
		return x
	}
	extra := len(have) - len(s)
	var axes []int64
	for i, d := range have {
		if i < extra || s[i-extra] == 1 && d != 1 {
			axes = append(axes, int64(i))
		}
	}
	return g.Reshape(g.Sum(x, axes...), s...)
}

// Slice adds x[lo:hi] along one axis.
func (g *Graph) Slice(x string, axis int, lo, hi int64) string {
	t := g.Type(x)
	if lo == 0 && hi == t.Shape[axis] {
		return x
	}
	shape := t.Shape.Clone()
	shape[axis] = hi - lo
	return g.Op("Slice", Type{t.DType, shape}, []string{x, g.Ints(lo), g.Ints(hi), g.Ints(int64(axis))})
}

// Concat adds values one after another along an axis.
func (g *Graph) Concat(axis int, in ...string) string {
	if len(in) == 1 {
		return in[0]
	}
	t := g.Type(in[0])
	shape := t.Shape.Clone()
	for _, v := range in[1:] {
		shape[axis] += g.Shape(v)[axis]
	}
	return g.Op("Concat", Type{t.DType, shape}, in, onnx.IntAttr("axis", int64(axis)))
}

// matmul adds the product of the last two axes of a and b, each transposed first
// where told; other axes are broadcast.
func (g *Graph) matmul(a string, ta bool, b string, tb bool) string {
	sa, sb := g.Shape(a), g.Shape(b)
	if g.Type(a).DType != tensor.Float32 { // FusedMatMul has float32 only
		if ta {
			a = g.swapLast(a)
		}
		if tb {
			b = g.swapLast(b)
		}
		sa, sb, ta, tb = g.Shape(a), g.Shape(b), false, false
	}
	la, lb := len(sa), len(sb)
	m, n := sa[la-2], sb[lb-1]
	if ta {
		m = sa[la-1]
	}
	if tb {
		n = sb[lb-2]
	}
	shape := append(broadcast(sa[:la-2], sb[:lb-2]).Clone(), m, n)
	t := Type{g.Type(a).DType, shape}
	if !ta && !tb {
		return g.Op("MatMul", t, []string{a, b})
	}
	return g.Op("com.microsoft::FusedMatMul", t, []string{a, b}, flag("transA", ta), flag("transB", tb))
}

func (g *Graph) swapLast(x string) string {
	n := len(g.Shape(x))
	perm := make([]int64, n)
	for i := range perm {
		perm[i] = int64(i)
	}
	perm[n-1], perm[n-2] = perm[n-2], perm[n-1]
	return g.Transpose(x, perm...)
}

// gemm adds alpha · a' · b' of two matrices, each transposed first where told.
func (g *Graph) gemm(a string, ta bool, b string, tb bool, alpha float64) string {
	m, n := g.Shape(a)[0], g.Shape(b)[1]
	if ta {
		m = g.Shape(a)[1]
	}
	if tb {
		n = g.Shape(b)[0]
	}
	t := Type{g.Type(a).DType, tensor.Shape{m, n}}
	return g.Op("Gemm", t, []string{a, b}, onnx.FloatAttr("alpha", float32(alpha)), flag("transA", ta), flag("transB", tb))
}

func flag(name string, on bool) *onnx.Attribute {
	if on {
		return onnx.IntAttr(name, 1)
	}
	return nil
}

// broadcast returns the shape that two shapes are broadcast to.
func broadcast(a, b tensor.Shape) tensor.Shape {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := a.Clone()
	extra := len(a) - len(b)
	for i, d := range b {
		if out[extra+i] == 1 {
			out[extra+i] = d
		}
	}
	return out
}

// axesFrom lists the axes from lo to hi−1.
func axesFrom(lo, hi int) []int64 {
	var out []int64
	for i := lo; i < hi; i++ {
		out = append(out, int64(i))
	}
	return out
}
