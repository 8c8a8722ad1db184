package tensor

import (
	"fmt"
	"sort"
)

// NF4Block is the usual number of elements that share a scale in NF4.
const NF4Block = 64

// nf4 is the code of 4-bit NormalFloat: quantiles of the normal distribution,
// scaled to [-1, 1], with an exact zero (Dettmers et al., "QLoRA", 2023,
// appendix E).
var nf4 = [16]float32{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
	-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
	0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// nf4Edges are the midpoints between neighbouring entries; a number on one
// takes the lower entry.
var nf4Edges = func() (e [15]float32) {
	for i := range e {
		e[i] = (nf4[i] + nf4[i+1]) / 2
	}
	return e
}()

// NF4 is a run of numbers in 4-bit NormalFloat.
type NF4 struct {
	N, Block int
	// Codes holds two codes a byte, the first in the HIGH nibble: the reverse of
	// ONNX's 4-bit types, and what MatMulBnb4 reads.
	Codes []byte
	// Scales is each block's greatest magnitude.
	Scales []float32
}

// QuantizeNF4 takes the nearest code for each element over the greatest
// magnitude of its block; in an all-zero block that is the code of zero. NaN
// and infinity are errors, and so are blocks below 2 or above 2^30 elements.
func QuantizeNF4(w []float32, block int) (NF4, error) {
	if block < 2 || block > 1<<30 {
		return NF4{}, fmt.Errorf("NF4 in blocks of %d", block)
	}
	if FirstNonFinite(w) >= 0 {
		return NF4{}, nonFiniteError(w)
	}
	p := NF4{N: len(w), Block: block, Codes: make([]byte, (len(w)+1)/2)}
	p.Scales = make([]float32, (len(w)+block-1)/block)
	for j := range p.Scales {
		at := j * block
		v := w[at:min(at+block, len(w))]
		p.Scales[j] = AbsMax(v)
		scale := max(p.Scales[j], minScale)
		for i, x := range v {
			y := x / scale
			c := sort.Search(len(nf4Edges), func(k int) bool { return y <= nf4Edges[k] })
			p.Codes[(at+i)/2] |= byte(c) << (4 - (at+i)%2*4)
		}
	}
	return p, nil
}

// Dequantize returns the numbers that the codes mean.
func (p *NF4) Dequantize() ([]float32, error) {
	if p.N < 0 || p.Block < 2 || len(p.Codes) != (p.N+1)/2 || len(p.Scales) != (p.N+p.Block-1)/p.Block {
		return nil, fmt.Errorf("%d bytes and %d scales do not fit %d NF4 numbers in blocks of %d",
			len(p.Codes), len(p.Scales), p.N, p.Block)
	}
	out := make([]float32, p.N)
	for i := range out {
		c := p.Codes[i/2] >> (4 - i%2*4) & 15
		out[i] = nf4[c] * p.Scales[i/p.Block]
	}
	return out, nil
}

// NF4Size returns the bytes that n numbers take in NF4 with a float32 scale
// per block; with double quantization, scales are 8-bit codes with a float32
// per 256 of them and one float32 for their mean (QLoRA).
func NF4Size(n int64, block int, double bool) int64 {
	scales := (n + int64(block) - 1) / int64(block)
	size := (n + 1) / 2
	if !double {
		return size + 4*scales
	}
	return size + scales + 4*((scales+255)/256) + 4
}
