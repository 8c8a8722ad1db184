//go:build goexperiment.simd && amd64

package tensor

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// bothWays runs f without and with the vector forms.
func bothWays(t *testing.T, f func()) {
	t.Helper()
	if !useVectors {
		t.Skip("this processor has no AVX2")
	}
	defer func() { useVectors = true }()
	useVectors = false
	f()
	useVectors = true
	f()
}

// Without this the comparisons below could compare the portable loops with
// themselves.
func TestVectorsAreUsed(t *testing.T) {
	if !useVectors {
		t.Skip("this processor has no AVX2")
	}
	v, table := make([]float32, 65), make([]int32, 65)
	q := make([]byte, 65)
	a, _ := vectorExtremes(v)
	b, _ := vectorAbsMax(v)
	c := vectorColumns(table, table, v)
	l, _ := vectorLeast(v)
	d, _ := vectorQuantizeRun(q, v, 1, 0, -1, 1)
	e, _ := vectorQuantizeColumns(q, v, v, table, -1, 1)
	g := vectorAddScaled(v, v, 2)
	if want := 64; a != want || b != want || l != want || c != want || d != want || e != want || g != want {
		t.Errorf("did %d, %d, %d, %d, %d, %d, %d elements of %d by vectors", a, b, l, c, d, e, g, len(v))
	}
}

// unaligned returns a copy of v that begins skip bytes after an aligned address.
func unaligned(v []float32, skip int) []float32 {
	b := make([]byte, 4*len(v)+skip)
	copy(b[skip:], AsBytes(v))
	return As[float32](b[skip:])
}

// vectorSizes lie around the widths of the vector forms, and of blocks.
var vectorSizes = []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 39, 40, 41, 63, 64, 65, 95, 97, 127, 128, 129,
	blockLen - 1, blockLen, blockLen + 33}

// vectorData returns inputs of n elements by kind. Ties are for a scale of 1.
func vectorData(r *rand.Rand, n int) map[string][]float32 {
	fill := func(f func(i int) float32) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = f(i)
		}
		return v
	}
	odd := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, 0x1p-127, -0x1p-127, 0x1p22, -0x1p22,
		0x1p23 + 1, 1e10, -1e10, 12582912, -12582912, -12582913, math.MaxFloat32, -math.MaxFloat32}
	return map[string][]float32{
		"normal":   fill(func(int) float32 { return float32(r.NormFloat64()) * 50 }),
		"positive": fill(func(int) float32 { return 1e-3 + r.Float32() }),
		"negative": fill(func(int) float32 { return -1e-3 - r.Float32() }),
		"ties":     fill(func(int) float32 { return float32(r.IntN(600)-300) / 2 }),
		"odd":      fill(func(int) float32 { return odd[r.IntN(len(odd))] }),
		"zeros":    fill(func(i int) float32 { return float32(math.Copysign(0, float64(i%2)-1)) }),
		"bits": fill(func(int) float32 {
			for {
				if x := math.Float32frombits(r.Uint32()); x-x == 0 {
					return x
				}
			}
		}),
	}
}

// forVectors calls f with every kind of data in every size and alignment.
func forVectors(t *testing.T, f func(t *testing.T, v []float32)) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, n := range vectorSizes {
		for name, v := range vectorData(r, n) {
			for _, skip := range []int{0, 1, 6} {
				t.Run(fmt.Sprintf("%s/%d+%d", name, n, skip), func(t *testing.T) { f(t, unaligned(v, skip)) })
			}
		}
	}
}

func TestVectorStatistics(t *testing.T) {
	forVectors(t, func(t *testing.T, v []float32) {
		var lo, hi []int32
		var abs []uint32
		bothWays(t, func() {
			l, h := keyRange(v)
			lo, hi = append(lo, l), append(hi, h)
			abs = append(abs, math.Float32bits(AbsMax(v)))
			if i := FirstNonFinite(v); i != -1 {
				t.Errorf("element %d is said not to be finite", i)
			}
		})
		if lo[0] != lo[1] || hi[0] != hi[1] || abs[0] != abs[1] {
			t.Errorf("portable %d %d %#x, vector %d %d %#x", lo[0], hi[0], abs[0], lo[1], hi[1], abs[1])
		}
	})
}

// One NaN or infinity in any place is found, and the first of two.
func TestVectorFindsNonFinite(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	bad := []float32{float32(math.NaN()), -float32(math.NaN()), math.Float32frombits(0x7f800001),
		float32(math.Inf(1)), float32(math.Inf(-1))}
	for _, n := range []int{1, 31, 32, 33, 70, blockLen + 40} {
		for place := 0; place < n; place += 1 + place/100 {
			v := unaligned(vectorData(r, n)["normal"], 1)
			x := bad[place%len(bad)]
			v[place] = x
			bothWays(t, func() {
				if lo, hi := keyRange(v); finiteKeys(lo, hi) {
					t.Errorf("%g at %d of %d: range has finite ends", x, place, n)
				}
				if a := AbsMax(v); a-a == 0 {
					t.Errorf("%g at %d of %d: greatest magnitude %g", x, place, n, a)
				}
				q := make([]byte, n)
				ones, zeros := slices.Repeat([]float32{1}, n), make([]int32, n)
				if quantizeRun(q, v, 1, 0, -128, 127)>>31 == 0 || quantizeColumns(q, v, ones, zeros, 0, 9)>>31 == 0 {
					t.Errorf("%g at %d of %d: not seen by the quantizer", x, place, n)
				}
				v[n-1] = x
				if i := FirstNonFinite(v); i != place {
					t.Errorf("%g at %d of %d: found at %d", x, place, n, i)
				}
			})
		}
	}
}

func TestVectorColumns(t *testing.T) {
	forVectors(t, func(t *testing.T, v []float32) {
		var got [][]int32
		bothWays(t, func() {
			lo, hi := emptyRanges(len(v) + 1)
			columnRanges(lo[1:], hi[1:], v)
			turned := slices.Clone(v)
			slices.Reverse(turned)
			columnRanges(lo[1:], hi[1:], turned)
			got = append(got, append(lo, hi...))
		})
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("portable %v\nvector %v", got[0], got[1])
		}
	})
}

// Every byte of the vector quantizers is the portable ones'.
func TestVectorQuantize(t *testing.T) {
	forVectors(t, func(t *testing.T, v []float32) {
		scale := make([]float32, len(v))
		zero := make([]int32, len(v))
		for _, c := range []struct{ zero, lo, hi int }{
			{0, -127, 127}, {0, -128, 127}, {-128, -128, 127}, {127, -128, 127}, {0, 0, 255},
			{255, 0, 255}, {128, 1, 255}, {8, 0, 15}, {-3, -8, 7},
		} {
			for _, s := range []float32{1, -1, 0.25, 0.013, minScale, 1e-44, 3e38} {
				for i := range scale {
					scale[i] = s * float32(1+i%7)
					zero[i] = int32(min(max(c.zero+i%5-2, c.lo), c.hi))
				}
				var runs, columns [][]byte
				var seen []uint32
				bothWays(t, func() {
					run, column := make([]byte, len(v)+1), make([]byte, len(v)+1)
					a := quantizeRun(run[1:], v, s, c.zero, c.lo, c.hi)
					b := quantizeColumns(column[1:], v, scale, zero, c.lo, c.hi)
					runs, columns = append(runs, run), append(columns, column)
					seen = append(seen, a>>31, b>>31)
				})
				if !bytes.Equal(runs[0], runs[1]) || !bytes.Equal(columns[0], columns[1]) {
					t.Errorf("%+v, scale %g: bytes differ", c, s)
				}
				if seen[0] != seen[2] || seen[1] != seen[3] {
					t.Errorf("%+v, scale %g: seen %v", c, s, seen)
				}
			}
		}
	})
}

func TestVectorAddScaled(t *testing.T) {
	forVectors(t, func(t *testing.T, v []float32) {
		for _, a := range []float32{0, -1, 0.3, 1e-30} {
			var got [][]float32
			bothWays(t, func() {
				dst := make([]float32, len(v)+1)
				for i := range dst {
					dst[i] = float32(i) - 3
				}
				AddScaled(dst[:len(v)], v, a)
				got = append(got, dst)
			})
			if !bytes.Equal(AsBytes(got[0]), AsBytes(got[1])) {
				t.Errorf("%g: portable %v, vector %v", a, got[0], got[1])
			}
			if last := got[1][len(v)]; last != float32(len(v))-3 {
				t.Errorf("%g: the element behind is %g", a, last)
			}
		}
	})
}
