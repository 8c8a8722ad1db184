package prune_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"optim/internal/prune"
)

// chain is a model of layers in a row, whose groups are the widths between them: the
// weights of a layer are the product of the widths beside it, which both groups save.
type chain struct {
	widths []float64
	value  []float64 // what a unit of a group counts
}

func (c chain) cost(keep []float64) float64 {
	sum, last := 0.0, 1.0
	for i, w := range c.widths {
		sum, last = sum+last*w*keep[i], w*keep[i]
	}
	return sum + last
}

func (c chain) groups() (groups [][]prune.Cut, full float64) {
	all := make([]float64, len(c.widths))
	for i := range all {
		all[i] = 1
	}
	full = c.cost(all)
	for i := range c.widths {
		var cuts []prune.Cut
		for _, r := range prune.Ratios {
			keep := append([]float64(nil), all...)
			keep[i] = 1 - r
			cuts = append(cuts, prune.Cut{Units: make([]int, int(r*c.widths[i])), Cost: c.cost(keep), Loss: c.value[i] * r * r})
		}
		groups = append(groups, cuts)
	}
	return groups, full
}

// TestFit keeps to budgets whose costs do not add up, and uses them.
func TestFit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for range 50 {
		var c chain
		for range 2 + r.IntN(8) {
			c.widths, c.value = append(c.widths, float64(8*(1+r.IntN(30)))), append(c.value, r.Float64())
		}
		groups, full := c.groups()
		var asked int
		real := func(chosen []int) (float64, error) {
			asked++
			keep := make([]float64, len(chosen))
			for i, k := range chosen {
				keep[i] = 1 - prune.Ratios[k]
			}
			return c.cost(keep), nil
		}
		for _, share := range []float64{0.9, 0.6, 0.3} {
			chosen, ok, err := prune.Fit(groups, full, share*full, real)
			if err != nil || !ok {
				t.Fatalf("%v at %g: ok %v, %v", c, share, ok, err)
			}
			cost, _ := real(chosen)
			if cost > share*full || cost < 0.6*share*full {
				t.Errorf("%v: %g of %g are used", c, cost, share*full)
			}
		}
		if asked > 3*14 {
			t.Errorf("%d models were made", asked)
		}
		chosen, ok, _ := prune.Fit(groups, full, 0, real)
		if ok || chosen[0] != len(prune.Ratios)-1 {
			t.Errorf("a budget of nothing gives %v, %v", chosen, ok)
		}
	}
}

// TestFitPrefers takes the group whose loss is least.
func TestFitPrefers(t *testing.T) {
	cuts := func(loss float64) []prune.Cut { return []prune.Cut{{Cost: 100}, {Cost: 60, Loss: loss}} }
	real := func(chosen []int) (float64, error) { return 100 - 40*float64(chosen[0]+chosen[1]), nil }
	chosen, ok, err := prune.Fit([][]prune.Cut{cuts(0.5), cuts(0.1)}, 100, 70, real)
	if err != nil || !ok || chosen[0] != 0 || chosen[1] != 1 {
		t.Errorf("%v, %v, %v", chosen, ok, err)
	}
	_, _, err = prune.Fit([][]prune.Cut{cuts(1)}, 100, 70, func([]int) (float64, error) { return math.NaN(), errors.New("broken") })
	if err == nil || err.Error() != "broken" {
		t.Errorf("the error is %v", err)
	}
}

// TestStraighten: noise of times goes, and more units save more.
func TestStraighten(t *testing.T) {
	cut := func(n int, cost float64) prune.Cut { return prune.Cut{Units: make([]int, n), Cost: cost} }
	cuts := []prune.Cut{cut(0, 1), cut(1, 0.99), cut(2, 1.01), cut(4, 0.9)}
	prune.Straighten(cuts)
	each := (1*0.01 - 2*0.01 + 4*0.1) / 21
	for i, n := range []float64{0, 1, 2, 4} {
		if want := 1 - each*n; math.Abs(cuts[i].Cost-want) > 1e-12 {
			t.Errorf("%v units: %v, not %v", n, cuts[i].Cost, want)
		}
	}
	slower := []prune.Cut{cut(0, 1), cut(1, 1.1), cut(2, 1.2)}
	prune.Straighten(slower)
	if !(slower[2].Cost < slower[1].Cost && slower[1].Cost < 1) || slower[2].Cost < 0.999 {
		t.Errorf("%v", slower)
	}
	prune.Straighten([]prune.Cut{cut(0, 1)})
}
