package sequential

import (
	"optim/internal/quant"
	"optim/internal/rounding"
)

// awqRows is the number of rows of each weight that factors are judged by.
const awqRows = 512

// factors searches what divides the channels of a stage's input by AWQ: the
// factors of least output error of all products together, after rounding to
// nearest. nil: none is better than none by a fiftieth.
func (s *solver) factors(products []quant.Product, rows [][]float32, h *Hessian) ([]float32, error) {
	var best []float32
	var plain, least float64
	for i, f := range rounding.Factors(h.mean()) {
		sum := 0.0
		for p, all := range rows {
			k := products[p].K
			w := all[:min(len(all), awqRows*k)]
			restored, err := nearest(products[p].Scheme, w, f, h)
			if err != nil {
				return nil, err
			}
			sum += rounding.OutputError(w, restored, h.H, k, s.engine.matMul)
		}
		if i == 0 {
			plain, least = sum, sum
		} else if sum < least && sum < 0.98*plain {
			best, least = f, sum
		}
	}
	return best, nil
}

// nearest rounds rows with their columns multiplied by factors, and returns what
// the codes mean, divided again.
func nearest(scheme rounding.Scheme, w, factors []float32, h *Hessian) ([]float32, error) {
	scaled := rounding.Multiply(w, factors)
	scheme.Search = false
	g, err := fit(scheme, scaled, h.K, nil)
	if err != nil {
		return nil, err
	}
	codes := make([]byte, len(w))
	g.Round(codes, scaled)
	g.Restore(scaled, codes)
	divide(scaled, factors)
	return scaled, nil
}

// scaled is the Hessian of an input that is divided by factors.
func (h *Hessian) scaled(factors []float32) *Hessian {
	if factors == nil {
		return h
	}
	out := &Hessian{K: h.K, H: make([]float32, len(h.H)), Rows: h.Rows}
	for i := range h.K {
		for j := range h.K {
			out.H[i*h.K+j] = h.H[i*h.K+j] / (factors[i] * factors[j])
		}
	}
	return out
}

// nearestCodes rounds a weight to nearest on the grid of least weighted error.
func nearestCodes(p quant.Product, rows []float32, h *Hessian) (choice, error) {
	g, err := fit(p.Scheme, rows, p.K, h.diagonal())
	if err != nil {
		return choice{}, err
	}
	c := choice{grid: g, codes: make([]byte, len(rows))}
	g.Round(c.codes, rows)
	return c, nil
}
