package train

import (
	"errors"
	"fmt"

	"optim/internal/autodiff"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// ErrDiverged says that the loss is no longer a number.
var ErrDiverged = errors.New("training diverged")

// Model is what is trained: a graph with its losses, all of fixed sizes.
type Model struct {
	Graph   *autodiff.Graph
	Loss    string            // the scalar that is made smaller
	Parts   map[string]string // scalars that are reported, by name
	Weights []Weight          // inputs of Graph
	// State has values that replace an input after each run: running statistics.
	State map[string]State
	// Recompute saves memory for time; see autodiff.Graph.
	Recompute bool
}

// State is an input that is replaced by another value of the graph after each step.
type State struct {
	Next  string
	First []float32
}

// Trainer runs steps.
type Trainer struct {
	o       Options
	w       *weights
	opt     *optimizer
	session *ort.Session
	binding *ort.Binding
	inputs  map[string]tensor.Tensor // of a batch
	parts   map[string][]float32
	loss    []float32
	state   map[string][]float32
	next    map[string][]float32
	pending []float32 // gradients of earlier batches of this step
	done    int
}

// New writes the gradients of a model's loss and opens what runs it. The first step
// can follow at once.
func New(rt *ort.Runtime, m Model, o Options) (*Trainer, error) {
	o = o.Defaults()
	o.Session.NoSpin = true
	if err := o.Check(); err != nil {
		return nil, err
	}
	g := m.Graph
	g.Recompute = m.Recompute
	var names []string
	for _, w := range m.Weights {
		names = append(names, w.Name)
	}
	grads, err := g.Gradients(m.Loss, names)
	if err != nil {
		return nil, err
	}
	var used []Weight
	for _, w := range m.Weights {
		if grads[w.Name] != "" {
			used = append(used, w)
		}
	}
	w, err := newWeights(used)
	if err != nil {
		return nil, err
	}
	t := &Trainer{
		o: o, w: w, parts: map[string][]float32{}, loss: []float32{0}, inputs: map[string]tensor.Tensor{},
		state: map[string][]float32{}, next: map[string][]float32{},
	}
	if o.Accumulate > 1 {
		t.pending = make([]float32, len(w.value))
	}
	if err := t.open(rt, m, grads); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

const gradName = "gradient of "

func (t *Trainer) open(rt *ort.Runtime, m Model, grads map[string]string) error {
	g := m.Graph
	out := map[string]tensor.Tensor{}
	result := func(name, value string, memory []float32) {
		g.Output(name, value)
		out[name] = tensor.Of(tensor.Float32, g.Shape(value), memory)
	}
	result("loss", m.Loss, t.loss)
	for _, name := range sorted(m.Parts) {
		t.parts[name] = []float32{0}
		result("loss "+name, m.Parts[name], t.parts[name])
	}
	for _, w := range t.w.list {
		g.Output(gradName+w.Name, grads[w.Name])
		out[gradName+w.Name] = t.w.view(t.w.grad, w)
	}
	for _, name := range sorted(m.State) {
		t.state[name], t.next[name] = m.State[name].First, make([]float32, len(m.State[name].First))
		result("next "+name, m.State[name].Next, t.next[name])
	}
	b, err := g.Model().Marshal()
	if err != nil {
		return err
	}
	if t.session, err = rt.OpenBytes(b, t.o.Session); err != nil {
		return fmt.Errorf("the training graph: %w", err)
	}
	if err := t.bind(m, out); err != nil {
		return err
	}
	t.opt, err = newOptimizer(rt, t.w, t.o)
	return err
}

// bind gives the graph its memory: weights, state, and buffers for the batch.
func (t *Trainer) bind(m Model, out map[string]tensor.Tensor) error {
	in := map[string]tensor.Tensor{}
	for _, w := range t.w.list {
		in[w.Name] = t.w.view(t.w.value, w)
	}
	constant := map[string]Weight{}
	for _, w := range m.Weights {
		constant[w.Name] = w
	}
	for _, info := range t.session.Inputs() {
		if _, ok := in[info.Name]; ok {
			continue
		}
		typ := m.Graph.Type(info.Name)
		if s, ok := t.state[info.Name]; ok {
			in[info.Name] = tensor.Of(tensor.Float32, typ.Shape, s)
			continue
		}
		if w, ok := constant[info.Name]; ok { // read, but not on the way to the loss
			in[info.Name] = tensor.Of(tensor.Float32, typ.Shape, w.First)
			continue
		}
		buffer, err := tensor.New(typ.DType, typ.Shape)
		if err != nil {
			return err
		}
		in[info.Name], t.inputs[info.Name] = buffer, buffer
	}
	var err error
	t.binding, err = t.session.Bind(in, out)
	return err
}

// Inputs returns the memory that the next step reads its batch from.
func (t *Trainer) Inputs() map[string]tensor.Tensor { return t.inputs }

// Weights returns the trained tensors by name; the memory is that of the training.
func (t *Trainer) Weights() map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for _, w := range t.w.list {
		out[w.Name] = t.w.view(t.w.value, w)
	}
	for name, s := range t.state {
		out[name] = tensor.Of(tensor.Float32, tensor.Shape{int64(len(s))}, s)
	}
	return out
}

// Gradients returns the gradients of the last batch by weight; the memory is that of the
// training.
func (t *Trainer) Gradients() map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for _, w := range t.w.list {
		out[w.Name] = t.w.view(t.w.grad, w)
	}
	return out
}

// Close frees the sessions.
func (t *Trainer) Close() {
	if t.opt != nil {
		t.opt.close()
	}
	if t.binding != nil {
		t.binding.Close()
	}
	if t.session != nil {
		t.session.Close()
	}
}
