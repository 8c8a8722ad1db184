package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"optim/internal/tensor"
)

// Layer is a quantized matrix of K inputs and N outputs. Its inputs are grouped
// in order: group j has inputs Order[j·Group] to Order[(j+1)·Group−1].
type Layer struct {
	Name  string // of the module, "model.layers.0.mlp.up_proj"
	K, N  int
	Bits  int
	Group int   // inputs that share a scale; the last group may have fewer
	Order []int // of the inputs, where a group's do not follow each other; nil: as they are

	interleaved bool // the layout of AWQ
	lessOne     bool // zero points are stored less 1

	weight, zeros, scales, index *Tensor
}

// Groups returns the number of groups.
func (l *Layer) Groups() int { return (l.K + l.Group - 1) / l.Group }

// check derives the sizes from the shapes, and refuses parts that do not fit
// each other or the settings.
func (l *Layer) check(c *Config) error {
	for _, p := range []struct {
		what string
		t    *Tensor
		int  bool
	}{{"qweight", l.weight, true}, {"qzeros", l.zeros, true}, {"scales", l.scales, false}} {
		switch {
		case p.t == nil:
			return fmt.Errorf("%s is missing", p.what)
		case p.int && p.t.DType != tensor.Int32, !p.int && p.t.DType != tensor.Float16 && p.t.DType != tensor.BFloat16 && p.t.DType != tensor.Float32:
			return fmt.Errorf("%s has element type %s", p.what, p.t.DType)
		case len(p.t.Shape) != 2 || p.t.Shape[0] < 1 || p.t.Shape[1] < 1 || p.t.Shape[0] > 1<<24 || p.t.Shape[1] > 1<<24:
			return fmt.Errorf("%s has shape %v, where a matrix is needed", p.what, p.t.Shape)
		}
	}
	w, z, s := l.weight.Shape, l.zeros.Shape, l.scales.Shape
	l.N, l.interleaved, l.lessOne = int(s[1]), c.Method == "awq", c.Method == "gptq" && !c.plainZeros
	l.Bits = int(32 * z[1] / s[1])
	if 32*z[1] != s[1]*int64(l.Bits) || z[0] != s[0] || !slices.Contains([]int{2, 3, 4, 8}, l.Bits) {
		return fmt.Errorf("qzeros %v and scales %v do not fit each other", z, s)
	}
	if l.Bits != c.Bits && !c.Mixed {
		return fmt.Errorf("qzeros %v and scales %v mean %d bits, where the settings say %d", z, s, l.Bits, c.Bits)
	}
	if l.interleaved {
		l.K = int(w[0])
	} else {
		l.K = int(32 * w[0] / int64(l.Bits))
	}
	if !l.fits(w) {
		return fmt.Errorf("qweight %v, qzeros %v and scales %v do not fit each other at %d bits", w, z, s, l.Bits)
	}
	if err := l.group(c, int(s[0])); err != nil {
		return err
	}
	return l.order()
}

// fits reports whether qweight has the shape that the layout asks for.
func (l *Layer) fits(w tensor.Shape) bool {
	if l.interleaved {
		return l.N%8 == 0 && w[1] == int64(l.N)/8
	}
	return w[1] == int64(l.N) && w[0]*32 == int64(l.K)*int64(l.Bits)
}

// group finds the size of the groups: that of the settings, or, where layers
// differ, the one that makes so many.
func (l *Layer) group(c *Config, groups int) error {
	l.Group = c.GroupSize
	if l.Group == -1 {
		l.Group = l.K
	}
	if l.Groups() != groups && c.Mixed && l.K%groups == 0 {
		l.Group = l.K / groups
	}
	if l.Groups() != groups {
		return fmt.Errorf("scales %v for %d inputs in groups of %d", l.scales.Shape, l.K, l.Group)
	}
	return nil
}

// order reads g_idx: the groups are made contiguous by a stable sort of the
// inputs by their group, which keeps to the order in which GPTQ took them only
// between groups; within one the order has no meaning.
func (l *Layer) order() error {
	if l.index == nil || l.index.Shape.Equal(tensor.Shape{0}) {
		return nil
	}
	if l.interleaved || l.index.DType != tensor.Int32 || !l.index.Shape.Equal(tensor.Shape{int64(l.K)}) {
		return fmt.Errorf("g_idx is %s %v, where int32 [%d] is needed", l.index.DType, l.index.Shape, l.K)
	}
	v, err := l.index.Value()
	if err != nil {
		return err
	}
	group, err := v.Int64s()
	if err != nil {
		return err
	}
	order := make([]int, l.K)
	for i := range order {
		order[i] = i
		if g := group[i]; g < 0 || g >= int64(l.Groups()) {
			return fmt.Errorf("g_idx has group %d of %d for input %d", g, l.Groups(), i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(group[a], group[b]) })
	same := true
	for at, i := range order {
		if group[i] != int64(at/l.Group) {
			return fmt.Errorf("g_idx gives its groups unequal numbers of inputs: group %d has not %d", at/l.Group, l.Group)
		}
		same = same && at == i
	}
	if !same {
		l.Order = order
	}
	return nil
}

// errScale says that a scale is no number.
var errScale = errors.New("a scale is not finite")

// Grid returns scales and zero points, both [N, groups].
func (l *Layer) Grid() (scales []float32, zeros []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("layer %q: %w", l.Name, err)
		}
	}()
	v, err := l.scales.Value()
	if err != nil {
		return nil, nil, err
	}
	byGroup, err := v.Float32s()
	if err != nil {
		return nil, nil, err
	}
	if tensor.FirstNonFinite(byGroup) >= 0 {
		return nil, nil, errScale
	}
	z, err := l.zeros.Value()
	if err != nil {
		return nil, nil, err
	}
	words, groups := tensor.As[uint32](z.Data), l.Groups()
	per := len(words) / groups
	scales, zeros = make([]float32, l.N*groups), make([]byte, l.N*groups)
	row := make([]byte, l.N)
	for g := range groups {
		l.unpackColumns(row, words[g*per:(g+1)*per])
		for n, zero := range row {
			if l.lessOne { // where 2^bits−1 stands for the −1 of zero point 0
				zero = (zero + 1) & byte(1<<l.Bits-1)
			}
			zeros[n*groups+g] = zero
			scales[n*groups+g] = byGroup[g*l.N+n]
		}
	}
	l.scales.Release()
	l.zeros.Release()
	return scales, zeros, nil
}
