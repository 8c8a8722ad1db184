package tensor

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// paramOf is the slow reference of grid: the parameter of element i.
func paramOf(s Shape, axis, block, i int) int {
	if axis < 0 {
		return 0
	}
	index := make([]int, len(s))
	for d := len(s) - 1; d >= 0; d-- {
		index[d] = i % int(s[d])
		i /= int(s[d])
	}
	if block == 0 {
		return index[axis]
	}
	index[axis] /= block
	p := 0
	for d := range s {
		size := int(s[d])
		if d == axis {
			size = (size + block - 1) / block
		}
		p = p*size + index[d]
	}
	return p
}

// quantizeOne is the formula as it stands: float32 division, half to even.
func quantizeOne(x, scale float32, zero int32, lo, hi int64) int64 {
	r := math.RoundToEven(float64(x/scale)) + float64(zero)
	return int64(min(max(r, float64(lo)), float64(hi)))
}

// codesOf returns the stored values.
func codesOf(t *testing.T, d DType, s Shape, q []byte) []int64 {
	t.Helper()
	v, err := Tensor{DType: d, Shape: s, Data: q}.Int64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var affineShapes = []Shape{
	{}, {1}, {7}, {1, 1}, {5, 3}, {3, 5}, {1, 33}, {33, 1}, {4, 3, 5}, {2, 3, 4, 5},
	{64, 3, 3, 3}, {65, 129}, {blockLen + 1}, {2, blockLen - 1}, {3, 1, 7},
}

// Every type, shape, axis and block against the formula, element by element.
func TestAffineAgainstFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	types := []DType{Int8, Uint8, Int4, Uint4, Int2, Uint2, Int16, Uint16}
	for _, s := range affineShapes {
		n, _ := s.Elements()
		w := make([]float32, n)
		for i := range w {
			w[i] = float32(r.NormFloat64() * math.Exp(r.NormFloat64()))
			if r.IntN(10) == 0 {
				w[i] = 0
			}
		}
		for axis := -1; axis < len(s); axis++ {
			for _, block := range []int{0, 1, 2, 5, 32} {
				if axis < 0 && block > 0 {
					continue
				}
				for k, d := range types {
					c := Scheme{DType: d, Symmetric: k%2 == len(s)%2, Axis: axis, Block: block}
					t.Run(fmt.Sprintf("%v/%+v", s, c), func(t *testing.T) { checkAffine(t, c, w, s) })
				}
			}
		}
	}
}

func checkAffine(t *testing.T, c Scheme, w []float32, s Shape) {
	a, err := c.Fit(w, s)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi, _, err := c.Bounds()
	if err != nil {
		t.Fatal(err)
	}
	low, high := make([]float32, len(a.Scale)), make([]float32, len(a.Scale))
	for i, x := range w {
		p := paramOf(s, c.Axis, c.Block, i)
		low[p], high[p] = min(low[p], x), max(high[p], x)
	}
	for p := range low {
		scale, zero := ChooseAffine(low[p], high[p], c.DType, c.Lo, c.Hi, c.Symmetric)
		if a.Scale[p] != scale || a.Zero[p] != zero {
			t.Fatalf("parameter %d: scale %g, zero point %d; want %g, %d", p, a.Scale[p], a.Zero[p], scale, zero)
		}
	}
	size, _ := s.Bytes(c.DType)
	q := bytes.Repeat([]byte{0xee}, int(size)) // a destination that was used
	if err := a.Quantize(q, w, s); err != nil {
		t.Fatal(err)
	}
	back := make([]float32, len(w))
	if err := a.Dequantize(back, q, s); err != nil {
		t.Fatal(err)
	}
	for i, got := range codesOf(t, c.DType, s, q) {
		p := paramOf(s, c.Axis, c.Block, i)
		if want := quantizeOne(w[i], a.Scale[p], a.Zero[p], lo, hi); got != want {
			t.Fatalf("element %d, %g: stored %d, want %d", i, w[i], got, want)
		}
		if want := float32(got-int64(a.Zero[p])) * a.Scale[p]; back[i] != want {
			t.Fatalf("element %d: restored %g, want %g", i, back[i], want)
		}
		// Half a step, or a whole where the zero point was rounded away from
		// an end; float32's own rounding on top.
		if e := math.Abs(float64(back[i] - w[i])); e > float64(a.Scale[p])*1.001 {
			t.Fatalf("element %d: %g restored as %g, scale %g", i, w[i], back[i], a.Scale[p])
		}
	}
}

// Scales that do not come from the data: far quotients must clip, also those
// beyond the rounding trick's range, and ties go to even.
func TestQuantizeExtremes(t *testing.T) {
	w := []float32{0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.5, 1e6, -1e6, 0x1p22, -0x1p22, 0x1p23 + 1,
		1e10, -1e10, 3e38, -3e38, 1e-45, -1e-45, math.MaxFloat32, -math.MaxFloat32, 12582912, -12582912, -12582913}
	s := Shape{int64(len(w))}
	for _, d := range []DType{Int8, Uint8, Int4, Uint2, Int16, Uint16, Int32} {
		lo, hi := d.Range()
		for _, scale := range []float32{1, -1, 0.25, 1e-30, 0x1p-126, 1e-44, 1e30} {
			for _, zero := range []int64{lo, hi, (lo + hi + 1) / 2} {
				a := Affine{DType: d, Scale: []float32{scale}, Zero: []int32{int32(zero)}, Axis: -1}
				size, _ := s.Bytes(d)
				q := make([]byte, size)
				if err := a.Quantize(q, w, s); err != nil {
					t.Fatal(err)
				}
				for i, got := range codesOf(t, d, s, q) {
					if want := quantizeOne(w[i], scale, int32(zero), lo, hi); got != want {
						t.Errorf("%s, scale %g, zero point %d: %g stored as %d, want %d", d, scale, zero, w[i], got, want)
					}
				}
			}
		}
	}
}

func TestChooseAffine(t *testing.T) {
	for _, c := range []struct {
		min, max  float32
		d         DType
		lo, hi    int64
		symmetric bool
		scale     float32
		zero      int32
	}{
		{-2.7182, 3.1415, Int8, 0, 0, true, float32(3.1415) / 127, 0},
		{-127, 1, Int8, 0, 0, true, 1, 0},
		{-126, 1, Int8, -64, 63, true, 2, 0},
		{-127, 1, Uint8, 0, 0, true, 1, 128},
		{-7, 1, Uint4, 0, 0, true, 1, 8},
		{-1, 1, Int2, 0, 0, true, 1, 0},
		{0, 255, Uint8, 0, 0, false, 1, 0},
		{3, 255, Uint8, 0, 0, false, 1, 0},     // widened to 0
		{-255, -3, Uint8, 0, 0, false, 1, 255}, // also
		{-128, 127, Int8, 0, 0, false, 1, 0},
		{-64, 63, Int8, -64, 63, false, 1, 0},
		{0, 0, Int8, 0, 0, true, 1, 0},
		{0, 0, Uint8, 0, 0, true, 1, 128},
		{0, 0, Uint8, 0, 0, false, 1, 0},
		{0, 1e-44, Int8, 0, 0, true, minScale, 0},
		{-1e-44, 1e-44, Uint8, 0, 0, false, minScale, 0},
	} {
		scale, zero := ChooseAffine(c.min, c.max, c.d, c.lo, c.hi, c.symmetric)
		if scale != c.scale || zero != c.zero {
			t.Errorf("%g to %g in %s (%d to %d, symmetric %v): %g, %d; want %g, %d",
				c.min, c.max, c.d, c.lo, c.hi, c.symmetric, scale, zero, c.scale, c.zero)
		}
	}
}

// Zero is exact, and no stored value means an infinity, whatever the range.
func TestChooseAffineProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		a := float32(math.Ldexp(r.Float64()*2-1, r.IntN(277)-149))
		b := float32(math.Ldexp(r.Float64()*2-1, r.IntN(277)-149))
		if r.IntN(20) == 0 {
			a = -math.MaxFloat32
		}
		a, b = min(a, b), max(a, b)
		for _, d := range []DType{Int8, Uint8, Uint4, Int16} {
			for _, sym := range []bool{false, true} {
				scale, zero := ChooseAffine(a, b, d, 0, 0, sym)
				lo, hi, _, err := Scheme{DType: d, Symmetric: sym}.Bounds()
				if err != nil {
					t.Fatal(err)
				}
				if !(scale >= minScale) || int64(zero) < lo || int64(zero) > hi {
					t.Fatalf("%g to %g in %s: scale %g, zero point %d", a, b, d, scale, zero)
				}
				for _, q := range []int64{lo, hi} {
					if x := float32(q-int64(zero)) * scale; math.IsInf(float64(x), 0) {
						t.Fatalf("%g to %g in %s: %d means %g (scale %g, zero point %d)", a, b, d, q, x, scale, zero)
					}
				}
			}
		}
	}
}

func TestAffineErrors(t *testing.T) {
	w := []float32{1, 2, 3, 4, 5, 6}
	s := Shape{2, 3}
	nan := append([]float32{}, w...)
	nan[4] = float32(math.NaN())
	inf := append([]float32{}, w...)
	inf[2] = float32(math.Inf(-1))
	for _, c := range []struct {
		name string
		c    Scheme
		w    []float32
		s    Shape
		want string
	}{
		{"nan", Scheme{DType: Int8, Axis: 0}, nan, s, "element 4 is NaN"},
		{"inf", Scheme{DType: Int8, Axis: -1, Symmetric: true}, inf, s, "element 2 is -Inf"},
		{"float type", Scheme{DType: Float16, Axis: -1}, w, s, "float16"},
		{"wide type", Scheme{DType: Int32, Axis: -1}, w, s, "int32"},
		{"range", Scheme{DType: Int8, Lo: -200, Hi: 3, Axis: -1}, w, s, "-200 to 3"},
		{"one-sided", Scheme{DType: Int8, Lo: 0, Hi: 100, Symmetric: true, Axis: -1}, w, s, "symmetric"},
		{"axis", Scheme{DType: Int8, Axis: 2}, w, s, "axis 2"},
		{"block without axis", Scheme{DType: Int8, Axis: -1, Block: 4}, w, s, "blocks of 4"},
		{"length", Scheme{DType: Int8, Axis: -1}, w[:5], s, "5 elements"},
		{"overflow", Scheme{DType: Int8, Axis: 0}, w, Shape{1 << 40, 1 << 40}, "overflow"},
	} {
		if _, err := c.c.Fit(c.w, c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	good := Affine{DType: Int8, Scale: []float32{1}, Zero: []int32{0}, Axis: -1}
	if err := good.Quantize(make([]byte, 6), nan, s); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("quantizing NaN: %v", err)
	}
	for name, a := range map[string]Affine{
		"zero scale": {DType: Int8, Scale: []float32{0}, Zero: []int32{0}, Axis: -1},
		"nan scale":  {DType: Int8, Scale: []float32{float32(math.NaN())}, Zero: []int32{0}, Axis: -1},
		"zero point": {DType: Int8, Scale: []float32{1}, Zero: []int32{128}, Axis: -1},
		"few scales": {DType: Int8, Scale: []float32{1}, Zero: []int32{0}, Axis: 0},
		"type":       {DType: Uint64, Scale: []float32{1}, Zero: []int32{0}, Axis: -1},
	} {
		if err := a.Quantize(make([]byte, 6), w, s); err == nil {
			t.Errorf("%s: quantized", name)
		}
		if err := a.Dequantize(make([]float32, 6), make([]byte, 6), s); err == nil {
			t.Errorf("%s: dequantized", name)
		}
	}
	if err := good.Quantize(make([]byte, 5), w, s); err == nil {
		t.Error("short destination: no error")
	}
}

func TestEmptyTensors(t *testing.T) {
	for _, s := range []Shape{{0}, {0, 5}, {5, 0}, {2, 0, 3}} {
		for axis := -1; axis < len(s); axis++ {
			a, err := Scheme{DType: Int8, Axis: axis}.Fit(nil, s)
			if err != nil {
				t.Fatal(err)
			}
			want := 1
			if axis >= 0 {
				want = int(s[axis])
			}
			if len(a.Scale) != want {
				t.Errorf("%v, axis %d: %d scales, want %d", s, axis, len(a.Scale), want)
			}
			if err := a.Quantize(nil, nil, s); err != nil {
				t.Error(err)
			}
			if err := a.Dequantize(nil, nil, s); err != nil {
				t.Error(err)
			}
		}
	}
}

// The same bytes on one core and on many, for every form of segment.
func TestThreadsDoNotMatter(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	s := Shape{67, 1031} // above parallelLen, of no convenient size
	w := benchWeight(67 * 1031)
	for _, c := range []Scheme{
		{DType: Int8, Symmetric: true, Axis: -1},
		{DType: Uint8, Axis: 0},
		{DType: Uint8, Axis: 1},
		{DType: Int4, Axis: 0, Block: 16},
		{DType: Uint2, Axis: 1, Block: 16},
	} {
		size, _ := s.Bytes(c.DType)
		var first Affine
		var firstBytes []byte
		for _, threads := range []int{1, 2, 3, 8} {
			runtime.GOMAXPROCS(threads)
			a, err := c.Fit(w, s)
			if err != nil {
				t.Fatal(err)
			}
			q := make([]byte, size)
			if err := a.Quantize(q, w, s); err != nil {
				t.Fatal(err)
			}
			if threads == 1 {
				first, firstBytes = a, q
				continue
			}
			if fmt.Sprint(a) != fmt.Sprint(first) || !bytes.Equal(q, firstBytes) {
				t.Errorf("%+v: %d threads give another result than one", c, threads)
			}
		}
	}
}

// The example that the command-line contract gives for inspect --values.
func TestInspectExample(t *testing.T) {
	w, s := []float32{1.2345, -0.6789, 3.1415, -2.7182}, Shape{4}
	a, err := Scheme{DType: Int8, Symmetric: true, Axis: -1}.Fit(w, s)
	if err != nil {
		t.Fatal(err)
	}
	q, back := make([]byte, 4), make([]float32, 4)
	if err := a.Quantize(q, w, s); err != nil {
		t.Fatal(err)
	}
	if err := a.Dequantize(back, q, s); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%.6f %v %.6f", a.Scale[0], As[int8](q), MSE(w, back))
	if want := "0.024736 [50 -27 127 -110] 0.000034"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParallelCoversOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 100} {
		for workers := range 9 {
			seen := make([]int32, n)
			Parallel(n, workers, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					seen[i]++
				}
			})
			for i, c := range seen {
				if c != 1 {
					t.Fatalf("n %d, workers %d: %d visited %d times", n, workers, i, c)
				}
			}
		}
	}
}
