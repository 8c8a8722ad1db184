package train

import (
	"fmt"
	"slices"

	"optim/internal/tensor"
)

// Weight is a tensor that is trained, with its first values.
type Weight struct {
	Name  string
	Shape tensor.Shape
	First []float32
	// Decay says that weight decay applies: by custom not to biases and the factors of
	// normalizations, which have one dimension.
	Decay bool
}

// weights are all trained numbers in one buffer, those with weight decay first, so that
// the optimizer is a handful of nodes over slices of it, however many tensors there are.
type weights struct {
	list    []Weight
	offset  map[string]int
	value   []float32
	grad    []float32
	decayed int // elements with weight decay
}

func newWeights(list []Weight) (*weights, error) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Weight) int {
		switch {
		case a.Decay == b.Decay:
			return 0
		case a.Decay:
			return -1
		}
		return 1
	})
	w := &weights{list: list, offset: map[string]int{}}
	total := 0
	for _, t := range list {
		n, err := t.Shape.Elements()
		if err != nil || int(n) != len(t.First) {
			return nil, fmt.Errorf("weight %q: %d values for shape %v", t.Name, len(t.First), t.Shape)
		}
		w.offset[t.Name] = total
		total += len(t.First)
		if t.Decay {
			w.decayed = total
		}
	}
	if total == 0 {
		return nil, fmt.Errorf("there is no weight to train")
	}
	w.value, w.grad = make([]float32, total), make([]float32, total)
	for i, t := range list {
		copy(w.value[w.offset[t.Name]:], t.First)
		list[i].First = nil // not needed twice
	}
	return w, nil
}

// view is the part of a buffer that belongs to a weight, as a tensor.
func (w *weights) view(buffer []float32, t Weight) tensor.Tensor {
	n, _ := t.Shape.Elements()
	at := w.offset[t.Name]
	return tensor.Of(tensor.Float32, t.Shape, buffer[at:at+int(n)])
}

// ranges cuts the buffer into pieces of at most size elements that do not cross from
// weights with decay to those without.
func (w *weights) ranges(size int) [][2]int {
	var out [][2]int
	for _, part := range [][2]int{{0, w.decayed}, {w.decayed, len(w.value)}} {
		for lo := part[0]; lo < part[1]; lo += size {
			out = append(out, [2]int{lo, min(lo+size, part[1])})
		}
	}
	return out
}
