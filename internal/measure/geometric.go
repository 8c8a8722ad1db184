package measure

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// confidence of all intervals.
const confidence = 0.95

// GeometricMean returns the geometric mean of positive values, times or ratios of
// times, with its 95 % confidence interval: Student's, of the logarithms' mean. Each
// value has to be independent of the others, the median of a process for example.
// Of one value the interval is 0 to +Inf, of none all are NaN.
func GeometricMean(v []float64) (mean, low, high float64) {
	switch len(v) {
	case 0:
		return math.NaN(), math.NaN(), math.NaN()
	case 1:
		return v[0], 0, math.Inf(1)
	}
	m, sd := stat.MeanStdDev(logarithms(v), nil)
	n := float64(len(v))
	half := quantileT(n-1) * sd / math.Sqrt(n)
	return math.Exp(m), math.Exp(m - half), math.Exp(m + half)
}

// GeometricRatio returns the ratio of the geometric means of a and b, which were
// measured apart, with its 95 % confidence interval: Welch's, of the logarithms
// (Welch 1947). Each set needs two values; else the interval is 0 to +Inf.
func GeometricRatio(a, b []float64) (ratio, low, high float64) {
	ma, va := stat.MeanVariance(logarithms(a), nil)
	mb, vb := stat.MeanVariance(logarithms(b), nil)
	ratio = math.Exp(ma - mb)
	if len(a) < 2 || len(b) < 2 {
		return ratio, 0, math.Inf(1)
	}
	va, vb = va/float64(len(a)), vb/float64(len(b))
	if va+vb == 0 {
		return ratio, ratio, ratio
	}
	freedom := (va + vb) * (va + vb) / (va*va/float64(len(a)-1) + vb*vb/float64(len(b)-1))
	half := quantileT(freedom) * math.Sqrt(va+vb)
	return ratio, math.Exp(ma - mb - half), math.Exp(ma - mb + half)
}

// quantileT is how many standard errors a two-sided interval reaches.
func quantileT(freedom float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: freedom}.Quantile((1 + confidence) / 2)
}

func logarithms(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = math.Log(x)
	}
	return out
}
