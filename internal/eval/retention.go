package eval

import (
	"fmt"
	"math"

	"optim/internal/dataset"
)

// Retention returns how much of the quality was kept, 1 for all of it:
// after/before where higher is better (accuracy, f1, spearman), before/after
// for perplexity, and the value itself (after) for cosine and agreement. It can
// be above 1. mse has no retention, and neither has a source whose quality is
// not above 0: these are errors, the latter a data error.
func Retention(metric string, before, after float64) (float64, error) {
	if math.IsNaN(before+after) || math.IsInf(before, 0) || math.IsInf(after, 0) {
		return 0, fmt.Errorf("metric %s: no retention of %g to %g", metric, before, after)
	}
	switch metric {
	case Cosine, Agreement:
		return after, nil
	case Accuracy, F1, Spearman:
		if before <= 0 {
			return 0, &dataset.Error{File: "quality", Err: fmt.Errorf("%s of the source is %g: there is nothing to retain", metric, before)}
		}
		return after / before, nil
	case Perplexity:
		if before <= 0 || after <= 0 {
			return 0, fmt.Errorf("metric %s: no retention of %g to %g", metric, before, after)
		}
		return before / after, nil
	}
	return 0, fmt.Errorf("metric %s has no retention", metric)
}
