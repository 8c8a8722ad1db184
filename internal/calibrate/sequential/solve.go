// Package sequential decides weights by what data shows, layer after layer: it
// runs a model piece by piece, each with the layers before it already rounded,
// and gives every layer the Hessian of the input that it will see. Memory holds
// one layer's Hessian; what lives between the pieces is kept for all samples,
// in a temporary file where there is much of it.
package sequential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// Options say how to decide.
type Options struct {
	Method  quant.Method      // GPTQ, AWQ, or Auto: for each input the one of less error
	Prune   *rounding.Pattern // not nil: in place of rounding, prune by SparseGPT
	Session ort.Options
	// Budget is the memory in bytes for what lives between pieces; 0: 256 MiB.
	Budget   int64
	Progress func(done, total int) // samples times layers; may be nil
}

// Result is what was decided. What was decided may lie in a file until Close.
type Result struct {
	Solutions quant.Solutions
	Weights   []*onnx.Tensor // as they are decided, in the order of the graph
	Notes     []string
	store     *store
}

// Close gives memory and file back; the codes of the solutions and the weights are gone then.
func (r *Result) Close() { r.store.close() }

const defaultBudget = 256 << 20

// Solve decides the products of a prepared model on the samples of a set. The
// model is not changed.
func Solve(ctx context.Context, rt *ort.Runtime, m *onnx.Model, set *dataset.Set, products []quant.Product, o Options) (*Result, error) {
	o.Session.NoSpin = true // threads that spin take the processor from the rounding between runs
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	e, err := newEngine(ctx, rt, o.Session)
	if err != nil {
		return nil, err
	}
	defer e.close()
	graph := *m.Graph
	graph.Initializers = slices.Clone(m.Graph.Initializers)
	s := &solver{
		Options: o, rt: rt, model: *m, cuts: newCuts(&graph, products), engine: e,
		result: &Result{Solutions: quant.Solutions{}, store: newStore(o.Budget)},
	}
	s.model.Graph = &graph
	s.decide = s.round
	if o.Prune != nil {
		s.decide = s.sparsify
	}
	err = s.read(set)
	for i := 0; err == nil && i < len(s.cuts.stages); i++ {
		err = s.stage(ctx, i)
	}
	if err != nil {
		s.result.Close()
		return nil, err
	}
	return s.result, nil
}

type solver struct {
	Options
	rt     *ort.Runtime
	model  onnx.Model
	cuts   *cuts
	engine *engine
	result *Result
	inputs []map[string]tensor.Tensor // of the model, by sample
	masks  [][]bool
	given  []string // values that are kept between pieces
	few    bool     // too little data was noted
	decide func(context.Context, stage, *Hessian) error
}

// read takes all samples into memory; they are small beside what becomes of them.
func (s *solver) read(set *dataset.Set) error {
	for {
		sample, err := set.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.inputs, s.masks = append(s.inputs, sample.Inputs), append(s.masks, sample.Mask)
	}
	if len(s.inputs) == 0 {
		return fmt.Errorf("%q holds no samples", set.Source)
	}
	return nil
}

// key names a kept value of a sample.
func key(sample int, value string) string { return fmt.Sprintf("%d %s", sample, value) }

// stage runs the piece before stage i, and decides its products.
func (s *solver) stage(ctx context.Context, i int) error {
	st := s.cuts.stages[i]
	kept := s.cuts.kept(i)
	made := slices.DeleteFunc(slices.Clone(kept), func(v string) bool { return slices.Contains(s.given, v) })
	wanted := made
	if s.cuts.index.Producer(st.input) != nil && !slices.Contains(s.given, st.input) && !slices.Contains(made, st.input) {
		wanted = append(slices.Clone(made), st.input)
	}
	h := newHessian(s.engine, st.products[0].K)
	if err := s.run(ctx, i, wanted, made, h); err != nil {
		return err
	}
	for _, v := range s.given {
		if !slices.Contains(kept, v) {
			for sample := range s.inputs {
				s.result.store.drop(key(sample, v))
			}
		}
	}
	s.given = kept
	if err := h.flush(); err != nil {
		return err
	}
	return s.decide(ctx, st, h)
}

// run computes wanted values for every sample, keeps those that were made for
// later, and adds the stage's input to its Hessian.
func (s *solver) run(ctx context.Context, i int, wanted, made []string, h *Hessian) error {
	st := s.cuts.stages[i]
	var session *ort.Session
	if len(wanted) > 0 {
		var err error
		if session, err = s.open(wanted); err != nil {
			return fmt.Errorf("the piece before %q: %w", st.products[0].Node, err)
		}
		defer session.Close()
	}
	for sample := range s.inputs {
		err := s.sample(ctx, session, sample, wanted, made, st.input, h)
		if err != nil {
			return fmt.Errorf("sample %d: %w", sample+1, err)
		}
		if s.Progress != nil {
			s.Progress(i*len(s.inputs)+sample+1, len(s.cuts.stages)*len(s.inputs))
		}
	}
	return nil
}

// sample runs one sample.
func (s *solver) sample(ctx context.Context, session *ort.Session, sample int, wanted, made []string, input string, h *Hessian) error {
	var out map[string]tensor.Tensor
	if session != nil {
		in := map[string]tensor.Tensor{}
		for _, info := range session.Inputs() {
			t, err := s.value(sample, info.Name)
			if err != nil {
				return err
			}
			in[info.Name] = t
		}
		var release func()
		var err error
		if out, release, err = session.RunLent(ctx, in, wanted); err != nil {
			return err
		}
		defer release()
	}
	for _, v := range made {
		if err := s.result.store.put(key(sample, v), out[v]); err != nil {
			return err
		}
	}
	x, ok := out[input]
	if !ok {
		var err error
		if x, err = s.value(sample, input); err != nil {
			return err
		}
	}
	if err := h.add(x, s.masks[sample]); err != nil {
		return fmt.Errorf("value %q %w", input, err)
	}
	return nil
}

// value returns an input of the model, or what was kept.
func (s *solver) value(sample int, name string) (tensor.Tensor, error) {
	if t, ok := s.inputs[sample][name]; ok {
		return t, nil
	}
	return s.result.store.get(key(sample, name))
}

// open opens the piece that makes the wanted values.
func (s *solver) open(wanted []string) (*ort.Session, error) {
	m := s.model
	m.Graph = s.cuts.piece(s.given, wanted)
	for _, v := range s.given {
		t, err := s.value(0, v)
		if err != nil {
			return nil, err
		}
		dims := make([]int64, len(t.Shape))
		for i := range dims {
			dims[i] = -1
		}
		m.Graph.Inputs = append(m.Graph.Inputs, &onnx.ValueInfo{Name: v, Type: onnx.TensorType(t.DType, dims...)})
	}
	used := map[string]bool{}
	index := onnx.NewIndex(m.Graph)
	for _, n := range m.Graph.Nodes {
		index.Uses(n, func(v string) { used[v] = true })
	}
	m.Graph.Inputs = slices.DeleteFunc(m.Graph.Inputs, func(v *onnx.ValueInfo) bool { return !used[v.Name] })
	for _, v := range wanted {
		m.Graph.Outputs = append(m.Graph.Outputs, &onnx.ValueInfo{Name: v})
	}
	return calibrate.Open(s.rt, &m, s.Session)
}
