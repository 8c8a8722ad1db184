package eval

import (
	"math"
	"slices"
)

// Sums of exponentials over rows of logits: what perplexity and divergence are
// made of, and nearly all that scoring costs. They are in float64, with an error
// below 1e-11 of the sum.

// extent is what has to be known of a row of logits before it is summed.
type extent struct {
	top float32 // the greatest element, not NaN
	abs uint32  // the greatest of the bits without their sign
}

const (
	magnitude = math.MaxInt32 // all bits of a float32 but the sign
	bitsInf   = 0x7f800000    // those of an infinity; NaN is above
)

// nan reports whether the row has a NaN, finite whether it has neither NaN nor
// infinities.
func (e extent) nan() bool    { return e.abs > bitsInf }
func (e extent) finite() bool { return e.abs < bitsInf }

// extentOf returns the extent of a row.
func extentOf(v []float32) extent {
	n, e := vectorExtent(v)
	for _, x := range v[n:] {
		if x > e.top {
			e.top = x
		}
		e.abs = max(e.abs, math.Float32bits(x)&magnitude)
	}
	return e
}

// noExtent is that of an empty row.
var noExtent = extent{top: float32(math.Inf(-1))}

// index returns the first index of x in v, or -1.
func index(v []float32, x float32) int {
	n, at := vectorIndex(v, x)
	if at < 0 {
		if i := slices.Index(v[n:], x); i >= 0 {
			at = n + i
		}
	}
	return at
}

// sumExp returns Σ e^(v[i] − top), top being the greatest element and finite.
func sumExp(v []float32, top float32) float64 {
	n, a := vectorSumExp(v, top)
	v = v[n:]
	b, t := 0.0, float64(top)
	for len(v) >= 2 {
		a += exp(float64(v[0]) - t)
		b += exp(float64(v[1]) - t)
		v = v[2:]
	}
	if len(v) > 0 {
		a += exp(float64(v[0]) - t)
	}
	return a + b
}

// sumExpDiff returns the sum over x, to the bit as sumExp does, and Σ e^u (u − w)
// where u = x[i] − topX and w = y[i] − topY, from which the divergence of the two rows
// follows. All elements are finite.
func sumExpDiff(x, y []float32, topX, topY float32) (sum, diff float64) {
	n, a, diff := vectorSumExpDiff(x, y, topX, topY)
	x, y = x[n:], y[n:len(x)]
	b, tx, ty := 0.0, float64(topX), float64(topY)
	term := func(i int) float64 {
		u := float64(x[i]) - tx
		e := exp(u)
		diff += e * (u - (float64(y[i]) - ty))
		return e
	}
	for i := 0; i+1 < len(x); i += 2 {
		a += term(i)
		b += term(i + 1)
	}
	if len(x)%2 == 1 {
		a += term(len(x) - 1)
	}
	return a + b, diff
}

// The exponential of the portable loops: e^t = 2^(k/steps) · e^r, k an integer,
// so that |r| ≤ ln 2/(2·steps), and four terms of the series for e^r leave an
// error of 3e-12.
const (
	stepBits = 7
	steps    = 1 << stepBits
	// toInteger, added to a small number, leaves the nearest integer in its last
	// bits.
	toInteger = 3 << 51
	// leastExp is where e to something ends: some 1e-308.
	leastExp = -708
)

// powers[j] has the bits of 2^(j/steps), less those that j itself brings along
// when k is shifted into the exponent.
var powers = func() (t [steps]uint64) {
	for j := range t {
		t[j] = math.Float64bits(math.Exp2(float64(j)/steps)) - uint64(j)<<(52-stepBits)
	}
	return t
}()

// exp returns e^t for t ≤ 0, three times as fast as math.Exp.
func exp(t float64) float64 {
	if t < leastExp {
		t = leastExp
	}
	k := t*(steps*math.Log2E) + toInteger
	r := t - (k-toInteger)*(math.Ln2/steps)
	b := math.Float64bits(k)
	p := math.Float64frombits(powers[b%steps] + b<<(52-stepBits))
	return p + p*(r*(1+r*(1.0/2+r*(1.0/6))))
}
