package eval

import "math"

// McNemar is McNemar's exact test of two classifiers on the same samples: whether
// those that only one of the two decides rightly are spread over both as chance
// would.
type McNemar struct {
	Lost   int     `json:"lost"`    // right in the reference, wrong in the model
	Gained int     `json:"gained"`  // wrong in the reference, right in the model
	P      float64 `json:"p_value"` // of so uneven a split, two-sided, if both were equally good
}

// newMcNemar makes the test of the discordant pairs.
func newMcNemar(lost, gained int) *McNemar {
	return &McNemar{lost, gained, signTest(min(lost, gained), lost+gained)}
}

// signTest returns the two-sided probability of at most few or at least n − few
// heads among n tosses of a coin: 2·Σ_{i ≤ few} C(n, i)/2ⁿ, at most 1.
func signTest(few, n int) float64 {
	// The terms from the greatest down: each is a fraction of the one before.
	log := func(k int) float64 { l, _ := math.Lgamma(float64(k) + 1); return l }
	term := math.Exp(log(n) - log(few) - log(n-few) - float64(n)*math.Ln2)
	sum := 0.0
	for i := few; i >= 0 && term > sum*1e-17; i-- {
		sum += term
		term *= float64(i) / float64(n-i+1)
	}
	return min(2*sum, 1)
}
