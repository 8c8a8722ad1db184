package rounding

import "math"

// awqSteps is the number of exponents that AWQ tries.
const awqSteps = 20

// Factors returns the scales of input channels that AWQ tries (Lin et al.,
// "AWQ: Activation-aware Weight Quantization", 2023): with a the mean magnitudes
// of the channels and r from 0 to 0.95
//
//	s = max(a^r, 1e-4) / √(max s · min s).
//
// The weight's channels are multiplied by them and the activation's divided, so
// that channels with great inputs are rounded more finely. The first are all 1.
func Factors(mean []float32) [][]float32 {
	var out [][]float32
	for step := range awqSteps {
		r := float64(step) / awqSteps
		s := make([]float32, len(mean))
		lo, hi := float32(math.Inf(1)), float32(0)
		for j, a := range mean {
			s[j] = float32(math.Max(math.Pow(float64(a), r), 1e-4))
			lo, hi = min(lo, s[j]), max(hi, s[j])
		}
		norm := float32(math.Sqrt(float64(lo) * float64(hi)))
		for j := range s {
			s[j] /= norm
		}
		out = append(out, s)
	}
	return out
}

// Multiply returns w, rows of len(factors) columns, with its columns multiplied.
func Multiply(w, factors []float32) []float32 {
	out := make([]float32, len(w))
	k := len(factors)
	for i := 0; i < len(w); i += k {
		for j, f := range factors {
			out[i+j] = w[i+j] * f
		}
	}
	return out
}

// OutputError is tr(D·H·Dᵀ) for D = restored − w, the squared error of a layer's
// outputs over the inputs of H, [k, k]: rows is the number of rows of w, and mm
// adds a product.
func OutputError(w, restored, h []float32, k int, mm MatMul) float64 {
	d := make([]float32, len(w))
	for i, x := range w {
		d[i] = restored[i] - x
	}
	dh := make([]float32, len(w))
	mm(dh, k, d, h, len(w)/k, k, k, false, 1)
	sum := 0.0
	for i, x := range d {
		sum += float64(x) * float64(dh[i])
	}
	return sum
}
