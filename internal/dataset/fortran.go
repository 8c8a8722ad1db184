package dataset

import (
	"bytes"
	"fmt"
	"io"

	"optim/internal/tensor"
)

// transposed reads a whole array in Fortran order (first axis fastest), where
// the elements of one sample are scattered, and returns it in C order.
func transposed(r io.Reader, h npyHeader, size int64) (io.Reader, error) {
	if size > maxFortran {
		return nil, fmt.Errorf("an array of %d bytes in Fortran order: save it in C order (numpy.ascontiguousarray)", size)
	}
	// Grown while reading, so that a header that lies about a compressed
	// entry costs no more memory than the entry has.
	var buf bytes.Buffer
	if n, err := io.CopyN(&buf, r, size); err != nil {
		return nil, fmt.Errorf("the array ends after %d bytes: %w", n, err)
	}
	return bytes.NewReader(toRowMajor(buf.Bytes(), h.shape, h.dtype.Bits()/8)), nil
}

// toRowMajor reorders elements of the given size from Fortran to C order.
func toRowMajor(src []byte, shape tensor.Shape, size int) []byte {
	dst := make([]byte, len(src))
	index := make([]int64, len(shape))
	stride := make([]int64, len(shape)) // of the source, in elements
	step := int64(1)
	for i, d := range shape {
		stride[i] = step
		step *= d
	}
	from := int64(0)
	for to := 0; to < len(dst); to += size {
		copy(dst[to:to+size], src[from*int64(size):])
		for i := len(shape) - 1; i >= 0; i-- {
			index[i]++
			from += stride[i]
			if index[i] < shape[i] {
				break
			}
			from -= index[i] * stride[i]
			index[i] = 0
		}
	}
	return dst
}
