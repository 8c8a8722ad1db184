package tensor

import (
	"bytes"
	"math"
	"testing"
)

// numeric lists every type that converts.
func numeric() (out []DType) {
	for d := Float32; d <= Int2; d++ {
		if convertible(d, d) == nil {
			out = append(out, d)
		}
	}
	return out
}

func TestConvertValues(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		to          DType
		in          []float32
		round, cast []float32 // after Convert and after Cast, read as float32
	}{
		{Int8, []float32{0.5, 1.5, 2.5, -0.5, -1.5, 200, -200, nan, inf, -inf},
			[]float32{0, 2, 2, 0, -2, 127, -128, 0, 127, -128},
			[]float32{0, 1, 2, 0, -1, 127, -128, 0, 127, -128}},
		{Uint8, []float32{-1, 254.5, 255.5, 3.7}, []float32{0, 254, 255, 4}, []float32{0, 254, 255, 3}},
		{Int4, []float32{7.4, 8, -8.4, -9, 1}, []float32{7, 7, -8, -8, 1}, []float32{7, 7, -8, -8, 1}},
		{Uint2, []float32{3.4, 9, -1, 1.5, 2}, []float32{3, 3, 0, 2, 2}, []float32{3, 3, 0, 1, 2}},
		{Int2, []float32{1, 2, -2, -3, -1}, []float32{1, 1, -2, -2, -1}, []float32{1, 1, -2, -2, -1}},
		{Bool, []float32{0, 0.2, -3, nan, float32(math.Copysign(0, -1))},
			[]float32{0, 1, 1, 1, 0}, []float32{0, 1, 1, 1, 0}},
		{Int64, []float32{1e30, -1e30, 2.5}, []float32{0x1p63, -0x1p63, 2}, []float32{0x1p63, -0x1p63, 2}},
		{Uint64, []float32{1e30, -1, 2.5}, []float32{0x1p64, 0, 2}, []float32{0x1p64, 0, 2}},
		{Float16, []float32{65504, 65520, 1.0004883}, []float32{65504, inf, 1}, []float32{65504, inf, 1}},
		{F4E2M1, []float32{0.7, 5.1, -7, nan, 1.25}, []float32{0.5, 6, -6, 0, 1}, []float32{0.5, 6, -6, 0, 1}},
		{F8E8M0, []float32{1.2, 0.3}, []float32{1, 0.25}, []float32{2, 0.5}},
	} {
		in := Of(Float32, Shape{int64(len(c.in))}, c.in)
		for _, v := range []struct {
			name string
			f    func(Tensor, DType) (Tensor, error)
			want []float32
		}{{"Convert", Convert, c.round}, {"Cast", Cast, c.cast}} {
			out, err := v.f(in, c.to)
			if err != nil {
				t.Fatal(err)
			}
			got, err := out.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i] != v.want[i] {
					t.Errorf("%s(%g, %s) = %g, want %g", v.name, c.in[i], c.to, got[i], v.want[i])
				}
			}
		}
	}
}

func TestIntegers(t *testing.T) {
	in := Of(Int64, Shape{6}, []int64{300, -300, 127, -1, math.MaxInt64, math.MinInt64})
	u := Of(Uint64, Shape{2}, []uint64{math.MaxUint64, 5})
	for _, c := range []struct {
		in         Tensor
		to         DType
		clip, wrap []int64
	}{
		{in, Int8, []int64{127, -128, 127, -1, 127, -128}, []int64{44, -44, 127, -1, -1, 0}},
		{in, Uint8, []int64{255, 0, 127, 0, 255, 0}, []int64{44, 212, 127, 255, 255, 0}},
		{in, Int4, []int64{7, -8, 7, -1, 7, -8}, []int64{-4, 4, -1, -1, -1, 0}},
		{in, Uint4, []int64{15, 0, 15, 0, 15, 0}, []int64{12, 4, 15, 15, 15, 0}},
		{in, Bool, []int64{1, 1, 1, 1, 1, 1}, []int64{1, 1, 1, 1, 1, 1}},
		{u, Int64, []int64{math.MaxInt64, 5}, []int64{-1, 5}},
		{u, Int16, []int64{math.MaxInt16, 5}, []int64{-1, 5}},
		{u, Uint32, []int64{math.MaxUint32, 5}, []int64{math.MaxUint32, 5}},
	} {
		for cast, want := range map[bool][]int64{false: c.clip, true: c.wrap} {
			out, err := convert(c.in, c.to, cast)
			if err != nil {
				t.Fatal(err)
			}
			got, err := out.Int64s()
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("element %d to %s, cast %v: %d, want %d", i, c.to, cast, got[i], want[i])
				}
			}
		}
	}
	if _, err := u.Int64s(); err == nil {
		t.Error("Int64s of 2^64-1: no error")
	}
}

// One rounding, not one to float64 and another from there.
func TestConvertRoundsOnce(t *testing.T) {
	in := Of(Int64, Shape{2}, []int64{1<<62 + 1<<54 + 1, -(1<<62 + 1<<54 + 1)})
	out, err := Convert(in, BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := out.Float32s()
	if want := float32(1<<62 + 1<<55); got[0] != want || got[1] != -want {
		t.Errorf("to bfloat16: %v, want ±%g", got, want)
	}
	x := 1 + 0x1p-11 + 0x1p-40 // a tie for float16, once float32 has cut it
	out, err = Convert(Of(Float64, Shape{1}, []float64{x}), Float16)
	if err != nil {
		t.Fatal(err)
	}
	if h := As[uint16](out.Data)[0]; h != 0x3c01 {
		t.Errorf("to float16: %#x, want 0x3c01", h)
	}
}

// Small whole numbers are exact in every type that has them: all pairs must
// agree, at lengths round a block's and a byte's end.
func TestConvertAllPairs(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 5, blockLen - 1, blockLen, blockLen + 1, parallelLen + 3} {
		bits := make([]float32, n)
		for i := range bits {
			bits[i] = float32(i * i % 7 % 2)
		}
		ref := Of(Float32, Shape{int64(n)}, bits)
		for _, from := range numeric() {
			a, err := Convert(ref, from)
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range numeric() {
				if n > 5 && to != from && to != Int4 && to != Float16 && to != Bool && to != Uint64 {
					continue // the lengths matter, not every pair
				}
				b, err := Convert(a, to)
				if err != nil {
					t.Fatal(err)
				}
				got, err := b.Float32s()
				if err != nil {
					t.Fatal(err)
				}
				for i := range got {
					want := bits[i]
					if want == 0 && (from == F8E8M0 || to == F8E8M0) {
						continue // has no zero
					}
					if got[i] != want {
						t.Fatalf("%d elements, %s to %s: element %d is %g, want %g", n, from, to, i, got[i], want)
					}
				}
			}
		}
	}
}

func TestConvertErrors(t *testing.T) {
	ok := Of(Float32, Shape{2}, []float32{1, 2})
	bad := []Tensor{
		{DType: Float32, Shape: Shape{3}, Data: make([]byte, 8)},
		{DType: Float32, Shape: Shape{-1}},
		{DType: Float32, Shape: Shape{1 << 40, 1 << 40}},
		{DType: String, Shape: Shape{1}, Strings: []string{"a"}},
		{DType: Complex64, Shape: Shape{1}, Data: make([]byte, 8)},
		{DType: DType(99), Shape: Shape{1}},
	}
	for _, b := range bad {
		if _, err := Convert(b, Int8); err == nil {
			t.Errorf("Convert of %s %v: no error", b.DType, b.Shape)
		}
		if _, err := b.Float32s(); err == nil {
			t.Errorf("Float32s of %s %v: no error", b.DType, b.Shape)
		}
		if _, err := b.Int64s(); err == nil {
			t.Errorf("Int64s of %s %v: no error", b.DType, b.Shape)
		}
	}
	if _, err := Convert(ok, String); err == nil {
		t.Error("Convert to string: no error")
	}
	if err := ToFloat32(make([]float32, 3), ok); err == nil {
		t.Error("ToFloat32 into another length: no error")
	}
	if _, err := ok.Int64s(); err == nil {
		t.Error("Int64s of float32: no error")
	}
}

func TestAliases(t *testing.T) {
	v := []float32{1, 2, 3}
	got, err := Of(Float32, Shape{3}, v).Float32s()
	if err != nil || &got[0] != &v[0] {
		t.Errorf("Float32s did not alias (%v)", err)
	}
	b := make([]byte, 13)
	copy(b[1:], AsBytes(v)) // at an odd address
	got, err = Tensor{DType: Float32, Shape: Shape{3}, Data: b[1:]}.Float32s()
	if err != nil || got[2] != 3 {
		t.Errorf("misaligned: %v, %v", got, err)
	}
}

func TestPackBits(t *testing.T) {
	for _, bits := range []int{1, 2, 4, 8} {
		for n := range 20 {
			codes := make([]byte, n)
			for i := range codes {
				codes[i] = byte(i*7+3) & (1<<bits - 1)
			}
			packed := make([]byte, (n*bits+7)/8)
			PackBits(packed, codes, bits)
			for i, c := range codes { // low bits first
				if got := packed[i*bits/8] >> (i * bits % 8) & (1<<bits - 1); got != c {
					t.Fatalf("%d bits, code %d of %d: %d, want %d", bits, i, n, got, c)
				}
			}
			back := make([]byte, n)
			UnpackBits(back, packed, bits)
			if !bytes.Equal(back, codes) {
				t.Fatalf("%d bits, %d codes: %v, want %v", bits, n, back, codes)
			}
		}
	}
}

// FuzzConvert: untrusted types, shapes and bytes give a tensor of the right
// size or an error, never a panic.
func FuzzConvert(f *testing.F) {
	f.Add(int32(Int4), int32(Float32), int64(3), int64(1), []byte{0x21, 0x03})
	f.Add(int32(Float32), int32(F4E2M1), int64(1), int64(2), []byte("\x00\x00\xc0\x7f\x00\x00\x80\xff"))
	f.Add(int32(Uint64), int32(BFloat16), int64(1), int64(1), []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(int32(String), int32(Int8), int64(-1), int64(1<<62), []byte{})
	f.Fuzz(func(t *testing.T, from, to int32, a, b int64, data []byte) {
		in := Tensor{DType: DType(from), Shape: Shape{a, b}, Data: data}
		for _, cast := range []bool{false, true} {
			out, err := convert(in, DType(to), cast)
			if err != nil {
				continue
			}
			if from == to {
				continue // handed back unchecked
			}
			if _, err := out.check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
