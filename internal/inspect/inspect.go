// Package inspect tells what is in a model without running it: inputs,
// operators, weights, formats, sizes and cost. It needs no runtime library, and
// reads models that no runtime would load.
package inspect

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// recipePrefix begins the metadata keys that optim writes.
const recipePrefix = "optim"

// Summary is what is in a model. Bytes is the model file with its external
// data; Parameters counts the elements of the weights as the model means them,
// however they are packed, without scales and zero points.
type Summary struct {
	Path       string            `json:"path"`
	Bytes      int64             `json:"bytes"`
	IRVersion  int64             `json:"ir_version"`
	Opset      int64             `json:"opset"` // of the default domain; 0: none
	Opsets     map[string]int64  `json:"opsets"`
	Producer   string            `json:"producer,omitempty"`
	Parameters int64             `json:"parameters"`
	Inputs     []Value           `json:"inputs"`
	Outputs    []Value           `json:"outputs"`
	Operators  map[string]int    `json:"operators"`
	Weights    map[string]Amount `json:"weights"`
	// MACs is the multiply-accumulates of one run with all symbolic dimensions
	// 1; nil where a shape is not known.
	MACs         *int64            `json:"macs,omitempty"`
	Quantization Quantization      `json:"quantization"`
	Recipe       map[string]string `json:"recipe,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	External     []string          `json:"external_data,omitempty"` // paths
	Nodes        []Node            `json:"nodes,omitempty"`
	Tensors      []Weight          `json:"tensors,omitempty"`
}

// Value is an input or output. A dimension is a number, a symbol, or nil.
type Value struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []any  `json:"shape"`
}

// Amount is how many tensors there are of a type, and their size.
type Amount struct {
	Count    int   `json:"count"`
	Elements int64 `json:"elements"`
	Bytes    int64 `json:"bytes"`
}

// Node is a node of the graph or of a body in it.
type Node struct {
	Name    string   `json:"name"`
	Op      string   `json:"op"`
	Domain  string   `json:"domain,omitempty"`
	Inputs  []string `json:"inputs"`
	Outputs []string `json:"outputs"`
}

// Weight is a constant tensor of the model.
type Weight struct {
	Name  string       `json:"name"`
	DType string       `json:"dtype"`
	Shape tensor.Shape `json:"shape"`
	Bytes int64        `json:"bytes"`
	Role  string       `json:"role"` // "weight", "scale", "zero point", "constant"
}

// Options say which lists a Summary has.
type Options struct {
	Nodes   bool
	Weights bool
}

// Model returns what is in m, which was read from a file.
func Model(m *onnx.Model, o Options) (Summary, error) {
	s := Summary{
		Path: m.Path, IRVersion: m.IRVersion,
		Producer:  strings.TrimSpace(m.ProducerName + " " + m.ProducerVersion),
		Opsets:    map[string]int64{},
		Inputs:    inputs(m),
		Outputs:   values(m.Graph.Outputs),
		Operators: operators(m),
		Weights:   map[string]Amount{},
	}
	for _, op := range m.Opsets {
		domain := op.Domain
		if domain == "" {
			domain = "ai.onnx"
		}
		s.Opsets[domain] = op.Version
	}
	s.Opset = s.Opsets["ai.onnx"]
	for _, p := range m.Metadata {
		addProperty(&s, p)
	}
	roles := findRoles(m)
	for _, t := range roles.tensors {
		a := s.Weights[t.DType.String()]
		s.Weights[t.DType.String()] = Amount{a.Count + 1, a.Elements + t.Elements(), a.Bytes + t.Size()}
	}
	s.Parameters = roles.parameters()
	s.Quantization = quantization(m, roles)
	s.MACs = MACs(m)
	if o.Nodes {
		s.Nodes = nodes(m)
	}
	if o.Weights {
		s.Tensors = roles.list()
	}
	return s, sizes(&s, m, roles)
}

func addProperty(s *Summary, p onnx.Property) {
	to := &s.Metadata
	if strings.HasPrefix(p.Key, recipePrefix) {
		to = &s.Recipe
	}
	if *to == nil {
		*to = map[string]string{}
	}
	(*to)[p.Key] = p.Value
}

// inputs returns the inputs that a user gives: an initializer that is listed
// as an input, too, has its value already.
func inputs(m *onnx.Model) []Value {
	given := map[string]bool{}
	for _, t := range m.Graph.Initializers {
		given[t.Name] = true
	}
	var free []*onnx.ValueInfo
	for _, v := range m.Graph.Inputs {
		if !given[v.Name] {
			free = append(free, v)
		}
	}
	return values(free)
}

func values(list []*onnx.ValueInfo) []Value {
	out := make([]Value, len(list))
	for i, v := range list {
		out[i] = Value{Name: v.Name, DType: "undefined"}
		if v.Type == nil {
			continue
		}
		out[i].DType = v.Type.DType.String()
		if len(v.Type.Other) > 0 {
			out[i].DType = "not a tensor"
		}
		if !v.Type.HasShape {
			continue
		}
		out[i].Shape = []any{}
		for _, d := range v.Type.Dims {
			switch {
			case d.Symbol != "":
				out[i].Shape = append(out[i].Shape, d.Symbol)
			case d.Value >= 0:
				out[i].Shape = append(out[i].Shape, d.Value)
			default:
				out[i].Shape = append(out[i].Shape, nil)
			}
		}
	}
	return out
}

// operators counts the nodes of all graphs and functions by operator. An
// operator that exists in two domains here is counted under "domain:Operator".
func operators(m *onnx.Model) map[string]int {
	type key struct{ domain, op string }
	count := map[key]int{}
	domains := map[string]int{}
	m.WalkNodes(func(n *onnx.Node) {
		k := key{canonical(n.Domain), n.OpType}
		if count[k] == 0 {
			domains[n.OpType]++
		}
		count[k]++
	})
	out := map[string]int{}
	for k, n := range count {
		name := k.op
		if domains[k.op] > 1 && k.domain != "" {
			name = k.domain + ":" + k.op
		}
		out[name] = n
	}
	return out
}

// canonical returns a domain's name, "" for both names of the default one.
func canonical(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

func nodes(m *onnx.Model) []Node {
	out := []Node{}
	m.WalkGraphs(func(g *onnx.Graph, path string) {
		for _, n := range g.Nodes {
			name := n.Name
			if path != "" {
				name = path + "/" + name
			}
			out = append(out, Node{name, n.OpType, n.Domain, n.Inputs, n.Outputs})
		}
	})
	return out
}

// sizes fills in the bytes of the model file and of its external data, each
// file counted once.
func sizes(s *Summary, m *onnx.Model, r *roles) error {
	info, err := os.Stat(m.Path)
	if err != nil {
		return err
	}
	s.Bytes = info.Size()
	seen := map[string]bool{}
	for _, t := range r.tensors {
		path, _, _, ok := t.Location()
		if !ok || seen[path] {
			continue
		}
		seen[path] = true
		data, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("%s: tensor %q: %w", m.Path, t.Name, err)
		}
		if !os.SameFile(info, data) {
			s.Bytes += data.Size()
			s.External = append(s.External, path)
		}
	}
	slices.Sort(s.External)
	return nil
}

// Bytes returns the size of a model file with its external data.
func Bytes(m *onnx.Model) (int64, error) {
	var s Summary
	err := sizes(&s, m, findRoles(m))
	return s.Bytes, err
}

// Files lists the external data of a model, sorted, and behind it the model file.
func Files(m *onnx.Model) ([]string, error) {
	var s Summary
	err := sizes(&s, m, findRoles(m))
	return append(s.External, m.Path), err
}

// Parameters returns the number of elements of the model's weights as it means
// them, however they are packed.
func Parameters(m *onnx.Model) int64 { return findRoles(m).parameters() }

// Find returns the constant tensor of that name; the error names some that are
// like it.
func Find(m *onnx.Model, name string) (*onnx.Tensor, error) {
	r := findRoles(m)
	var like []string
	for _, t := range r.tensors {
		if t.Name == name {
			return t, nil
		}
		if strings.Contains(strings.ToLower(t.Name), strings.ToLower(name)) {
			like = append(like, t.Name)
		}
	}
	slices.SortFunc(like, func(a, b string) int { return cmp.Or(len(a)-len(b), cmp.Compare(a, b)) })
	if len(like) == 0 {
		return nil, fmt.Errorf("%s: no tensor %q", m.Path, name)
	}
	return nil, fmt.Errorf("%s: no tensor %q; there is %q", m.Path, name, like[:min(5, len(like))])
}
