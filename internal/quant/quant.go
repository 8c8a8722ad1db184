package quant

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/opset"
)

// ErrNothing says that no node of the model could be quantized.
var ErrNothing = errors.New("nothing could be quantized")

// ErrQuantized says that a model is quantized already.
var ErrQuantized = errors.New("the model is quantized already")

// perChannelOpset is what per-channel QuantizeLinear and DequantizeLinear need.
const perChannelOpset = 13

// leastOpset is what the operators of the result need.
func (o *Options) leastOpset(m *onnx.Model) int64 {
	if o.Form == QDQ && (o.Format == Int4 || o.Method == WeightOnly) || o.Format == Int4 && hasConv(m) {
		return blockedOpset
	}
	switch {
	case o.Float8:
		return float8Opset
	case o.portable() && o.Form != TensorRT:
		return wideOpset
	}
	return perChannelOpset
}

// Prepare brings a model into the form that quantization works on: constants
// as initializers, weights next to their users, batch normalization folded,
// an operator set that has what the options need. It returns what it did.
func Prepare(m *onnx.Model, o *Options) ([]string, error) {
	if m.Opset("") == 0 {
		return nil, fmt.Errorf("it uses no operator of the default domain: %w", ErrNothing)
	}
	if n := inspect.QuantizedNodes(m); n > 0 {
		return nil, fmt.Errorf("%d of its nodes are integer ones: %w", n, ErrQuantized)
	}
	var done []string
	if v, least := m.Opset(""), o.leastOpset(m); v < least {
		if _, err := opset.Upgrade(m, least); err != nil {
			return nil, err
		}
		done = append(done, fmt.Sprintf("opset raised from %d to %d", v, least))
	}
	if _, err := fold.Simplify(m); err != nil {
		return nil, err
	}
	n, err := fold.BatchNorm(m)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		done = append(done, fmt.Sprintf("%d normalizations and scalings folded into the layers before them", n))
	}
	if n = fold.HardSwish(m); n > 0 {
		done = append(done, fmt.Sprintf("%d hard-swishes fused", n))
	}
	return done, nil
}

// Quantize rewrites a prepared model in place and returns what it decided.
// Weights are read for their scales, workers at a time, and become integers
// only when the model is written. Observations are needed for Static alone.
// It fails with ErrNothing, beside the plan, when no weight was quantized.
func Quantize(ctx context.Context, m *onnx.Model, o *Options, obs Observations, workers int) (*Plan, error) {
	plan := &Plan{}
	before := initializers(m)
	q := newPass(m, o, plan)
	how, ok := find(o.Format, o.Method)
	switch {
	case !ok:
		return nil, fmt.Errorf("format %q has no method %q", o.Format, o.Method)
	case o.static() && o.portable():
		q.rewritePortable(obs)
	case o.static():
		if err := q.rewriteStatic(ctx, obs, workers); err != nil {
			return plan, err
		}
	case o.Method == Convert:
		if err := half(ctx, m, o, plan, workers); err != nil {
			return plan, err
		}
	default:
		q.rewrite(how.rules, how.noKernel)
	}
	if plan.weighty() == 0 {
		return plan, nothing(m, plan)
	}
	if err := q.fit(ctx, workers); err != nil {
		return plan, err
	}
	plan.Grids = q.weights.grids()
	plan.Notes = append(plan.Notes, q.notes()...)
	q.declareDomains()
	if err := m.Graph.Sort(); err != nil {
		return plan, err
	}
	m.Graph.RemoveDead()
	n, err := fold.Denormals(m, func(t *onnx.Tensor) bool { return before[t] })
	if err != nil {
		return plan, err
	}
	if n > 0 {
		plan.Prepared = append(plan.Prepared, fmt.Sprintf("denormal numbers in %d weights that stay float set to zero", n))
	}
	return plan, m.Check()
}

// initializers is the set of a model's initializers.
func initializers(m *onnx.Model) map[*onnx.Tensor]bool {
	set := map[*onnx.Tensor]bool{}
	m.WalkGraphs(func(g *onnx.Graph, _ string) {
		for _, t := range g.Initializers {
			set[t] = true
		}
	})
	return set
}

// fit finds all scales, workers at a time.
func (q *pass) fit(ctx context.Context, workers int) error {
	return parallel(ctx, workers, len(q.fits), func(i int) error { return q.fits[i]() })
}

// parallel calls f for 0 to n-1, workers at a time. Results belong into slots
// of their own: then they do not depend on the number of workers.
func parallel(ctx context.Context, workers, n int, f func(i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(workers, 1))
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return f(i)
		})
	}
	return g.Wait()
}

// notes tells what the user may not expect of the format.
func (q *pass) notes() []string {
	var out []string
	if c := q.o.Compute; c == ComputeFP16 || c == ComputeBF16 {
		out = append(out, fmt.Sprintf("processors have no kernel that computes these products in %s: there they compute in fp32", c))
	}
	if n, size := 0, int64(0); len(q.floats) > 0 {
		for _, f := range q.floats {
			n, size = n+f.n*f.k, size+f.size
		}
		out = append(out, fmt.Sprintf("%.2f bits a weight, scales included", 8*float64(size)/float64(n)))
	}
	return out
}

// declareDomains imports the runtime's own operators where they are used.
func (q *pass) declareDomains() {
	used := false
	q.model.WalkNodes(func(n *onnx.Node) { used = used || n.Domain == microsoft })
	if used && q.model.Opset(microsoft) == 0 {
		q.model.SetOpset(microsoft, 1)
	}
}

// nothing explains why a run had no effect.
func nothing(m *onnx.Model, p *Plan) error {
	var why []string
	for _, r := range p.Reasons() {
		why = append(why, fmt.Sprintf("%d × %s", r.Count, r.Reason))
	}
	if len(why) == 0 {
		return fmt.Errorf("the model has no weights in MatMul, Gemm, Conv, Gather or LSTM: %w", ErrNothing)
	}
	return fmt.Errorf("%w: %s", ErrNothing, strings.Join(why, "; "))
}
