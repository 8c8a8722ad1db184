package distill

import (
	"context"
	"fmt"
	"slices"

	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/tensor"
	"optim/internal/train"
)

// prepare builds the student's training graph and the teacher's session.
func (l *lesson) prepare(ctx context.Context, teacherModel *onnx.Model) error {
	if err := l.fits(ctx); err != nil {
		return err
	}
	batch, err := l.rows.Batch(l.o.Batch)
	if err != nil {
		return err
	}
	labels, counted := batch[train.Labels], batch[train.Counted]
	delete(batch, train.Labels)
	delete(batch, train.Counted)

	own, weights, err := l.frozen(ctx, l.student, batch, l.o.Values == nil)
	if err != nil {
		return fmt.Errorf("student: %w", err)
	}
	theirs, _, err := l.frozen(ctx, teacherModel, batch, false)
	if err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	state, err := l.batchNorms(own)
	if err != nil {
		return err
	}
	b := &objective{o: l.o, g: own, parts: map[string]string{}}
	b.counted = own.Input(train.Counted, autodiff.Type{DType: tensor.Bool, Shape: counted.Shape})
	if l.rows.Kind != train.NoLabels {
		b.labels = own.Input(train.Labels, autodiff.Type{DType: tensor.Int64, Shape: labels.Shape})
	}
	var further []train.Weight
	if l.o.Rewrite != nil {
		if further, err = l.o.Rewrite(own); err != nil {
			return err
		}
	}
	var total string
	if l.o.Values != nil {
		total, err = b.values(theirs)
	} else {
		total, err = l.whole(b, theirs, teacherModel)
	}
	if err != nil {
		return err
	}
	for _, w := range weights {
		l.names = append(l.names, w.Name)
	}
	model := train.Model{Graph: own, Loss: total, Parts: b.parts, Weights: slices.Concat(weights, further, b.extra), State: state, Recompute: l.o.Recompute}
	if l.trainer, err = train.New(l.rt, model, l.o.Train); err != nil {
		return err
	}
	if len(b.wants) > 0 {
		l.teacher, err = newTeacher(l.rt, theirs, b, l)
	}
	return err
}

// ErrMemory says that a batch needs more memory than there is.
var ErrMemory = fmt.Errorf("the batch is too large")

// fits compares what a batch needs with what is free, by the values of one sample: in a
// step about as much again lives as gradients and what they are made of.
func (l *lesson) fits(ctx context.Context) error {
	if l.o.Memory == 0 {
		return nil
	}
	one, err := l.rows.Batch(1)
	if err != nil {
		return err
	}
	delete(one, train.Labels)
	delete(one, train.Counted)
	g, _, err := l.frozen(ctx, l.student, one, true)
	if err != nil {
		return nil // a model of a fixed batch size; the batch itself will tell
	}
	bytes := int64(0)
	for _, n := range g.Nodes() {
		for _, v := range n.Outputs {
			if g.Has(v) && !n.Is("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity") {
				bytes += 4 * g.Type(v).Elements()
			}
		}
	}
	if l.o.Recompute {
		bytes /= 2
	}
	if need := 2 * bytes * int64(l.o.Batch); need > l.o.Memory {
		return fmt.Errorf("%w: a step of %d samples needs about %.1f GB, and %.1f GB are free", ErrMemory, l.o.Batch, float64(need)/1e9, float64(l.o.Memory)/1e9)
	}
	return nil
}

// batchNorms lets the student normalize by the statistics of its batches, and returns the
// running ones, which belong to its weights.
func (l *lesson) batchNorms(g *autodiff.Graph) (map[string]train.State, error) {
	state := map[string]train.State{}
	for _, r := range g.TrainBatchNorm() {
		value, err := l.student.Graph.Initializer(r.Name).Value()
		if err != nil {
			return nil, err
		}
		first := make([]float32, value.Len())
		if err := tensor.ToFloat32(first, value); err != nil {
			return nil, err
		}
		state[r.Name] = train.State{Next: r.Next, First: first}
		l.names = append(l.names, r.Name)
	}
	return state, nil
}

// whole builds the loss of the whole network.
func (l *lesson) whole(b *objective, theirs *autodiff.Graph, teacherModel *onnx.Model) (string, error) {
	own := b.g
	t, err := match(own, theirs, l.student, teacherModel, l.rows.Kind != train.NoLabels)
	if err != nil {
		return "", err
	}
	if err := l.checkLabels(own, t); err != nil {
		return "", err
	}
	ours, others := find(own, l.student), find(theirs, teacherModel)
	for _, list := range [][]string{ours.attention, ours.hidden, ours.maps, {t.student}} {
		for _, v := range list {
			own.Keep(v)
		}
	}
	if l.o.Rewrite == nil { // what it put in speaks of values that fusing takes away
		own.FuseGelu()
	}
	return b.total(t, theirs, ours, others)
}

// frozen fixes a copy of a model for the batch. A student's weights become inputs.
func (l *lesson) frozen(ctx context.Context, m *onnx.Model, batch map[string]tensor.Tensor, trained bool) (*autodiff.Graph, []train.Weight, error) {
	b, err := m.Marshal()
	if err != nil {
		return nil, nil, err
	}
	copied, err := onnx.Parse(b)
	if err != nil {
		return nil, nil, err
	}
	if err := autodiff.Prepare(copied); err != nil {
		return nil, nil, err
	}
	var weights []train.Weight
	var names []string
	if trained {
		if weights, err = train.Trainable(copied); err != nil {
			return nil, nil, err
		}
		for _, w := range weights {
			names = append(names, w.Name)
		}
		if !l.o.FixedNorms {
			names = append(names, autodiff.Statistics(copied)...)
		}
	}
	in := map[string]tensor.Tensor{}
	for _, v := range copied.Graph.Inputs {
		if t, ok := batch[v.Name]; ok {
			in[v.Name] = t
		} else if !copied.Graph.IsBound(v.Name) {
			return nil, nil, fmt.Errorf("nothing in the data is for its input %q", v.Name)
		}
	}
	g, err := autodiff.Freeze(ctx, l.rt, copied, in, names, l.o.Train.Session)
	return g, weights, err
}

// checkLabels compares the labels with the number of classes.
func (l *lesson) checkLabels(g *autodiff.Graph, t target) error {
	if l.rows.Kind == train.NoLabels || l.o.Alpha >= 1 {
		return nil
	}
	s := g.Shape(t.student)
	want := 2
	if l.rows.Kind == train.NextIDs {
		want = 3
	}
	if len(s) != want {
		return fmt.Errorf("output %q is %v, the labels of this data (%s) need %d axes; --alpha 1 leaves them out", t.student, s, l.rows.Kind, want)
	}
	return l.rows.CheckLabels(s[len(s)-1])
}
