package calib

import (
	"math"
	"sync"
)

// lanes is the number of counters that a bin has. Activations come in runs of
// like values; with one counter each increment would wait for the one before.
const lanes = 4

// counters are small counters, lanes of them beside each other for each bin.
type counters struct {
	n       []uint32
	zeros   uint64
	bins    int
	pending int // values counted since the last flush
}

// pool holds idle counters: a model has hundreds of histograms, which need
// them one at a time.
var pool sync.Pool

// borrow returns empty counters.
func borrow(bins int) *counters {
	if c, ok := pool.Get().(*counters); ok && c.bins == bins {
		return c
	}
	return &counters{bins: bins, n: make([]uint32, 2*bins*lanes)}
}

// release gives counters back, which must have been flushed.
func release(c *counters) { pool.Put(c) }

// count counts v, whose magnitudes times inv lie below bins. Multiplying by a
// power of two and cutting off finds the bin without rounding; negative values
// move one down. Zeros land in the first positive bin: see flush.
func (c *counters) count(v []float32, inv float32) {
	var at [256]uint32
	for len(v) >= lanes {
		part := v[:min(len(at), len(v))]
		n, zeros := vectorPlace(at[:], part, inv, c.bins)
		if n == 0 {
			break
		}
		c.zeros += uint64(zeros)
		c.increment(at[:n])
		v = v[n:]
	}
	c.countEach(v, inv)
}

// increment adds one to the counters at.
func (c *counters) increment(at []uint32) {
	n := c.n
	for ; len(at) >= lanes; at = at[lanes:] {
		i := (*[lanes]uint32)(at)
		n[i[0]]++
		n[i[1]]++
		n[i[2]]++
		n[i[3]]++
	}
}

// countEach is count for one value after the other.
func (c *counters) countEach(v []float32, inv float32) {
	n, zero := c.n, lanes*c.bins
	var zeros uint64
	for ; len(v) >= lanes; v = v[lanes:] {
		x := (*[lanes]float32)(v)
		i, a := place(x[0], inv)
		n[zero+i]++
		j, b := place(x[1], inv)
		n[zero+j+1]++
		zeros += a + b
		i, a = place(x[2], inv)
		n[zero+i+2]++
		j, b = place(x[3], inv)
		n[zero+j+3]++
		zeros += a + b
	}
	for _, x := range v {
		i, z := place(x, inv)
		n[zero+i]++
		zeros += z
	}
	c.zeros += zeros
}

// place returns where the counters of x's bin begin, counted from zero's, and 1
// if x is a zero of either sign. It has no branch.
func place(x, inv float32) (at int, zero uint64) {
	u := math.Float32bits(x + 0) // -0 becomes 0
	return lanes * (int(int32(x*inv)) + int(int32(u)>>31)), (uint64(u) - 1) >> 63
}

// flush adds c to the histogram and empties it.
func (h *Histogram) flush(c *counters) {
	if c.pending == 0 {
		return
	}
	n := c.n
	for i := range h.counts {
		b := (*[lanes]uint32)(n)
		h.counts[i] += int64(b[0]) + int64(b[1]) + int64(b[2]) + int64(b[3])
		n = n[lanes:]
	}
	clear(c.n)
	h.counts[h.bins] -= int64(c.zeros)
	h.Zeros += int64(c.zeros)
	c.zeros, c.pending = 0, 0
}
