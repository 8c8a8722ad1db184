package server

import "math"

const (
	// precision is how close the highest rate that held and the lowest that failed
	// have to be.
	precision = 1.03
	// maxProbes bounds a search.
	maxProbes = 20
	// lowest is the share of the first rate below which nothing is tried: requests
	// hardly meet there, so that a lower rate would not be faster.
	lowest = 0.01
)

// search finds the highest rate that try says holds, by bisection of the
// logarithm. It begins with start, and goes up or down in growing steps until it
// has a rate that holds and one that does not. 0: none holds.
func search(start float64, try func(rate float64) (held bool, err error)) (float64, error) {
	low, high := 0.0, math.Inf(1)
	rate, step := start, 1.25
	for range maxProbes {
		held, err := try(rate)
		if err != nil {
			return low, err
		}
		if held {
			low = rate
		} else {
			high = rate
		}
		switch {
		case math.IsInf(high, 1):
			rate, step = rate*step, min(step*step, 2)
		case low == 0 && high <= start*lowest:
			return 0, nil
		case low == 0:
			rate, step = max(rate/step, start*lowest), step*step
		case high <= low*precision:
			return low, nil
		default:
			rate = math.Sqrt(low * high)
		}
	}
	return low, nil
}

// settle lowers a rate, in growing steps that begin with the precision of the
// search, until try says that it holds. 0: it does not, down to the lowest share.
func settle(rate float64, try func(rate float64) (held bool, err error)) (float64, error) {
	for end, step := rate*lowest, precision; rate > end; rate, step = rate/step, step*step {
		held, err := try(rate)
		if err != nil || held {
			return rate, err
		}
	}
	return 0, nil
}
