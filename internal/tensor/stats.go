package tensor

import "math"

// MinMax returns the least and the greatest finite value of v, 0 and 0 if
// there is none. finite is false if v has a NaN or an infinity.
func MinMax(v []float32) (lo, hi float32, finite bool) {
	if len(v) == 0 {
		return 0, 0, true
	}
	kl, kh := keyRange(v)
	if finiteKeys(kl, kh) {
		return unkey(kl), unkey(kh), true
	}
	kl, kh = math.MaxInt32, math.MinInt32
	for _, x := range v {
		if k := key(x); finiteKeys(k, k) {
			kl, kh = min(kl, k), max(kh, k)
		}
	}
	if kl > kh {
		return 0, 0, false
	}
	return unkey(kl), unkey(kh), false
}

// FirstNonFinite returns the index of the first NaN or infinity in v, or -1.
func FirstNonFinite(v []float32) int {
	for lo := 0; lo < len(v); lo += blockLen {
		part := v[lo:min(lo+blockLen, len(v))]
		n, abs := vectorAbsMax(part)
		if abs >= keyPosInf {
			n = 0
		}
		for i, x := range part[n:] {
			if x-x != 0 {
				return lo + n + i
			}
		}
	}
	return -1
}

// HasSubnormal reports whether v has a number other than zero that is nearer to
// it than the least normal float32.
func HasSubnormal(v []float32) bool {
	for len(v) > 0 {
		part := v[:min(blockLen, len(v))]
		v = v[len(part):]
		n, least := vectorLeast(part)
		for _, x := range part[n:] {
			least = min(least, math.Float32bits(x)<<1-1)
		}
		if least < 1<<24-1 { // zeros wrapped around to the greatest
			return true
		}
	}
	return false
}

// AbsMax returns the greatest |v|: NaN if v has one, 0 if v is empty.
func AbsMax(v []float32) float32 {
	var b, c, d uint32
	n, a := vectorAbsMax(v)
	v = v[n:]
	for len(v) >= 4 {
		a = max(a, math.Float32bits(v[0])&0x7fffffff)
		b = max(b, math.Float32bits(v[1])&0x7fffffff)
		c = max(c, math.Float32bits(v[2])&0x7fffffff)
		d = max(d, math.Float32bits(v[3])&0x7fffffff)
		v = v[4:]
	}
	for _, x := range v {
		a = max(a, math.Float32bits(x)&0x7fffffff)
	}
	return math.Float32frombits(max(a, b, c, d))
}

// AbsMaxAxis returns the greatest |v| for each index along axis of a row-major
// tensor of shape s; a channel with a NaN has NaN, one without elements 0. A
// negative axis counts from the end. It panics if v does not have the shape s
// or the axis is outside it.
func AbsMaxAxis(v []float32, s Shape, axis int) []float32 {
	lo, hi := rangesAxis(v, s, axis)
	out := make([]float32, len(lo))
	for i := range out {
		out[i] = absOfKeys(lo[i], hi[i])
	}
	return out
}

// absOfKeys returns the greatest absolute value in a key range, NaN before all.
func absOfKeys(lo, hi int32) float32 {
	if lo > hi {
		return 0
	}
	a := math.Float32bits(unkey(lo)) & 0x7fffffff
	b := math.Float32bits(unkey(hi)) & 0x7fffffff
	return math.Float32frombits(max(a, b))
}

// MinMaxAxis is MinMax for each index along axis, with the arguments of
// AbsMaxAxis; a channel that holds a NaN or an infinity makes finite false and
// has it as one of its ends.
func MinMaxAxis(v []float32, s Shape, axis int) (lo, hi []float32, finite bool) {
	kl, kh := rangesAxis(v, s, axis)
	lo, hi, finite = make([]float32, len(kl)), make([]float32, len(kl)), true
	for i := range kl {
		if kl[i] > kh[i] {
			continue
		}
		lo[i], hi[i] = unkey(kl[i]), unkey(kh[i])
		finite = finite && finiteKeys(kl[i], kh[i])
	}
	return lo, hi, finite
}

func rangesAxis(v []float32, s Shape, axis int) (lo, hi []int32) {
	if axis < 0 {
		axis += len(s)
	}
	g, err := newGrid(s, axis, 0)
	if err != nil || axis < 0 || g.n != len(v) {
		panic("tensor: statistics along a wrong axis or shape")
	}
	return g.ranges(v)
}

// NormsAxis returns Σ|v| and √Σv² for each index along axis, with the
// arguments of AbsMaxAxis.
func NormsAxis(v []float32, s Shape, axis int) (l1, l2 []float64) {
	if axis < 0 {
		axis += len(s)
	}
	g, err := newGrid(s, axis, 0)
	if err != nil || axis < 0 || g.n != len(v) {
		panic("tensor: norms along a wrong axis or shape")
	}
	l1, l2 = make([]float64, g.params), make([]float64, g.params)
	for at := 0; at < g.n; {
		n, p, perElement := g.segment(at, g.n)
		if perElement {
			addColumns(l1[p:p+n], l2[p:p+n], v[at:at+n])
		} else {
			a, b := sums(v[at : at+n])
			l1[p] += a
			l2[p] += b
		}
		at += n
	}
	for i, x := range l2 {
		l2[i] = math.Sqrt(x)
	}
	return l1, l2
}

func addColumns(l1, l2 []float64, v []float32) {
	l1, l2 = l1[:len(v)], l2[:len(v)]
	for i, x := range v {
		f := float64(x)
		l1[i] += math.Abs(f)
		l2[i] += f * f
	}
}

// sums returns Σ|v| and Σv².
func sums(v []float32) (abs, square float64) {
	var a0, a1, s0, s1 float64
	for len(v) >= 2 {
		x, y := float64(v[0]), float64(v[1])
		a0 += math.Abs(x)
		a1 += math.Abs(y)
		s0 += x * x
		s1 += y * y
		v = v[2:]
	}
	for _, x := range v {
		a0 += math.Abs(float64(x))
		s0 += float64(x) * float64(x)
	}
	return a0 + a1, s0 + s1
}
