package decode

import (
	"slices"
	"time"

	"optim/internal/measure"
)

// series describes the sequences of a way; nil if there are none.
func (w *measured) series() *Series {
	if len(w.times) == 0 {
		return nil
	}
	var later []float64
	var sum time.Duration
	var byStep [][]float64
	count := 0
	for _, sequence := range w.times {
		for step, t := range sequence {
			if step == len(byStep) {
				byStep = append(byStep, nil)
			}
			ms := 1e3 * t.Seconds()
			byStep[step] = append(byStep[step], ms)
			if step > 0 {
				later = append(later, ms)
			}
			sum += t
			count++
		}
	}
	s := &Series{PerSecond: float64(count) / max(sum, 1).Seconds(), Repeats: w.repeats}
	for _, v := range byStep {
		s.Steps = append(s.Steps, measure.Median(v))
	}
	if s.TTFT = s.Steps[0]; len(later) > 0 {
		slices.Sort(later)
		s.TPOT, s.TPOTP99 = measure.Quantile(later, 0.5), measure.Quantile(later, 0.99)
	}
	if len(s.Steps) > 2 {
		growth := 1e3 * slope(s.Steps[1:])
		s.Growth = &growth
	}
	return s
}

// slope returns that of the least-squares line through v over 0, 1, 2, …
func slope(v []float64) float64 {
	mid := float64(len(v)-1) / 2
	sum, squares := 0.0, 0.0
	for i, y := range v {
		d := float64(i) - mid
		sum, squares = sum+d*y, squares+d*d
	}
	return sum / squares
}
