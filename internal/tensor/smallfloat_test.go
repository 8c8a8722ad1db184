package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// byteFormats are the formats of which every code can be tried.
var byteFormats = map[string]*smallFloat{
	"e4m3fn": &fmtE4M3FN, "e4m3fnuz": &fmtE4M3UZ, "e5m2": &fmtE5M2, "e5m2fnuz": &fmtE5M2UZ, "e2m1": &fmtE2M1,
}

// The greatest finite and least positive values are those of the ONNX
// specification's tables.
func TestSmallFloatLimits(t *testing.T) {
	for _, c := range []struct {
		f          *smallFloat
		max, least float64
	}{
		{&fmtF16, 65504, 0x1p-24},
		{&fmtBF16, 0x1.fep127, 0x1p-133},
		{&fmtE4M3FN, 448, 0x1p-9},
		{&fmtE4M3UZ, 240, 0x1p-10},
		{&fmtE5M2, 57344, 0x1p-16},
		{&fmtE5M2UZ, 57344, 0x1p-17},
		{&fmtE2M1, 6, 0.5},
	} {
		if got := float64(c.f.decode(c.f.max)); got != c.max {
			t.Errorf("%d bits, %d of significand: max %g, want %g", c.f.bits, c.f.man, got, c.max)
		}
		if got := float64(c.f.decode(1)); got != c.least {
			t.Errorf("%d bits, %d of significand: least %g, want %g", c.f.bits, c.f.man, got, c.least)
		}
		if got := c.f.encode(1); c.f.decode(got) != 1 {
			t.Errorf("%d bits: 1 has code %#x", c.f.bits, got)
		}
	}
}

func TestSmallFloatSpecials(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	negZero := math.Copysign(0, -1)
	for _, c := range []struct {
		name string
		f    *smallFloat
		x    float64
		want uint16
	}{
		{"f16 overflow", &fmtF16, 65520, 0x7c00},
		{"f16 below overflow", &fmtF16, math.Nextafter(65520, 0), 0x7bff},
		{"f16 -inf", &fmtF16, -inf, 0xfc00},
		{"f16 tiny", &fmtF16, 0x1p-25, 0}, // half of the least: to even
		{"f16 above tiny", &fmtF16, math.Nextafter(0x1p-25, 1), 1},
		{"bf16 overflow", &fmtBF16, math.MaxFloat32, 0x7f80},
		{"e4m3fn overflow saturates", &fmtE4M3FN, 1e9, 0x7e},
		{"e4m3fn inf saturates", &fmtE4M3FN, -inf, 0xfe},
		{"e4m3fn nan", &fmtE4M3FN, nan, 0x7f},
		{"e4m3fn -0", &fmtE4M3FN, negZero, 0x80},
		{"e4m3fn 464 is a tie, saturates", &fmtE4M3FN, 464, 0x7e},
		{"e4m3fnuz -0", &fmtE4M3UZ, negZero, 0},
		{"e4m3fnuz nan", &fmtE4M3UZ, nan, 0x80},
		{"e4m3fnuz tiny negative", &fmtE4M3UZ, -1e-9, 0},
		{"e5m2 overflow", &fmtE5M2, 61441, 0x7b},
		{"e5m2fnuz inf", &fmtE5M2UZ, inf, 0x7f},
		{"e2m1 nan", &fmtE2M1, nan, 0},
		{"e2m1 overflow", &fmtE2M1, -100, 0xf},
		{"e2m1 tie 2.5 to even", &fmtE2M1, 2.5, 4},
		{"e2m1 tie 3.5 to even", &fmtE2M1, 3.5, 6},
		{"e2m1 tie 0.25 to even", &fmtE2M1, 0.25, 0},
	} {
		if got := c.f.encode(c.x); got != c.want {
			t.Errorf("%s: code %#x, want %#x", c.name, got, c.want)
		}
	}
}

// Every code that is a number comes back from its value, and every number
// takes the nearest code, the even one of two.
func TestSmallFloatNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, f := range byteFormats {
		codes := 1 << f.bits
		for c := range codes {
			v := float64(f.decode(uint16(c)))
			if v-v == 0 && f.encode(v) != uint16(c) {
				t.Errorf("%s: code %#x means %g, whose code is %#x", name, c, v, f.encode(v))
			}
		}
		for range 3000 {
			x := math.Ldexp(r.Float64()*2-1, r.IntN(36)-18)
			if r.IntN(4) == 0 { // half way between neighbours
				c := uint16(r.IntN(int(f.max)))
				x = (float64(f.decode(c)) + float64(f.decode(c+1))) / 2
			}
			got := f.encode(x)
			if want := nearestCode(f, x); f.decode(got) != f.decode(want) {
				t.Fatalf("%s: %g has code %#x, want %#x", name, x, got, want)
			}
		}
	}
}

func nearestCode(f *smallFloat, x float64) (best uint16) {
	gap := math.Inf(1)
	for c := range 1 << f.bits {
		v := float64(f.decode(uint16(c)))
		d := math.Abs(v - x)
		if d < gap || d == gap && c%2 == 0 {
			best, gap = uint16(c), d
		}
	}
	return best
}

// The fast paths agree with the general encoder on every float16 and bfloat16,
// on the midpoints between them, and one step to either side.
func TestHalfPaths(t *testing.T) {
	for c := range 1 << 16 {
		h := uint16(c)
		if got, want := F16ToF32(h), fmtF16.decode(h); !sameFloat(got, want) {
			t.Fatalf("F16ToF32(%#x) = %g, want %g", h, got, want)
		}
		if got, want := BF16ToF32(h), fmtBF16.decode(h); !sameFloat(got, want) {
			t.Fatalf("BF16ToF32(%#x) = %g, want %g", h, got, want)
		}
		f16, bf16 := F16ToF32(h), BF16ToF32(h)
		mid := (f16 + F16ToF32(h+1)) / 2
		midB := math.Float32frombits(uint32(h)<<16 | 0x8000)
		for _, x := range []float32{f16, mid, bf16, midB} {
			for _, y := range []float32{x, math.Nextafter32(x, 1e30), math.Nextafter32(x, -1e30)} {
				if y != y {
					if v := F16ToF32(F32ToF16(y)); v == v {
						t.Fatalf("float16 of NaN is %g", v)
					}
					if v := BF16ToF32(F32ToBF16(y)); v == v {
						t.Fatalf("bfloat16 of NaN is %g", v)
					}
					continue
				}
				if got, want := F32ToF16(y), fmtF16.encode(float64(y)); got != want {
					t.Fatalf("F32ToF16(%g) = %#x, want %#x", y, got, want)
				}
				if got, want := F32ToBF16(y), fmtBF16.encode(float64(y)); got != want {
					t.Fatalf("F32ToBF16(%g) = %#x, want %#x", y, got, want)
				}
			}
		}
	}
}

func sameFloat(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func TestE8M0(t *testing.T) {
	for c := range 255 {
		v := float64(tabE8M0[c])
		for _, up := range []bool{false, true} {
			if got := encodeE8M0(v, up); got != uint16(c) {
				t.Errorf("2^%d has code %d", c-127, got)
			}
		}
	}
	for _, c := range []struct {
		x           float64
		nearest, up uint16
	}{
		{1.49, 127, 128}, {1.5, 128, 128}, {3, 129, 129}, {2.9, 128, 129},
		{0, 0, 0}, {1e-60, 0, 0}, {1e60, 254, 254}, {math.Inf(1), 254, 254},
		{-1, 255, 255}, {math.NaN(), 255, 255},
	} {
		if n, u := encodeE8M0(c.x, false), encodeE8M0(c.x, true); n != c.nearest || u != c.up {
			t.Errorf("%g: %d and %d, want %d and %d", c.x, n, u, c.nearest, c.up)
		}
	}
}
