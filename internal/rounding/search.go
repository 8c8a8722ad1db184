package rounding

// fitter searches the scale and zero point of one block.
type fitter struct {
	Scheme
	lo, hi, middle int
	ones           []float32
}

func newFitter(s Scheme) *fitter {
	f := &fitter{Scheme: s, ones: make([]float32, s.Block)}
	f.lo, f.hi, f.middle = s.bounds()
	for i := range f.ones {
		f.ones[i] = 1
	}
	return f
}

// candidate is a scale and zero point; gain is what its best scale takes off
// the block's sum of squares.
type candidate struct {
	scale float32
	zero  int
	gain  float32
}

// shrinks is the grid of ranges, as shares of the extremes', that is searched.
var shrinks = func() (list []float32) {
	for i := range 24 {
		list = append(list, 1.08-0.025*float32(i))
	}
	return list
}()

// search tries ranges of other widths than the extremes', and zero points beside
// the one that follows. With the codes of a candidate fixed, the scale of least
// error has a closed form, Σ c·w·q / Σ c·q²; it replaces the candidate's own, and
// the error is what remains of Σ c·w² (llama.cpp's k-quants choose so, too).
func (f *fitter) search(w []float32, lo, hi, scale float32, zero int, c []float32) (float32, int) {
	if c == nil {
		c = f.ones[:len(w)]
	}
	best := f.try(w, c, scale, zero)
	consider := func(scale float32, zero int) {
		if got := f.try(w, c, scale, zero); got.gain > best.gain {
			best = got
		}
	}
	for _, share := range shrinks {
		consider(scale*share, zero)
		if f.Symmetric {
			consider(-scale*share, zero)
		}
	}
	if !f.Symmetric {
		for _, share := range []float32{0.96, 1, 1.04} { // zero points beside it, at scales near the best so far
			near := best.scale * share
			for _, z := range []int{zero - 1, zero + 1} {
				if z >= f.lo && z <= f.hi {
					consider(near, z)
				}
			}
		}
	}
	for range 2 { // codes for the better scale may be others, with a better scale again
		got := f.try(w, c, best.scale, best.zero)
		if !(got.gain > best.gain) {
			break
		}
		best = got
	}
	if f.exact(w, c, best.scale, best.zero) < f.exact(w, c, scale, zero) {
		return best.scale, best.zero
	}
	return scale, zero
}

// try returns the best scale for the codes that scale and zero give.
func (f *fitter) try(w, c []float32, scale float32, zero int) candidate {
	wq, qq := sums(w, c, 1/scale, float32(f.lo-zero), float32(f.hi-zero))
	if !(qq > 0) {
		return candidate{scale: scale, zero: zero}
	}
	s := wq / qq
	if !(s > leastScale || s < -leastScale) {
		return candidate{scale: scale, zero: zero}
	}
	return candidate{scale: s, zero: zero, gain: wq * s}
}

// sums returns Σ c·q·w and Σ c·q², where q is the integer from low to high that is nearest
// to w·inverse. Elements are added in eight lanes, with and without vectors.
func sums(w, c []float32, inverse, low, high float32) (float32, float32) {
	var wq, qq [8]float32
	for i := vectorSums(&wq, &qq, w, c, inverse, low, high); i < len(w); i++ {
		q := min(max(w[i]*inverse, low), high)
		q = (q + magic) - magic
		cq := c[i] * q
		wq[i%8] += float32(cq * w[i])
		qq[i%8] += float32(cq * q)
	}
	return lanes(&wq), lanes(&qq)
}

func lanes(v *[8]float32) float32 {
	return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))
}

// exact returns the error of the codes that a scale and zero point give.
func (f *fitter) exact(w, c []float32, scale float32, zero int) float64 {
	low, high := float32(f.lo-zero), float32(f.hi-zero)
	sum := 0.0
	for i, x := range w {
		q := min(max(x/scale, low), high)
		q = (q + magic) - magic
		d := float64(x - q*scale)
		sum += float64(c[i]) * d * d
	}
	return sum
}
