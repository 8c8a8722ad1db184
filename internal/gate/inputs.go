package gate

import (
	"fmt"
	"maps"
	"strings"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// sample is an input that the source runs with, and what it gave.
type sample struct {
	values  map[string]tensor.Tensor
	outputs map[string]tensor.Tensor
	from    string // where the values come from
}

// extents are the sizes that are tried for dimensions that neither the model
// nor the user fixes: detectors refuse 224, recurrent models refuse 1.
var extents = []int64{8, 32, 224, 640, 320, 256, 512, 128, 16, 64, 1}

// findInputs returns the first sample of the data, or else made-up inputs of
// the first size that the source runs with; nil where it runs with none.
func (r *run) findInputs(s *ort.Session) (*sample, error) {
	info := dataset.ModelInfo{Path: r.Source.Path, Inputs: s.Inputs(), Outputs: s.Outputs()}
	if r.Probe.Source != "" && r.Probe.Source != dataset.Random {
		return r.dataSample(s, info)
	}
	for _, n := range extents {
		read := r.Probe.Read
		read.Samples = 1
		read.Vocab, read.PositionRows = inspect.Tables(r.Source)
		if read.SeqLen == 0 {
			read.SeqLen = int(n)
		}
		read.Shapes = r.guessShapes(info.Inputs, n)
		got, err := r.tryInputs(s, dataset.Random, info, read)
		if r.ctx.Err() != nil {
			return nil, r.ctx.Err()
		}
		if err == nil {
			got.from = "made-up inputs"
			return got, nil
		}
	}
	return nil, nil
}

// dataSample runs the first sample of real data; here every failure counts.
func (r *run) dataSample(s *ort.Session, info dataset.ModelInfo) (*sample, error) {
	read := r.Probe.Read
	read.Vocab, read.PositionRows = inspect.Tables(r.Source)
	got, err := r.tryInputs(s, r.Probe.Source, info, read)
	if err != nil {
		return nil, err
	}
	got.from = fmt.Sprintf("the first sample of %q", r.Probe.Source)
	return got, nil
}

func (r *run) tryInputs(s *ort.Session, source string, info dataset.ModelInfo, read dataset.Options) (*sample, error) {
	set, err := dataset.Open(source, info, read)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	first, err := set.Next()
	if err != nil {
		return nil, err
	}
	out, err := s.RunContext(r.ctx, first.Inputs, names(info.Outputs))
	if err != nil {
		return nil, err
	}
	return &sample{values: first.Inputs, outputs: out}, nil
}

// guessShapes gives inputs of floats whose dimensions are open a size: 1 for
// the first axis, 3 channels of a picture, n for the others. What the user
// fixed stays.
func (r *run) guessShapes(inputs []ort.Info, n int64) map[string]tensor.Shape {
	shapes := maps.Clone(r.Probe.Read.Shapes)
	if shapes == nil {
		shapes = map[string]tensor.Shape{}
	}
	for _, in := range inputs {
		if _, given := shapes[in.Name]; given || !in.DType.IsFloat() || len(in.Dims) == 0 {
			continue
		}
		shape := make(tensor.Shape, len(in.Dims))
		for i, d := range in.Dims {
			fixed, ok := int64(0), false
			if i < len(in.Symbols) {
				fixed, ok = r.Probe.Read.Dims[in.Symbols[i]]
			}
			switch {
			case d >= 0:
				shape[i] = d
			case ok:
				shape[i] = fixed
			case i == 0:
				shape[i] = 1
			case i == 1 && len(in.Dims) == 4 && in.Dims[3] != 3:
				shape[i] = 3
			default:
				shape[i] = n
			}
		}
		if isPast(in.Name) {
			continue
		}
		shapes[in.Name] = shape
	}
	return shapes
}

// isPast reports whether an input is a key/value cache, which starts empty.
func isPast(name string) bool { return strings.HasPrefix(name, "past") }

// likeOutputs returns fresh memory for outputs of the shapes that were seen.
func (s *sample) likeOutputs() map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for name, t := range s.outputs {
		t.Data = make([]byte, len(t.Data))
		out[name] = t
	}
	return out
}
