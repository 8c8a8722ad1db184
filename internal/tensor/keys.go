package tensor

import "math"

// Minima and maxima are taken on integer keys rather than on floats: the bits
// of a float, with the lower 31 flipped if negative, order as the values do.
// Comparisons become branch-free, and NaN and infinities end up at the ends,
// so that they need no test of their own.
const (
	keyPosInf = 0x7f800000
	keyNegInf = ^keyPosInf // as an int32: the flipped bits of -Inf
)

func key(x float32) int32 {
	b := int32(math.Float32bits(x))
	return b ^ int32(uint32(b>>31)>>1)
}

func unkey(k int32) float32 {
	return math.Float32frombits(uint32(k ^ int32(uint32(k>>31)>>1)))
}

// keyRange returns the least and greatest key of v, (MaxInt32, MinInt32) if v
// is empty.
func keyRange(v []float32) (lo, hi int32) {
	if len(v) == 0 {
		return math.MaxInt32, math.MinInt32
	}
	n, e := vectorExtremes(v)
	e.widen(v[n:])
	lo, hi = key(math.Float32frombits(e.neg)), e.pos
	if lo >= 0 || hi < 0 { // one sign: the value nearest to zero is missing
		near := key(math.Float32frombits(min(e.least, leastBits(v[n:]))))
		if hi < 0 {
			return lo, near
		}
		return near, hi
	}
	return lo, hi
}

// extremes are those of the bits of numbers, read as int32 (pos) and as uint32
// (neg, least). Where both signs occur no key is needed: pos is the greatest
// value's bits and neg the least value's. Where one does, least is the bits of
// the value nearest to zero.
type extremes struct {
	pos        int32
	neg, least uint32
}

var noExtremes = extremes{pos: math.MinInt32, neg: 0, least: math.MaxUint32}

// widen takes v into pos and neg. It leaves least alone, which is seldom needed:
// see leastBits.
func (e *extremes) widen(v []float32) {
	pos0, neg0 := e.pos, e.neg
	pos1, neg1 := pos0, neg0
	for ; len(v) >= 4; v = v[4:] {
		x := (*[4]float32)(v)
		a, b := math.Float32bits(x[0]), math.Float32bits(x[1])
		c, d := math.Float32bits(x[2]), math.Float32bits(x[3])
		pos0, neg0 = max(pos0, int32(a)), max(neg0, a)
		pos1, neg1 = max(pos1, int32(b)), max(neg1, b)
		pos0, neg0 = max(pos0, int32(c)), max(neg0, c)
		pos1, neg1 = max(pos1, int32(d)), max(neg1, d)
	}
	for _, x := range v {
		b := math.Float32bits(x)
		pos0, neg0 = max(pos0, int32(b)), max(neg0, b)
	}
	e.pos, e.neg = max(pos0, pos1), max(neg0, neg1)
}

// leastBits returns the least of the bits of v, read as uint32.
func leastBits(v []float32) uint32 {
	a, b := uint32(math.MaxUint32), uint32(math.MaxUint32)
	for ; len(v) >= 4; v = v[4:] {
		x := (*[4]float32)(v)
		a = min(a, math.Float32bits(x[0]), math.Float32bits(x[1]))
		b = min(b, math.Float32bits(x[2]), math.Float32bits(x[3]))
	}
	for _, x := range v {
		a = min(a, math.Float32bits(x))
	}
	return min(a, b)
}

// finiteKeys reports whether no NaN or infinity lies in a key range.
func finiteKeys(lo, hi int32) bool { return lo > keyNegInf && hi < keyPosInf }
