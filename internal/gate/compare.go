package gate

import (
	"fmt"
	"math"
	"os"
	"path/filepath"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// compare loads source and result, one after the other so that never two large
// models are resident, and runs both on the same input.
func (r *run) compare() error {
	r.progress("comparing", 0, 2)
	before, err := r.runSource()
	if err != nil {
		return err
	}
	r.progress("comparing", 1, 2)
	after, err := r.runResult(before)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResult, err)
	}
	r.progress("comparing", 2, 2)
	if before.values == nil {
		r.warnf("the source runs with none of the input sizes that were tried: the result was loaded, not compared (give --dim or --shape)")
		return nil
	}
	return r.judge(before, after)
}

// outcome is what a model showed.
type outcome struct {
	inputs, outputs []ort.Info
	values          map[string]tensor.Tensor // nil: it did not run
}

// withSession opens a weightless session; while f runs it, the pages of its
// mapped weights are given back, so that resident memory stays far below the
// model. The session is opened before and closed after that: memory that is
// unmapped meanwhile could be somebody else's when its pages are given back.
func (r *run) withSession(m *onnx.Model, o ort.Options, f func(*ort.Session) error) error {
	o.ExternalFolder = m.Folder()
	o.NoPrepack = true
	b, err := m.Weightless(o.ExternalFolder)
	if err != nil {
		return err
	}
	files, err := sourceFiles(m)
	if err != nil {
		return err
	}
	s, err := r.Runtime.OpenBytes(b, o)
	if err != nil {
		return err
	}
	defer s.Close()
	return ort.KeepResidentLow(files, func() error { return f(s) })
}

// noFolding keeps the runtime from computing constants when it loads a model:
// the transpose of a tied embedding, for one, would be a copy of it.
var noFolding = map[string]string{"optimization.disable_specified_optimizers": "ConstantFolding"}

// runSource runs the source without copies of its weights.
func (r *run) runSource() (out outcome, err error) {
	o := r.Session
	o.Entries = noFolding
	err = r.withSession(r.Source, o, func(s *ort.Session) error {
		out.inputs, out.outputs = s.Inputs(), s.Outputs()
		if r.inputs, err = r.findInputs(s); err != nil || r.inputs == nil {
			return err
		}
		out.values = r.inputs.outputs
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrSource, err)
	}
	return out, nil
}

// runResult runs the result as users will, fully optimized, with a profile that
// tells which kernels ran.
func (r *run) runResult(before outcome) (out outcome, err error) {
	o := r.Session
	o.ProfilePrefix = filepath.Join(r.stage.folder, "profile")
	err = r.withSession(r.staged, o, func(s *ort.Session) error {
		out.inputs, out.outputs = s.Inputs(), s.Outputs()
		if err := sameInterface(before, out); err != nil {
			return err
		}
		if before.values == nil {
			return nil
		}
		if out.values, err = s.RunContext(r.ctx, r.inputs.values, names(out.outputs)); err != nil {
			return err
		}
		return r.countKernels(s)
	})
	return out, err
}

func (r *run) countKernels(s *ort.Session) error {
	file, err := s.EndProfiling()
	if err != nil {
		return err
	}
	defer os.Remove(file)
	times, err := ort.ReadProfile(file)
	if err != nil {
		return err
	}
	r.verdict.Kernels = ort.KernelCounts(times)
	return nil
}

func names(list []ort.Info) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.Name
	}
	return out
}

// sameInterface compares names, types and shapes; symbolic dimensions fit any.
func sameInterface(a, b outcome) error {
	for _, side := range []struct {
		what string
		a, b []ort.Info
	}{{"input", a.inputs, b.inputs}, {"output", a.outputs, b.outputs}} {
		if len(side.a) != len(side.b) {
			return fmt.Errorf("it has %d %ss, the source %d", len(side.b), side.what, len(side.a))
		}
		for i, want := range side.a {
			if got := side.b[i]; got.Name != want.Name || got.DType != want.DType || !sameDims(got.Dims, want.Dims) {
				return fmt.Errorf("%s %d is %q %s, the source's is %q %s", side.what, i, got.Name, got, want.Name, want)
			}
		}
	}
	return nil
}

func sameDims(a, b []int64) bool {
	if len(a) != len(b) {
		return len(a) == 0 || len(b) == 0 // a rank that the runtime did not infer
	}
	for i := range a {
		if a[i] != b[i] && a[i] >= 0 && b[i] >= 0 {
			return false
		}
	}
	return true
}

// judge compares the outputs of the two runs.
func (r *run) judge(before, after outcome) error {
	var dot, na, nb float64
	for _, info := range before.outputs {
		a, b := before.values[info.Name], after.values[info.Name]
		if !a.Shape.Equal(b.Shape) {
			return fmt.Errorf("%w: output %q has shape %s, the source's %s", ErrResult, info.Name, b.Shape, a.Shape)
		}
		if !info.DType.IsFloat() {
			continue
		}
		x, err := a.Float32s()
		if err != nil {
			return err
		}
		y, err := b.Float32s()
		if err != nil {
			return err
		}
		for i := range x {
			if finite(x[i]) && !finite(y[i]) {
				return fmt.Errorf("%w: output %q is %v at element %d, where the source has %v", ErrResult, info.Name, y[i], i, x[i])
			}
			if finite(x[i]) {
				dot += float64(x[i]) * float64(y[i])
				na += float64(x[i]) * float64(x[i])
				nb += float64(y[i]) * float64(y[i])
			}
		}
	}
	if na > 0 && nb > 0 {
		cos := dot / math.Sqrt(na*nb)
		r.verdict.Cosine = &cos
		if cos < strange {
			r.warnf("the outputs differ much from the source's: cosine %.3f on %s", cos, r.inputs.from)
		}
	}
	return nil
}

// strange is the cosine of outputs below which a result is suspect.
const strange = 0.95

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
