package rounding

import "math"

// The parameters of HQQ as its authors set them: rounds at most, the penalty
// beta and its growth, and the norm p.
const (
	hqqRounds = 20
	hqqBeta   = 10
	hqqKappa  = 1.01
	hqqNorm   = 0.7
)

// HQQ chooses the grid by half-quadratic quantization (Badri and Shaji, "Half-
// Quadratic Quantization of Large Machine Learning Models", 2023): with the
// scale of the extremes fixed, zero points and outliers e are fitted in turn, e
// by the proximal operator of the lp norm,
//
//	e = sign(d)·max(|d| − |d|^(p−1)/beta, 0) of d = w − restored,
//	zero = mean(q − (w − e)/scale).
//
// As the fast kernels take whole zero points only, they are rounded, and a block
// keeps what Fit gives it where that has the smaller error. Symmetric grids have
// no zero point to fit: HQQ is Fit then.
func (s Scheme) HQQ(w []float32, k int, importance []float32) (Grid, error) {
	g, err := s.Fit(w, k, importance)
	if err != nil || s.Symmetric {
		return g, err
	}
	f := newFitter(s)
	for r := range g.Rows {
		scales, zeros := g.row(r)
		for j := range scales {
			from, to := j*s.Block, min((j+1)*s.Block, k)
			f.improve(w[r*k+from:r*k+to], columnsOf(importance, from, to), &scales[j], &zeros[j])
		}
	}
	return g, nil
}

// improve replaces a block's grid by that of HQQ where it is better.
func (f *fitter) improve(w, c []float32, scale *float32, zero *uint8) {
	if c == nil {
		c = f.ones[:len(w)]
	}
	lo, hi := w[0], w[0]
	for _, x := range w {
		lo, hi = min(lo, x), max(hi, x)
	}
	s, z := f.plain(lo, hi)
	whole := int(math.RoundToEven(float64(f.halfQuadratic(w, s, float32(z)))))
	whole = min(max(whole, f.lo), f.hi)
	best := f.exact(w, c, *scale, int(*zero))
	for _, fitted := range []float32{s, f.try(w, c, s, whole).scale} {
		if got := f.exact(w, c, fitted, whole); got < best {
			best, *scale, *zero = got, fitted, uint8(whole)
		}
	}
}

// halfQuadratic returns the fitted zero point.
func (f *fitter) halfQuadratic(w []float32, scale, zero float32) float32 {
	inverse, beta := 1/scale, float64(hqqBeta)
	low, high := float32(f.lo), float32(f.hi)
	best := math.Inf(1)
	kept := zero
	for range hqqRounds {
		// Below this the power exceeds the difference, and nothing is left of it.
		cut := float32(math.Pow(beta, -1/(2-hqqNorm)))
		var sum, distance float64
		for _, x := range w {
			q := min(max((x*inverse+zero+magic)-magic, low), high)
			d := x - (q-zero)*scale
			a := max(d, -d)
			distance += float64(a)
			e := float32(0)
			if a > cut {
				e = float32(math.Copysign(float64(a)-math.Pow(float64(a), hqqNorm-1)/beta, float64(d)))
			}
			sum += float64(q - (x-e)*inverse)
		}
		if !(distance < best) {
			break
		}
		best, kept = distance, zero
		zero = float32(sum / float64(len(w)))
		beta *= hqqKappa
	}
	return kept
}
