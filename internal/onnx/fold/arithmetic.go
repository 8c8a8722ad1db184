package fold

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// arithmetic is Add, Sub, Mul and Div of int64, int32 and float32.
func arithmetic(n *onnx.Node, in []tensor.Tensor) (tensor.Tensor, bool) {
	if len(in) != 2 || in[0].DType != in[1].DType || n.Attr("axis") != nil {
		return tensor.Tensor{}, false // with an axis: the broadcasting of versions before 7
	}
	s := broadcast(in[0].Shape, in[1].Shape)
	x, ok1 := expand(in[0], s)
	y, ok2 := expand(in[1], s)
	if !ok1 || !ok2 {
		return tensor.Tensor{}, false
	}
	switch x.DType {
	case tensor.Int64:
		return calculate(x, y, integer[int64](n.OpType, math.MinInt64))
	case tensor.Int32:
		return calculate(x, y, integer[int32](n.OpType, math.MinInt32))
	case tensor.Float32:
		return calculate(x, y, float(n.OpType))
	}
	return tensor.Tensor{}, false
}

// expand repeats t up to the shape s, which it broadcasts to.
func expand(t tensor.Tensor, s tensor.Shape) (tensor.Tensor, bool) {
	if s == nil {
		return tensor.Tensor{}, false // the shapes do not fit
	}
	from, to := strides(t.Shape), strides(s)
	skip := len(s) - len(t.Shape)
	return pick(t, s, func(i int64) int64 {
		j := int64(0)
		for a, d := range t.Shape {
			if d > 1 {
				j += i / to[skip+a] % d * from[a]
			}
		}
		return j
	})
}

// calculate applies op to all elements of x and y, which have one shape; ok is
// false if one of them has no result.
func calculate[T tensor.Number](x, y tensor.Tensor, op func(x, y T) (T, bool)) (tensor.Tensor, bool) {
	a, b := tensor.As[T](x.Data), tensor.As[T](y.Data)
	out := make([]T, len(a))
	for i := range out {
		v, ok := op(a[i], b[i])
		if !ok {
			return tensor.Tensor{}, false
		}
		out[i] = v
	}
	return tensor.Of(x.DType, x.Shape, out), true
}

// integer returns an operator of integers, which wrap; a division without a
// result, by 0 or of the least number by -1, is left to the runtime.
func integer[T int32 | int64](op string, least T) func(x, y T) (T, bool) {
	switch op {
	case "Add":
		return func(x, y T) (T, bool) { return x + y, true }
	case "Sub":
		return func(x, y T) (T, bool) { return x - y, true }
	case "Mul":
		return func(x, y T) (T, bool) { return x * y, true }
	}
	return func(x, y T) (T, bool) {
		if y == 0 || x == least && y == -1 {
			return 0, false
		}
		return x / y, true
	}
}

// float returns an operator of float32.
func float(op string) func(x, y float32) (float32, bool) {
	switch op {
	case "Add":
		return func(x, y float32) (float32, bool) { return x + y, true }
	case "Sub":
		return func(x, y float32) (float32, bool) { return x - y, true }
	case "Mul":
		return func(x, y float32) (float32, bool) { return x * y, true }
	}
	return func(x, y float32) (float32, bool) { return x / y, true }
}
