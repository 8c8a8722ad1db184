package tensor

import (
	"errors"
	"fmt"
	"math"
)

// Scheme says how to choose the parameters of an affine code.
type Scheme struct {
	// DType is an integer type of at most 16 bits.
	DType DType
	// Lo and Hi bound the stored values; both 0: the type's full range.
	// A symmetric code uses only as much of it as lies on both sides of the
	// zero point, -127 to 127 of int8.
	Lo, Hi int64
	// Symmetric fixes the zero point at 0 of a signed and at the middle, 128 of
	// uint8, of an unsigned type.
	Symmetric bool
	// Axis has a scale per index; -1: one scale for the tensor.
	Axis int
	// Block, if not 0, gives each run of that many elements along Axis its own
	// scale; the last run may be shorter.
	Block int
}

// Affine is an affine code, whose stored value q means Scale·(q − Zero):
//
//	q = clip(round_half_even(x/Scale) + Zero, Lo, Hi)
//
// with x/Scale rounded to float32 (QuantizeLinear of ONNX). Scale and Zero have
// one element per tensor, one per index along Axis, or, for blocks, the
// tensor's shape with ⌈dim/Block⌉ in place of the axis, row-major.
type Affine struct {
	DType       DType
	Lo, Hi      int64 // both 0: the type's full range
	Scale       []float32
	Zero        []int32
	Axis, Block int
}

// minScale is the least scale that is chosen: the least normal float32. A
// subnormal one loses precision, and is zero where a runtime flushes
// subnormals.
const minScale = 0x1p-126

// Bounds returns the stored values that the scheme uses, and its zero point if
// it is symmetric. It fails for types and ranges that no code can have.
func (c Scheme) Bounds() (lo, hi int64, zero int32, err error) {
	if !c.DType.IsInteger() || c.DType.Bits() > 16 {
		return 0, 0, 0, fmt.Errorf("no affine code in %s", c.DType)
	}
	lo, hi, err = codeRange(c.DType, c.Lo, c.Hi)
	if err != nil || !c.Symmetric {
		return lo, hi, 0, err
	}
	if !c.DType.IsSigned() {
		zero = int32((lo + hi + 1) / 2)
	}
	side := min(hi-int64(zero), int64(zero)-lo)
	if side < 1 {
		return 0, 0, 0, fmt.Errorf("range %d to %d of %s has no symmetric part", lo, hi, c.DType)
	}
	return int64(zero) - side, int64(zero) + side, zero, nil
}

// codeRange resolves and checks a range of stored values.
func codeRange(d DType, lo, hi int64) (int64, int64, error) {
	least, greatest := d.Range()
	if lo == 0 && hi == 0 {
		return least, greatest, nil
	}
	if lo < least || hi > greatest || lo >= hi {
		return 0, 0, fmt.Errorf("range %d to %d does not fit %s", lo, hi, d)
	}
	return lo, hi, nil
}

// ChooseAffine returns the parameters of a code in type d, with stored values
// lo to hi (both 0: the full range), for numbers between min and max.
//
// Symmetric: scale = max(|min|, |max|) / (hi − zero), over the symmetric part
// of the range. Else the range of numbers is widened to include 0, scale =
// (max − min) / (hi − lo), and zero = round(lo − min/scale) is clipped to the
// stored values. The scale is 1 if min and max are 0, and never subnormal; it
// is lowered where a stored value would mean an infinity.
//
// It panics on a type or range that Scheme.Bounds refuses, and on min or max
// that are not finite or out of order.
func ChooseAffine(min, max float32, d DType, lo, hi int64, symmetric bool) (scale float32, zero int32) {
	lo, hi, zero, err := Scheme{DType: d, Lo: lo, Hi: hi, Symmetric: symmetric}.Bounds()
	if err != nil {
		panic("tensor: ChooseAffine: " + err.Error())
	}
	if !(min <= max) || min-min != 0 || max-max != 0 {
		panic(fmt.Sprintf("tensor: ChooseAffine between %g and %g", min, max))
	}
	return chooseAffine(min, max, lo, hi, zero, symmetric)
}

// chooseAffine is ChooseAffine for checked arguments and resolved bounds.
func chooseAffine(low, high float32, lo, hi int64, zero int32, symmetric bool) (float32, int32) {
	low, high = min(low, 0), max(high, 0)
	if low == 0 && high == 0 {
		if !symmetric {
			zero = int32(min(max(0, lo), hi))
		}
		return 1, zero
	}
	if symmetric {
		scale := max(-low, high) / float32(hi-int64(zero))
		return boundScale(scale, lo, hi, zero), zero
	}
	// In float64: max - min may be beyond float32.
	scale := float32((float64(high) - float64(low)) / float64(hi-lo))
	scale = max(scale, minScale)
	z := math.RoundToEven(float64(lo) - float64(low)/float64(scale))
	zero = int32(min(max(z, float64(lo)), float64(hi)))
	return boundScale(scale, lo, hi, zero), zero
}

// boundScale keeps a scale normal and every stored value finite.
func boundScale(scale float32, lo, hi int64, zero int32) float32 {
	scale = max(scale, minScale)
	far := float32(max(hi-int64(zero), int64(zero)-lo))
	if far*scale > math.MaxFloat32 {
		scale = math.MaxFloat32 / far
		for far*scale > math.MaxFloat32 {
			scale = math.Nextafter32(scale, 0)
		}
	}
	return scale
}

// Fit chooses the parameters for w, a row-major tensor of shape s. NaN and
// infinity are errors. The result does not depend on the number of threads.
func (c Scheme) Fit(w []float32, s Shape) (Affine, error) {
	lo, hi, zero, err := c.Bounds()
	if err != nil {
		return Affine{}, err
	}
	g, err := newGrid(s, c.Axis, c.Block)
	if err != nil {
		return Affine{}, err
	}
	if err := g.checkLen(len(w), s); err != nil {
		return Affine{}, err
	}
	a := Affine{DType: c.DType, Lo: lo, Hi: hi, Axis: c.Axis, Block: c.Block}
	a.Scale, a.Zero = make([]float32, g.params), make([]int32, g.params)
	least, greatest := g.ranges(w)
	for i := range a.Scale {
		l, h := least[i], greatest[i]
		if l > h { // a channel without elements
			l, h = 0, 0
		}
		if !finiteKeys(l, h) {
			return Affine{}, nonFiniteError(w)
		}
		a.Scale[i], a.Zero[i] = chooseAffine(unkey(l), unkey(h), lo, hi, zero, c.Symmetric)
	}
	return a, nil
}

func (g *grid) checkLen(n int, s Shape) error {
	if n != g.n {
		return fmt.Errorf("%d elements for shape %v", n, s)
	}
	return nil
}

// ErrNotFinite says that values hold NaN or an infinity, for which there are no
// codes.
var ErrNotFinite = errors.New("only finite numbers can be quantized")

func nonFiniteError(w []float32) error {
	i := FirstNonFinite(w)
	return fmt.Errorf("element %d is %v: %w", i, w[i], ErrNotFinite)
}

// plan is an Affine that was checked against a shape.
type plan struct {
	grid
	bits   int
	lo, hi int
	scale  []float32
	zero   []int32
}

// plan checks everything that the kernels rely on.
func (a *Affine) plan(s Shape) (plan, error) {
	if !a.DType.IsInteger() || a.DType.Bits() > 32 || a.DType == Uint32 {
		return plan{}, fmt.Errorf("no affine code in %s", a.DType)
	}
	lo, hi, err := codeRange(a.DType, a.Lo, a.Hi)
	if err != nil {
		return plan{}, err
	}
	g, err := newGrid(s, a.Axis, a.Block)
	if err != nil {
		return plan{}, err
	}
	if len(a.Scale) != g.params || len(a.Zero) != g.params {
		return plan{}, fmt.Errorf("%d scales and %d zero points for shape %v, axis %d, block %d: need %d",
			len(a.Scale), len(a.Zero), s, a.Axis, a.Block, g.params)
	}
	for i, x := range a.Scale {
		if x == 0 || x-x != 0 {
			return plan{}, fmt.Errorf("scale %d is %v", i, x)
		}
		if z := int64(a.Zero[i]); z < lo || z > hi {
			return plan{}, fmt.Errorf("zero point %d is %d, outside %d to %d", i, z, lo, hi)
		}
	}
	return plan{grid: g, bits: a.DType.Bits(), lo: int(lo), hi: int(hi), scale: a.Scale, zero: a.Zero}, nil
}

// codeLen checks the length of packed stored values.
func (p *plan) codeLen(n int, d DType) error {
	if need := (p.n*p.bits + 7) / 8; n != need {
		return fmt.Errorf("%d bytes for %d elements of %s: need %d", n, p.n, d, need)
	}
	return nil
}
