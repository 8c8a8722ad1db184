package gate

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// sample is an input that the source runs with, and what it gave.
type sample struct {
	values  map[string]tensor.Tensor
	outputs map[string]tensor.Tensor
	from    string        // where the values come from
	took    time.Duration // the run
}

// extents are the sizes that are tried for dimensions that neither the model
// nor the user fixes: detectors refuse 224, recurrent models refuse 1.
var extents = []int64{8, 32, 224, 640, 320, 256, 512, 128, 16, 64, 1}

// searchTime is when no further size is tried: a source that takes long to
// fail would be tried for minutes.
const searchTime = 20 * time.Second

// findInputs returns the first sample of the data, or else made-up inputs of
// the first size that the source runs with; nil, with a warning, where it runs
// with none.
func (r *run) findInputs(s *ort.Session) (*sample, error) {
	info := dataset.ModelInfo{Path: r.Source.Path, Inputs: s.Inputs(), Outputs: s.Outputs()}
	if r.Probe.Source != "" && r.Probe.Source != dataset.Random {
		return r.dataSample(s, info)
	}
	var last error
	tried := map[string]bool{}
	for start := time.Now(); len(tried) == 0 || time.Since(start) < searchTime; {
		read, ok := r.nextGuess(info, tried)
		if !ok {
			break
		}
		got, err := r.tryInputs(s, dataset.Random, info, read)
		if r.ctx.Err() != nil {
			return nil, r.ctx.Err()
		}
		if err == nil {
			got.from = "made-up inputs"
			return got, nil
		}
		last = err
	}
	r.warnf("the source runs with none of the input sizes that were tried: the result was loaded, not compared (give --dim or --shape); the last: %v", last)
	return nil, nil
}

// nextGuess returns how to make inputs of the next size that was not tried.
func (r *run) nextGuess(info dataset.ModelInfo, tried map[string]bool) (dataset.Options, bool) {
	for _, n := range extents {
		read := r.guess(info, n)
		key := fmt.Sprint(read.SeqLen, read.Shapes) // maps are printed in order
		if !tried[key] {
			tried[key] = true
			return read, true
		}
	}
	return dataset.Options{}, false
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
	if errors.Is(err, io.EOF) {
		err = &dataset.Error{File: source, Err: errors.New("no samples")}
	}
	if err != nil {
		return nil, err
	}
	start := time.Now()
	out, err := s.RunContext(r.ctx, first.Inputs, names(info.Outputs))
	if err != nil {
		return nil, err
	}
	return &sample{values: first.Inputs, outputs: out, took: time.Since(start)}, nil
}

// guess returns how to make up inputs whose open dimensions have size n.
func (r *run) guess(info dataset.ModelInfo, n int64) dataset.Options {
	read := r.Probe.Read
	read.Samples = 1
	read.Vocab, read.PositionRows = inspect.Tables(r.Source)
	read.Shapes = maps.Clone(r.Probe.Read.Shapes)
	if read.Shapes == nil {
		read.Shapes = map[string]tensor.Shape{}
	}
	ids := info.IDs()
	for _, in := range info.Inputs {
		_, given := read.Shapes[in.Name]
		switch {
		case given || len(in.Dims) == 0 || info.IsMade(in):
		case in.Name == ids:
			if read.SeqLen == 0 && r.sizeOf(in, 1) < 0 {
				read.SeqLen = int(n)
			}
		default:
			read.Shapes[in.Name] = r.guessShape(in, n)
		}
	}
	return read
}

// guessShape gives the open dimensions of an input a size: 1 for the first
// axis, 3 channels of a picture, n for the others. What the user fixed stays.
func (r *run) guessShape(in ort.Info, n int64) tensor.Shape {
	shape := make(tensor.Shape, len(in.Dims))
	for i := range in.Dims {
		switch size := r.sizeOf(in, i); {
		case size >= 0:
			shape[i] = size
		case i == 0:
			shape[i] = 1
		case i == 1 && len(in.Dims) == 4 && in.Dims[3] != 3:
			shape[i] = 3
		default:
			shape[i] = n
		}
	}
	return shape
}

// sizeOf returns a dimension that the model or the user fixed, or -1.
func (r *run) sizeOf(in ort.Info, axis int) int64 {
	if in.Dims[axis] >= 0 {
		return in.Dims[axis]
	}
	if axis < len(in.Symbols) {
		if n, ok := r.Probe.Read.Dims[in.Symbols[axis]]; ok {
			return n
		}
	}
	return -1
}

// fresh returns memory for outputs of the shapes that were seen.
func fresh(seen map[string]tensor.Tensor) map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for name, t := range seen {
		t.Data = make([]byte, len(t.Data))
		out[name] = t
	}
	return out
}
