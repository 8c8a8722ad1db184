// Package gate lets a changed model through only when it holds. The result is
// written beside its target under a temporary name, loaded in ONNX Runtime,
// compared with the source, measured against the limits that the user set, and
// only then renamed. A run that fails leaves nothing behind.
package gate

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/workload"
)

// ErrLimit says that a limit was missed; the verdict tells which.
var ErrLimit = errors.New("a limit was missed")

// ErrResult says that the result does not run as the source does.
var ErrResult = errors.New("the result does not hold")

// ErrSource says that the source itself does not load or run.
var ErrSource = errors.New("the source does not run")

// heavyWeights is the size of a source above which sessions map their weights
// instead of copying them, so that memory follows the largest tensor, and speed
// is measured only when asked for.
const heavyWeights = 256 << 20

// DefaultMaxLoss is the MaxLoss of a user who names none.
const DefaultMaxLoss = 0.05

// Data is a data source and how to read it.
type Data struct {
	Source string // empty: none
	Read   dataset.Options
}

// Options say what to write and what has to hold.
type Options struct {
	Runtime *ort.Runtime
	Session ort.Options // threads and custom operators of every session
	Source  *onnx.Model // as it was read, unchanged
	Result  *onnx.Model // as it is to be written

	Output  Target
	HalfIO  bool // float inputs and outputs of the result may be of half precision
	Workers int  // that compute weights; 0: one per processor

	Probe Data // whose first sample the models are compared on; without it made-up inputs
	Eval  Data
	// Metric is a name of package eval; empty: auto.
	Metric string

	MaxLoss    float64 // with Eval: retention must be greater than 1 − MaxLoss
	MinSpeedup float64 // 0: none
	MaxSize    int64   // bytes of the output with its external data; 0: none
	Measure    string  // speed: auto, on, off
	// Advice is what to try where a limit is missed, by "quality", "size" and "speed".
	Advice map[string]string

	Progress func(stage string, done, total int64) // may be nil
}

// Verdict is what was found. Pointers are nil where nothing was measured.
type Verdict struct {
	BytesBefore, BytesAfter int64
	External                bool // the weights lie in a file of their own, Output.data

	Quality  *Quality
	Speed    *Speed
	Kernels  map[string]int // operators that ONNX Runtime ran, fused, by type
	Cosine   *float64       // of the compared run: the least of the outputs'
	Opset    int64
	Needs    string // least version of ONNX Runtime
	Missed   []Missed
	Warnings []string
}

// Missed is a limit that was not met.
type Missed struct {
	Limit  string // quality, speed, size
	Detail string // by how much
	Try    string // what may help
}

// Quality compares source and result on the data of Eval.
type Quality struct {
	Metric        string
	Before, After *float64 // nil for metrics that compare two models
	Retention     *float64 // nil for mse
	Value         float64
	Limit         *float64
	KL            *float64 // mean divergence from the source's predictions, of perplexity
	Samples       int
}

// Speed compares the time of one run in milliseconds. Low and High bound the
// 95 % interval of the speed-up.
type Speed struct {
	Before, After      float64
	Speedup, Low, High float64
	Sizes              []string // of the inputs, each once: "1 x 128"
}

// run is one pass through the gate.
type run struct {
	Options
	ctx     context.Context
	stage   *staging
	verdict *Verdict
	staged  *onnx.Model              // the written result, read again
	inputs  *workload.Found          // nil: the source runs with none that were tried
	after   map[string]tensor.Tensor // what the result gave for inputs
}

// turn is held by the one run of this process: two at once would measure each
// other's load, and one could unmap weights whose pages the other gives back.
var turn = make(chan struct{}, 1)

// Run writes the result, proves it and renames it. Beside ErrLimit the verdict
// is complete; with any other error it holds what was found until then. Errors
// of the target are *OutputError, of the source ErrSource, of the result
// ErrResult; data that does not fit is a *dataset.Error. Runs in one process wait
// for each other.
func Run(ctx context.Context, o Options) (*Verdict, error) {
	r := &run{Options: o, ctx: ctx, verdict: &Verdict{}}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return r.verdict, ctx.Err()
	}
	var err error
	if r.stage, err = newStaging(o.Output, o.Source); err != nil {
		return r.verdict, err
	}
	defer r.close()
	// What the runtime is at when the user interrupts may outlive the process.
	forget := context.AfterFunc(ctx, r.stage.remove)
	for _, step := range []func() error{r.write, r.compare, r.prove, r.size} {
		if err := ctx.Err(); err != nil {
			return r.verdict, err
		}
		if err := step(); err != nil {
			if ctx.Err() != nil { // then it may have failed for want of the folder
				err = ctx.Err()
			}
			return r.verdict, err
		}
	}
	if len(r.verdict.Missed) > 0 {
		return r.verdict, fmt.Errorf("%w: %s: %s", ErrLimit, r.verdict.Missed[0].Limit, r.verdict.Missed[0].Detail)
	}
	if !forget() {
		return r.verdict, ctx.Err()
	}
	return r.verdict, r.stage.commit(r.verdict.External)
}

// close forgets the staged result; what was committed has other names by then.
func (r *run) close() {
	if r.staged != nil {
		r.staged.Close()
	}
	r.stage.remove()
}

// write writes the result into the staging folder and reads it back.
func (r *run) write() error {
	before, err := inspect.Bytes(r.Source)
	if err != nil {
		return err
	}
	if err := r.stage.room(r.Result); err != nil {
		return err
	}
	o := r.stage.options()
	o.Workers, o.Context = r.Workers, r.ctx
	o.Progress = func(done, total int64) { r.progress("writing", done, total) }
	w, err := r.Result.WriteFile(r.stage.model, o)
	if err != nil {
		return r.stage.describe(err)
	}
	if before > heavyWeights {
		debug.FreeOSMemory() // the writer's buffers would lie beside what the runtime takes next
	}
	v := r.verdict
	v.BytesBefore, v.BytesAfter, v.External = before, w.Size+w.DataSize, w.External
	v.Opset, v.Needs = needs(r.Result)
	if r.staged, err = onnx.Open(r.stage.model); err != nil {
		return fmt.Errorf("%w: %w", ErrResult, err)
	}
	return nil
}

func (r *run) progress(stage string, done, total int64) {
	if r.Progress != nil {
		r.Progress(stage, done, total)
	}
}

func (r *run) warnf(format string, args ...any) {
	r.verdict.Warnings = append(r.verdict.Warnings, fmt.Sprintf(format, args...))
}

func (r *run) miss(limit, try, format string, args ...any) {
	r.verdict.Missed = append(r.verdict.Missed, Missed{limit, fmt.Sprintf(format, args...), try})
}

// size compares the bytes written with the limit.
func (r *run) size() error {
	if r.MaxSize > 0 && r.verdict.BytesAfter > r.MaxSize {
		r.miss("size", r.Advice["size"],
			"the output has %d bytes, %d more than allowed", r.verdict.BytesAfter, r.verdict.BytesAfter-r.MaxSize)
	}
	return nil
}
