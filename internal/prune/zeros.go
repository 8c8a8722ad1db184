package prune

import (
	"math"
	"slices"
	"sync/atomic"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Zeroed says what was put to zero.
type Zeroed struct {
	Elements, Zeros int64            // of the weights concerned, after
	Threshold       float32          // greatest magnitude that went, where one holds for all
	ByName          map[string]int64 // zeros of each weight
}

// Add counts a weight with so many zeros.
func (z *Zeroed) Add(w *onnx.Tensor, zeros int64) {
	if z.ByName == nil {
		z.ByName = map[string]int64{}
	}
	z.Elements, z.Zeros = z.Elements+w.Elements(), z.Zeros+zeros
	z.ByName[w.Name] = zeros
}

// magnitude is the bits of |x|, which are ordered as |x| is.
func magnitude(x float32) uint32 { return math.Float32bits(x) &^ (1 << 31) }

// Smallest puts the elements of the smallest magnitudes or scores of all matrices together
// to zero, so that exactly round(sparsity·n) elements are, ties by matrix, then index;
// zeros that are there count.
// The threshold is exact: magnitudes are counted by their bits, in two passes over the
// weights, of which none is held in memory.
func Smallest(g *onnx.Graph, list []Matrix, sparsity float64) (Zeroed, error) {
	total := int64(0)
	for _, m := range list {
		total += m.Tensor.Elements()
	}
	count := int64(math.Round(sparsity * float64(total)))
	if count == 0 {
		return Tally(list)
	}
	const low = 15 // bits that the second pass tells apart
	high, err := histogram(list, func(b uint32) (int, bool) { return int(b >> low), true }, 1<<(31-low))
	if err != nil {
		return Zeroed{}, err
	}
	bin, below := reach(high, count)
	fine, err := histogram(list, func(b uint32) (int, bool) { return int(b & (1<<low - 1)), int(b>>low) == bin }, 1<<low)
	if err != nil {
		return Zeroed{}, err
	}
	last, under := reach(fine, count-below)
	limit := uint32(bin)<<low | uint32(last)
	if limit == 0 && !slices.ContainsFunc(list, func(m Matrix) bool { return m.Score != nil || m.Norms != nil }) { // there are as many zeros already
		return Tally(list)
	}
	ties := count - below - under // so many of exactly this magnitude go
	out := Zeroed{Threshold: math.Float32frombits(limit)}
	for _, m := range list {
		n, err := histogram([]Matrix{m}, func(b uint32) (int, bool) { return int(min(limit-b, 1)), b <= limit }, 2) // equal, below
		if err != nil {
			return Zeroed{}, err
		}
		quota := min(ties, n[0])
		ties -= quota
		replace(g, m.Tensor, cut(m, limit, quota))
		out.Add(m.Tensor, n[1]+quota)
	}
	return out, nil
}

// Under puts all magnitudes up to a threshold to zero.
func Under(g *onnx.Graph, list []Matrix, threshold float32) (Zeroed, error) {
	out := Zeroed{Threshold: threshold}
	limit := magnitude(threshold)
	for _, m := range list {
		n, err := histogram([]Matrix{m}, func(b uint32) (int, bool) { return 0, b <= limit }, 1)
		if err != nil {
			return out, err
		}
		out.Add(m.Tensor, n[0])
		replace(g, m.Tensor, cut(m, limit, math.MaxInt64))
	}
	return out, nil
}

// cut returns a weight whose magnitudes below the limit, and the first of those that
// equal it, are zero.
func cut(m Matrix, limit uint32, ties int64) *onnx.Tensor {
	t := m.Tensor
	return onnx.NewLazyTensor(t.Name, t.DType, t.Shape, func(dst []byte) error {
		return zeroing(t, dst, func(v []float32) {
			left := ties
			for i, x := range m.scores(v) {
				b := magnitude(x)
				if b > limit || b == limit && left == 0 {
					continue
				}
				if b == limit {
					left--
				}
				v[i] = 0
			}
		})
	})
}

// zeroing copies a weight and changes the copy.
func zeroing(t *onnx.Tensor, dst []byte, change func(v []float32)) error {
	b, err := t.Bytes()
	if err != nil {
		return err
	}
	copy(dst, b)
	t.Release()
	v := tensor.As[float32](dst)
	change(v)
	copy(dst, tensor.AsBytes(v)) // nothing, where v aliases dst
	return nil
}

func replace(g *onnx.Graph, old, now *onnx.Tensor) {
	g.Initializers[slices.Index(g.Initializers, old)] = now
}

// Replace puts a weight in the place of the one of its name.
func Replace(g *onnx.Graph, w *onnx.Tensor) { replace(g, g.Initializer(w.Name), w) }

// Masks are which elements of each matrix are not zero: 1, else 0, by name.
func Masks(g *onnx.Graph, list []Matrix) (map[string]tensor.Tensor, error) {
	out := map[string]tensor.Tensor{}
	for _, m := range list {
		t := g.Initializer(m.Tensor.Name)
		value, err := t.Value()
		if err != nil {
			return nil, err
		}
		v, err := value.Float32s()
		if err != nil {
			return nil, err
		}
		defer t.Release()
		mask := make([]float32, len(v))
		for i, x := range v {
			if x != 0 {
				mask[i] = 1
			}
		}
		out[t.Name] = tensor.Of(tensor.Float32, t.Shape, mask)
	}
	return out, nil
}

// Apply puts the elements of each masked weight to zero where its mask is.
func Apply(g *onnx.Graph, masks map[string]tensor.Tensor) {
	for name, mask := range masks {
		t := g.Initializer(name)
		keep := tensor.As[float32](mask.Data)
		replace(g, t, onnx.NewLazyTensor(name, t.DType, t.Shape, func(dst []byte) error {
			return zeroing(t, dst, func(v []float32) {
				for i := range v {
					if keep[i] == 0 {
						v[i] = 0
					}
				}
			})
		}))
	}
}

func zerosOf(t *onnx.Tensor) (n int64, err error) {
	value, err := t.Value()
	if err != nil {
		return 0, err
	}
	defer t.Release()
	v, err := value.Float32s()
	var zeros atomic.Int64
	tensor.Parallel(len(v), 0, func(lo, hi int) {
		own := int64(0)
		for _, x := range v[lo:hi] {
			if x == 0 {
				own++
			}
		}
		zeros.Add(own)
	})
	return zeros.Load(), err
}

// Tally counts the elements of matrices that are zero.
func Tally(list []Matrix) (Zeroed, error) {
	out := Zeroed{}
	for _, m := range list {
		n, err := zerosOf(m.Tensor)
		if err != nil {
			return out, err
		}
		out.Add(m.Tensor, n)
	}
	return out, nil
}

// Counted counts elements and zeros of the float32 weights of a model; known are the zeros
// of those that need not be read.
func Counted(g *onnx.Graph, known map[string]int64) (elements, zeros int64, err error) {
	for _, w := range g.Initializers {
		if w.DType != tensor.Float32 {
			continue
		}
		n, ok := known[w.Name]
		if !ok {
			if n, err = zerosOf(w); err != nil {
				return 0, 0, err
			}
		}
		elements, zeros = elements+w.Elements(), zeros+n
	}
	return elements, zeros, nil
}
