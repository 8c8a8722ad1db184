package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"optim/internal/dataset"
	"optim/internal/tensor"
)

// Names of the inputs of a training graph that are none of the model's: int64 labels,
// and which rows or positions count (boolean, padding does not).
const (
	Labels  = "optim.labels"
	Counted = "optim.counted"
)

// Kinds of labels.
const (
	NoLabels = ""
	Classes  = "classes" // one a sample
	NextIDs  = "next"    // of a causal language model: of each position the id after it
)

// Rows are the samples of a data set, all of one length, in memory.
type Rows struct {
	Kind   string // of the labels
	Length int    // positions of a row; 0: no text
	Fixed  int    // samples of a batch, where the model takes no other number; else 0
	list   []map[string]tensor.Tensor
}

// memoryLimit is what samples may take: they are held for being shuffled.
const memoryLimit = 8 << 30

// ReadRows reads a whole set. Texts are padded to the longest.
func ReadRows(ctx context.Context, set *dataset.Set) (*Rows, error) {
	var samples []dataset.Sample
	longest, bytes := 0, 0
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := set.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		for _, t := range s.Inputs {
			bytes += len(t.Data)
		}
		if bytes > memoryLimit {
			return nil, &dataset.Error{File: set.Source, Err: fmt.Errorf("more than %d GiB of samples; train on a part of them with --samples", memoryLimit>>30)}
		}
		samples = append(samples, s)
		if length(set, s) > length(set, samples[longest]) {
			longest = len(samples) - 1
		}
	}
	if n := length(set, samples[longest]); n > 0 { // all take what the longest takes
		bytes = 0
		for _, t := range samples[longest].Inputs {
			bytes += len(t.Data) * len(samples)
		}
		if bytes > memoryLimit {
			return nil, &dataset.Error{File: set.Source, Err: fmt.Errorf("%d samples padded to the longest, of %d ids, take more than %d GiB: train on fewer with --samples, or on shorter ones with --seq-len", len(samples), n, memoryLimit>>30)}
		}
	}
	r := &Rows{}
	for i, s := range samples {
		if i != longest {
			samples[i] = dataset.Sample{}
		}
		row, err := r.row(set, s, samples[longest])
		if err != nil {
			return nil, fmt.Errorf("sample %d: %w", i, err)
		}
		r.list = append(r.list, row)
	}
	return r, nil
}

func length(set *dataset.Set, s dataset.Sample) int {
	if t, ok := s.Inputs[set.IDs()]; ok && len(t.Shape) == 2 {
		return int(t.Shape[1])
	}
	return 0
}

// row pads a sample to the length of the longest and adds labels and what counts.
func (r *Rows) row(set *dataset.Set, s, longest dataset.Sample) (map[string]tensor.Tensor, error) {
	list := []dataset.Sample{s, longest}
	if r.Fixed = set.FixedBatch(); r.Fixed == 1 {
		list = list[:1]
		if length(set, s) != length(set, longest) {
			return nil, fmt.Errorf("it has %d ids, and the longest %d; a model that takes one sample at a time cannot pad them: give --seq-len", length(set, s), length(set, longest))
		}
	}
	batch, err := set.Collate(list)
	if err != nil {
		return nil, err
	}
	out := map[string]tensor.Tensor{}
	for name, t := range batch.Inputs {
		shape := t.Shape.Clone()
		if len(shape) == 0 || shape[0] != int64(len(list)) {
			return nil, fmt.Errorf("input %q has shape %v; a batch axis is needed for training", name, t.Shape)
		}
		shape[0] = 1
		out[name] = tensor.Tensor{DType: t.DType, Shape: shape, Data: slices.Clone(t.Data[:len(t.Data)/len(list)])}
	}
	r.Length = batch.Length
	counted := []byte{1}
	if batch.Length > 0 {
		counted = countedPositions(batch, batch.Length)
	}
	out[Counted] = tensor.Tensor{DType: tensor.Bool, Shape: tensor.Shape{1, int64(len(counted))}, Data: counted}
	switch {
	case set.Causal:
		ids, err := intsOf(out[set.IDs()])
		if err != nil {
			return nil, err
		}
		r.Kind = NextIDs
		out[Labels] = tensor.Of(tensor.Int64, tensor.Shape{1, int64(len(ids))}, following(ids, counted))
	case s.Label != nil:
		r.Kind = Classes
		out[Labels] = tensor.Of(tensor.Int64, tensor.Shape{1}, []int64{*s.Label})
	}
	return out, nil
}

// countedPositions tells which positions of the first row are no padding.
func countedPositions(b dataset.Batch, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		if len(b.Masks) == 0 || b.Masks[0] == nil || b.Masks[0][i] {
			out[i] = 1
		}
	}
	return out
}

// following gives each position the id after it as label, where both count.
func following(ids []int64, counted []byte) []int64 {
	out := make([]int64, len(ids))
	for i := range out {
		out[i] = Ignore
		if i+1 < len(ids) && counted[i] != 0 && counted[i+1] != 0 {
			out[i] = ids[i+1]
		}
	}
	return out
}

func intsOf(t tensor.Tensor) ([]int64, error) {
	switch t.DType {
	case tensor.Int64:
		return tensor.As[int64](t.Data), nil
	case tensor.Int32:
		var out []int64
		for _, x := range tensor.As[int32](t.Data) {
			out = append(out, int64(x))
		}
		return out, nil
	}
	return nil, fmt.Errorf("ids of type %s", t.DType)
}

// Len returns the number of samples.
func (r *Rows) Len() int { return len(r.list) }

// Hold splits the last share off, one sample at least, to be held out of training.
func (r *Rows) Hold(share float64) (rest, held *Rows) {
	n := max(1, int(share*float64(len(r.list))))
	at := max(len(r.list)-n, 0)
	a, b := *r, *r
	a.list, b.list = r.list[:at], r.list[at:]
	return &a, &b
}

// Batch returns memory for n rows, with the types and shapes of the set, filled with
// its first ones.
func (r *Rows) Batch(n int) (map[string]tensor.Tensor, error) {
	out := map[string]tensor.Tensor{}
	for name, t := range r.list[0] {
		shape := t.Shape.Clone()
		shape[0] = int64(n)
		b, err := tensor.New(t.DType, shape)
		if err != nil {
			return nil, err
		}
		out[name] = b
	}
	for i := range n {
		r.Copy(out, i, i%len(r.list))
	}
	return out, nil
}

// Copy writes sample into row i of a batch.
func (r *Rows) Copy(batch map[string]tensor.Tensor, i, sample int) {
	for name, t := range batch {
		if from, ok := r.list[sample][name]; ok {
			copy(t.Data[i*len(from.Data):], from.Data)
		}
	}
}

// Order returns the samples of an epoch (from 0) in the order they are used in, the
// same for the same seed. What does not fill a batch is left for other epochs.
func (r *Rows) Order(seed uint64, epoch int) []int {
	return rand.New(rand.NewPCG(seed, uint64(epoch))).Perm(len(r.list))
}

// CheckLabels says where a label is that is none of so many classes.
func (r *Rows) CheckLabels(classes int64) error {
	for i, row := range r.list {
		for _, x := range tensor.As[int64](row[Labels].Data) {
			if x != Ignore && (x < 0 || x >= classes) {
				return fmt.Errorf("sample %d has label %d, and the model %d classes", i+1, x, classes)
			}
		}
	}
	return nil
}
