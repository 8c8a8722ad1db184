package quant

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"optim/internal/checkpoint"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// site is a constant matrix of the graph with the products that it is in.
type site struct {
	weight   operand
	turned   bool // stored as [N, K]
	k, n     int
	products []siteProduct
	shared   bool // other nodes use the weight, too
}

type siteProduct struct {
	s    *scope
	node *onnx.Node
}

// String names a site for messages.
func (t *site) String() string {
	return fmt.Sprintf("%q [%dx%d] in %q", t.weight.tensor.Name, t.k, t.n, t.products[0].s.label(t.products[0].node))
}

// sites lists the matrices that products of the graph have.
func (f *fitting) sites() []*site {
	var list []*site
	for _, s := range f.scopes {
		for _, n := range s.graph.Nodes {
			if n.Domain != "" || n.OpType != "MatMul" && n.OpType != "Gemm" || len(n.Inputs) < 2 {
				continue
			}
			o, ok := s.operand(n.Inputs[1])
			if !ok || len(o.tensor.Shape) != 2 {
				continue
			}
			if o.tensor.DType != tensor.Float32 {
				f.others[o.tensor.DType]++
				continue
			}
			turned := (o.transposed != nil) != transB(n)
			i := slices.IndexFunc(list, func(t *site) bool { return t.weight.tensor == o.tensor && t.turned == turned })
			if i < 0 {
				k, cols := int(o.tensor.Shape[0]), int(o.tensor.Shape[1])
				if turned {
					k, cols = cols, k
				}
				i, list = len(list), append(list, &site{weight: o, turned: turned, k: k, n: cols})
			}
			list[i].products = append(list[i].products, siteProduct{s, n})
		}
	}
	for _, t := range list {
		uses := 0
		for _, s := range f.scopes {
			for _, n := range s.index.Consumers(t.weight.tensor.Name) {
				if n == t.weight.transposed {
					uses += len(s.index.Consumers(n.Outputs[0]))
				} else {
					uses++
				}
			}
		}
		t.shared = uses > len(t.products)
	}
	return list
}

// weightName is the path of the module that a weight's name gives.
func (t *site) weightName() string { return strings.TrimSuffix(t.weight.tensor.Name, ".weight") }

// modulePath is the path of the module that a node's name gives, as the
// exporter of PyTorch makes it: /model/layers.0/mlp/up_proj/MatMul.
func (p siteProduct) modulePath() string {
	dir, _, ok := cutLast(strings.TrimPrefix(p.node.Name, "/"), "/")
	if !ok {
		return ""
	}
	return strings.ReplaceAll(dir, "/", ".")
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// unique returns the one name of the graph that means the same as a
// checkpoint's; empty if there is none, or more than one.
func unique[V any](graph map[string]V, want string) string {
	if _, ok := graph[want]; ok {
		return want
	}
	found := ""
	for name := range graph {
		if sameModule(name, want) {
			if found != "" {
				return ""
			}
			found = name
		}
	}
	return found
}

// sameModule reports whether a graph's and a checkpoint's path of modules end
// alike, one of them whole. One word of a graph ("bias") means nothing.
func sameModule(graph, want string) bool {
	return strings.HasSuffix(graph, "."+want) || strings.Contains(graph, ".") && strings.HasSuffix(want, "."+graph)
}

// matchLayers finds the site of each layer: by the name of the weight, by the
// path in the name of a node, or, where the exporter kept neither, by values
// (see matchValues).
func (f *fitting) matchLayers(layers []*checkpoint.Layer) ([]*site, error) {
	free := f.sites()
	byWeight, byPath := map[string]*site{}, map[string]*site{}
	for _, t := range free {
		byWeight[t.weightName()] = t
		for _, p := range t.products {
			if path := p.modulePath(); path != "" {
				byPath[path] = t
			}
		}
	}
	found := make([]*site, len(layers))
	taken := map[*site]string{}
	for i, l := range layers {
		t := byWeight[unique(byWeight, l.Name)]
		if t == nil {
			t = byPath[unique(byPath, l.Name)]
		}
		if t == nil {
			continue
		}
		if t.k != l.K || t.n != l.N {
			return nil, fmt.Errorf("layer %q of the checkpoint is [%dx%d], and the graph's weight %v", l.Name, l.K, l.N, t)
		}
		if other, ok := taken[t]; ok {
			return nil, fmt.Errorf("layers %q and %q of the checkpoint both mean the graph's weight %v", other, l.Name, t)
		}
		values, err := sampleOf(l)
		if err != nil {
			return nil, err
		}
		like, err := values.likeness(t)
		if err != nil {
			return nil, err
		}
		if like < otherModel {
			return nil, fmt.Errorf("layer %q of the checkpoint does not resemble the graph's weight %v (cosine %.2f): is it of another model?", l.Name, t, like)
		}
		found[i], taken[t] = t, l.Name
	}
	free = slices.DeleteFunc(free, func(t *site) bool { _, ok := taken[t]; return ok })
	return found, f.matchValues(layers, found, free)
}

// Cosines of a layer's values with a weight's. Unrelated ones are about 0; the
// coarsest quantization (2 bits) leaves 0.85.
const (
	otherModel  = 0.5 // of a name that matches: below it, the models differ
	sameValues  = 0.8 // of what only values can match
	clearlyBest = 0.1 // how much nearer it has to be than the next
)

// matchValues finds sites for the layers that have none, by their values.
func (f *fitting) matchValues(layers []*checkpoint.Layer, found []*site, free []*site) error {
	for i, l := range layers {
		if found[i] != nil {
			continue
		}
		values, err := sampleOf(l)
		if err != nil {
			return err
		}
		var best *site
		first, second := -1.0, -1.0
		for _, t := range free {
			if t.k != l.K || t.n != l.N {
				continue
			}
			like, err := values.likeness(t)
			if err != nil {
				return err
			}
			if like > first {
				best, first, second = t, like, first
			} else if like > second {
				second = like
			}
		}
		if best == nil || first < sameValues || first-second < clearlyBest {
			return f.unmatched(l, free, first)
		}
		found[i] = best
		free = slices.DeleteFunc(slices.Clone(free), func(t *site) bool { return t == best })
	}
	return nil
}

// unmatched is the error for a layer without a counterpart.
func (f *fitting) unmatched(l *checkpoint.Layer, free []*site, best float64) error {
	var names []string
	for _, t := range free {
		names = append(names, t.String())
	}
	rest := "the graph has no other weights"
	if len(names) > 0 {
		rest = "the graph's weights that are left: " + someOf(names)
	}
	for _, d := range slices.Sorted(maps.Keys(f.others)) {
		rest += fmt.Sprintf("; %d of its weights are %v, and only float32 is taken", f.others[d], d)
	}
	why := "no weight of the graph has this name or this shape"
	if best > -1 {
		why = fmt.Sprintf("none of the graph's weights of this shape is clearly the one by its values (best cosine %.2f)", best)
	}
	return fmt.Errorf("layer %q [%dx%d] of the checkpoint: %s; %s", l.Name, l.K, l.N, why, rest)
}

// sampled is the number of outputs and of inputs that are compared.
const sampled = 64

// sample holds some weights of a layer, [inputs, outputs].
type sample struct {
	k, n            int
	inputs, outputs []int
	values          []float32
}

func sampleOf(l *checkpoint.Layer) (sample, error) {
	s := sample{k: l.K, n: l.N, inputs: spread(l.K), outputs: spread(l.N)}
	var err error
	s.values, err = l.Sample(s.inputs, s.outputs)
	return s, err
}

// likeness returns the mean cosine, over some inputs, of a layer's weights with
// a site's of the same size. It is taken input by input because AWQ multiplies
// inputs with factors of their own.
func (s *sample) likeness(t *site) (float64, error) {
	v, err := t.weight.tensor.Value()
	if err != nil {
		return 0, err
	}
	defer t.weight.tensor.Release()
	w, err := v.Float32s()
	if err != nil {
		return 0, err
	}
	sum, count := 0.0, 0
	for i, k := range s.inputs {
		var ab, aa, bb float64
		for j, n := range s.outputs {
			at := k*s.n + n
			if t.turned {
				at = n*s.k + k
			}
			a, b := float64(w[at]), float64(s.values[i*len(s.outputs)+j])
			ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
		}
		if aa > 0 && bb > 0 {
			sum += ab / math.Sqrt(aa*bb)
			count++
		}
	}
	if count == 0 { // all zero, both of them or one
		return 1, nil
	}
	return sum / float64(count), nil
}

// spread returns up to sampled numbers below n, evenly spread.
func spread(n int) []int {
	list := make([]int, min(n, sampled))
	for i := range list {
		list[i] = i * n / len(list)
	}
	return list
}

// someOf lists a few names.
func someOf(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:5], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
