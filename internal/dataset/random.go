package dataset

import (
	"fmt"
	"io"
	"math/rand/v2"

	"optim/internal/ort"
	"optim/internal/tensor"
)

const (
	randomSamples = 128 // when no number is given
	randomSeqLen  = 128 // ids per sample, unless the model or the user says otherwise
	randomVocab   = 100 // small enough for any table, when its size is unknown
	maxRandom     = 1 << 28
)

// MadeUp is the note of a set of made-up data.
const MadeUp = "made-up data: quality on it says nothing of quality on real data"

// randomSource makes up samples: reals from N(0, 1), ids evenly from the
// vocabulary, masks of ones, ascending positions. Sample k depends on the seed
// and k alone.
type randomSource struct {
	set    *Set
	seed   uint64
	total  int
	at     int
	vocab  int64
	shapes map[string]tensor.Shape // of the inputs that are drawn
}

func newRandom(s *Set, o Options) (source, error) {
	r := &randomSource{set: s, seed: uint64(o.Seed), total: o.Samples, shapes: map[string]tensor.Shape{}}
	if r.total <= 0 {
		r.total = randomSamples
	}
	if s.shape.ids != "" {
		if err := r.planText(o); err != nil {
			return nil, err
		}
	}
	for _, in := range s.shape.model.Inputs {
		if s.shape.isMade(in) {
			continue
		}
		shape, err := r.shapeOf(in)
		if err != nil {
			return nil, &Error{File: Random, Err: err}
		}
		r.shapes[in.Name] = shape
	}
	s.note(MadeUp)
	return r, nil
}

// planText sets the vocabulary and the length of a sample of ids.
func (r *randomSource) planText(o Options) error {
	n, _, err := ContextLength(r.set.shape.model, o)
	if err != nil {
		return err
	}
	if o.SeqLen == 0 && r.set.shape.sequence() < 0 {
		n = min(n, randomSeqLen)
	}
	r.set.SeqLen = n
	r.vocab = o.Vocab
	if r.vocab <= 0 {
		r.vocab = randomVocab
		r.set.note("the size of the vocabulary is unknown: ids are below %d", r.vocab)
	}
	return nil
}

// shapeOf returns the shape of one sample of an input: batch 1, the rest given
// or fixed.
func (r *randomSource) shapeOf(in ort.Info) (tensor.Shape, error) {
	shape := tensor.Shape(r.set.shape.dims[in.Name]).Clone()
	for i, d := range shape {
		switch {
		case in.Name == r.set.shape.ids && i == 1:
			shape[i] = int64(r.set.SeqLen)
		case i == 0 && (d < 0 || in.Dims[0] < 0):
			shape[i] = 1
		case d < 0:
			return nil, fmt.Errorf("input %q is %s: give its size with --shape or --dim", in.Name, in)
		}
	}
	if n, err := shape.Elements(); err != nil || n > maxRandom {
		return nil, fmt.Errorf("input %q: shape %v is too large for made-up data", in.Name, shape)
	}
	return shape, nil
}

func (r *randomSource) next() (Sample, error) {
	if r.at >= r.total {
		return Sample{}, io.EOF
	}
	rng := rand.New(rand.NewPCG(r.seed, uint64(r.at)))
	sample := Sample{Inputs: map[string]tensor.Tensor{}, Name: fmt.Sprintf("sample %d", r.at)}
	for _, in := range r.set.shape.model.Inputs { // the model's order: same seed, same data
		shape, ok := r.shapes[in.Name]
		if !ok {
			continue
		}
		t, err := r.draw(rng, in, shape)
		if err != nil {
			return Sample{}, fail(Random, "input %q: %w", in.Name, err)
		}
		sample.Inputs[in.Name] = t
	}
	r.at++
	return sample, nil
}

// draw makes one tensor. Integers that are no ids are indices, flags or sizes
// whose bounds nobody knows: zeros, except for bytes, which are pixels.
func (r *randomSource) draw(rng *rand.Rand, in ort.Info, shape tensor.Shape) (tensor.Tensor, error) {
	n, err := shape.Elements()
	if err != nil {
		return tensor.Tensor{}, err
	}
	v := values{}
	switch {
	case in.DType.IsFloat():
		v.floats = make([]float64, n)
		for i := range v.floats {
			v.floats[i] = rng.NormFloat64()
		}
	default:
		v.ints = make([]int64, n)
		for i := range v.ints {
			switch {
			case in.Name == r.set.shape.ids:
				v.ints[i] = rng.Int64N(r.vocab)
			case in.DType == tensor.Uint8:
				v.ints[i] = rng.Int64N(256)
			}
		}
	}
	data, err := encode(v, in.DType)
	return tensor.Tensor{DType: in.DType, Shape: shape.Clone(), Data: data}, err
}

func (r *randomSource) rewind() error    { r.at = 0; return nil }
func (r *randomSource) len() (int, bool) { return r.total, true }
func (r *randomSource) close() error     { return nil }
