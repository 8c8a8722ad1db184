package qat

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/tensor"
	"optim/internal/train"
)

// faker puts fake quantization into a graph: numbers are rounded to a grid and back, and
// gradients pass as if they were not.
type faker struct {
	g    *autodiff.Graph
	more []train.Weight // logarithms of the factors that scales have learned, and offsets
	// offsets says that not scales are learned but, for each weight, where within half a
	// step it is rounded from.
	offsets bool
}

// grid is where numbers are rounded to: (integer − zero)·scale, integers from lo to hi.
// Scales are first·e^θ with θ learned, so that they stay above 0 and a step of the
// optimizer is relative.
type grid struct {
	name   string    // of θ
	of     string    // weight that is rounded; empty: an activation
	first  []float32 // scales to begin with
	shape  tensor.Shape
	zero   []float32 // of the same shape, or one for all
	lo, hi float64
}

// scale adds the scales of a grid: learned, unless it is offsets that are.
func (f *faker) scale(r grid) string {
	first := f.g.Tensor(tensor.Of(tensor.Float32, r.shape, r.first))
	if f.offsets {
		return first
	}
	theta := r.name
	if !f.g.Has(theta) {
		f.g.Input(theta, autodiff.Type{DType: tensor.Float32, Shape: r.shape})
		f.more = append(f.more, train.Weight{Name: theta, Shape: r.shape, First: make([]float32, len(r.first))})
	}
	return f.g.Mul(first, f.g.Unary("Exp", theta))
}

// round adds x rounded to the grid. The gradient of x passes where x lies inside the
// range (straight-through), and that of the scale is as in Esser et al., Learned Step
// Size Quantization: round(x/s) − x/s inside, the limit outside, over √(N·hi).
func (f *faker) round(x string, r grid) string {
	g := f.g
	s := f.scale(r)
	shape := r.shape
	if len(r.zero) == 1 {
		shape = tensor.Shape{}
	}
	zero := g.Tensor(tensor.Of(tensor.Float32, shape, r.zero))
	ratio := g.Div(x, s)
	if f.offsets && r.of != "" {
		ratio = g.Add(ratio, f.offset(r.of, g.Type(x)))
	}
	nearest := g.Unary("Round", ratio)
	limited := g.Op("Clip", g.Type(ratio), []string{g.Add(nearest, zero), g.Scalar(tensor.Float32, r.lo), g.Scalar(tensor.Float32, r.hi)})
	kept := g.Sub(limited, zero)
	y := g.Mul(kept, s)
	each := float64(g.Type(x).Elements()) / float64(len(r.first))
	weight := 1 / math.Sqrt(each*max(r.hi, 1))
	in := []string{x, s}
	if f.offsets && r.of != "" {
		in = append(in, offsetOf(r.of))
	}
	g.Custom(y, in, func(c autodiff.Call) {
		inside := g.Binary("Equal", kept, nearest)
		nothing := g.Scalar(tensor.Float32, 0)
		passed := g.Where(inside, c.Grad, nothing)
		c.Give(0, passed)
		if len(in) > 2 {
			c.Give(2, g.Mul(passed, s))
		}
		if c.Wants(1) {
			slope := g.Sub(kept, g.Where(inside, ratio, nothing))
			c.Give(1, g.Scale(g.Mul(c.Grad, slope), weight))
		}
	})
	return y
}

// offset adds what is added to a weight before it is rounded, from −1/2 to 1/2.
func (f *faker) offset(weight string, t autodiff.Type) string {
	name := offsetOf(weight)
	f.g.Input(name, t)
	f.more = append(f.more, train.Weight{Name: name, Shape: t.Shape, First: make([]float32, t.Elements())})
	half := func(x float64) string { return f.g.Scalar(tensor.Float32, x) }
	return f.g.Op("Clip", t, []string{name, half(-0.5), half(0.5)})
}

// within is the same in Go.
func within(x float32) float32 { return min(max(x, -0.5), 0.5) }

// nearest rounds half to even, as ONNX's Round does, within limits.
func nearest(x, lo, hi float32) float32 {
	return min(max(float32(math.RoundToEven(float64(x))), lo), hi)
}

// values reads a weight into memory of its own.
func values(t *onnx.Tensor) ([]float32, error) {
	value, err := t.Value()
	if err != nil {
		return nil, err
	}
	v := make([]float32, value.Len())
	return v, tensor.ToFloat32(v, value)
}

// rows rounds a matrix in blocks along its inputs; turned says that it is stored as
// [outputs, inputs].
func (f *faker) rows(x string, r grid, n, k, block int, turned bool) string {
	g := f.g
	w := x
	if !turned {
		w = g.Transpose(w, 1, 0)
	}
	blocks := (k + block - 1) / block
	if pad := blocks*block - k; pad > 0 {
		zeros := g.Tensor(tensor.Of(tensor.Float32, tensor.Shape{int64(n), int64(pad)}, make([]float32, n*pad)))
		w = g.Concat(1, w, zeros)
	}
	r.shape = tensor.Shape{int64(n), int64(blocks), 1}
	y := f.round(g.Reshape(w, int64(n), int64(blocks), int64(block)), r)
	y = g.Slice(g.Reshape(y, int64(n), int64(blocks*block)), 1, 0, int64(k))
	if !turned {
		y = g.Transpose(y, 1, 0)
	}
	return y
}

// learned multiplies scales with what was learned.
func learned(first []float32, theta tensor.Tensor) []float32 {
	out := make([]float32, len(first))
	for i, t := range tensor.As[float32](theta.Data) {
		out[i] = first[i] * float32(math.Exp(float64(t)))
	}
	return out
}

func thetaOf(kind, name string) string { return fmt.Sprintf("%s scale of %s", kind, name) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
