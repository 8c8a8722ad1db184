package gate

import (
	"fmt"
	"math"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// strange is the cosine of an output below which a result is suspect.
const strange = 0.95

// judge compares the outputs of the two runs: shapes, NaN and infinities that
// the source has not, and how much the values differ.
func (r *run) judge(before, after outcome) error {
	least, of := math.Inf(1), ""
	for _, info := range before.outputs {
		a, b := before.values[info.Name], after.values[info.Name]
		equal, err := sameShape(info, a, b)
		if err != nil {
			return blameResult(err)
		}
		if !info.DType.IsFloat() {
			if !equal {
				r.warnf("output %q has shape %s, the source's %s: its size depends on the data", info.Name, b.Shape, a.Shape)
			}
			continue
		}
		x, y, err := floats(a, b)
		if err != nil {
			return fmt.Errorf("output %q: %w", info.Name, err)
		}
		if !equal {
			r.warnf("output %q has shape %s, the source's %s: its size depends on the data", info.Name, b.Shape, a.Shape)
			if at := firstBroken(y); at >= 0 && firstBroken(x) < 0 {
				return blameResult(fmt.Errorf("output %q is %v at element %d, where the source has none such", info.Name, y[at], at))
			}
			continue
		}
		cos, broken := difference(x, y)
		if broken >= 0 {
			return blameResult(fmt.Errorf("output %q is %v at element %d, where the source has %v", info.Name, y[broken], broken, x[broken]))
		}
		if cos < least {
			least, of = cos, info.Name
		}
	}
	if of == "" {
		return nil
	}
	r.verdict.Cosine = &least
	if least < strange {
		unknown := ""
		if r.Eval.Source == "" {
			unknown = "; what that costs only --eval tells"
		}
		r.warnf("output %q differs much from the source's: cosine %.3f on %s%s", of, least, r.inputs.From, unknown)
	}
	return nil
}

// sameShape reports whether two values have one shape. Sizes that depend on the
// data, how many boxes a detector finds for instance, may differ; that is where
// the model declares no size.
func sameShape(info ort.Info, a, b tensor.Tensor) (bool, error) {
	if a.Shape.Equal(b.Shape) {
		return true, nil
	}
	ok := len(a.Shape) == len(b.Shape)
	for i := 0; ok && i < len(a.Shape); i++ {
		ok = a.Shape[i] == b.Shape[i] || i >= len(info.Dims) || info.Dims[i] < 0
	}
	if !ok {
		return false, fmt.Errorf("output %q has shape %s, the source's %s", info.Name, b.Shape, a.Shape)
	}
	return false, nil
}

func floats(a, b tensor.Tensor) (x, y []float32, err error) {
	if x, err = a.Float32s(); err != nil {
		return nil, nil, err
	}
	y, err = b.Float32s()
	return x, y, err
}

// difference returns the cosine of y to x over the elements that are finite in
// x, +Inf where x has no direction, and the first element that is finite in x
// only, or -1.
func difference(x, y []float32) (cos float64, broken int) {
	var dot, xx, yy float64
	for i, v := range x {
		if !finite(v) {
			continue
		}
		if !finite(y[i]) {
			return 0, i
		}
		a, b := float64(v), float64(y[i])
		dot += a * b
		xx += a * a
		yy += b * b
	}
	switch {
	case xx == 0:
		return math.Inf(1), -1
	case yy == 0:
		return 0, -1
	}
	return min(dot/(math.Sqrt(xx)*math.Sqrt(yy)), 1), -1
}

// firstBroken returns the first element that is not finite, or -1.
func firstBroken(v []float32) int {
	for i, x := range v {
		if !finite(x) {
			return i
		}
	}
	return -1
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
