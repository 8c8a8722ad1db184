package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestToHalf compares the bulk conversion and its counts with the conversion of
// single numbers, at the ends of the ranges and at random bit patterns.
func TestToHalf(t *testing.T) {
	for d, c := range map[DType]struct {
		one  func(float32) uint16
		inf  uint16
		back func(uint16) float32
	}{Float16: {F32ToF16, 0x7c00, F16ToF32}, BFloat16: {F32ToBF16, 0x7f80, BF16ToF32}} {
		v := []float32{}
		for _, b := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0x33000000, 0x387fffff, 0x38800000, 0x477fe000,
			0x477fefff, 0x477ff000, 0x7f7f7fff, 0x7f7f8000, 0x7f7fffff, 0x7f800000, 0x7fc00000} {
			for _, x := range []uint32{b, b + 1} {
				v = append(v, math.Float32frombits(x), -math.Float32frombits(x))
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 100000 {
			v = append(v, math.Float32frombits(r.Uint32()))
		}
		got := make([]uint16, len(v))
		ToHalf(got, v, d)
		var beyond, zero int64
		for i, x := range v {
			want := c.one(x)
			if want&0x7fff == c.inf && !math.IsInf(float64(x), 0) {
				want--
				beyond++
			}
			if x != 0 && c.back(want) == 0 {
				zero++
			}
			if got[i] != want {
				t.Fatalf("%s of %x is %x, not %x", d, math.Float32bits(x), got[i], want)
			}
		}
		if b, z := HalfLosses(v, d); b != beyond || z != zero {
			t.Errorf("%s: %d beyond, %d zero; %d and %d by single numbers", d, b, z, beyond, zero)
		}
	}
}
