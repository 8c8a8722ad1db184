package eval

import "math"

// Estimate is a figure with its standard error, which takes the values that it
// was made of for independent of each other.
type Estimate struct {
	Value  float64 `json:"value"`
	StdErr float64 `json:"stderr"`
}

// moments sum up values for their mean.
type moments struct {
	n           int
	sum, square float64
}

func (m *moments) add(x float64) {
	m.n++
	m.sum += x
	m.square += x * x
}

// mean returns the mean, with the standard error σ/√n; 0 for fewer than two values.
func (m *moments) mean() Estimate {
	n := float64(m.n)
	mean := m.sum / n
	if m.n < 2 {
		return Estimate{mean, 0}
	}
	// Rounding may leave the least bit below 0 where all values are equal.
	variance := math.Max(m.square/n-mean*mean, 0)
	return Estimate{mean, math.Sqrt(variance / (n - 1))}
}

// rootOf returns the root of an estimate, its error to first order.
func rootOf(e Estimate) Estimate {
	root := math.Sqrt(e.Value)
	if root == 0 {
		return Estimate{}
	}
	return Estimate{root, e.StdErr / (2 * root)}
}

// share returns a share with the standard error of a binomial one.
func share(k, n int) Estimate {
	p := float64(k) / float64(n)
	if n < 2 {
		return Estimate{p, 0}
	}
	return Estimate{p, math.Sqrt(p * (1 - p) / float64(n-1))}
}
