// Package workload finds what a model is to be run with: samples of real data,
// or made-up inputs whose open sizes the model takes, as single inputs and as
// batches for a benchmark.
package workload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// Model is a model in a session, with its file.
type Model struct {
	Graph   *onnx.Model
	Session *ort.Session
}

// info is what dataset has to know about the model.
func (m Model) info() dataset.ModelInfo {
	return dataset.ModelInfo{Path: m.Graph.Path, Inputs: m.Session.Inputs(), Outputs: m.Session.Outputs()}
}

// Found is an input that a model runs with, and what it gave.
type Found struct {
	Read    dataset.Options // how it was read or made up
	Inputs  map[string]tensor.Tensor
	Outputs map[string]tensor.Tensor // those that are tensors
	Real    bool                     // from data; else made up
	From    string                   // in words
	Took    time.Duration            // the run
}

// Sizes that are tried for dimensions that neither the model nor the user fixes:
// detectors refuse 224, recurrent models refuse 1.
var (
	// Small begins with what runs fast.
	Small = []int64{8, 32, 224, 640, 320, 256, 512, 128, 16, 64, 1}
	// Typical begins with what models are used with.
	Typical = []int64{224, 640, 320, 256, 512, 128, 64, 32, 16, 8, 1}
)

// searchTime is when no further size is tried: a model that takes long to fail
// would be tried for minutes.
const searchTime = 20 * time.Second

// UnfitError says that a model runs with none of the made-up inputs.
type UnfitError struct{ Last error }

// Error names the last reason.
func (e *UnfitError) Error() string {
	var data *dataset.Error
	if errors.As(e.Last, &data) { // sizes that were given, as a rule
		return "no inputs can be made up: " + strings.TrimPrefix(data.Error(), data.File+": ")
	}
	return fmt.Sprintf("it runs with none of the input sizes that were tried; the last: %v", e.Last)
}

// Unwrap returns the last reason.
func (e *UnfitError) Unwrap() error { return e.Last }

// Find returns the first sample of the data, or with dataset.Random or no
// source the made-up inputs of the first of sizes that the model runs with, else
// *UnfitError.
func Find(ctx context.Context, m Model, source string, read dataset.Options, sizes []int64) (*Found, error) {
	read.Vocab, read.PositionRows = inspect.Tables(m.Graph)
	if source != "" && source != dataset.Random {
		found, err := try(ctx, m, source, read)
		if err != nil {
			return nil, err
		}
		found.Real, found.From = true, fmt.Sprintf("the first sample of %q", source)
		return found, nil
	}
	g := guesser{info: m.info(), read: read, sizes: sizes, tried: map[string]bool{}}
	var last error
	for start := time.Now(); last == nil || time.Since(start) < searchTime; {
		guess, ok := g.next()
		if !ok {
			break
		}
		found, err := try(ctx, m, dataset.Random, guess)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			found.From = "made-up inputs"
			return found, nil
		}
		last = err
	}
	return nil, &UnfitError{last}
}

// try runs the model on the first sample of a source.
func try(ctx context.Context, m Model, source string, read dataset.Options) (*Found, error) {
	set, err := dataset.Open(source, m.info(), read)
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
	out, err := m.Session.RunContext(ctx, first.Inputs, Tensors(m.Session))
	if err != nil {
		return nil, err
	}
	return &Found{Read: read, Inputs: first.Inputs, Outputs: out, Took: time.Since(start)}, nil
}

// Tensors names the outputs of a session that are tensors: sequences and maps
// cannot be read.
func Tensors(s *ort.Session) []string {
	var names []string
	for _, out := range s.Outputs() {
		if out.DType != tensor.Undefined {
			names = append(names, out.Name)
		}
	}
	return names
}

// longestGuess is the most ids that are made up for a text.
const longestGuess = 128

// guesser makes up sizes of inputs.
type guesser struct {
	info  dataset.ModelInfo
	read  dataset.Options // what the user fixed
	sizes []int64
	tried map[string]bool
}

// next returns how to make inputs of the next size that was not tried.
func (g *guesser) next() (dataset.Options, bool) {
	for _, n := range g.sizes {
		read := g.guess(n)
		key := fmt.Sprint(read.SeqLen, read.Shapes) // maps are printed in order
		if !g.tried[key] {
			g.tried[key] = true
			return read, true
		}
	}
	return dataset.Options{}, false
}

// guess returns how to make up inputs whose open dimensions have size n.
func (g *guesser) guess(n int64) dataset.Options {
	read := g.read
	if read.Samples == 0 {
		read.Samples = 1
	}
	read.Shapes = maps.Clone(read.Shapes)
	if read.Shapes == nil {
		read.Shapes = map[string]tensor.Shape{}
	}
	ids := g.info.IDs()
	for _, in := range g.info.Inputs {
		_, given := read.Shapes[in.Name]
		switch {
		case given || len(in.Dims) == 0 || g.info.IsMade(in):
		case in.Name == ids:
			if read.SeqLen == 0 && g.sizeOf(in, 1) < 0 {
				read.SeqLen = int(min(n, longestGuess))
			}
		default:
			read.Shapes[in.Name] = g.shape(in, n)
		}
	}
	return read
}

// shape gives the open dimensions of an input a size: 1 for the first axis, 3
// channels of a picture, n for the others. What the user fixed stays.
func (g *guesser) shape(in ort.Info, n int64) tensor.Shape {
	shape := make(tensor.Shape, len(in.Dims))
	for i := range in.Dims {
		switch size := g.sizeOf(in, i); {
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
func (g *guesser) sizeOf(in ort.Info, axis int) int64 {
	if in.Dims[axis] >= 0 {
		return in.Dims[axis]
	}
	if axis < len(in.Symbols) {
		if n, ok := g.read.Dims[in.Symbols[axis]]; ok {
			return n
		}
	}
	return -1
}

// Memory returns memory of their own for outputs of the types and shapes that
// were seen, to be bound; strings cannot be bound, and are left to the runtime.
func Memory(seen map[string]tensor.Tensor) map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for name, t := range seen {
		if t.DType == tensor.String {
			t = tensor.Tensor{}
		}
		t.Data = make([]byte, len(t.Data))
		out[name] = t
	}
	return out
}
