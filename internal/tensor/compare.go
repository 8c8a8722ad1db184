package tensor

import (
	"fmt"
	"math"
)

// reduceLen is the number of elements whose sums are taken in one go; fixed,
// so that results do not depend on the number of workers.
const reduceLen = 1 << 15

// reduce adds f over consecutive ranges of [0, n), computed in parallel, in
// their order.
func reduce(n int, f func(lo, hi int) [3]float64) (sum [3]float64) {
	parts := make([][3]float64, (n+reduceLen-1)/reduceLen)
	workers := 0
	if n < parallelLen {
		workers = 1
	}
	Parallel(len(parts), workers, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			parts[i] = f(i*reduceLen, min((i+1)*reduceLen, n))
		}
	})
	for _, p := range parts {
		for i := range sum {
			sum[i] += p[i]
		}
	}
	return sum
}

func sameLen(what string, a, b []float32) {
	if len(a) != len(b) {
		panic(fmt.Sprintf("tensor: %s of %d and %d elements", what, len(a), len(b)))
	}
}

// errorSums returns Σ(a-b)² and Σa².
func errorSums(a, b []float32) (noise, signal float64) {
	r := reduce(len(a), func(lo, hi int) [3]float64 {
		var n0, n1, s0, s1 float64
		x, y := a[lo:hi], b[lo:hi]
		for len(x) >= 2 && len(y) >= 2 {
			p, q := float64(x[0]), float64(x[1])
			d, e := p-float64(y[0]), q-float64(y[1])
			n0 += d * d
			n1 += e * e
			s0 += p * p
			s1 += q * q
			x, y = x[2:], y[2:]
		}
		if len(x) == 1 && len(y) == 1 {
			p := float64(x[0])
			d := p - float64(y[0])
			n0 += d * d
			s0 += p * p
		}
		return [3]float64{n0 + n1, s0 + s1}
	})
	return r[0], r[1]
}

// MSE returns the mean of (a-b)², 0 for no elements. It panics if the lengths
// differ, as SQNR and Cosine do; NaN in either gives NaN.
func MSE(a, b []float32) float64 {
	sameLen("MSE", a, b)
	if len(a) == 0 {
		return 0
	}
	noise, _ := errorSums(a, b)
	return noise / float64(len(a))
}

// SQNR returns the signal-to-quantization-noise ratio of b, an approximation
// of a, in decibels: 10·log10(Σa² / Σ(a-b)²). It is +Inf without noise.
func SQNR(a, b []float32) float64 {
	sameLen("SQNR", a, b)
	noise, signal := errorSums(a, b)
	if noise == 0 {
		return math.Inf(1)
	}
	return 10 * math.Log10(signal/noise)
}

// Cosine returns the cosine of the angle between a and b: 1 if both are zero,
// 0 if one is.
func Cosine(a, b []float32) float64 {
	sameLen("Cosine", a, b)
	r := reduce(len(a), func(lo, hi int) [3]float64 {
		var ab, aa, bb float64
		y := b[lo:hi]
		for i, x := range a[lo:hi] {
			p, q := float64(x), float64(y[i])
			ab += p * q
			aa += p * p
			bb += q * q
		}
		return [3]float64{ab, aa, bb}
	})
	if r[1] == 0 || r[2] == 0 {
		if r[1] == r[2] {
			return 1
		}
		return r[0] // 0, or NaN
	}
	// The square roots one by one: their product cannot overflow.
	return min(max(r[0]/(math.Sqrt(r[1])*math.Sqrt(r[2])), -1), 1)
}
