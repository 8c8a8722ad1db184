package calib

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/tensor"
)

type method struct {
	name string
	f    func(h *Histogram) (lo, hi float32)
}

// ranges lists every way to choose a range.
func ranges(h *Histogram) []method {
	return []method{
		{"min-max", (*Histogram).MinMax},
		{"percentile", func(h *Histogram) (float32, float32) { return h.Percentile(99) }},
		{"percentile 0", func(h *Histogram) (float32, float32) { return h.Percentile(0) }},
		{"percentile 100", func(h *Histogram) (float32, float32) { return h.Percentile(100) }},
		{"percentile of magnitudes", func(h *Histogram) (float32, float32) { return h.PercentileAbs(99) }},
		{"entropy", (*Histogram).Entropy},
		{"entropy, 8 levels", func(h *Histogram) (float32, float32) { return h.EntropyLevels(8) }},
		{"mse", func(h *Histogram) (float32, float32) { return h.MSE(tensor.Int8, 0, 0, true) }},
		{"mse, asymmetric", func(h *Histogram) (float32, float32) { return h.MSE(tensor.Uint4, 0, 0, false) }},
	}
}

// Whatever goes in, a range lies inside the extremes and suits ChooseAffine.
func TestRangesAreUsable(t *testing.T) {
	all := samples(20000)
	all["empty"] = nil
	all["one"] = []float32{-3}
	all["two far apart"] = []float32{1e-30, 1e30}
	for name, v := range all {
		h := histogramOf(v)
		for _, m := range ranges(h) {
			lo, hi := m.f(h)
			if !(lo <= hi) || lo < h.Min || hi > h.Max {
				t.Errorf("%s, %s: %g to %g of %g to %g", name, m.name, lo, hi, h.Min, h.Max)
			}
			scale, zero := tensor.ChooseAffine(lo, hi, tensor.Uint8, 0, 0, false)
			if scale <= 0 || zero < 0 {
				t.Errorf("%s, %s: scale %g, zero point %d", name, m.name, scale, zero)
			}
			if name == "zeros" || name == "empty" {
				if lo != 0 || hi != 0 {
					t.Errorf("%s, %s: %g to %g", name, m.name, lo, hi)
				}
			} else if lo == 0 && hi == 0 {
				t.Errorf("%s, %s: keeps only zeros", name, m.name)
			}
		}
	}
}

// Percentiles are those of the sorted values, to within a bin.
func TestPercentile(t *testing.T) {
	for name, v := range samples(40000) {
		if name == "tiny" {
			continue // below the resolution, all in one bin
		}
		h := histogramOf(v)
		sorted := slices.Clone(v)
		slices.Sort(sorted)
		abs := make([]float32, len(v))
		for i, x := range v {
			abs[i] = float32(math.Abs(float64(x)))
		}
		slices.Sort(abs)
		at := func(s []float32, share float64) float64 {
			i := int(math.Round(share * float64(len(s))))
			return float64(s[min(max(i-1, 0), len(s)-1)])
		}
		for _, p := range []float64{90, 99, 99.9, 100} {
			drop := (1 - p/100) / 2
			if h.Min >= 0 || h.Max <= 0 {
				drop *= 2
			}
			wantLo, wantHi := at(sorted, drop), at(sorted, 1-drop)
			if h.Min >= 0 {
				wantLo = float64(h.Min)
			}
			if h.Max <= 0 {
				wantHi = float64(h.Max)
			}
			lo, hi := h.Percentile(p)
			if !within(lo, wantLo, h) || !within(hi, wantHi, h) {
				t.Errorf("%s, %g %%: %g to %g, want %g to %g", name, p, lo, hi, wantLo, wantHi)
			}
			w := at(abs, p/100)
			lo, hi = h.PercentileAbs(p)
			if !within(hi, min(w, float64(h.Max)), h) || !within(lo, max(-w, float64(h.Min)), h) {
				t.Errorf("%s, %g %% of magnitudes: %g to %g, want %g", name, p, lo, hi, w)
			}
		}
	}
}

// within allows a bin, and the gap to the next value where they are few.
func within(got float32, want float64, h *Histogram) bool {
	return math.Abs(float64(got)-want) <= 1.5*h.width()+0.01*math.Abs(want)
}

// A million zeros and three values: no percentile may keep the zeros alone.
func TestPercentileOfSparse(t *testing.T) {
	v := make([]float32, 1000000)
	v[7], v[77], v[777] = 3, 4, 5
	if lo, hi := histogramOf(v).Percentile(DefaultPercentile); lo != 0 || hi != 5 {
		t.Errorf("%g to %g, want 0 to 5", lo, hi)
	}
}

// The divergence is that of the distributions written out in full.
func TestEntropyAgainstBruteForce(t *testing.T) {
	for name, v := range samples(30000) {
		h := histogramOf(v)
		top := h.bins
		for top > 0 && h.magnitude(top-1) == 0 {
			top--
		}
		for _, levels := range []int{128, 8} {
			if top <= levels {
				continue
			}
			e := newEntropy(h, top, levels)
			least, best := math.Inf(1), 0
			for i := levels; i <= top; i++ {
				got := e.divergence(i)
				if got < least {
					least, best = got, i
				}
				if i%53 != 0 && i != top && i != levels {
					continue
				}
				if want := bruteDivergence(h, top, i, levels); got != want && math.Abs(got-want) > 1e-9 {
					t.Fatalf("%s, %d levels, %d bins: %g, want %g", name, levels, i, got, want)
				}
			}
			t64 := float64(best) * h.width()
			_, hi := h.EntropyLevels(levels)
			if want := min(float32(t64), h.Max); h.Max > 0 && hi != max(want, h.Min) {
				t.Errorf("%s, %d levels: up to %g, want %g", name, levels, hi, want)
			}
		}
	}
}

func bruteDivergence(h *Histogram, top, n, levels int) float64 {
	p, q := make([]float64, n), make([]float64, n)
	var total, totalQ float64
	for i := range top {
		p[min(i, n-1)] += float64(h.magnitude(i))
		total += float64(h.magnitude(i))
	}
	for k := range levels {
		var sum, full float64
		for i := k * n / levels; i < (k+1)*n/levels; i++ {
			if c := h.magnitude(i); c > 0 {
				sum, full = sum+float64(c), full+1
			}
		}
		for i := k * n / levels; i < (k+1)*n/levels; i++ {
			if h.magnitude(i) > 0 {
				q[i] = sum / full
			}
			totalQ += q[i]
		}
	}
	if totalQ == 0 {
		return math.Inf(1)
	}
	if q[n-1] == 0 && p[n-1] > 0 {
		q[n-1] = entropyEps
		totalQ += entropyEps
	}
	d := 0.0
	for i := range p {
		if p[i] > 0 {
			d += p[i] / total * math.Log(p[i]/total/(q[i]/totalQ))
		}
	}
	return d
}

// Rare outliers are cut off, and a range without tails is kept.
func TestEntropyCutsOutliers(t *testing.T) {
	all := samples(100000)
	h := histogramOf(all["outliers"])
	if _, hi := h.Entropy(); hi > h.Max/3 || hi < 2 {
		t.Errorf("outliers up to %g: cut at %g", h.Max, hi)
	}
	h = histogramOf(all["uniform"])
	if lo, hi := h.Entropy(); hi < 0.95 || lo > -0.95 {
		t.Errorf("uniform on -1 to 1: cut at %g to %g", lo, hi)
	}
}

// codecs are the further arguments of MSE and ChooseAffine.
var codecs = []struct {
	d         tensor.DType
	lo, hi    int64
	symmetric bool
}{
	{tensor.Int8, 0, 0, true}, {tensor.Uint8, 0, 0, false}, {tensor.Int8, -64, 63, true},
	{tensor.Int4, 0, 0, true}, {tensor.Uint4, 0, 0, false}, {tensor.Uint16, 0, 0, false},
}

// sampleNoise is the squared error on the values themselves.
func sampleNoise(t *testing.T, v []float32, scale float32, zero int32, d tensor.DType, lo, hi int64) float64 {
	t.Helper()
	s := tensor.Shape{int64(len(v))}
	a := tensor.Affine{DType: d, Lo: lo, Hi: hi, Scale: []float32{scale}, Zero: []int32{zero}, Axis: -1}
	size, _ := s.Bytes(d)
	q, back := make([]byte, size), make([]float32, len(v))
	if err := a.Quantize(q, v, s); err != nil {
		t.Fatal(err)
	}
	if err := a.Dequantize(back, q, s); err != nil {
		t.Fatal(err)
	}
	return tensor.MSE(v, back)
}

// The expected error is that of the samples, for good and for poor ranges.
func TestNoiseAgainstSamples(t *testing.T) {
	all := samples(60000)
	for _, name := range []string{"normal", "relu", "negative", "outliers", "skewed", "uniform", "constant"} {
		v := all[name]
		h := histogramOf(v)
		for _, c := range codecs {
			lo, hi, _, err := tensor.Scheme{DType: c.d, Lo: c.lo, Hi: c.hi, Symmetric: c.symmetric}.Bounds()
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range []float32{1, 0.6, 0.2, 0.01} {
				scale, zero := tensor.ChooseAffine(h.Min*k, h.Max*k, c.d, c.lo, c.hi, c.symmetric)
				got := h.Noise(scale, zero, lo, hi)
				want := sampleNoise(t, v, scale, zero, c.d, lo, hi)
				floor := 1e-9 * h.Signal() // float32's own rounding
				if math.Abs(got-want) > 0.04*want+floor {
					t.Errorf("%s, %s, shrunk to %g: expected error %g, samples %g", name, c.d, k, got, want)
				}
				signal := 0.0
				for _, x := range v {
					signal += float64(x) * float64(x)
				}
				signal /= float64(len(v))
				if math.Abs(h.Signal()-signal) > 0.01*signal {
					t.Errorf("%s: signal %g, samples %g", name, h.Signal(), signal)
				}
				if want > floor*100 {
					db := 10 * math.Log10(signal/want)
					if sqnr := h.SQNR(scale, zero, lo, hi); math.Abs(sqnr-db) > 0.25 {
						t.Errorf("%s, %s, shrunk to %g: %g dB, samples %g dB", name, c.d, k, sqnr, db)
					}
				}
			}
		}
	}
	if s := histogramOf(all["zeros"]).SQNR(1, 0, -127, 127); !math.IsInf(s, 1) {
		t.Errorf("zeros: %g dB", s)
	}
}

// The chosen range is about as good as the best of many random ones.
func TestMSEAgainstRandomSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for name, v := range samples(4000) {
		if name == "tiny" || name == "zeros" {
			continue
		}
		h := histogramOf(v)
		for _, c := range codecs {
			low, high := h.MSE(c.d, c.lo, c.hi, c.symmetric)
			lo, hi, _, err := tensor.Scheme{DType: c.d, Lo: c.lo, Hi: c.hi, Symmetric: c.symmetric}.Bounds()
			if err != nil {
				t.Fatal(err)
			}
			noise := func(low, high float32) float64 {
				scale, zero := tensor.ChooseAffine(low, high, c.d, c.lo, c.hi, c.symmetric)
				return sampleNoise(t, v, scale, zero, c.d, lo, hi)
			}
			got := noise(low, high)
			if full := noise(h.Min, h.Max); got > full*1.01+1e-9*h.Signal() {
				t.Errorf("%s, %s: error %g, with the extremes %g", name, c.d, got, full)
			}
			best := math.Inf(1)
			for range 40 {
				k, l := float32(math.Exp2(-6*r.Float64())), float32(math.Exp2(-6*r.Float64()))
				if h.Min >= 0 || h.Max <= 0 || c.symmetric {
					l = k
				}
				best = min(best, noise(h.Min*k, h.Max*l))
			}
			if got > best*1.05+1e-9*h.Signal() {
				t.Errorf("%s, %s: error %g, random search found %g", name, c.d, got, best)
			}
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	all := samples(1 << 20)
	for _, name := range []string{"normal", "relu", "zeros", "constant"} {
		for _, n := range []int{1000, 1 << 20} {
			v := all[name][:n]
			b.Run(name+"/"+map[bool]string{true: "large", false: "small"}[n > 1000], func(b *testing.B) {
				b.SetBytes(int64(4 * n))
				h := New(0)
				for b.Loop() {
					h.Add(v)
				}
			})
		}
	}
}

func BenchmarkRanges(b *testing.B) {
	h := histogramOf(samples(1 << 18)["outliers"])
	for _, m := range ranges(h) {
		b.Run(m.name, func(b *testing.B) {
			for b.Loop() {
				m.f(h)
			}
		})
	}
}
