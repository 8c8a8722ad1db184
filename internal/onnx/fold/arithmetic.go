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
	a, b := in[0], in[1]
	out, ok := fresh(a.DType, broadcast(a.Shape, b.Shape))
	if !ok {
		return out, false
	}
	x, ok1 := expand(a, out.Shape)
	y, ok2 := expand(b, out.Shape)
	if !ok1 || !ok2 {
		return out, false
	}
	switch a.DType {
	case tensor.Int64:
		ok = calculate(tensor.As[int64](out.Data), tensor.As[int64](x.Data), tensor.As[int64](y.Data), integer[int64](n.OpType, math.MinInt64))
	case tensor.Int32:
		ok = calculate(tensor.As[int32](out.Data), tensor.As[int32](x.Data), tensor.As[int32](y.Data), integer[int32](n.OpType, math.MinInt32))
	case tensor.Float32:
		ok = calculate(tensor.As[float32](out.Data), tensor.As[float32](x.Data), tensor.As[float32](y.Data), float(n.OpType))
	default:
		ok = false
	}
	return out, ok
}

// expand repeats t up to the shape s, which it broadcasts to.
func expand(t tensor.Tensor, s tensor.Shape) (tensor.Tensor, bool) {
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

// calculate applies op to all elements until one has no result.
func calculate[T any](dst, x, y []T, op func(x, y T) (T, bool)) bool {
	for i := range dst {
		v, ok := op(x[i], y[i])
		if !ok {
			return false
		}
		dst[i] = v
	}
	return true
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
