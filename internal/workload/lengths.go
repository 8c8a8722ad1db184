package workload

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Lengths is a distribution of the lengths of texts, in ids: one of several
// ranges by their weight, and in it every length alike.
type Lengths []Range

// Range holds the lengths from Low to High.
type Range struct {
	Low, High int
	Weight    float64
}

// maxLength is above any context.
const maxLength = 1 << 22

// ParseLengths reads a list of lengths and ranges, each with a weight if it is
// not 1: "128", "16-128", "16-64:3,128:1".
func ParseLengths(text string) (Lengths, error) {
	var out Lengths
	for part := range strings.SplitSeq(text, ",") {
		r, err := parseRange(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func parseRange(text string) (Range, error) {
	text, weight, weighted := strings.Cut(text, ":")
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	r := Range{Weight: 1}
	var err1, err2, err3 error
	r.Low, err1 = strconv.Atoi(low)
	r.High, err2 = strconv.Atoi(high)
	if weighted {
		r.Weight, err3 = strconv.ParseFloat(weight, 64)
	}
	switch {
	case errors.Join(err1, err2, err3) != nil:
		return r, errors.New("want a length, or LOW-HIGH, and :WEIGHT where it is not 1")
	case r.Low < 1 || r.High < r.Low || r.High > maxLength:
		return r, fmt.Errorf("a range of lengths goes from 1 up to %d", maxLength)
	case !(r.Weight > 0 && r.Weight <= 1e9):
		return r, errors.New("a weight is above 0")
	}
	return r, nil
}

// Max returns the greatest length, 0 of none.
func (l Lengths) Max() int {
	most := 0
	for _, r := range l {
		most = max(most, r.High)
	}
	return most
}

// draw returns a length.
func (l Lengths) draw(rng *rand.Rand) int {
	total := 0.0
	for _, r := range l {
		total += r.Weight
	}
	at := rng.Float64() * total
	for _, r := range l {
		if at -= r.Weight; at < 0 {
			return r.Low + rng.IntN(r.High-r.Low+1)
		}
	}
	return l[len(l)-1].High // rounding
}
