package tensor

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func benchWeight(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(r.NormFloat64()) * 0.02
	}
	return w
}

// BenchmarkAffine reports bytes of float32 input a second, on as many cores as
// GOMAXPROCS (-cpu) allows.
func BenchmarkAffine(b *testing.B) {
	s := Shape{768, 8192}
	w := benchWeight(768 * 8192)
	for _, c := range []Scheme{
		{DType: Int8, Symmetric: true, Axis: -1},
		{DType: Int8, Symmetric: true, Axis: 0},
		{DType: Int8, Symmetric: true, Axis: 1},
		{DType: Uint8, Axis: 1},
		{DType: Uint4, Axis: 1, Block: 32},
		{DType: Int4, Symmetric: true, Axis: 0, Block: 32},
		{DType: Int16, Symmetric: true, Axis: 0},
	} {
		name := fmt.Sprintf("%s/axis%d/block%d", c.DType, c.Axis, c.Block)
		a, err := c.Fit(w, s)
		if err != nil {
			b.Fatal(err)
		}
		size, _ := s.Bytes(c.DType)
		q, back := make([]byte, size), make([]float32, len(w))
		run := func(what string, f func() error) {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(4 * len(w)))
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("fit", func() error { _, err := c.Fit(w, s); return err })
		run("quantize", func() error { return a.Quantize(q, w, s) })
		run("dequantize", func() error { return a.Dequantize(back, q, s) })
	}
}

func BenchmarkStatistics(b *testing.B) {
	w := benchWeight(1 << 20)
	v := benchWeight(1 << 20)
	sink := 0.0
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"MinMax", func() { lo, _, _ := MinMax(w); sink += float64(lo) }},
		{"AbsMax", func() { sink += float64(AbsMax(w)) }},
		{"MSE", func() { sink += MSE(w, v) }},
		{"Cosine", func() { sink += Cosine(w, v) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(4 << 20)
			for b.Loop() {
				c.f()
			}
		})
	}
}

func BenchmarkConvert(b *testing.B) {
	w := Of(Float32, Shape{1 << 20}, benchWeight(1<<20))
	for _, d := range []DType{Float16, BFloat16, F8E4M3FN, Int8} {
		h, err := Convert(w, d)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]float32, 1<<20)
		b.Run("to/"+d.String(), func(b *testing.B) {
			b.SetBytes(4 << 20)
			for b.Loop() {
				if _, err := Convert(w, d); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("from/"+d.String(), func(b *testing.B) {
			b.SetBytes(4 << 20)
			for b.Loop() {
				if err := ToFloat32(dst, h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
