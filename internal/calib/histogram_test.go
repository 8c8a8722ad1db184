package calib

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// samples are distributions that calibration meets, and some that it should
// not.
func samples(n int) map[string][]float32 {
	r := rand.New(rand.NewPCG(11, 12))
	make1 := func(f func(i int) float64) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(f(i))
		}
		return v
	}
	return map[string][]float32{
		"normal":   make1(func(int) float64 { return r.NormFloat64() }),
		"relu":     make1(func(int) float64 { return max(0, r.NormFloat64()) }),
		"negative": make1(func(int) float64 { return -r.ExpFloat64() - 0.5 }),
		"outliers": make1(func(i int) float64 {
			if i%5000 == 17 {
				return 60 * r.NormFloat64()
			}
			return r.NormFloat64()
		}),
		"skewed":   make1(func(int) float64 { return math.Exp(r.NormFloat64()) - 0.3 }),
		"uniform":  make1(func(int) float64 { return r.Float64()*2 - 1 }),
		"constant": make1(func(int) float64 { return 5 }),
		"zeros":    make1(func(int) float64 { return 0 }),
		"signed zeros": make1(func(i int) float64 {
			return []float64{0, math.Copysign(0, -1), math.Copysign(0, -1), 1, -1e-9}[i%5]
		}),
		"tiny":    make1(func(int) float64 { return 1e-42 * r.NormFloat64() }),
		"huge":    make1(func(int) float64 { return 1e38 * (2*r.Float64() - 1) }),
		"growing": make1(func(i int) float64 { return math.Exp(float64(i)/float64(n)*20) * r.NormFloat64() }),
	}
}

func histogramOf(v []float32) *Histogram {
	h := New(0)
	h.Add(v)
	return h
}

// Bins, extremes and counts are those of a direct count, whatever the cuts
// between calls, and through Merge.
func TestAddAgainstDirectCount(t *testing.T) {
	for name, v := range samples(3*chunk + 4*DefaultBins + 5) {
		whole := histogramOf(v)
		checkCounts(t, name, whole, v)
		for _, cut := range []int{1, 7, chunk, 4*DefaultBins + 1} {
			parts, merged := New(0), New(0)
			for i := 0; i < len(v); i += cut {
				part := v[i:min(i+cut, len(v))]
				parts.Add(part)
				if cut > 7 {
					if err := merged.Merge(histogramOf(part)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !reflect.DeepEqual(parts, whole) {
				t.Errorf("%s: calls of %d values give another histogram", name, cut)
			}
			if cut > 7 && !reflect.DeepEqual(merged, whole) {
				t.Errorf("%s: merged histograms of %d values differ from one of all", name, cut)
			}
		}
	}
}

func checkCounts(t *testing.T, name string, h *Histogram, v []float32) {
	t.Helper()
	counts := make([]int64, len(h.counts))
	low, high := v[0], v[0]
	var zeros int64
	for _, x := range v {
		low, high = min(low, x), max(high, x)
		switch bin := int(math.Floor(math.Abs(float64(x)) / h.width())); {
		case x == 0:
			zeros++
		case x < 0:
			counts[h.bins-1-bin]++
		default:
			counts[h.bins+bin]++
		}
	}
	if h.Count != int64(len(v)) || h.Zeros != zeros || h.Min != low || h.Max != high {
		t.Errorf("%s: %d values, %d zeros, %g to %g; want %d, %d, %g, %g",
			name, h.Count, h.Zeros, h.Min, h.Max, len(v), zeros, low, high)
	}
	if !reflect.DeepEqual(h.counts, counts) {
		t.Errorf("%s: counts differ", name)
	}
	if a := float64(max(-low, high)); a > 0x1p-80 && (math.Ldexp(1, h.exp) <= a || math.Ldexp(1, h.exp) > 2*a) {
		t.Errorf("%s: reaches to 2^%d for values up to %g", name, h.exp, a)
	}
}

func TestNonFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	h := New(0)
	if h.Err() == nil {
		t.Error("empty histogram: no error")
	}
	h.Add([]float32{nan, nan})
	h.Add([]float32{1, nan, -inf, inf, -2, float32(math.Copysign(0, -1)), 0})
	if h.Count != 4 || h.Zeros != 2 || h.NaNs != 3 || h.Infs != 2 || h.Min != -2 || h.Max != 1 {
		t.Errorf("%+v", h)
	}
	if h.Err() == nil {
		t.Error("NaN: no error")
	}
	big := make([]float32, 20000)
	big[0], big[19999] = nan, -inf
	h = histogramOf(big)
	if h.Count != 19998 || h.Zeros != 19998 || h.NaNs != 1 || h.Infs != 1 {
		t.Errorf("%d values, %d zeros, %d NaN, %d infinite", h.Count, h.Zeros, h.NaNs, h.Infs)
	}
}

// Merge leaves its argument alone.
func TestMergeKeepsArgument(t *testing.T) {
	small, big := histogramOf([]float32{0.1, -0.2}), histogramOf([]float32{100})
	before, err := json.Marshal(small)
	if err != nil {
		t.Fatal(err)
	}
	if err := big.Merge(small); err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(small); string(after) != string(before) {
		t.Errorf("argument changed from %s to %s", before, after)
	}
	if big.Count != 3 || big.Min != -0.2 || big.Max != 100 {
		t.Errorf("merged: %+v", big)
	}
	if err := big.Merge(New(256)); err == nil {
		t.Error("other bins: no error")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, bins := range []int{-1, 1, 64, 100, 3000, 1 << 17} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%d) did not panic", bins)
				}
			}()
			New(bins)
		}()
	}
}

func TestJSON(t *testing.T) {
	for name, v := range samples(20000) {
		h := histogramOf(v)
		h.NaNs = 3
		b, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		back := New(256)
		if err := json.Unmarshal(b, back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(back, h) {
			t.Errorf("%s: came back different", name)
		}
	}
	empty, err := json.Marshal(New(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(empty, New(0)); err != nil {
		t.Errorf("empty: %v", err)
	}
}

func TestJSONRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"no object":   `[]`,
		"bins":        `{"bins":100,"exp":1,"counts":[]}`,
		"exponent":    `{"bins":128,"exp":500,"counts":[]}`,
		"first":       `{"bins":128,"exp":1,"first":-1,"counts":[1],"count":1}`,
		"many":        `{"bins":128,"exp":1,"first":256,"counts":[1],"count":1}`,
		"sum":         `{"bins":128,"exp":0,"min":0.5,"max":0.5,"first":192,"counts":[1],"count":2}`,
		"negative":    `{"bins":128,"exp":0,"min":0.5,"max":0.5,"first":192,"counts":[-1],"count":-1}`,
		"overflow":    `{"bins":128,"exp":0,"min":0.5,"max":0.5,"first":192,"counts":[9223372036854775807,1],"count":0}`,
		"range":       `{"bins":128,"exp":0,"min":0.5,"max":1.5,"first":192,"counts":[1],"count":1}`,
		"order":       `{"bins":128,"exp":0,"min":0.6,"max":0.5,"first":192,"counts":[1],"count":1}`,
		"ends":        `{"bins":128,"exp":0,"min":-0.5,"max":0.5,"first":192,"counts":[1],"count":1}`,
		"only zeros":  `{"bins":128,"exp":0,"min":0,"max":0.5,"zeros":1,"counts":[],"count":1}`,
		"empty range": `{"bins":128,"exp":0,"min":0,"max":0.5,"counts":[],"count":0}`,
	} {
		h := New(256)
		if err := json.Unmarshal([]byte(s), h); err == nil {
			t.Errorf("%s: no error", name)
		}
		if h.Bins() != 256 {
			t.Errorf("%s: changed by a failure", name)
		}
	}
}

// FuzzJSON: a cache may hold anything; what is accepted works and round-trips.
func FuzzJSON(f *testing.F) {
	for _, v := range samples(300) {
		b, err := json.Marshal(histogramOf(v))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"bins":128,"exp":0,"min":0.5,"max":0.5,"first":192,"counts":[1],"count":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := New(256)
		if json.Unmarshal(b, h) != nil {
			return
		}
		for _, r := range ranges(h) {
			if lo, hi := r.f(h); !(lo <= hi) || lo < h.Min || hi > h.Max {
				t.Fatalf("%s: %g to %g of %g to %g", r.name, lo, hi, h.Min, h.Max)
			}
		}
		out, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		back := New(256)
		if err := json.Unmarshal(out, back); err != nil || !reflect.DeepEqual(back, h) {
			t.Fatalf("%s came back as %s (%v)", b, out, err)
		}
	})
}
