package tensor

import (
	"bytes"
	"hash/crc32"
	"math"
	"testing"
)

// ramps are numbers that any program computes alike, 700 blocks of 64 with
// scales of their own.
func ramps() []float32 {
	w := make([]float32, 64*700)
	for i := range w {
		w[i] = float32((i*7919)%2003-1001) / 1024 * (1 + float32((i/64)%37)/16)
	}
	return w
}

// TestBitsandbytes compares with what bitsandbytes makes of the same numbers
// (quantize_4bit with block size 64 and compressed statistics, on the CPU, where
// the sign of FP4's zero is arbitrary: the figure is that of zeros without).
func TestBitsandbytes(t *testing.T) {
	for _, c := range []struct {
		f     *Float4
		codes uint32 // CRC-32
		mse   float64
	}{
		{NF4, 0x468d7de0, 0.013374552130699158}, {FP4, 0x9ffbe2a3, 0.01961253024637699},
	} {
		w := ramps()
		p, err := c.f.Quantize(w, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := crc32.ChecksumIEEE(p.Codes); got != c.codes {
			t.Errorf("%s: other codes: %#x", c.f.Name, got)
		}
		q := QuantizeDouble(p.Scales)
		if math.Abs(float64(q.Offset)-2.052842378616333) > 1e-6 {
			t.Errorf("offset %v", q.Offset)
		}
		if got := crc32.ChecksumIEEE(q.Codes); got != 0x5fcf55da {
			t.Errorf("other codes of scales: %#x, first % d", got, q.Codes[:6])
		}
		for i, want := range []float32{1.117811918258667, 1.124159574508667, 1.120985746383667} {
			if d := q.Scales[i] - want; d > 1e-6 || d < -1e-6 {
				t.Errorf("scale %d of scales is %v, want %v", i, q.Scales[i], want)
			}
		}
		p.Scales = q.Restore()
		back, err := c.f.Dequantize(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := MSE(w, back); math.Abs(got/c.mse-1) > 1e-4 {
			t.Errorf("%s: mean squared error %v, want %v", c.f.Name, got, c.mse)
		}
	}
}

func TestFloat4(t *testing.T) {
	// Every entry is its own nearest, first element in the high nibble.
	p, err := NF4.Quantize(NF4.values[:], 16)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}; !bytes.Equal(p.Codes, want) {
		t.Errorf("codes % x, want % x", p.Codes, want)
	}
	for _, f := range []*Float4{NF4, FP4} {
		w := append(benchWeight(201), 0, 1e-42, -1e-42)
		for i := range 64 {
			w[i+64] = 0
		}
		p, err = f.Quantize(w, NF4Block)
		if err != nil {
			t.Fatal(err)
		}
		back, err := f.Dequantize(p)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range w {
			scale := AbsMax(w[i/64*64 : min(i/64*64+64, len(w))])
			best := math.Inf(1)
			for _, c := range f.values {
				best = min(best, math.Abs(float64(c*scale-x)))
			}
			if got := math.Abs(float64(back[i] - x)); got > best*1.0001+1e-12 {
				t.Fatalf("%s: element %d: %g restored as %g, the nearest is %g off", f.Name, i, x, back[i], best)
			}
		}
	}
	if _, err := NF4.Quantize([]float32{float32(math.NaN())}, 64); err == nil {
		t.Error("NaN: no error")
	}
	if _, err := NF4.Quantize([]float32{1, 2}, 1); err == nil {
		t.Error("blocks of 1: no error")
	}
	p.Codes = p.Codes[1:]
	if _, err := NF4.Dequantize(p); err == nil {
		t.Error("short codes: no error")
	}
}

// TestNearest compares the table with a look at every number.
func TestNearest(t *testing.T) {
	for _, f := range []*Float4{NF4, FP4} {
		for i := -100000; i <= 100000; i++ {
			y := float32(i) / 100000
			got := math.Abs(float64(f.values[f.nearest(y)] - y))
			for _, v := range f.values {
				if d := math.Abs(float64(v - y)); d < got-1e-7 {
					t.Fatalf("%s: %v has code %d, %v off, %v is %v off", f.Name, y, f.nearest(y), got, v, d)
				}
			}
		}
	}
}

func BenchmarkNF4(b *testing.B) {
	w := ramps()
	b.SetBytes(int64(4 * len(w)))
	for b.Loop() {
		if _, err := NF4.Quantize(w, 64); err != nil {
			b.Fatal(err)
		}
	}
}
