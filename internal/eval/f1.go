package eval

// f1 computes F1 of resamples: labels and decisions by index into the classes that
// occur, so that a resample needs no search.
type f1 struct {
	labels, said []int32
	classes      int
	positive     int32 // index of the class that counts alone; -1: none does
}

// newF1 prepares labels and decisions of a model. With two classes, F1 is that of
// class 1; else the plain mean over all classes that occur among labels or
// decisions (macro F1).
func newF1(c *classes) *f1 {
	f := &f1{positive: -1}
	indices := map[int64]int32{}
	of := func(class int64) int32 {
		i, ok := indices[class]
		if !ok {
			i = int32(len(indices))
			indices[class] = i
		}
		return i
	}
	for i := range c.labels {
		f.labels, f.said = append(f.labels, of(c.labels[i])), append(f.said, of(c.said[i]))
	}
	if c.n == 2 {
		f.positive = of(1)
	}
	f.classes = len(indices)
	return f
}

// value returns F1 of the samples drawn; without counts, of all.
func (f *f1) value(counts []int32) float64 {
	hits, decided, actual := make([]float64, f.classes), make([]float64, f.classes), make([]float64, f.classes)
	for i, label := range f.labels {
		w, said := weight(counts, i), f.said[i]
		decided[said] += w
		actual[label] += w
		if said == label {
			hits[said] += w
		}
	}
	sum, occur := 0.0, 0.0
	for k := range hits {
		if f.positive >= 0 && int32(k) != f.positive {
			continue
		}
		// 2·hits/(decided + actual); a class that does not occur is left out.
		if n := decided[k] + actual[k]; n > 0 {
			sum += 2 * hits[k] / n
			occur++
		}
	}
	if f.positive >= 0 {
		return sum
	}
	return sum / occur
}
