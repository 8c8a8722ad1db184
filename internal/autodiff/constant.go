package autodiff

import (
	"encoding/binary"
	"hash/maphash"
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Tensor adds a constant; equal ones are shared.
func (g *Graph) Tensor(t tensor.Tensor) string {
	h := constantHash(t)
	if v, ok := g.equal[h]; ok {
		return v
	}
	name := g.fresh("const")
	g.define(name, t)
	g.equal[h] = name
	return name
}

// define adds a constant under a name of its own.
func (g *Graph) define(name string, t tensor.Tensor) {
	g.consts[name] = onnx.NewTensor(name, t)
	g.types[name] = Type{t.DType, t.Shape.Clone()}
}

var hashSeed = maphash.MakeSeed()

func constantHash(t tensor.Tensor) uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	for _, d := range append(tensor.Shape{int64(t.DType), int64(len(t.Shape))}, t.Shape...) {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(d)))
	}
	h.Write(t.Data)
	return h.Sum64()
}

// Ints adds a constant list of int64.
func (g *Graph) Ints(v ...int64) string {
	return g.Tensor(tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v))
}

// Scalar adds a constant of rank 0.
func (g *Graph) Scalar(d tensor.DType, v float64) string {
	switch d {
	case tensor.Float64:
		return g.Tensor(tensor.Of(d, tensor.Shape{}, []float64{v}))
	case tensor.Int64:
		return g.Tensor(tensor.Of(d, tensor.Shape{}, []int64{int64(v)}))
	}
	return g.Tensor(tensor.Of(tensor.Float32, tensor.Shape{}, []float32{float32(v)}))
}

// like adds the constant v in the element type of x.
func (g *Graph) like(x string, v float64) string { return g.Scalar(g.Type(x).DType, v) }

// Full adds a constant of type t whose elements are all v.
func (g *Graph) Full(t Type, v float64) string {
	if len(t.Shape) == 0 {
		return g.Scalar(t.DType, v)
	}
	value := tensor.Of(tensor.Float32, tensor.Shape{1}, []float32{float32(v)})
	if t.DType == tensor.Float64 {
		value = tensor.Of(tensor.Float64, tensor.Shape{1}, []float64{v})
	}
	return g.Op("ConstantOfShape", t, []string{g.Ints(t.Shape...)}, onnx.TensorAttr("value", onnx.NewTensor("value", value)))
}

// Constant returns the elements of a constant, and whether v is one.
func (g *Graph) Constant(v string) (tensor.Tensor, bool) {
	t := g.consts[v]
	if t == nil {
		return tensor.Tensor{}, false
	}
	out, err := t.Value()
	return out, err == nil
}

// isScalar reports whether v is a constant all of whose elements are x.
func (g *Graph) isScalar(v string, x float64) bool {
	f, ok := g.scalar(v)
	return ok && math.Abs(f-x) <= 1e-6*math.Abs(x)
}

// scalar returns the value of a constant of one element.
func (g *Graph) scalar(v string) (float64, bool) {
	t, ok := g.Constant(v)
	if !ok || t.Len() != 1 || !t.DType.IsFloat() {
		return 0, false
	}
	if t.DType == tensor.Float64 {
		return tensor.As[float64](t.Data)[0], true
	}
	var f [1]float32
	if err := tensor.ToFloat32(f[:], t); err != nil {
		return 0, false
	}
	return float64(f[0]), true
}

// intsOf returns the elements of a constant of integers.
func (g *Graph) intsOf(v string) ([]int64, bool) {
	t, ok := g.Constant(v)
	switch {
	case !ok:
		return nil, false
	case t.DType == tensor.Int64:
		return tensor.As[int64](t.Data), true
	case t.DType == tensor.Int32:
		var out []int64
		for _, x := range tensor.As[int32](t.Data) {
			out = append(out, int64(x))
		}
		return out, true
	}
	return nil, false
}
