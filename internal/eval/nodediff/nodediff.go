// Package nodediff compares the activations of two models: every value of real
// numbers that both make under the same name. It tells where a quantized model
// leaves its source.
package nodediff

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// ErrNothingShared says that no activation has a name that both models use.
var ErrNothingShared = errors.New("the models share no activation of real numbers")

// Diff is how one activation of the model differs from the reference's, over
// all samples. Signal and Noise are sums of squares of the reference and of the
// difference; SQNR is 10·log10(Signal/Noise) in dB, +Inf where Noise is 0.
type Diff struct {
	Value  string // its name
	Op     string // operator that makes it in the reference
	Signal float64
	Noise  float64
	SQNR   float64
	Cosine float64
	Unlike bool // the shapes differ: nothing was compared
}

// Options say how to compare.
type Options struct {
	Session  ort.Options
	Progress func(done, total int)
}

// Compare runs both models on the set, one sample at a time, and returns the
// differences, worst SQNR first. Values inside the bodies of If, Loop and Scan
// cannot be seen. The graphs are not changed.
func Compare(ctx context.Context, rt *ort.Runtime, reference, model *onnx.Model, set *dataset.Set, o Options) ([]Diff, error) {
	names := shared(reference, model)
	ref, err := exposed(rt, reference, names, o.Session)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	defer ref.Close()
	other, err := exposed(rt, model, names, o.Session)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	defer other.Close()
	names = realNumbers(ref, names)
	names = realNumbers(other, names)
	if len(names) == 0 {
		return nil, ErrNothingShared
	}
	c := newComparison(reference, names)
	if err := c.all(ctx, ref, other, set, o.Progress); err != nil {
		return nil, err
	}
	return c.result(), nil
}

// shared returns the names of values that nodes of both main graphs make, and
// that are not known to be other than real numbers.
func shared(a, b *onnx.Model) []string {
	made := candidates(b)
	var out []string
	for _, n := range a.Graph.Nodes {
		for _, v := range n.Outputs {
			if made[v] {
				out = append(out, v)
			}
		}
	}
	known := candidates(a)
	return slices.DeleteFunc(out, func(v string) bool { return !known[v] })
}

func candidates(m *onnx.Model) map[string]bool {
	types := infer.Model(m)
	out := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		if n.OpType == "Constant" {
			continue
		}
		for _, v := range n.Outputs {
			d := types.Of(v).DType
			if v != "" && (d == tensor.Undefined || d.IsFloat()) {
				out[v] = true
			}
		}
	}
	return out
}

// exposed opens a session of m in which the named values are outputs, too. It
// has their types found by ONNX Runtime, which infers what is left out.
func exposed(rt *ort.Runtime, m *onnx.Model, names []string, o ort.Options) (*ort.Session, error) {
	graph := *m.Graph
	graph.Outputs = slices.Clone(m.Graph.Outputs)
	for _, v := range names {
		isOutput := func(out *onnx.ValueInfo) bool { return out.Name == v }
		if !slices.ContainsFunc(m.Graph.Outputs, isOutput) {
			graph.Outputs = append(graph.Outputs, &onnx.ValueInfo{Name: v})
		}
	}
	copied := *m
	copied.Graph = &graph
	folder := m.Folder()
	file, err := copied.Weightless(folder)
	if err != nil {
		return nil, err
	}
	o.ExternalFolder = folder
	return rt.OpenBytes(file, o)
}

// realNumbers keeps the names that are outputs of real numbers of s.
func realNumbers(s *ort.Session, names []string) []string {
	isReal := map[string]bool{}
	for _, o := range s.Outputs() {
		isReal[o.Name] = o.DType.IsFloat()
	}
	return slices.DeleteFunc(slices.Clone(names), func(v string) bool { return !isReal[v] })
}

// comparison adds up sums over samples.
type comparison struct {
	names []string
	sums  map[string]*sums
	op    map[string]string
}

// sums of products of the reference x and the other y, and of their difference.
type sums struct {
	xx, yy, xy, dd float64
	unlike         bool // shapes differed
}

func newComparison(reference *onnx.Model, names []string) *comparison {
	c := &comparison{names: names, sums: map[string]*sums{}, op: map[string]string{}}
	for _, v := range names {
		c.sums[v] = &sums{}
	}
	for _, n := range reference.Graph.Nodes {
		for _, v := range n.Outputs {
			c.op[v] = n.OpType
		}
	}
	return c
}

func (c *comparison) all(ctx context.Context, a, b *ort.Session, set *dataset.Set, progress func(done, total int)) error {
	if err := set.Rewind(); err != nil {
		return err
	}
	total, known := set.Len()
	if !known {
		total = 0
	}
	for done := 1; ; done++ {
		batch, err := set.Batch(1)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x, err := a.RunContext(ctx, batch.Inputs, c.names)
		if err != nil {
			return fmt.Errorf("reference: %w", err)
		}
		y, err := b.RunContext(ctx, batch.Inputs, c.names)
		if err != nil {
			return fmt.Errorf("model: %w", err)
		}
		for _, v := range c.names {
			if err := c.sums[v].add(x[v], y[v]); err != nil {
				return fmt.Errorf("activation %q: %w", v, err)
			}
		}
		if progress != nil {
			progress(done, total)
		}
	}
}

func (s *sums) add(a, b tensor.Tensor) error {
	x, err := a.Float32s()
	if err != nil {
		return err
	}
	y, err := b.Float32s()
	if err != nil {
		return err
	}
	if !a.Shape.Equal(b.Shape) {
		s.unlike = true
		return nil
	}
	for i := range x {
		u, v := float64(x[i]), float64(y[i])
		if u == v && math.IsInf(u, 0) {
			continue // masks are −∞ in both
		}
		s.xx += u * u
		s.yy += v * v
		s.xy += u * v
		s.dd += (u - v) * (u - v)
	}
	return nil
}

// result returns the differences, worst first. Activations without a figure,
// since their shapes differ or numbers are not finite, come before all others
// with a cosine of 0 and an SQNR of −Inf.
func (c *comparison) result() []Diff {
	out := make([]Diff, 0, len(c.names))
	for _, v := range c.names {
		s := c.sums[v]
		d := Diff{Value: v, Op: c.op[v], Signal: s.xx, Noise: s.dd, Cosine: 1, Unlike: s.unlike}
		switch total := s.xx + s.yy + s.dd; {
		case s.unlike || math.IsNaN(total) || math.IsInf(total, 0):
			d.SQNR, d.Cosine, d.Noise = math.Inf(-1), 0, math.Inf(1)
		case s.dd == 0:
			d.SQNR = math.Inf(1)
		default:
			d.SQNR = 10 * math.Log10(s.xx/s.dd)
			if d.Cosine = 0; s.xx > 0 && s.yy > 0 {
				d.Cosine = min(s.xy/math.Sqrt(s.xx)/math.Sqrt(s.yy), 1)
			}
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b Diff) int { return cmp.Compare(a.SQNR, b.SQNR) })
	return out
}
