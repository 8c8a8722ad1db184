package dataset

import (
	"errors"
	"fmt"

	"optim/internal/tensor"
	"optim/internal/tokenizer"
)

// encode tokenizes one text, or two that are read together, cut at SeqLen.
func (t *textSource) encode(text string, pair *string) (Sample, error) {
	enc, err := t.tok.EncodeWith(text, pair, tokenizer.Options{Special: t.special, MaxLength: t.set.SeqLen})
	if err != nil {
		return Sample{}, err
	}
	return t.build(enc.IDs, enc.TypeIDs)
}

// build makes the inputs for ids; where the model's sequence dimension is fixed
// they are padded on the right.
func (t *textSource) build(ids, types []int64) (Sample, error) {
	sh := t.set.shape
	n := len(ids)
	if n == 0 {
		return Sample{}, errors.New("the text has no ids")
	}
	sample := Sample{Inputs: map[string]tensor.Tensor{}}
	length := n
	if fixed := sh.sequence(); fixed > int64(n) {
		length = int(fixed)
		// A causal model's predictions do not look to the right, so that
		// padding does no harm without a mask; any other's do.
		if sh.mask == "" && !t.set.Causal {
			return Sample{}, fmt.Errorf("%d ids, and the model wants exactly %d and has no mask to pad with", n, fixed)
		}
		pad, _ := t.tok.PadID() // 0 where there is none: it is masked anyway
		ids = append(append(make([]int64, 0, length), ids...), repeat(pad, length-n)...)
		types = append(append(make([]int64, 0, length), types...), repeat(0, length-len(types))...)
		sample.Mask = make([]bool, length)
		for i := range n {
			sample.Mask[i] = true
		}
	}
	if types == nil {
		types = make([]int64, length)
	}
	return sample, sh.addText(&sample, ids, types)
}

// addText stores ids, mask and token types under the names of the model.
func (sh *shaper) addText(sample *Sample, ids, types []int64) error {
	for _, name := range []string{sh.ids, sh.mask, sh.types} {
		in, ok := sh.input(name)
		if !ok {
			continue
		}
		var value tensor.Tensor
		var err error
		switch name {
		case sh.mask:
			value, err = maskTensor(in, sample.Mask, len(ids))
		case sh.types:
			value, err = row(in, types)
		default:
			value, err = row(in, ids)
		}
		if err != nil {
			return err
		}
		sample.Inputs[name] = value
	}
	return nil
}

func repeat(v int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = v
	}
	return out
}
