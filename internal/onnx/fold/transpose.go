package fold

import (
	"fmt"

	"optim/internal/tensor"
)

// transpose writes the elements of src, its axes in the order perm, to dst.
func transpose(dst []byte, src tensor.Tensor, perm []int) error {
	switch src.DType.Bits() {
	case 8:
		permute[uint8](dst, src, perm)
	case 16:
		permute[uint16](dst, src, perm)
	case 32:
		permute[uint32](dst, src, perm)
	case 64:
		permute[uint64](dst, src, perm)
	default:
		return fmt.Errorf("elements of %s cannot be transposed", src.DType)
	}
	return nil
}

// axis is one axis of a result: its length, and the distance between
// neighbours in the source and in the result.
type axis struct{ n, from, to int64 }

// permute is transpose for elements of the size of T.
func permute[T tensor.Number](dst []byte, src tensor.Tensor, perm []int) {
	if len(dst) == 0 {
		return
	}
	in, out := tensor.As[T](src.Data), tensor.As[T](dst)
	outer, rows, cols := split(src.Shape, perm)
	at := make([]int64, len(outer))
	for from, to := int64(0), int64(0); ; {
		plane(out[to:], in[from:], rows, cols)
		i := len(outer) - 1
		for ; i >= 0; i-- {
			from, to = from+outer[i].from, to+outer[i].to
			if at[i]++; at[i] < outer[i].n {
				break
			}
			from, to = from-at[i]*outer[i].from, to-at[i]*outer[i].to
			at[i] = 0
		}
		if i < 0 {
			break
		}
	}
	if b := tensor.AsBytes(out); &b[0] != &dst[0] {
		copy(dst, b) // dst was not aligned, and out a copy
	}
}

// split takes two axes of the result apart from the others: rows, along which
// the source is contiguous, and cols, along which the result is. Where the
// last axis stays the last it is both, and rows has length 1.
func split(s tensor.Shape, perm []int) (outer []axis, rows, cols axis) {
	shape := make(tensor.Shape, len(perm))
	for i, a := range perm {
		shape[i] = s[a]
	}
	from, to := strides(s), strides(shape)
	rows, cols = axis{n: 1}, axis{n: 1}
	for i, a := range perm {
		x := axis{s[a], from[a], to[i]}
		switch {
		case i == len(perm)-1:
			cols = x
		case a == len(perm)-1:
			rows = x
		default:
			outer = append(outer, x)
		}
	}
	return outer, rows, cols
}

// tile is the edge of the squares that plane copies: two of float32 fill a
// quarter of a first-level cache.
const tile = 32

// plane copies two axes, in squares, so that neither side is walked through
// with a step for long.
func plane[T tensor.Number](out, in []T, rows, cols axis) {
	if cols.from == 1 && cols.to == 1 && rows.n == 1 {
		copy(out[:cols.n], in[:cols.n])
		return
	}
	for r0 := int64(0); r0 < rows.n; r0 += tile {
		r1 := min(r0+tile, rows.n)
		for c0 := int64(0); c0 < cols.n; c0 += tile {
			c1 := min(c0+tile, cols.n)
			for r := r0; r < r1; r++ {
				o := out[r*rows.to+c0 : r*rows.to+c1]
				for c := range o {
					o[c] = in[(c0+int64(c))*cols.from+r*rows.from]
				}
			}
		}
	}
}
