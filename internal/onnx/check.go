package onnx

import (
	"errors"
	"fmt"
)

// Check reports the first thing that keeps the model from being a model: no
// graph or operator set, values made twice or not at all, nodes in a circle,
// tensors whose data does not fit their type and shape. Nodes in the wrong
// order are no error (see Sort), and neither are unknown operators and operator
// set versions, which are for the runtime to judge. Bodies see the values of
// the graphs around them, and may hide them under the same name.
func (m *Model) Check() error {
	if m.Graph == nil {
		return errors.New("the model has no graph")
	}
	if len(m.Opsets) == 0 {
		return errors.New("opset_import is missing")
	}
	if err := checkOpsets(m.Opsets); err != nil {
		return err
	}
	if err := checkGraph(m.Graph, nil, newCaptures(m.Graph.Nodes)); err != nil {
		return err
	}
	return m.checkFunctions()
}

func checkOpsets(opsets []Opset) error {
	seen := map[string]int64{}
	for _, o := range opsets {
		if o.Version < 1 {
			return fmt.Errorf("opset_import of domain %q has version %d", o.Domain, o.Version)
		}
		d := plainDomain(o.Domain)
		if v, ok := seen[d]; ok && v != o.Version {
			return fmt.Errorf("opset_import names versions %d and %d of domain %q", v, o.Version, o.Domain)
		}
		seen[d] = o.Version
	}
	return nil
}

// plainDomain returns a domain with the long name of the default one replaced.
func plainDomain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// add records that who defines name.
func (s *scope) add(name string, who maker) error {
	if name == "" {
		return fmt.Errorf("%s has no name", who)
	}
	if before, ok := s.made[name]; ok {
		return fmt.Errorf("value %q is made twice, as %s and as %s", name, before, who)
	}
	s.made[name] = who
	return nil
}

// checkGraph checks g, which sees the values of outer.
func checkGraph(g *Graph, outer *scope, c captures) error {
	here := &scope{made: map[string]maker{}, outer: outer}
	for _, v := range g.Inputs {
		if err := here.add(v.Name, maker{what: "a graph input"}); err != nil {
			return err
		}
	}
	if err := checkInitializers(g, here); err != nil {
		return err
	}
	if err := checkSingleAssignment(g.Nodes, here); err != nil {
		return err
	}
	if err := checkNodes(g.Nodes, here, c); err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, v := range g.Outputs {
		switch {
		case v.Name == "":
			return errors.New("a graph output has no name")
		case !here.visible(v.Name):
			return fmt.Errorf("graph output %q is made by no node", v.Name)
		case listed[v.Name]:
			return fmt.Errorf("graph output %q is listed twice", v.Name)
		}
		listed[v.Name] = true
	}
	_, err := topological(g.Nodes, c)
	return err
}

// checkInitializers adds the initializers to the scope. One that is a graph input
// too is that input's default value.
func checkInitializers(g *Graph, here *scope) error {
	seen := make(map[string]bool, len(g.Initializers))
	add := func(t *Tensor) error {
		if seen[t.Name] {
			return fmt.Errorf("two initializers are named %q", t.Name)
		}
		seen[t.Name] = true
		if _, input := here.made[t.Name]; !input || t.Name == "" {
			return here.add(t.Name, maker{what: "an initializer"})
		}
		return nil
	}
	for _, t := range g.Initializers {
		if err := add(t); err != nil {
			return err
		}
		if err := t.checkData(); err != nil {
			return t.errorf("%w", err)
		}
	}
	for _, s := range g.Sparse {
		if err := s.check(); err != nil {
			return fmt.Errorf("sparse initializer: %w", err)
		}
		if err := add(s.Values); err != nil {
			return err
		}
	}
	return nil
}

// checkSingleAssignment adds the outputs of the nodes to the scope.
func checkSingleAssignment(nodes []*Node, here *scope) error {
	for i, n := range nodes {
		if n.OpType == "" {
			return fmt.Errorf("%s: op_type is missing", label(n, i))
		}
		for _, out := range n.Outputs {
			if out == "" {
				continue // an optional output that is left out
			}
			if err := here.add(out, maker{node: n, index: i}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkNodes checks that the nodes read values that exist, and what is in
// their attributes.
func checkNodes(nodes []*Node, here *scope, c captures) error {
	for i, n := range nodes {
		for _, in := range n.Inputs {
			if in != "" && !here.visible(in) {
				return fmt.Errorf("%s: input %q is made by nothing", label(n, i), in)
			}
		}
		for _, a := range n.Attrs {
			if err := checkAttribute(a, here, c); err != nil {
				return fmt.Errorf("%s: attribute %q: %w", label(n, i), a.Name, err)
			}
		}
		if err := uniqueAttributes(n.Attrs); err != nil {
			return fmt.Errorf("%s: %w", label(n, i), err)
		}
	}
	return nil
}

func uniqueAttributes(attrs []*Attribute) error {
	if len(attrs) < 2 {
		return nil
	}
	seen := make(map[string]bool, len(attrs))
	for _, a := range attrs {
		if seen[a.Name] {
			return fmt.Errorf("attribute %q is given twice", a.Name)
		}
		seen[a.Name] = true
	}
	return nil
}

// checkAttribute checks the graphs and tensors in an attribute.
func checkAttribute(a *Attribute, here *scope, c captures) error {
	for _, g := range append([]*Graph{a.G}, a.Graphs...) {
		if g == nil {
			continue
		}
		if err := checkGraph(g, here, c); err != nil {
			return err
		}
	}
	for _, t := range append([]*Tensor{a.T}, a.Tensors...) {
		if t == nil {
			continue
		}
		if err := t.checkData(); err != nil {
			return t.errorf("%w", err)
		}
	}
	return nil
}

// checkFunctions checks the model's local functions: unique, with bodies that
// read only what is theirs, and that do not call each other in a circle.
func (m *Model) checkFunctions() error {
	byID := make(map[string]*Function, len(m.Functions))
	for _, fn := range m.Functions {
		id := functionID(fn.Domain, fn.Name, fn.Overload)
		if fn.Name == "" {
			return errors.New("a function has no name")
		}
		if byID[id] != nil {
			return fmt.Errorf("function %q of domain %q is defined twice", fn.Name, fn.Domain)
		}
		byID[id] = fn
		if err := checkFunction(fn); err != nil {
			return fmt.Errorf("function %q: %w", fn.Name, err)
		}
	}
	return checkCalls(m.Functions, byID)
}

func functionID(domain, name, overload string) string {
	return plainDomain(domain) + "\x00" + name + "\x00" + overload
}

func checkFunction(fn *Function) error {
	g := &Graph{Nodes: fn.Nodes}
	for _, in := range fn.Inputs {
		g.Inputs = append(g.Inputs, &ValueInfo{Name: in})
	}
	for _, out := range fn.Outputs {
		g.Outputs = append(g.Outputs, &ValueInfo{Name: out})
	}
	return checkGraph(g, nil, newCaptures(g.Nodes))
}

// checkCalls reports functions that call themselves, directly or through
// others: inlining them would never end. It peels off the functions that call
// none that is left; what remains is a circle or leads into one.
func checkCalls(functions []*Function, byID map[string]*Function) error {
	calls := map[*Function]int{} // distinct callees that are not peeled off
	callers := map[*Function][]*Function{}
	for _, fn := range functions {
		seen := map[*Function]bool{}
		walkNodes(fn.Nodes, func(n *Node) {
			callee := byID[functionID(n.Domain, n.OpType, n.Overload)]
			if callee != nil && !seen[callee] {
				seen[callee] = true
				calls[fn]++
				callers[callee] = append(callers[callee], fn)
			}
		})
	}
	var free []*Function
	for _, fn := range functions {
		if calls[fn] == 0 {
			free = append(free, fn)
		}
	}
	for peeled := 0; peeled < len(free); peeled++ {
		for _, caller := range callers[free[peeled]] {
			if calls[caller]--; calls[caller] == 0 {
				free = append(free, caller)
			}
		}
	}
	for _, fn := range functions {
		if calls[fn] > 0 {
			return fmt.Errorf("function %q calls itself, by way of others or directly", fn.Name)
		}
	}
	return nil
}
