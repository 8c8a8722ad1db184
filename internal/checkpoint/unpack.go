package checkpoint

import (
	"fmt"

	"optim/internal/tensor"
)

// interleave tells which of 8 columns the i-th 4 bits of a word of AWQ hold.
var interleave = [8]int{0, 2, 4, 6, 1, 3, 5, 7}

// unpackColumns fills dst, one code per output, from the words of one row.
func (l *Layer) unpackColumns(dst []byte, words []uint32) {
	if !l.interleaved {
		for i := range dst {
			dst[i] = field(words, 1, i, l.Bits)
		}
		return
	}
	for w, word := range words {
		for i, column := range interleave {
			dst[w*8+column] = byte(word >> (4 * i) & 15)
		}
	}
}

// field returns number i of a stream of bits, low ones first, whose words lie
// stride apart.
func field(words []uint32, stride, i, bits int) byte {
	at := i * bits
	word, shift := at/32*stride, at%32
	v := words[word] >> shift
	if shift+bits > 32 {
		v |= words[word+stride] << (32 - shift)
	}
	return byte(v) & byte(1<<bits-1)
}

// tile is the number of outputs that are unpacked together: a cache line of
// each row of words.
const tile = 16

// Codes fills dst with the codes [N, K], one a byte, the inputs in Order.
func (l *Layer) Codes(dst []byte) error {
	if len(dst) != l.N*l.K {
		return fmt.Errorf("layer %q: %d bytes for %d x %d codes", l.Name, len(dst), l.N, l.K)
	}
	v, err := l.weight.Value()
	if err != nil {
		return err
	}
	defer l.weight.Release()
	words := tensor.As[uint32](v.Data)
	if l.interleaved {
		l.interleavedCodes(dst, words)
		return nil
	}
	tensor.Parallel((l.N+tile-1)/tile, 0, func(lo, hi int) {
		for t := lo; t < hi; t++ {
			first, last := t*tile, min((t+1)*tile, l.N)
			for k := range l.K {
				from := k
				if l.Order != nil {
					from = l.Order[k]
				}
				for n := first; n < last; n++ {
					dst[n*l.K+k] = field(words[n:], l.N, from, l.Bits)
				}
			}
		}
	})
	return nil
}

// interleavedCodes is Codes for the layout of AWQ, which has no order.
func (l *Layer) interleavedCodes(dst []byte, words []uint32) {
	per := l.N / 8
	tensor.Parallel(per, 0, func(lo, hi int) {
		for w := lo; w < hi; w++ {
			for k := range l.K {
				word := words[k*per+w]
				for i, column := range interleave {
					dst[(w*8+column)*l.K+k] = byte(word >> (4 * i) & 15)
				}
			}
		}
	})
}

// Sample returns the weights of some inputs and outputs, [inputs, outputs];
// inputs are numbered as the module has them, whatever Order is.
func (l *Layer) Sample(inputs, outputs []int) ([]float32, error) {
	scales, zeros, err := l.Grid()
	if err != nil {
		return nil, err
	}
	v, err := l.weight.Value()
	if err != nil {
		return nil, err
	}
	defer l.weight.Release()
	words, groups := tensor.As[uint32](v.Data), l.Groups()
	place := make([]int, l.K) // of an input in Order
	for at := range place {
		if l.Order != nil {
			place[l.Order[at]] = at
		} else {
			place[at] = at
		}
	}
	var out []float32
	for _, k := range inputs {
		for _, n := range outputs {
			at := n*groups + place[k]/l.Group
			out = append(out, scales[at]*float32(int(l.code(words, k, n))-int(zeros[at])))
		}
	}
	return out, nil
}

// code returns one code.
func (l *Layer) code(words []uint32, k, n int) byte {
	if !l.interleaved {
		return field(words[n:], l.N, k, l.Bits)
	}
	for i, column := range interleave {
		if column == n%8 {
			return byte(words[k*(l.N/8)+n/8] >> (4 * i) & 15)
		}
	}
	return 0
}
