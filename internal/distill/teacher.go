package distill

import (
	"context"
	"fmt"

	"optim/internal/autodiff"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/train"
)

// teacher runs on each batch and puts what it makes of it into the inputs of the
// student's training graph; or it remembers.
type teacher struct {
	session *ort.Session
	binding *ort.Binding
	rows    *train.Rows
	inputs  map[string]tensor.Tensor // of the batch
	own     []string                 // inputs that the student does not read
	outputs map[string]tensor.Tensor // by value, in the trainer's memory
	cache   *cache
}

func newTeacher(rt *ort.Runtime, g *autodiff.Graph, b *objective, l *lesson) (*teacher, error) {
	t := &teacher{rows: l.rows, inputs: map[string]tensor.Tensor{}, outputs: map[string]tensor.Tensor{}}
	out := map[string]tensor.Tensor{}
	memory := l.trainer.Inputs()
	for _, v := range b.wants {
		name := teacherInput(v)
		g.Output(name, v)
		t.outputs[name] = memory[name]
		out[name] = memory[name]
	}
	bytes, err := g.Model().Marshal()
	if err != nil {
		return nil, err
	}
	if t.session, err = rt.OpenBytes(bytes, l.o.Train.Session); err != nil {
		return nil, fmt.Errorf("the teacher's graph: %w", err)
	}
	for _, info := range t.session.Inputs() {
		if m, ok := memory[info.Name]; ok {
			t.inputs[info.Name] = m
			continue
		}
		typ := g.Type(info.Name)
		m, err := tensor.New(typ.DType, typ.Shape)
		if err != nil {
			return t, err
		}
		t.inputs[info.Name] = m
		t.own = append(t.own, info.Name)
	}
	if t.binding, err = t.session.Bind(t.inputs, out); err != nil {
		return t, err
	}
	if l.o.Cache != "" {
		t.cache, err = openCache(l.o.Cache, l.o.CacheKey, l.rows.Len(), t.outputs, b.logits, l.o.TopK)
	}
	return t, err
}

// show fills the teacher's values for the samples that lie in the batch.
func (t *teacher) show(ctx context.Context, samples []int) error {
	if t.cache != nil {
		done, err := t.cache.read(samples)
		if done || err != nil {
			return err
		}
	}
	if err := t.run(ctx, t.rows, samples); err != nil || t.cache == nil {
		return err
	}
	return t.cache.write(samples)
}

// run lets the teacher speak on samples, whose inputs that the student reads as well lie
// in the batch.
func (t *teacher) run(ctx context.Context, rows *train.Rows, samples []int) error {
	for i, s := range samples {
		for _, name := range t.own {
			rows.Copy(map[string]tensor.Tensor{name: t.inputs[name]}, i, s)
		}
	}
	return t.binding.RunContext(ctx)
}

func (t *teacher) close() {
	if t.cache != nil {
		t.cache.close()
	}
	if t.binding != nil {
		t.binding.Close()
	}
	if t.session != nil {
		t.session.Close()
	}
}
