package calibrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// SensitivitySamples is the number of samples that a Reference needs: what one
// node's rounding does to the outputs is much the same in all of them.
const SensitivitySamples = 8

// rowsPerOutput bounds the rows of an output that are compared.
const rowsPerOutput = 512

// Reference is what a model computes on a few samples, for others to be
// compared with.
type Reference struct {
	rt      *ort.Runtime
	session ort.Options
	logits  bool
	inputs  []map[string]tensor.Tensor
	outputs []map[string]rows // by sample and output
}

// rows are those of an output that are compared.
type rows struct {
	values []float32
	width  int // of a row
}

// NewReference runs a model on at most SensitivitySamples samples of a set.
// With logits, the last axis of its outputs holds the logarithms of unnormed
// probabilities.
func NewReference(ctx context.Context, rt *ort.Runtime, m *onnx.Model, set *dataset.Set, logits bool, session ort.Options) (*Reference, error) {
	r := &Reference{rt: rt, session: session, logits: logits}
	for len(r.inputs) < SensitivitySamples {
		s, err := set.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		r.inputs = append(r.inputs, s.Inputs)
	}
	if len(r.inputs) == 0 {
		return nil, fmt.Errorf("%q holds no samples", set.Source)
	}
	var err error
	r.outputs, err = r.run(ctx, m)
	return r, err
}

// Sample returns the inputs of the first sample.
func (r *Reference) Sample() map[string]tensor.Tensor { return r.inputs[0] }

// Loss returns what a model with the same inputs and outputs loses against the
// reference, the mean over samples and outputs: of logits the Kullback-Leibler
// divergence in nats, else the ratio of the error's power to the output's. A
// result that is not finite is an infinite loss.
func (r *Reference) Loss(ctx context.Context, m *onnx.Model) (float64, error) {
	got, err := r.run(ctx, m)
	if err != nil {
		return 0, err
	}
	sum, count := 0.0, 0
	for i, want := range r.outputs {
		for _, name := range slices.Sorted(maps.Keys(want)) { // sums of floats depend on the order
			a, b := want[name], got[i][name]
			if len(a.values) != len(b.values) || a.width != b.width {
				return 0, fmt.Errorf("output %q has another shape than the source's", name)
			}
			sum += r.compare(a, b)
			count++
		}
	}
	loss := sum / float64(max(count, 1))
	if math.IsNaN(loss) {
		return math.Inf(1), nil
	}
	return loss, nil
}

func (r *Reference) compare(a, b rows) float64 {
	if r.logits {
		kl := 0.0
		for at := 0; at < len(a.values); at += a.width {
			kl += divergence(a.values[at:at+a.width], b.values[at:at+a.width])
		}
		return kl / float64(len(a.values)/a.width)
	}
	signal, noise := 0.0, 0.0
	for i, x := range a.values {
		d := float64(x - b.values[i])
		signal, noise = signal+float64(x)*float64(x), noise+d*d
	}
	if signal == 0 {
		return noise
	}
	return noise / signal
}

// divergence is Σ p·ln(p/q) of the softmaxes of two rows of logits.
func divergence(a, b []float32) float64 {
	la, lb := logSumExp(a), logSumExp(b)
	kl := 0.0
	for i, x := range a {
		lp := float64(x) - la
		if p := math.Exp(lp); p > 0 {
			kl += p * (lp - float64(b[i]) + lb)
		}
	}
	return max(kl, 0)
}

func logSumExp(v []float32) float64 {
	_, top, _ := tensor.MinMax(v)
	sum := 0.0
	for _, x := range v {
		sum += math.Exp(float64(x - top))
	}
	return float64(top) + math.Log(sum)
}

// run returns the compared rows of all outputs of real numbers.
func (r *Reference) run(ctx context.Context, m *onnx.Model) ([]map[string]rows, error) {
	s, err := Open(r.rt, m, r.session)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var all []map[string]rows
	for i, in := range r.inputs {
		out, release, err := s.RunLent(ctx, in, nil)
		if err != nil {
			return nil, fmt.Errorf("sample %d: %w", i+1, err)
		}
		kept := map[string]rows{}
		for name, t := range out {
			if t.DType.IsFloat() && t.Len() > 0 {
				if kept[name], err = spread(t); err != nil {
					break
				}
			}
		}
		release()
		if err != nil {
			return nil, err
		}
		all = append(all, kept)
	}
	return all, nil
}

// spread copies evenly spread rows of an output.
func spread(t tensor.Tensor) (rows, error) {
	v, err := t.Float32s()
	if err != nil {
		return rows{}, err
	}
	r := rows{width: 1}
	if n := len(t.Shape); n > 0 {
		r.width = int(t.Shape[n-1])
	}
	count := len(v) / r.width
	step := max((count+rowsPerOutput-1)/rowsPerOutput, 1)
	for i := 0; i < count; i += step {
		r.values = append(r.values, v[i*r.width:(i+1)*r.width]...)
	}
	return r, nil
}
