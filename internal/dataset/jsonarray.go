package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// maxDepth is the greatest rank of a nested array; ONNX Runtime's kernels stop
// near it, and it bounds the recursion.
const maxDepth = 8

// nested collects a nested JSON array as a tensor.
type nested struct {
	shape  tensor.Shape
	ints   []int64
	floats []float64 // from the first number that is no integer on
}

// jsonTensor reads one input from JSON: nested arrays of the input's rank with
// a leading 1, or without the batch.
func jsonTensor(raw json.RawMessage, in ort.Info) (tensor.Tensor, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var n nested
	if err := n.value(dec, 0); err != nil {
		return tensor.Tensor{}, err
	}
	shape := n.shape
	switch {
	case len(shape) == len(in.Dims)-1:
		shape = append(tensor.Shape{1}, shape...)
	case len(shape) == len(in.Dims):
	default:
		return tensor.Tensor{}, fmt.Errorf("arrays %d deep (shape %v), the input is %s", len(shape), shape, in)
	}
	v := values{ints: n.ints}
	if n.floats != nil {
		v = values{floats: n.floats}
	}
	data, err := encode(v, in.DType)
	return tensor.Tensor{DType: in.DType, Shape: shape, Data: data}, err
}

// value reads a number, a boolean, or an array of values, at the given depth.
func (n *nested) value(dec *json.Decoder, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	switch t := tok.(type) {
	case json.Number:
		return n.number(string(t), depth)
	case bool:
		if t {
			return n.number("1", depth)
		}
		return n.number("0", depth)
	case json.Delim:
		if t == '[' {
			return n.array(dec, depth)
		}
	}
	return fmt.Errorf("want numbers in arrays, not %v", tok)
}

// array reads the values of an array whose bracket is open, and checks that all
// arrays at one depth have one length.
func (n *nested) array(dec *json.Decoder, depth int) error {
	if depth == maxDepth {
		return fmt.Errorf("arrays more than %d deep", maxDepth)
	}
	fresh := len(n.shape) == depth
	if fresh {
		if n.ints != nil || n.floats != nil {
			return errRagged
		}
		n.shape = append(n.shape, -1)
	}
	count := int64(0)
	for ; dec.More(); count++ {
		if err := n.value(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if n.shape[depth] < 0 {
		n.shape[depth] = count
	}
	if n.shape[depth] != count {
		return errRagged
	}
	return nil
}

var errRagged = errors.New("the arrays have different lengths or depths")

// number appends one number, which has to lie at the innermost depth.
func (n *nested) number(s string, depth int) error {
	if depth != len(n.shape) {
		return errRagged
	}
	if n.floats == nil {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			n.ints = append(n.ints, i)
			return nil
		}
		// One real makes all of them reals; integers above 2^53 beside
		// reals would be rounded, and are refused.
		n.floats = make([]float64, len(n.ints))
		for i, v := range n.ints {
			if v > 1<<53 || v < -1<<53 {
				return fmt.Errorf("%d beside numbers that are no integers", v)
			}
			n.floats[i] = float64(v)
		}
		n.ints = nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("bad number %.40q", s)
	}
	n.floats = append(n.floats, f)
	return nil
}
