package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"optim/internal/dataset"
	"optim/internal/host"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Spec says what a model is to be run with.
type Spec struct {
	Source  string // data; dataset.Random or empty: made up
	Read    dataset.Options
	Lengths Lengths // of texts, cut to them; nil: as they come
	Samples int     // different samples at most
	Seed    int64
}

// Load is a pool of samples that a model runs with.
type Load struct {
	Samples []dataset.Sample
	Read    dataset.Options
	From    string   // where they are from, in words
	Notes   []string // what was assumed or made up
	Text    bool     // they are ids of texts
	// Batch is the number of samples that the user's shapes put into a run, or that
	// the model prescribes; 0: they say nothing about it.
	Batch int

	First time.Duration // of the first run with them, outputs read

	set     *dataset.Set
	largest int   // bytes of a sample, the most
	room    int64 // bytes that the inputs of a run may take: what it computes takes some, too
}

// Batch is several samples as the inputs of one run.
type Batch struct {
	Inputs map[string]tensor.Tensor
	Items  int // samples
	Tokens int // ids that are not padding; 0: no text
}

// Open reads the samples of a model's workload. Of a source whose sizes do not
// fit the model, the error says so; see Find.
func Open(ctx context.Context, m Model, spec Spec) (*Load, error) {
	batch, read, err := takeBatch(m.Session.Inputs(), spec.Read)
	if err != nil {
		return nil, err
	}
	read.Samples, read.Seed, read.SplitPairs = spec.Samples, spec.Seed, true
	if read.SeqLen == 0 {
		read.SeqLen = spec.Lengths.Max()
	}
	found, err := Find(ctx, m, spec.Source, read, Typical)
	if err != nil {
		return nil, err
	}
	source := dataset.Random
	if found.Real {
		source = spec.Source
	}
	set, err := dataset.Open(source, m.info(), found.Read)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	facts, err := host.Probe(ctx)
	if err != nil {
		return nil, err
	}
	l := &Load{
		Read: found.Read, From: found.From, Text: set.IDs() != "", Batch: batch, First: found.Took,
		set: set, room: facts.Room() / 2,
	}
	if fixed := set.FixedBatch(); fixed > 0 {
		l.Batch = fixed
	}
	if len(spec.Lengths) > 0 && !l.Text {
		return nil, errors.New("lengths are of texts, and the model takes no ids")
	}
	if err := l.read(spec); err != nil {
		return nil, err
	}
	if found.Real {
		l.From = strconv.Quote(source)
	}
	l.Notes = slices.DeleteFunc(set.Notes, func(n string) bool { return n == dataset.MadeUp })
	return l, nil
}

// mostBytes bounds the memory of a pool of samples, and of one of batches; one is
// always made.
const mostBytes = 256 << 20

func (l *Load) read(spec Spec) error {
	size := 0
	rng := rand.New(rand.NewPCG(uint64(spec.Seed), 0x6c656e67746873))
	for (spec.Samples == 0 || len(l.Samples) < spec.Samples) && size < mostBytes {
		sample, err := l.set.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(spec.Lengths) > 0 {
			sample = l.set.Cut(sample, spec.Lengths.draw(rng))
		}
		l.Samples = append(l.Samples, sample)
		n := bytesOf(sample.Inputs)
		size, l.largest = size+n, max(l.largest, n)
	}
	return nil
}

func bytesOf(inputs map[string]tensor.Tensor) int {
	n := 0
	for _, t := range inputs {
		n += len(t.Data)
	}
	return n
}

// takeBatch takes the size of the batch out of the sizes that the user gave: a
// sample has a leading axis of 1. It is 0 where the user fixed none.
func takeBatch(inputs []ort.Info, read dataset.Options) (int, dataset.Options, error) {
	batch := int64(0)
	shapes := map[string]tensor.Shape{}
	for _, in := range inputs {
		shape, given := read.Shapes[in.Name]
		if given {
			shapes[in.Name] = shape
		}
		if len(in.Dims) == 0 || in.Dims[0] >= 0 {
			continue
		}
		size := int64(0)
		if given && len(shape) > 0 {
			size = shape[0]
			shapes[in.Name] = append(tensor.Shape{1}, shape[1:]...)
		} else if len(in.Symbols) > 0 {
			size = read.Dims[in.Symbols[0]]
		}
		if size != 0 && batch != 0 && size != batch {
			return 0, read, fmt.Errorf("input %q has a leading size of %d, and another input one of %d: the first axis has to be the batch", in.Name, size, batch)
		}
		batch = max(batch, size)
	}
	for name, shape := range read.Shapes { // unknown names are reported where shapes are read
		if _, ok := shapes[name]; !ok {
			shapes[name] = shape
		}
	}
	read.Shapes = shapes
	return int(batch), read, nil
}

// Collate makes a batch of samples by their indices. One that memory has no room for
// is an error.
func (l *Load) Collate(items []int) (Batch, error) {
	if need := int64(len(items)) * int64(l.largest); need > l.room {
		return Batch{}, fmt.Errorf("the inputs of a batch of %d take %.3g GB, more than the %.3g GB of memory that there are for them", len(items), float64(need)/1e9, float64(l.room)/1e9)
	}
	samples := make([]dataset.Sample, len(items))
	for i, k := range items {
		samples[i] = l.Samples[k]
	}
	b, err := l.set.Collate(samples)
	if err != nil {
		return Batch{}, err
	}
	out := Batch{Inputs: b.Inputs, Items: len(items)}
	for i := range samples {
		out.Tokens += tokens(b, i)
	}
	return out, nil
}

// tokens counts the ids of a sample that are not padding.
func tokens(b dataset.Batch, i int) int {
	if b.Length == 0 || b.Masks[i] == nil {
		return b.Length
	}
	n := 0
	for _, real := range b.Masks[i] {
		if real {
			n++
		}
	}
	return n
}

// Batches makes batches of n samples of the pool, each sample in one of them where
// n divides their number; the first samples fill up the last batch. At most most
// are made.
func (l *Load) Batches(n, most int) ([]Batch, error) {
	fixed := l.set.FixedBatch()
	switch {
	case fixed > 0 && n != fixed:
		return nil, fmt.Errorf("the model's batch size is %d, and cannot be %d", fixed, n)
	case l.Batch > 1 && n != l.Batch:
		return nil, fmt.Errorf("the sizes that were given make batches of %d, and cannot make them of %d", l.Batch, n)
	}
	n = l.set.PerRun(l.Samples[0], n)
	var out []Batch
	size := 0
	for at := 0; at < len(l.Samples) && len(out) < most && size < mostBytes; at += n {
		items := make([]int, n)
		for i := range items {
			items[i] = (at + i) % len(l.Samples)
		}
		b, err := l.Collate(items)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
		size += bytesOf(b.Inputs)
	}
	return out, nil
}

// IDs returns the ids of a sample of text, by its index; nil without text.
func (l *Load) IDs(i int) []int64 {
	if !l.Text {
		return nil
	}
	ids, err := l.Samples[i].Inputs[l.set.IDs()].Int64s()
	if err != nil {
		return nil
	}
	return ids
}

// Lengths returns the number of ids of each sample, in order; nil without text.
func (l *Load) Lengths() []int {
	if !l.Text {
		return nil
	}
	var out []int
	for _, s := range l.Samples {
		t := s.Inputs[l.set.IDs()]
		out = append(out, t.Len())
	}
	slices.Sort(out)
	return out
}

// Uniform reports whether all samples have the same shapes, so that any of them
// make a batch without padding.
func (l *Load) Uniform() bool {
	for _, s := range l.Samples[1:] {
		for name, t := range s.Inputs {
			if !t.Shape.Equal(l.Samples[0].Inputs[name].Shape) {
				return false
			}
		}
	}
	return true
}
