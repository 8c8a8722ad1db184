package prune

import (
	"errors"
	"fmt"
	"sync"

	"optim/internal/tensor"
)

// errNotFinite says that magnitudes cannot be ordered.
var errNotFinite = errors.New("some of its elements are no finite numbers")

// histogram counts the elements of all matrices by what bin says of their magnitude.
func histogram(list []Matrix, bin func(b uint32) (int, bool), size int) ([]int64, error) {
	sum := make([]int64, size)
	for _, m := range list {
		value, err := m.Tensor.Value()
		if err != nil {
			return nil, err
		}
		v, err := value.Float32s()
		if err != nil {
			return nil, err
		}
		if !counts(sum, m.scores(v), bin) {
			return nil, fmt.Errorf("tensor %q: %w", m.Tensor.Name, errNotFinite)
		}
		m.Tensor.Release()
	}
	return sum, nil
}

// counts adds the elements of v to their bins, several ranges at once, and reports
// whether all are finite.
func counts(sum []int64, v []float32, bin func(b uint32) (int, bool)) bool {
	var mu sync.Mutex
	finite := true
	tensor.Parallel(len(v), 0, func(lo, hi int) {
		own := make([]int64, len(sum))
		good := true
		for _, x := range v[lo:hi] {
			b := magnitude(x)
			good = good && b < 0x7f800000
			if i, ok := bin(b); ok && good {
				own[i]++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		finite = finite && good
		for i, n := range own {
			sum[i] += n
		}
	})
	return finite
}

// reach returns the bin that holds the count-th element, and how many lie below it.
func reach(bins []int64, count int64) (bin int, below int64) {
	for i, n := range bins {
		if below+n >= count {
			return i, below
		}
		below += n
	}
	return len(bins) - 1, below
}
