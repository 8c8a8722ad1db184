// Package opset raises the version of the standard operator set that a model
// is written in. Each version has a small table of the operators whose form or
// meaning changed with it, and of what is to be done to a node of the version
// before; the changes are those of the operator changelog of the ONNX
// specification (Changelog.md).
package opset

import (
	"fmt"
	"slices"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
)

// Lowest and Highest are the versions that can be raised, and raised to.
const (
	Lowest  = 7
	Highest = 21
)

// irVersion is the least IR version that goes with a version of the operator
// set (the table of releases in the specification's Versioning.md).
var irVersion = map[int64]int64{
	8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10,
}

// Upgrade raises the standard operators of m, of its subgraphs and of its
// functions to version to, and returns what it changed, one line for every
// kind of change. Other domains stay as they are, and so does a model whose
// version is to or above. An operator that cannot be raised is an error that
// names its node; m is then untouched.
func Upgrade(m *onnx.Model, to int64) (changes []string, err error) {
	if to > Highest {
		return nil, fmt.Errorf("opset %d: models can be raised to at most %d", to, Highest)
	}
	c := &converter{model: m, names: m.NewNamer(), counts: map[change]int{}}
	graph, err := c.mainGraph(to)
	if err != nil {
		return nil, c.fail(err)
	}
	functions, err := c.functions(to)
	if err != nil {
		return nil, c.fail(err)
	}
	c.commit(graph, functions, to)
	return c.report(), nil
}

// converter is one run over a model. It works on copies of the nodes, so that
// a model that cannot be raised stays as it was.
type converter struct {
	model  *onnx.Model
	names  *onnx.Namer
	counts map[change]int
	raised bool
	// widths caches otherFloats: 0 not asked yet, 1 no, 2 yes.
	widths int
}

// change is one line of the report.
type change struct {
	version  int64
	op, note string
}

func (c *converter) fail(err error) error {
	if c.model.Path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", c.model.Path, err)
}

// mainGraph returns the raised copy of the model's graph, or nil where it is
// to be left as it is.
func (c *converter) mainGraph(to int64) (*onnx.Graph, error) {
	from := version(c.model.Opsets)
	if c.model.Graph == nil || from == 0 || from >= to {
		return nil, nil
	}
	if from < Lowest {
		return nil, fmt.Errorf("opset %d: models below opset %d cannot be raised", from, Lowest)
	}
	g := copyGraph(c.model.Graph)
	b := newGraphBody(c, g, infer.Model(c.model))
	for v := from + 1; v <= to; v++ {
		if err := b.step(v); err != nil {
			return nil, err
		}
	}
	b.finish()
	return g, nil
}

// functions returns the raised copies of the model's functions.
func (c *converter) functions(to int64) ([]*onnx.Function, error) {
	out := slices.Clone(c.model.Functions)
	for i, f := range out {
		from := version(f.Opsets)
		if from == 0 || from >= to {
			continue
		}
		if from < Lowest {
			return nil, fmt.Errorf("function %q: opset %d: functions below opset %d cannot be raised",
				f.Name, from, Lowest)
		}
		dup := *f
		dup.Nodes = copyNodes(f.Nodes)
		b := newFunctionBody(c, &dup)
		for v := from + 1; v <= to; v++ {
			if err := b.step(v); err != nil {
				return nil, fmt.Errorf("function %q: %w", f.Name, err)
			}
		}
		b.finish()
		dup.Opsets = withVersion(f.Opsets, to)
		out[i] = &dup
		c.raised = true
	}
	return out, nil
}

// commit puts the copies in place. The model keeps its Graph pointer.
func (c *converter) commit(g *onnx.Graph, functions []*onnx.Function, to int64) {
	m := c.model
	m.Functions = functions
	if g != nil {
		*m.Graph = *g
		m.Opsets = withVersion(m.Opsets, to)
		c.raised = true
	}
	if c.raised {
		// At least 4: only from there on an initializer need not be an input.
		m.IRVersion = max(m.IRVersion, irVersion[to], 4)
	}
}

// report lists the changes by version, operator and note.
func (c *converter) report() []string {
	keys := make([]change, 0, len(c.counts))
	for k := range c.counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareChanges)
	lines := make([]string, len(keys))
	for i, k := range keys {
		plural := "s"
		if c.counts[k] == 1 {
			plural = ""
		}
		lines[i] = fmt.Sprintf("opset %d: %s: %s (%d node%s)", k.version, k.op, k.note, c.counts[k], plural)
	}
	return lines
}

// version returns the version of the standard operators; 0 where none is named.
func version(list []onnx.Opset) int64 {
	for _, o := range list {
		if infer.Standard(o.Domain) {
			return o.Version
		}
	}
	return 0
}

// withVersion returns a copy of list with that version of the standard
// operators.
func withVersion(list []onnx.Opset, v int64) []onnx.Opset {
	out := slices.Clone(list)
	for i := range out {
		if infer.Standard(out[i].Domain) {
			out[i].Version = v
		}
	}
	return out
}
