package tensor

import (
	"fmt"
	"math"
	"slices"
)

// NF4Block is the usual number of elements that share a scale in NF4 and FP4.
const NF4Block = 64

// Float4 is a code of 16 numbers from -1 to 1 for blocks that are scaled by their
// greatest magnitude.
type Float4 struct {
	Name   string
	values [16]float32 // by code
	sorted []uint8     // codes in the order of their numbers
	edges  []float32   // midpoints between neighbours; a number on one takes the lower
	first  [steps + 1]uint8
}

// steps is the grain of the table that tells where to look for a number: finer
// than the least distance of two edges.
const steps = 1024

// The codes of bitsandbytes. NF4 has the quantiles of the normal distribution
// with an exact zero (Dettmers et al., "QLoRA", 2023, appendix E); FP4 a sign
// bit over magnitudes.
var (
	NF4 = newFloat4("NF4", [16]float32{
		-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
		-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
		0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
		0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
	})
	FP4 = newFloat4("FP4", [16]float32{
		0, 0.0052083333, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25,
		0, -0.0052083333, -0.66666667, -1, -0.33333333, -0.5, -0.16666667, -0.25,
	})
)

func newFloat4(name string, values [16]float32) *Float4 {
	f := &Float4{Name: name, values: values}
	for c := range values {
		if c == 8 && values[c] == 0 {
			continue // a zero with a sign is never written
		}
		f.sorted = append(f.sorted, uint8(c))
	}
	slices.SortStableFunc(f.sorted, func(a, b uint8) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	for i := range f.sorted[1:] {
		f.edges = append(f.edges, (values[f.sorted[i]]+values[f.sorted[i+1]])/2)
	}
	f.edges = append(f.edges, float32(math.Inf(1)))
	for i := range f.first {
		y := float32(i)*2/steps - 1
		at := 0
		for y > f.edges[at] {
			at++
		}
		f.first[i] = uint8(at)
	}
	return f
}

// nearest returns the code of y, from -1 to 1.
func (f *Float4) nearest(y float32) uint8 {
	at := f.first[int((y+1)*(steps/2))]
	if y > f.edges[at] {
		at++
	}
	return f.sorted[at]
}

// Packed is a run of numbers in a Float4.
type Packed struct {
	N, Block int
	// Codes holds two codes a byte, the first in the HIGH nibble: the reverse of
	// ONNX's 4-bit types, and what MatMulBnb4 reads.
	Codes []byte
	// Scales is each block's greatest magnitude.
	Scales []float32
}

// Scales fills scales with the greatest magnitude of each block of w. NaN and
// infinity are errors, and so are blocks below 2 or above 2^30 elements.
func (f *Float4) Scales(scales, w []float32, block int) error {
	if block < 2 || block > 1<<30 {
		return fmt.Errorf("%s in blocks of %d", f.Name, block)
	}
	if FirstNonFinite(w) >= 0 {
		return nonFiniteError(w)
	}
	for j := range scales {
		scales[j] = AbsMax(w[j*block : min((j+1)*block, len(w))])
	}
	return nil
}

// Encode packs the nearest code for each element of w over its block's scale; a
// block whose scale is 0 has the code of zero. Numbers beyond the scale take
// the outermost code.
func (f *Float4) Encode(codes []byte, w, scales []float32, block int) {
	for j, s := range scales {
		inverse := 1 / max(s, minScale)
		for i := j * block; i < min((j+1)*block, len(w)); i++ {
			c := f.nearest(min(max(w[i]*inverse, -1), 1))
			if i%2 == 0 {
				codes[i/2] = c << 4
			} else {
				codes[i/2] |= c
			}
		}
	}
}

// Quantize returns w in blocks.
func (f *Float4) Quantize(w []float32, block int) (Packed, error) {
	p := Packed{N: len(w), Block: block, Codes: make([]byte, (len(w)+1)/2)}
	if block > 0 {
		p.Scales = make([]float32, (len(w)+block-1)/block)
	}
	if err := f.Scales(p.Scales, w, block); err != nil {
		return Packed{}, err
	}
	f.Encode(p.Codes, w, p.Scales, block)
	return p, nil
}

// Dequantize returns the numbers that the codes mean.
func (f *Float4) Dequantize(p Packed) ([]float32, error) {
	if p.N < 0 || p.Block < 2 || len(p.Codes) != (p.N+1)/2 || len(p.Scales) != (p.N+p.Block-1)/p.Block {
		return nil, fmt.Errorf("%d bytes and %d scales do not fit %d %s numbers in blocks of %d",
			len(p.Codes), len(p.Scales), p.N, f.Name, p.Block)
	}
	out := make([]float32, p.N)
	for i := range out {
		c := p.Codes[i/2] >> (4 - i%2*4) & 15
		out[i] = f.values[c] * p.Scales[i/p.Block]
	}
	return out, nil
}
