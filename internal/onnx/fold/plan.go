package fold

import (
	"fmt"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// plan is what a node does to a weight without computing with its elements:
// another type, another order, another shape.
type plan struct {
	dtype tensor.DType
	perm  []int        // order of the source's axes; nil: as they are
	shape tensor.Shape // of the result
}

// planOf returns the plan of a node whose inputs are the constants in (nil
// where absent), or nil if the node is no such node, or not a valid one.
func planOf(n *onnx.Node, in []*onnx.Tensor) (*plan, error) {
	if len(in) == 0 || in[0] == nil {
		return nil, nil
	}
	w := in[0]
	p := &plan{dtype: w.DType}
	switch {
	case n.Is("Transpose"):
		return p.transpose(n, w), nil
	case n.Is("Cast"):
		p.dtype, p.shape = tensor.DType(n.AttrInt("to", 0)), w.Shape
		if !real(w.DType) || !real(p.dtype) {
			return nil, nil
		}
		return p, nil
	case n.Is("Flatten"):
		p.shape = flattened(w.Shape, n.AttrInt("axis", 1))
	case n.Is("Reshape", "Squeeze", "Unsqueeze"):
		list, given, err := listOf(n, in)
		if err != nil {
			return nil, err
		}
		switch n.OpType {
		case "Reshape":
			p.shape = reshaped(w.Shape, list, n.AttrInt("allowzero", 0) != 0)
		case "Squeeze":
			p.shape = squeezed(w.Shape, list, given)
		default:
			p.shape = unsqueezed(w.Shape, list)
		}
	}
	if p.shape == nil {
		return nil, nil
	}
	return p, nil
}

// real reports whether d is one of the float types that weights are cast
// between.
func real(d tensor.DType) bool {
	return d == tensor.Float32 || d == tensor.Float16 || d == tensor.BFloat16 || d == tensor.Float64
}

func (p *plan) transpose(n *onnx.Node, w *onnx.Tensor) *plan {
	if bits := w.DType.Bits(); bits < 8 || bits > 64 {
		return nil
	}
	perm := permutation(n, len(w.Shape))
	if perm == nil {
		return nil
	}
	p.shape = make(tensor.Shape, len(perm))
	ordered := true
	for i, axis := range perm {
		p.shape[i] = w.Shape[axis]
		ordered = ordered && axis == i
	}
	if !ordered {
		p.perm = perm
	}
	return p
}

// permutation returns the axes of a Transpose, the reverse order by default;
// nil if they are not valid.
func permutation(n *onnx.Node, rank int) []int {
	perm := make([]int, rank)
	list := n.AttrInts("perm")
	seen := make([]bool, rank)
	for i := range perm {
		axis := int64(rank - 1 - i)
		if len(list) > 0 {
			if len(list) != rank {
				return nil
			}
			axis = list[i]
		}
		if axis < 0 || axis >= int64(rank) || seen[axis] {
			return nil
		}
		seen[axis] = true
		perm[i] = int(axis)
	}
	return perm
}

// listOf returns the axes or the shape of a node: its second input, or the
// attribute axes of older versions.
func listOf(n *onnx.Node, in []*onnx.Tensor) (list []int64, given bool, err error) {
	if len(in) < 2 || in[1] == nil {
		list = n.AttrInts("axes")
		return list, list != nil, nil
	}
	if in[1].DType != tensor.Int64 || in[1].Size() > smallBytes {
		return nil, true, nil
	}
	b, err := in[1].Bytes()
	if err != nil {
		return nil, true, err
	}
	return append([]int64{}, tensor.As[int64](b)...), true, nil
}

// key identifies the result of the plan on the weight of that name.
func (p *plan) key(weight string) string {
	return fmt.Sprint(p.dtype, p.perm, p.shape, weight)
}

// tensor returns the result of the plan on w. What only changes its shape
// shares the elements of w.
func (p *plan) tensor(name string, w *onnx.Tensor) *onnx.Tensor {
	if p.perm == nil && p.dtype == w.DType {
		t := w.Clone(name)
		t.Doc, t.Shape = "", p.shape.Clone()
		return t
	}
	source, dtype, perm := w, p.dtype, p.perm
	return onnx.NewLazyTensor(name, dtype, p.shape, func(dst []byte) error {
		defer source.Release()
		v, err := source.Value()
		if err != nil {
			return err
		}
		if perm != nil {
			return transpose(dst, v, perm)
		}
		v, err = tensor.Cast(v, dtype)
		if err != nil {
			return err
		}
		copy(dst, v.Data)
		return nil
	})
}
