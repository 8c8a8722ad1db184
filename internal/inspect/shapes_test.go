package inspect

import (
	"slices"
	"testing"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// TestSlide compares the formula with counting the places of a window.
func TestSlide(t *testing.T) {
	count := func(size, kernel, stride, dilation, before, after int64, ceil bool) int64 {
		reach := dilation*(kernel-1) + 1
		if reach > size+before+after {
			return -1
		}
		places := int64(0)
		for at := -before; ; at += stride {
			whole := at+reach <= size+after
			// A window that stands out counts with ceil_mode, if it begins
			// within the input or the padding before it.
			if !whole && !(ceil && at < size && at+reach-size-after < stride) {
				return places
			}
			places++
		}
	}
	for size := int64(1); size < 9; size++ {
		for kernel := int64(1); kernel < 4; kernel++ {
			for stride := int64(1); stride < 4; stride++ {
				for dilation := int64(1); dilation < 3; dilation++ {
					for pad := int64(0); pad < kernel; pad++ {
						for _, ceil := range []bool{false, true} {
							want := count(size, kernel, stride, dilation, pad, pad, ceil)
							got := slide(size, kernel, stride, dilation, pad, pad, "NOTSET", ceil)
							if got != want {
								t.Fatalf("slide(%d, %d, %d, %d, %d, ceil %v) = %d, want %d", size, kernel, stride, dilation, pad, ceil, got, want)
							}
						}
					}
				}
			}
		}
	}
	if slide(7, 3, 2, 1, 0, 0, "SAME_UPPER", false) != 4 || slide(7, 3, 2, 1, 5, 5, "VALID", false) != 3 {
		t.Error("auto_pad")
	}
	if slide(7, 3, 0, 1, 0, 0, "", false) != -1 || slide(7, 1<<40, 1, 1<<40, 0, 0, "", false) != -1 {
		t.Error("nonsense is taken")
	}
}

// TestDerive checks operators one by one; nil: not known.
func TestDerive(t *testing.T) {
	ints := func(name string, v ...int64) *onnx.Tensor {
		return onnx.NewTensor(name, tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v))
	}
	lists := []*onnx.Tensor{
		ints("flat", 0, -1), ints("bad", 7, -1), ints("one", 1), ints("two", 2), ints("ax", 0, 2),
		ints("from", 1), ints("to", -1), ints("parts", 2, 1), ints("shape", 4, 2, 3, 5),
	}
	node := func(op string, in []string, attrs ...*onnx.Attribute) *onnx.Node {
		return onnx.NewNode(op, "n", in, []string{"out"}, attrs...)
	}
	for _, c := range []struct {
		n    *onnx.Node
		want []int64
	}{
		{node("Relu", []string{"x"}), []int64{2, 3, 5}},
		{node("Relu", []string{"unknown"}), nil},
		{node("Reshape", []string{"x", "flat"}), []int64{2, 15}},
		{node("Reshape", []string{"x", "bad"}), nil},
		{node("Flatten", []string{"x"}, onnx.IntAttr("axis", 2)), []int64{6, 5}},
		{node("Flatten", []string{"x"}, onnx.IntAttr("axis", 9)), nil},
		{node("Transpose", []string{"x"}), []int64{5, 3, 2}},
		{node("Transpose", []string{"x"}, onnx.IntListAttr("perm", 1, 0, 2)), []int64{3, 2, 5}},
		{node("Transpose", []string{"x"}, onnx.IntListAttr("perm", 1, 0, 7)), nil},
		{node("Unsqueeze", []string{"x", "ax"}), []int64{1, 2, 1, 3, 5}},
		{node("Squeeze", []string{"s", "one"}), []int64{4, 6}},
		{node("Squeeze", []string{"s"}), nil},
		{node("Concat", []string{"x", "x"}, onnx.IntAttr("axis", -1)), []int64{2, 3, 10}},
		{node("Concat", []string{"x", "s", "v"}, onnx.IntAttr("axis", 0)), nil},
		{node("Gather", []string{"x", "v"}, onnx.IntAttr("axis", 1)), []int64{2, 7, 5}},
		{node("GatherND", []string{"x", "m"}), []int64{6}},
		{node("Slice", []string{"x", "from", "to", "two"}), []int64{2, 3, 3}},
		{node("Slice", []string{"x", "unknown", "to"}), nil},
		{node("Expand", []string{"x", "shape"}), []int64{4, 2, 3, 5}},
		{node("ReduceMean", []string{"x"}, onnx.IntListAttr("axes", -1)), []int64{2, 3, 1}},
		{node("ReduceMean", []string{"x"}, onnx.IntAttr("keepdims", 0)), []int64{}},
		{node("ArgMax", []string{"x"}, onnx.IntAttr("axis", 1), onnx.IntAttr("keepdims", 0)), []int64{2, 5}},
		{node("ConstantOfShape", []string{"shape"}), []int64{4, 2, 3, 5}},
		{node("Add", []string{"x", "b"}), []int64{2, 3, 5}},
		{node("Add", []string{"x", "v"}), nil},
		{node("MatMul", []string{"m", "g"}), []int64{6, 8}},
		{node("MatMul", []string{"x", "g"}), nil},
		{node("Gemm", []string{"m", "h"}, onnx.IntAttr("transB", 1)), []int64{6, 8}},
		{node("Split", []string{"x", "parts"}, onnx.IntAttr("axis", 1)), nil}, // one output, two parts
		{node("Conv", []string{"img", "k"}, onnx.IntListAttr("pads", 1, 1, 1, 1), onnx.IntListAttr("strides", 2, 2)), []int64{1, 16, 4, 4}},
		{node("MaxPool", []string{"img"}, onnx.IntListAttr("kernel_shape", 2, 2)), []int64{1, 3, 7, 7}},
		{node("GlobalAveragePool", []string{"img"}), []int64{1, 3, 1, 1}},
		{node("Frobnicate", []string{"x"}), nil},
	} {
		s := newShapes(&onnx.Graph{Initializers: lists}, symbolsAsOne)
		for name, dims := range map[string][]int64{
			"x": {2, 3, 5}, "s": {4, 1, 6}, "v": {7}, "b": {3, 1}, "m": {6, 2}, "g": {2, 8}, "h": {8, 2},
			"img": {1, 3, 8, 8}, "k": {16, 3, 3, 3},
		} {
			s.dims[name] = dims
		}
		if c.n.OpType == "GatherND" {
			s.dims["x"] = []int64{2, 3}
			s.dims["m"] = []int64{6, 2}
		}
		s.node(c.n)
		if got, known := s.dims["out"]; known != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s%v: %v, want %v", c.n.OpType, c.n.Inputs, got, c.want)
		}
	}
}

// TestContents follows the arithmetic of a shape: Reshape to
// (dim 0, dim 1 · dim 2 / 3).
func TestContents(t *testing.T) {
	scalar := func(name string, v int64) *onnx.Tensor {
		return onnx.NewTensor(name, tensor.Of(tensor.Int64, tensor.Shape{}, []int64{v}))
	}
	list := func(name string, v ...int64) *onnx.Tensor {
		return onnx.NewTensor(name, tensor.Of(tensor.Int64, tensor.Shape{int64(len(v))}, v))
	}
	s := newShapes(&onnx.Graph{
		Inputs:       []*onnx.ValueInfo{{Name: "x", Type: onnx.TensorType(tensor.Float32, 2, 6, 5)}},
		Initializers: []*onnx.Tensor{scalar("i1", 1), scalar("i2", 2), scalar("three", 3), list("zero", 0), list("at0", 0), list("end1", 1), list("minus", -1), list("none")},
	}, symbolsAsOne)
	for _, n := range []*onnx.Node{
		onnx.NewNode("Shape", "", []string{"x"}, []string{"sh"}),
		onnx.NewNode("Gather", "", []string{"sh", "i1"}, []string{"d1"}),
		onnx.NewNode("Gather", "", []string{"sh", "i2"}, []string{"d2"}),
		onnx.NewNode("Mul", "", []string{"d1", "d2"}, []string{"p"}),
		onnx.NewNode("Div", "", []string{"p", "three"}, []string{"q"}),
		onnx.NewNode("Unsqueeze", "", []string{"q", "zero"}, []string{"u"}),
		onnx.NewNode("Slice", "", []string{"sh", "at0", "end1"}, []string{"first"}),
		onnx.NewNode("Concat", "", []string{"first", "u"}, []string{"target"}, onnx.IntAttr("axis", 0)),
		onnx.NewNode("Equal", "", []string{"target", "minus"}, []string{"isopen"}),
		onnx.NewNode("Where", "", []string{"isopen", "sh", "target"}, []string{"never"}),
		onnx.NewNode("Div", "", []string{"p", "zero"}, []string{"nan"}),
		onnx.NewNode("Mul", "", []string{"none", "zero"}, []string{"left"}),
		onnx.NewNode("Mul", "", []string{"i1", "none"}, []string{"right"}),
	} {
		s.node(n)
	}
	if got := s.ints["target"]; !slices.Equal(got, []int64{2, 10}) {
		t.Errorf("target %v", got)
	}
	if got := s.dims["target"]; !slices.Equal(got, []int64{2}) {
		t.Errorf("dimensions of target %v", got)
	}
	for _, name := range []string{"left", "right"} {
		if v, known := s.ints[name]; !known || len(v) != 0 {
			t.Errorf("%s is %v, known %v: one element goes with none, too", name, v, known)
		}
	}
	for _, name := range []string{"never", "nan"} {
		if v, known := s.ints[name]; known {
			t.Errorf("%s is %v", name, v)
		}
	}
}
