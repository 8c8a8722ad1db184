package tensor

import (
	"fmt"
	"math"
	"sync/atomic"
)

// NBits is a weight in the layout of the operator com.microsoft.MatMulNBits:
// N rows (output features) of K values, in blocks along K.
type NBits struct {
	N, K, Bits, Block int
	// B is [N, Blocks, Block·Bits/8]: codes along K, low bits first. The last
	// block of a row is filled up with its zero point.
	B []byte
	// Scales is [N, Blocks].
	Scales []float32
	// Zeros is [N, ⌈Blocks·Bits/8⌉], packed like B; nil: all are 2^(Bits-1).
	Zeros []byte
}

// Blocks returns the number of blocks in a row.
func (p *NBits) Blocks() int { return (p.K + p.Block - 1) / p.Block }

// NBitsScheme says how to quantize to NBits.
type NBitsScheme struct {
	Bits, Block int
	// Symmetric stores no zero points. The scale's sign is then chosen such that
	// the value of greatest magnitude takes the extra code on the negative side:
	// scale = −extreme/2^(Bits−1), as ONNX Runtime's own quantizer does.
	Symmetric bool
	// Transposed says that the weight is [K, N], as MatMul has it, not [N, K].
	Transposed bool
}

// checkNBits refuses what the operator has no layout for.
func checkNBits(n, k, bits, block int) error {
	switch {
	case bits != 2 && bits != 4 && bits != 8:
		return fmt.Errorf("no layout for %d bits: need 2, 4 or 8", bits)
	case block < 16 || block&(block-1) != 0 || block > 1<<20:
		return fmt.Errorf("block size %d: need a power of two from 16", block)
	case n < 1 || k < 1 || n > math.MaxInt32 || k > math.MaxInt32-block:
		return fmt.Errorf("no layout for a weight of %d rows and %d columns", n, k)
	}
	return nil
}

// PackNBits packs codes q of shape [n, k] and zero points of shape [n,
// ⌈k/block⌉], one a byte, both below 2^bits, into the layouts of NBits. Nil
// zeros stand for 2^(bits-1) everywhere, and zp is then nil.
func PackNBits(q, zeros []byte, n, k, bits, block int) (b, zp []byte, err error) {
	if err := checkNBits(n, k, bits, block); err != nil {
		return nil, nil, err
	}
	p := NBits{N: n, K: k, Bits: bits, Block: block}
	blocks := p.Blocks()
	if len(q) != n*k || (zeros != nil && len(zeros) != n*blocks) {
		return nil, nil, fmt.Errorf("%d codes and %d zero points for %d x %d in blocks of %d",
			len(q), len(zeros), n, k, block)
	}
	for _, c := range [][]byte{q, zeros} {
		for i, v := range c {
			if int(v)>>bits != 0 {
				return nil, nil, fmt.Errorf("code %d is %d, beyond %d bits", i, v, bits)
			}
		}
	}
	p.allocate(zeros != nil)
	Parallel(n, rowWorkers(n, k), func(lo, hi int) {
		pad := make([]byte, block)
		for r := lo; r < hi; r++ {
			for j := range blocks {
				codes := q[r*k+j*block : r*k+min((j+1)*block, k)]
				if len(codes) < block {
					copy(pad, codes)
					fill(pad[len(codes):], p.zeroOf(zeros, r*blocks+j))
					codes = pad
				}
				PackBits(p.block(r, j), codes, bits)
			}
			p.packZeros(r, zeros)
		}
	})
	return p.B, p.Zeros, nil
}

// QuantizeNBits rounds each weight to nearest, with scales and zero points
// chosen from each block's extremes: ChooseAffine on 0 to 2^Bits−1, or see
// NBitsScheme.Symmetric. NaN and infinity in w are errors.
func QuantizeNBits(w []float32, n, k int, c NBitsScheme) (NBits, error) {
	if err := checkNBits(n, k, c.Bits, c.Block); err != nil {
		return NBits{}, err
	}
	if len(w) != n*k {
		return NBits{}, fmt.Errorf("%d weights for %d x %d", len(w), n, k)
	}
	p := NBits{N: n, K: k, Bits: c.Bits, Block: c.Block}
	p.allocate(!c.Symmetric)
	p.Scales = make([]float32, n*p.Blocks())
	var bad atomic.Bool
	Parallel((n+rowTile-1)/rowTile, rowWorkers(n, k), func(lo, hi int) {
		if !p.quantizeRows(w, lo*rowTile, min(hi*rowTile, n), c) {
			bad.Store(true)
		}
	})
	if bad.Load() {
		return NBits{}, nonFiniteError(w)
	}
	return p, nil
}

// rowTile is the number of rows that are gathered together from a transposed
// weight: one cache line of each of its rows.
const rowTile = 16

// quantizeRows does rows lo to hi; it reports whether all were finite.
func (p *NBits) quantizeRows(w []float32, lo, hi int, c NBitsScheme) bool {
	blocks := p.Blocks()
	tile := make([]float32, rowTile*p.Block)
	codes := make([]byte, p.Block)
	zeros := make([]byte, rowTile*blocks)
	for from := lo; from < hi; from += rowTile {
		rows := min(rowTile, hi-from)
		for j := range blocks {
			k0, k1 := j*p.Block, min((j+1)*p.Block, p.K)
			if c.Transposed {
				gather(tile, w, from, rows, k0, k1, p.N)
			}
			for r := range rows {
				v := tile[r*(k1-k0) : (r+1)*(k1-k0)]
				if !c.Transposed {
					v = w[(from+r)*p.K+k0 : (from+r)*p.K+k1]
				}
				scale, zero, ok := fitNBits(v, p.Bits, c.Symmetric)
				if !ok {
					return false
				}
				quantizeRun(codes[:len(v)], v, scale, int(zero), 0, 1<<p.Bits-1)
				fill(codes[len(v):], byte(zero))
				PackBits(p.block(from+r, j), codes, p.Bits)
				p.Scales[(from+r)*blocks+j] = scale
				zeros[r*blocks+j] = byte(zero)
			}
		}
		if !c.Symmetric {
			for r := range rows {
				PackBits(p.zeroRow(from+r), zeros[r*blocks:(r+1)*blocks], p.Bits)
			}
		}
	}
	return true
}

// gather copies rows first, first+1, … of the transpose of w, columns k0 to k1.
func gather(tile, w []float32, first, rows, k0, k1, n int) {
	for k := k0; k < k1; k++ {
		for r, x := range w[k*n+first : k*n+first+rows] {
			tile[r*(k1-k0)+k-k0] = x
		}
	}
}

// fitNBits chooses one block's parameters; ok is false if it is not finite.
func fitNBits(v []float32, bits int, symmetric bool) (scale float32, zero int32, ok bool) {
	kl, kh := keyRange(v)
	if !finiteKeys(kl, kh) {
		return 0, 0, false
	}
	low, high := unkey(kl), unkey(kh)
	if !symmetric {
		scale, zero = chooseAffine(low, high, 0, 1<<bits-1, 0, false)
		return scale, zero, true
	}
	zero = 1 << (bits - 1)
	extreme := high
	if -low >= high {
		extreme = low
	}
	if extreme == 0 {
		return 1, zero, true
	}
	scale = -extreme / float32(zero)
	if scale > -minScale && scale < minScale {
		scale = float32(math.Copysign(minScale, float64(scale)))
	}
	return scale, zero, true
}

// Dequantize returns the weight as [N, K]. It fails if p's parts do not fit
// each other.
func (p *NBits) Dequantize() ([]float32, error) {
	if err := checkNBits(p.N, p.K, p.Bits, p.Block); err != nil {
		return nil, err
	}
	blocks := p.Blocks()
	if len(p.B) != p.N*blocks*p.blockBytes() || len(p.Scales) != p.N*blocks ||
		(p.Zeros != nil && len(p.Zeros) != p.N*p.zeroBytes()) {
		return nil, fmt.Errorf("%d bytes, %d scales and %d bytes of zero points do not fit %d x %d in blocks of %d",
			len(p.B), len(p.Scales), len(p.Zeros), p.N, p.K, p.Block)
	}
	out := make([]float32, p.N*p.K)
	Parallel(p.N, rowWorkers(p.N, p.K), func(lo, hi int) {
		codes, zeros := make([]byte, p.Block), make([]byte, blocks)
		fill(zeros, 1<<(p.Bits-1))
		for r := lo; r < hi; r++ {
			if p.Zeros != nil {
				UnpackBits(zeros, p.zeroRow(r), p.Bits)
			}
			for j := range blocks {
				UnpackBits(codes, p.block(r, j), p.Bits)
				zero, scale := int(zeros[j]), p.Scales[r*blocks+j]
				v := out[r*p.K+j*p.Block : r*p.K+min((j+1)*p.Block, p.K)]
				for i := range v {
					v[i] = float32(int(codes[i])-zero) * scale
				}
			}
		}
	})
	return out, nil
}

func (p *NBits) allocate(zeros bool) {
	p.B = make([]byte, p.N*p.Blocks()*p.blockBytes())
	if zeros {
		p.Zeros = make([]byte, p.N*p.zeroBytes())
	}
}

func (p *NBits) blockBytes() int { return p.Block * p.Bits / 8 }
func (p *NBits) zeroBytes() int  { return (p.Blocks()*p.Bits + 7) / 8 }

// block returns the bytes of block j of row r.
func (p *NBits) block(r, j int) []byte {
	size := p.blockBytes()
	at := (r*p.Blocks() + j) * size
	return p.B[at : at+size]
}

func (p *NBits) zeroRow(r int) []byte {
	return p.Zeros[r*p.zeroBytes() : (r+1)*p.zeroBytes()]
}

func (p *NBits) zeroOf(zeros []byte, i int) byte {
	if zeros == nil {
		return 1 << (p.Bits - 1)
	}
	return zeros[i]
}

// packZeros packs row r of zeros, unless nil.
func (p *NBits) packZeros(r int, zeros []byte) {
	if zeros != nil {
		PackBits(p.zeroRow(r), zeros[r*p.Blocks():(r+1)*p.Blocks()], p.Bits)
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// rowWorkers returns the workers for n rows of k elements: see Parallel.
func rowWorkers(n, k int) int {
	if n*k < parallelLen {
		return 1
	}
	return 0
}
