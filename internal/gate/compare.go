package gate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/workload"
)

// outcome is what a model showed.
type outcome struct {
	inputs, outputs []ort.Info
	values          map[string]tensor.Tensor // nil: it did not run
}

// compare loads source and result, one after the other so that never two large
// models are resident, and runs both on the same input.
func (r *run) compare() error {
	r.progress("comparing", 0, 2)
	before, err := r.runSource()
	if err != nil {
		return blameSource(err)
	}
	r.progress("comparing", 1, 2)
	after, err := r.runResult(before)
	if err != nil {
		return blameResult(err)
	}
	r.progress("comparing", 2, 2)
	if before.values == nil {
		return nil
	}
	r.after = after.values
	return r.judge(before, after)
}

// blameSource says that the source failed, unless it was the data.
func blameSource(err error) error {
	var data *dataset.Error
	if errors.As(err, &data) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrSource, err)
}

// blameResult says that the result failed.
func blameResult(err error) error { return fmt.Errorf("%w: %w", ErrResult, err) }

// runSource runs the source as it is written: constants that the runtime folds
// would be copies of weights. (To disable folding alone does not do: fusions of
// ONNX Runtime 1.30 that meet unfolded constants crash on decoders with a
// cache.)
func (r *run) runSource() (out outcome, err error) {
	o := r.Session
	o.GraphOpt = ort.GraphOptOff
	undo := untranspose(r.Source)
	s, err := r.openMapped(r.Source, o)
	undo()
	if err != nil {
		return out, err
	}
	defer s.Close()
	out.inputs, out.outputs = s.Inputs(), s.Outputs()
	err = s.use(func() (err error) {
		r.inputs, err = r.findInputs(s.Session)
		return err
	})
	if r.inputs != nil {
		out.values = r.inputs.Outputs
	}
	return out, err
}

// runResult runs the result as users will, fully optimized, with a profile that
// tells which kernels ran.
func (r *run) runResult(before outcome) (out outcome, err error) {
	o := r.Session
	o.ProfilePrefix = filepath.Join(r.stage.folder, "profile")
	s, err := r.opener()(r.staged, o)
	if err != nil {
		return out, err
	}
	defer s.Close()
	out.inputs, out.outputs = s.Inputs(), s.Outputs()
	if err := sameInterface(before, out, r.HalfIO); err != nil || before.values == nil {
		return out, err
	}
	in, err := dataset.Fit(r.inputs.Inputs, out.inputs)
	if err != nil {
		return out, err
	}
	err = s.use(func() (err error) {
		out.values, err = s.RunContext(r.ctx, in, workload.Tensors(s.Session))
		return err
	})
	if err != nil {
		return out, err
	}
	return out, r.countKernels(s.Session)
}

// countKernels counts nodes, those in bodies of If, Loop and Scan that ran
// included, each once.
func (r *run) countKernels(s *ort.Session) error {
	file, err := s.EndProfiling()
	if err != nil {
		return err
	}
	defer os.Remove(file)
	times, err := ort.ReadProfile(file)
	if err != nil { // names of nodes can make it unreadable: the result is as good without a count
		r.warnf("the kernels of the result were not counted: %v", err)
		return nil
	}
	r.verdict.Kernels = ort.KernelCounts(times)
	return nil
}

// Interface is the inputs and outputs of a model.
type Interface struct{ Inputs, Outputs []ort.Info }

// SameInterface reports how a model differs in its inputs and outputs from the one that it
// is to stand for: the gate refuses such a result.
func SameInterface(source, result Interface) error {
	return sameInterface(outcome{inputs: source.Inputs, outputs: source.Outputs}, outcome{inputs: result.Inputs, outputs: result.Outputs}, false)
}

// sameInterface compares names, types and shapes. An input that takes any size
// in the source has to take it in the result, too; of an output the runtime may
// infer more or less than before. With half, floats may be of half precision instead.
func sameInterface(a, b outcome, half bool) error {
	for _, side := range []struct {
		what string
		a, b []ort.Info
		open bool // open dimensions have to stay open
	}{{"input", a.inputs, b.inputs, true}, {"output", a.outputs, b.outputs, false}} {
		if len(side.a) != len(side.b) {
			return fmt.Errorf("it has %d %ss, the source %d", len(side.b), side.what, len(side.a))
		}
		for i, want := range side.a {
			got := side.b[i]
			if got.Name != want.Name || got.DType != want.DType && !(half && dataset.Halved(want.DType, got.DType)) || !sameDims(got.Dims, want.Dims, side.open) {
				return fmt.Errorf("%s %d is %q %s, the source's is %q %s", side.what, i, got.Name, got, want.Name, want)
			}
		}
	}
	return nil
}

func sameDims(got, want []int64, open bool) bool {
	if len(got) != len(want) {
		return len(got) == 0 || len(want) == 0 // a rank that the runtime did not infer
	}
	for i, w := range want {
		g := got[i]
		if g != w && (open || g >= 0 && w >= 0) {
			return false
		}
	}
	return true
}
