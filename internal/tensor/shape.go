package tensor

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Shape is the list of a tensor's dimensions, outermost first; a scalar's is
// empty.
type Shape []int64

// ErrOverflow says that a product of dimensions does not fit into an int64.
var ErrOverflow = errors.New("dimensions overflow")

// Elements returns the product of the dimensions (1 for a scalar). A negative
// dimension or a product above 2^63-1 is an error.
func (s Shape) Elements() (int64, error) {
	n := uint64(1)
	zero := false
	for _, d := range s {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension %d in shape %v", d, s)
		}
		if d == 0 {
			zero = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, fmt.Errorf("shape %v: %w", s, ErrOverflow)
		}
		n = lo
	}
	if zero {
		return 0, nil
	}
	return int64(n), nil
}

// ByteSize returns the bytes that n elements of type d take in packed storage
// (types below 8 bits are packed, the last byte padded).
func ByteSize(d DType, n int64) (int64, error) {
	b := int64(d.Bits())
	if b == 0 {
		return 0, fmt.Errorf("element type %s has no fixed size", d)
	}
	if n < 0 || n > (math.MaxInt64-7)/b {
		return 0, fmt.Errorf("%d elements of %s: %w", n, d, ErrOverflow)
	}
	return (n*b + 7) / 8, nil
}

// Bytes returns the bytes of a tensor of this shape and type in packed storage.
func (s Shape) Bytes(d DType) (int64, error) {
	n, err := s.Elements()
	if err != nil {
		return 0, err
	}
	return ByteSize(d, n)
}

// Clone returns a copy.
func (s Shape) Clone() Shape { return append(Shape(nil), s...) }

// Equal reports whether s and t have the same dimensions.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i] != t[i] {
			return false
		}
	}
	return true
}

// String returns "[2x3]"; a scalar is "[]".
func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = strconv.FormatInt(d, 10)
	}
	return "[" + strings.Join(parts, "x") + "]"
}
