package calibrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// runner holds the session of the observed model.
type runner struct {
	session *ort.Session
	values  []string          // float32 activations, in order
	probes  map[string]probes // names of the reduction outputs, by value
	wanted  []string          // outputs of a run
	bound   *bound            // for inputs of the shapes seen last
	last    string            // their description
	unbound bool              // shapes of outputs depend on the data: nothing can be bound
}

// probes are the outputs that a value's reductions add to the graph.
type probes struct {
	min, max, power, shape string // over all values; min empty: the values themselves are in shape
	mean                   string // per channel, and of matrices:
	low, high, square      string
}

// newRunner opens the model twice: once to learn which values are float32 (the
// runtime infers types better than we could), once with what is to be observed.
func newRunner(rt *ort.Runtime, m *onnx.Model, o Options) (*runner, error) {
	r := &runner{probes: map[string]probes{}}
	infos, err := outputTypes(rt, m, o)
	if err != nil {
		return nil, err
	}
	before := *m.Graph
	defer func() { *m.Graph = before }()
	m.Graph.Nodes, m.Graph.Outputs = slices.Clone(before.Nodes), slices.Clone(before.Outputs)
	m.Graph.Initializers = slices.Clone(before.Initializers)
	namer := m.NewNamer()
	for _, v := range o.Values {
		info, ok := infos[v]
		if !ok || info.DType != tensor.Float32 {
			continue
		}
		r.values = append(r.values, v)
		r.probes[v] = r.addProbes(m, namer, v, info, o)
	}
	if len(r.values) == 0 {
		return r, nil
	}
	r.session, err = Open(rt, m, o.Session)
	return r, err
}

// outputTypes opens the model with all values as outputs and reads their types.
func outputTypes(rt *ort.Runtime, m *onnx.Model, o Options) (map[string]ort.Info, error) {
	before := m.Graph.Outputs
	defer func() { m.Graph.Outputs = before }()
	m.Graph.Outputs = slices.Clone(before)
	for _, v := range o.Values {
		addOutput(m.Graph, v)
	}
	so := o.Session
	so.GraphOpt, so.NoPrepack = ort.GraphOptOff, true
	s, err := Open(rt, m, so)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	infos := map[string]ort.Info{}
	for _, i := range slices.Concat(s.Inputs(), s.Outputs()) {
		infos[i.Name] = i
	}
	return infos, nil
}

// Describe returns the inputs and outputs of a model as the runtime sees them;
// its weights stay in its files.
func Describe(rt *ort.Runtime, m *onnx.Model, so ort.Options) (dataset.ModelInfo, error) {
	so.GraphOpt, so.NoPrepack = ort.GraphOptOff, true
	s, err := Open(rt, m, so)
	if err != nil {
		return dataset.ModelInfo{}, err
	}
	defer s.Close()
	return dataset.ModelInfo{Path: m.Path, Inputs: s.Inputs(), Outputs: s.Outputs()}, nil
}

// Open loads a model that was changed in memory; weights that lie in a file
// are mapped from there.
func Open(rt *ort.Runtime, m *onnx.Model, so ort.Options) (*ort.Session, error) {
	so.ExternalFolder = m.Folder()
	b, err := m.Weightless(so.ExternalFolder)
	if err != nil {
		return nil, err
	}
	return rt.OpenBytes(b, so)
}

// addOutput makes a value an output of the graph, if it is none yet. Inputs
// become outputs through an Identity elsewhere and are left out here.
func addOutput(g *onnx.Graph, v string) {
	named := func(i *onnx.ValueInfo) bool { return i.Name == v }
	if !slices.ContainsFunc(g.Outputs, named) && !slices.ContainsFunc(g.Inputs, named) {
		g.Outputs = append(g.Outputs, &onnx.ValueInfo{Name: v})
	}
}

// addProbes adds what is to be read of one value.
func (r *runner) addProbes(m *onnx.Model, namer *onnx.Namer, v string, info ort.Info, o Options) probes {
	var p probes
	add := func(op, suffix string, attrs ...*onnx.Attribute) string {
		name := namer.Fresh(v + suffix)
		m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode(op, name, []string{v}, []string{name}, attrs...))
		addOutput(m.Graph, name)
		r.wanted = append(r.wanted, name)
		return name
	}
	axis, perChannel := o.Channels[v]
	perChannel = perChannel && len(info.Dims) > 1
	if perChannel {
		p.mean = r.addPerChannel(m, namer, v, "ReduceMean", axis, len(info.Dims))
	}
	if perChannel && axis < 0 {
		p.low = r.addPerChannel(m, namer, v, "ReduceMin", axis, len(info.Dims))
		p.high = r.addPerChannel(m, namer, v, "ReduceMax", axis, len(info.Dims))
		p.square = r.addPerChannel(m, namer, v, "ReduceSumSquare", axis, len(info.Dims))
	}
	named := func(i *onnx.ValueInfo) bool { return i.Name == v }
	switch {
	case o.Histograms && slices.ContainsFunc(m.Graph.Inputs, named):
		p.shape = add("Identity", "_seen")
	case o.Histograms:
		p.shape = v
		addOutput(m.Graph, v)
		r.wanted = append(r.wanted, v)
	case p.low != "": // the extremes of all are those of the channels'
		p.min, p.max, p.power, p.shape = p.low, p.high, p.square, add("Shape", "_shape")
	default:
		scalar := onnx.IntAttr("keepdims", 0)
		p.min = add("ReduceMin", "_min", scalar)
		p.max = add("ReduceMax", "_max", scalar)
		p.power = add("ReduceSumSquare", "_power", scalar)
		p.shape = add("Shape", "_shape")
	}
	return p
}

// addPerChannel adds a reduction over all axes but one.
func (r *runner) addPerChannel(m *onnx.Model, namer *onnx.Namer, v, op string, axis, rank int) string {
	if axis < 0 {
		axis += rank
	}
	var axes []int64
	for i := range rank {
		if i != axis {
			axes = append(axes, int64(i))
		}
	}
	name := namer.Fresh(v + "_" + op)
	n := onnx.NewNode(op, name, []string{v}, []string{name}, onnx.IntAttr("keepdims", 0))
	if m.Opset("") >= 18 {
		list := namer.Fresh(v + "_axes")
		m.Graph.Initializers = append(m.Graph.Initializers,
			onnx.NewTensor(list, tensor.Of(tensor.Int64, tensor.Shape{int64(len(axes))}, axes)))
		n.Inputs = append(n.Inputs, list)
	} else {
		n.SetAttr(onnx.IntListAttr("axes", axes...))
	}
	m.Graph.Nodes = append(m.Graph.Nodes, n)
	addOutput(m.Graph, name)
	r.wanted = append(r.wanted, name)
	return name
}

func (r *runner) close() {
	r.unbind()
	if r.session != nil {
		r.session.Close()
	}
}

// observe runs one sample and adds what it shows to the state.
func (r *runner) observe(ctx context.Context, s dataset.Sample, st *state) error {
	out, err := r.run(ctx, s.Inputs)
	if err != nil {
		return err
	}
	for _, v := range r.values { // entries in a fixed order, filled side by side
		st.entry(v)
	}
	var g errgroup.Group
	g.SetLimit(2)
	for _, v := range r.values {
		g.Go(func() error {
			if err := st.entry(v).add(r.probes[v], out); err != nil {
				return fmt.Errorf("value %q: %w", v, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// bound is a binding whose tensors are used again for inputs of equal shape.
type bound struct {
	binding *ort.Binding
	in, out map[string]tensor.Tensor
}

// run runs the session. From the second sample of a shape on, inputs are
// copied into bound tensors, and outputs lie in the same memory each time.
func (r *runner) run(ctx context.Context, in map[string]tensor.Tensor) (map[string]tensor.Tensor, error) {
	shapes := describe(in)
	if shapes != r.last || r.unbound {
		r.unbind()
		r.last = shapes
		return r.session.RunContext(ctx, in, r.wanted)
	}
	if r.bound == nil {
		out, err := r.session.RunContext(ctx, in, r.wanted)
		if err != nil {
			return nil, err
		}
		return out, r.bind(in, out)
	}
	for name, t := range r.bound.in {
		copy(t.Data, in[name].Data)
	}
	if r.bound.binding.RunContext(ctx) == nil {
		return r.bound.out, nil
	}
	r.unbind()
	out, err := r.session.RunContext(ctx, in, r.wanted)
	r.unbound = err == nil
	return out, err
}

func (r *runner) unbind() {
	if r.bound != nil {
		r.bound.binding.Close()
		r.bound = nil
	}
}

func (r *runner) bind(in, out map[string]tensor.Tensor) error {
	b := &bound{in: map[string]tensor.Tensor{}, out: out}
	for name, t := range in {
		if t.DType == tensor.String {
			r.unbound = true // strings cannot be bound
			return nil
		}
		c, err := tensor.New(t.DType, t.Shape)
		if err != nil {
			return err
		}
		copy(c.Data, t.Data)
		b.in[name] = c
	}
	var err error
	if b.binding, err = r.session.Bind(b.in, b.out); err != nil {
		return err
	}
	r.bound = b
	return nil
}

func describe(in map[string]tensor.Tensor) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(in)) {
		fmt.Fprintf(&b, "%q%s;", name, in[name].Shape)
	}
	return b.String()
}
