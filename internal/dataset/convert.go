package dataset

import (
	"encoding/binary"
	"fmt"
	"math"

	"optim/internal/tensor"
)

// values are decoded numbers, integers or reals; one of the two is nil.
type values struct {
	ints   []int64
	floats []float64
}

func (v values) len() int { return len(v.ints) + len(v.floats) }

// convert returns raw elements as packed elements of type to. Integers must
// keep their value; reals may be rounded to a narrower type, not overflow; NaN
// is refused. The result may alias raw.
func convert(raw []byte, from tensor.DType, big bool, to tensor.DType) ([]byte, error) {
	if from == to && (!big || from.Bits() == 8) {
		return raw, checkStored(raw, from)
	}
	v, err := decode(raw, from, big)
	if err != nil {
		return nil, err
	}
	return encode(v, to)
}

// checkStored refuses NaN in reals and anything but 0 and 1 in booleans.
func checkStored(raw []byte, d tensor.DType) error {
	switch d {
	case tensor.Float32:
		for i, x := range tensor.As[float32](raw) {
			if x != x {
				return nanAt(i)
			}
		}
	case tensor.Float64:
		for i, x := range tensor.As[float64](raw) {
			if x != x {
				return nanAt(i)
			}
		}
	case tensor.Float16:
		for i, x := range tensor.As[uint16](raw) {
			if x&0x7fff > 0x7c00 {
				return nanAt(i)
			}
		}
	case tensor.Bool:
		for i, x := range raw {
			if x > 1 {
				return fmt.Errorf("element %d is no boolean: %d", i, x)
			}
		}
	}
	return nil
}

func nanAt(i int) error { return fmt.Errorf("element %d is NaN", i) }

// decode reads packed elements as numbers.
func decode(raw []byte, d tensor.DType, big bool) (values, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	size := d.Bits() / 8
	n := len(raw) / size
	if d.IsFloat() {
		out := make([]float64, n)
		for i := range out {
			out[i] = floatAt(raw[i*size:], d, order)
		}
		return values{floats: out}, nil
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = intAt(raw[i*size:], d, order)
		if d == tensor.Uint64 && out[i] < 0 {
			return values{}, fmt.Errorf("element %d is above 2^63-1", i)
		}
	}
	return values{ints: out}, nil
}

func floatAt(b []byte, d tensor.DType, order binary.ByteOrder) float64 {
	switch d {
	case tensor.Float16:
		return halfToFloat(order.Uint16(b))
	case tensor.Float32:
		return float64(math.Float32frombits(order.Uint32(b)))
	}
	return math.Float64frombits(order.Uint64(b))
}

// halfToFloat decodes IEEE 754 binary16.
func halfToFloat(h uint16) float64 {
	exp, frac := int(h>>10&31), float64(h&1023)
	v := math.Ldexp(1+frac/1024, exp-15)
	switch {
	case exp == 0:
		v = math.Ldexp(frac, -24)
	case exp == 31 && frac == 0:
		v = math.Inf(1)
	case exp == 31:
		v = math.NaN()
	}
	if h>>15 == 1 {
		return -v
	}
	return v
}

func intAt(b []byte, d tensor.DType, order binary.ByteOrder) int64 {
	switch d {
	case tensor.Int8:
		return int64(int8(b[0]))
	case tensor.Uint8, tensor.Bool:
		return int64(b[0])
	case tensor.Int16:
		return int64(int16(order.Uint16(b)))
	case tensor.Uint16:
		return int64(order.Uint16(b))
	case tensor.Int32:
		return int64(int32(order.Uint32(b)))
	case tensor.Uint32:
		return int64(order.Uint32(b))
	}
	return int64(order.Uint64(b))
}

// encode stores numbers as packed elements of type d.
func encode(v values, d tensor.DType) ([]byte, error) {
	switch {
	case d == tensor.Float32 || d == tensor.Float64:
		return encodeReal(v, d)
	case d == tensor.Float16 || d == tensor.BFloat16:
		return encodeHalf(v, d)
	case d == tensor.Bool || d.IsInteger() && d.Bits() >= 8:
		return encodeInts(v, d)
	}
	return nil, fmt.Errorf("inputs of type %s are not supported", d)
}

func encodeReal(v values, d tensor.DType) ([]byte, error) {
	reals, err := v.reals(d)
	if err != nil {
		return nil, err
	}
	if d == tensor.Float64 {
		return tensor.AsBytes(reals), nil
	}
	out := make([]float32, len(reals))
	for i, x := range reals {
		out[i] = float32(x)
		if math.IsInf(float64(out[i]), 0) && !math.IsInf(x, 0) {
			return nil, fmt.Errorf("element %d, %g, is beyond the range of %s", i, x, d)
		}
	}
	return tensor.AsBytes(out), nil
}

func encodeHalf(v values, d tensor.DType) ([]byte, error) {
	single, err := encodeReal(v, tensor.Float32)
	if err != nil {
		return nil, err
	}
	if d == tensor.Float16 {
		for i, x := range tensor.As[float32](single) {
			if math.Abs(float64(x)) >= 65520 && !math.IsInf(float64(x), 0) {
				return nil, fmt.Errorf("element %d, %g, is beyond the range of %s", i, x, d)
			}
		}
	}
	t, err := tensor.Convert(tensor.Tensor{DType: tensor.Float32, Shape: tensor.Shape{int64(v.len())}, Data: single}, d)
	return t.Data, err
}

// reals returns the numbers as float64. Integers must be exact in d.
func (v values) reals(d tensor.DType) ([]float64, error) {
	if v.floats != nil {
		for i, x := range v.floats {
			if x != x {
				return nil, nanAt(i)
			}
		}
		return v.floats, nil
	}
	bound := int64(1) << 24 // integers up to here are exact in float32
	if d == tensor.Float64 {
		bound = 1 << 53
	}
	out := make([]float64, len(v.ints))
	for i, x := range v.ints {
		if x > bound || x < -bound {
			return nil, fmt.Errorf("element %d, %d, is not exact in %s", i, x, d)
		}
		out[i] = float64(x)
	}
	return out, nil
}

// integers returns the numbers as int64; reals must be whole.
func (v values) integers() ([]int64, error) {
	if v.floats == nil {
		return v.ints, nil
	}
	out := make([]int64, len(v.floats))
	for i, x := range v.floats {
		if x != math.Trunc(x) || math.Abs(x) >= 1<<63 {
			return nil, fmt.Errorf("element %d, %g, is not an integer", i, x)
		}
		out[i] = int64(x)
	}
	return out, nil
}

func encodeInts(v values, d tensor.DType) ([]byte, error) {
	ints, err := v.integers()
	if err != nil {
		return nil, err
	}
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch {
	case d == tensor.Bool:
		lo, hi = 0, 1
	case d == tensor.Uint64:
		lo = 0
	case d.Bits() <= 32:
		lo, hi = d.Range()
	}
	size := d.Bits() / 8
	out := make([]byte, 0, len(ints)*size)
	for i, x := range ints {
		if x < lo || x > hi {
			return nil, fmt.Errorf("element %d, %d, is beyond the range of %s", i, x, d)
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(x))
		out = append(out, b[:size]...)
	}
	return out, nil
}
