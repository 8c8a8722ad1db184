package tensor

import (
	"bytes"
	"fmt"
	"math"
	"testing"
)

// Against the layout's definition, with K off and on a block's end.
func TestQuantizeNBits(t *testing.T) {
	for _, bits := range []int{2, 4, 8} {
		for _, dim := range [][2]int{{1, 1}, {3, 16}, {5, 33}, {17, 64}, {40, 100}, {300, 257}} {
			n, k := dim[0], dim[1]
			w := benchWeight(n * k)
			if k > 40 {
				for i := range 32 {
					w[i] = 0 // an empty block
				}
			}
			wt := make([]float32, n*k)
			for i := range w {
				wt[i%k*n+i/k] = w[i]
			}
			for _, block := range []int{16, 32} {
				for _, sym := range []bool{false, true} {
					t.Run(fmt.Sprintf("%dbit/%dx%d/%d/%v", bits, n, k, block, sym), func(t *testing.T) {
						c := NBitsScheme{Bits: bits, Block: block, Symmetric: sym}
						p, err := QuantizeNBits(w, n, k, c)
						if err != nil {
							t.Fatal(err)
						}
						checkNBitsValues(t, p, w, sym)
						c.Transposed = true
						pt, err := QuantizeNBits(wt, n, k, c)
						if err != nil {
							t.Fatal(err)
						}
						if fmt.Sprint(pt) != fmt.Sprint(p) {
							t.Error("the transposed weight gives another result")
						}
					})
				}
			}
		}
	}
}

func checkNBitsValues(t *testing.T, p NBits, w []float32, sym bool) {
	t.Helper()
	blocks := (p.K + p.Block - 1) / p.Block
	back, err := p.Dequantize()
	if err != nil {
		t.Fatal(err)
	}
	q, zeros := make([]byte, len(w)), make([]byte, p.N*blocks)
	for r := range p.N {
		for j := range blocks {
			v := w[r*p.K+j*p.Block : r*p.K+min((j+1)*p.Block, p.K)]
			var low, high float32
			for _, x := range v {
				low, high = min(low, x), max(high, x)
			}
			scale, zero := float32(1), int32(1)<<(p.Bits-1)
			if sym && (low != 0 || high != 0) {
				scale = high / -float32(zero)
				if -low >= high {
					scale = low / -float32(zero)
				}
			} else if !sym {
				scale, zero = ChooseAffine(low, high, Uint8, 0, int64(1)<<p.Bits-1, false)
			}
			if got := p.Scales[r*blocks+j]; got != scale {
				t.Fatalf("row %d, block %d: scale %g, want %g", r, j, got, scale)
			}
			zeros[r*blocks+j] = byte(zero)
			for i, x := range v {
				at := r*p.K + j*p.Block + i
				code := quantizeOne(x, scale, zero, 0, int64(1)<<p.Bits-1)
				q[at] = byte(code)
				if want := float32(code-int64(zero)) * scale; back[at] != want {
					t.Fatalf("row %d, block %d, element %d: %g restored as %g, want %g", r, j, i, x, back[at], want)
				}
			}
		}
	}
	if sym {
		zeros = nil
	}
	b, zp, err := PackNBits(q, zeros, p.N, p.K, p.Bits, p.Block)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, p.B) || !bytes.Equal(zp, p.Zeros) || (zp == nil) != sym {
		t.Fatal("PackNBits of the same codes gives other bytes")
	}
}

// The bytes themselves, for one row: K = 18 in blocks of 16.
func TestPackNBitsBytes(t *testing.T) {
	q := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2}
	b, zp, err := PackNBits(q, []byte{5, 6}, 1, 18, 4, 16)
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb, 0xed, 0x0f, 0x21, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66}
	if !bytes.Equal(b, want) || !bytes.Equal(zp, []byte{0x65}) {
		t.Errorf("packed % x, zero points % x", b, zp)
	}
	b, zp, err = PackNBits([]byte{0, 1, 2, 3, 3}, nil, 1, 5, 2, 16)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0xe4, 0xab, 0xaa, 0xaa}; !bytes.Equal(b, want) || zp != nil {
		t.Errorf("packed % x, want % x", b, want)
	}
}

func TestNBitsErrors(t *testing.T) {
	w := make([]float32, 32)
	for name, c := range map[string]struct {
		n, k int
		c    NBitsScheme
	}{
		"bits":        {1, 32, NBitsScheme{Bits: 3, Block: 16}},
		"block":       {1, 32, NBitsScheme{Bits: 4, Block: 24}},
		"small block": {1, 32, NBitsScheme{Bits: 4, Block: 8}},
		"length":      {2, 32, NBitsScheme{Bits: 4, Block: 16}},
		"none":        {0, 32, NBitsScheme{Bits: 4, Block: 16}},
	} {
		if _, err := QuantizeNBits(w, c.n, c.k, c.c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	w[3] = float32(math.Inf(1))
	if _, err := QuantizeNBits(w, 1, 32, NBitsScheme{Bits: 4, Block: 16}); err == nil {
		t.Error("infinity: no error")
	}
	if _, _, err := PackNBits([]byte{16}, nil, 1, 1, 4, 16); err == nil {
		t.Error("code 16 in 4 bits: no error")
	}
	bad := NBits{N: 1, K: 32, Bits: 4, Block: 16, B: make([]byte, 15), Scales: make([]float32, 2)}
	if _, err := bad.Dequantize(); err == nil {
		t.Error("short bytes: no error")
	}
}
