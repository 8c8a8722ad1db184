package quant

import (
	"fmt"
	"slices"

	"optim/internal/checkpoint"
	"optim/internal/onnx"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// Stored takes the integers that a quantized checkpoint has.
const Stored Method = "checkpoint"

// storedMethod is its line of the table of methods, in which nobody can choose it
// without a checkpoint.
var storedMethod = method{name: Stored, rules: map[string]rule{"MatMul": storedProduct, "Gemm": storedProduct}, noKernel: noBlockKernel}

// storedProduct places a product whose weight the checkpoint has as integers;
// others stay in float, as they are in the checkpoint.
func storedProduct(q *pass, s *scope, n *onnx.Node) ([]*onnx.Node, Change, string) {
	if o, _, ok := q.matrixWeight(s, n); ok && q.o.Solutions[o.tensor.Name] == nil {
		return nil, Change{}, "the checkpoint has it in float"
	}
	return blockedProduct(q, s, n)
}

// FitCheckpoint makes a prepared float model of that which a checkpoint was
// quantized from into the model that the checkpoint is, still in float, and
// returns the integers of its matrices for Quantize, and notes. All matrices of
// the checkpoint must have a counterpart; see matchLayers. Its other tensors
// (AWQ folds scales into normalizations) are taken over by name where they say
// something else than the graph's.
//
// Where the groups of a matrix are not contiguous (act-order), its inputs are
// put into the order that makes them so, and a Gather does the same with the
// activation: the operator's own g_idx takes a path that is 70 times slower.
func FitCheckpoint(m *onnx.Model, c *checkpoint.Checkpoint) (Solutions, []string, error) {
	f := &fitting{model: m, namer: m.NewNamer(), scopes: scopes(m.Graph), gathers: map[gatherKey]string{}, others: map[tensor.DType]int{}}
	found, err := f.matchLayers(c.Layers)
	if err != nil {
		return nil, nil, err
	}
	solutions := Solutions{}
	for i, l := range c.Layers {
		sol, err := f.solve(l)
		if err != nil {
			return nil, nil, err
		}
		if err := f.place(found[i], l, sol); err != nil {
			return nil, nil, err
		}
		solutions[found[i].weight.tensor.Name] = sol
	}
	notes, err := f.takeFloats(c.Floats)
	return solutions, notes, err
}

// fitting is the work of FitCheckpoint.
type fitting struct {
	model   *onnx.Model
	namer   *onnx.Namer
	scopes  []*scope
	gathers map[gatherKey]string // activations in another order
	others  map[tensor.DType]int // matrices of types that are not taken
}

// gatherKey identifies an activation in the order of a layer's inputs: q, k and
// v share both.
type gatherKey struct {
	s     *scope
	value string
	order string
}

// solve returns a layer's integers in blocks that the operator has.
func (f *fitting) solve(l *checkpoint.Layer) (*Solution, error) {
	block, err := storedBlock(l)
	if err != nil {
		return nil, fmt.Errorf("layer %q of the checkpoint: %w", l.Name, err)
	}
	scales, zeros, err := l.Grid()
	if err != nil {
		return nil, err
	}
	g := rounding.Grid{Scheme: rounding.Scheme{Bits: l.Bits, Block: block}, Rows: l.N, K: l.K}
	middle, symmetric := byte(1<<(g.Storage()-1)), true
	groups, blocks := l.Groups(), (l.K+block-1)/block
	g.Scales, g.Zeros = make([]float32, l.N*blocks), make([]byte, l.N*blocks)
	for n := range l.N {
		for b := range blocks {
			at := n*groups + b*block/l.Group
			g.Scales[n*blocks+b], g.Zeros[n*blocks+b] = scales[at], zeros[at]
			symmetric = symmetric && zeros[at] == middle
		}
	}
	g.Symmetric = symmetric
	return &Solution{Grid: g, Codes: l.Codes}, nil
}

// storedBlock returns the number of values that share a scale in the operator:
// a power of two that divides the groups, as large as it gets.
func storedBlock(l *checkpoint.Layer) (int, error) {
	if l.Group >= l.K {
		return defaultBlock, nil
	}
	if b := dividing(l.Group, 256); b != 0 {
		return b, nil
	}
	return 0, fmt.Errorf("groups of %d inputs: MatMulNBits takes multiples of 16", l.Group)
}

// place gives the layer's weight in float to the graph, and orders the
// activations before its products.
func (f *fitting) place(at *site, l *checkpoint.Layer, sol *Solution) error {
	t := at.weight.tensor
	if l.Order != nil {
		if err := f.reorder(at, l); err != nil {
			return err
		}
	}
	home := at.weight.scope.graph
	lazy := onnx.NewLazyTensor(t.Name, tensor.Float32, t.Shape, func(dst []byte) error {
		return restore(dst, sol, at.turned)
	})
	home.Initializers[slices.Index(home.Initializers, t)] = lazy
	return nil
}

// restore fills dst with the float values of codes, [K, N] or, turned, [N, K].
func restore(dst []byte, sol *Solution, turned bool) error {
	g := &sol.Grid
	codes := make([]byte, g.Rows*g.K)
	if err := sol.Codes(codes); err != nil {
		return err
	}
	blocks := g.Blocks(g.K)
	out := make([]float32, len(codes))
	row, column := 1, g.Rows
	if turned {
		row, column = g.K, 1
	}
	tensor.Parallel(g.Rows, 0, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			for k, code := range codes[n*g.K : (n+1)*g.K] {
				b := n*blocks + k/g.Block
				out[n*row+k*column] = g.Scales[b] * float32(int(code)-int(g.Zeros[b]))
			}
		}
	})
	copy(dst, tensor.AsBytes(out))
	return nil
}

// reorder puts a Gather before every product with the weight.
func (f *fitting) reorder(at *site, l *checkpoint.Layer) error {
	for _, p := range at.products {
		if at.shared {
			return fmt.Errorf("layer %q of the checkpoint: its inputs are in the order of g_idx, and the graph uses the weight %q elsewhere, too", l.Name, at.weight.tensor.Name)
		}
		key := gatherKey{p.s, p.node.Inputs[0], fmt.Sprint(l.Order)}
		name, ok := f.gathers[key]
		if !ok {
			order := make([]int64, len(l.Order))
			for i, k := range l.Order {
				order[i] = int64(k)
			}
			index := onnx.NewTensor(f.namer.Fresh(l.Name+".order"), tensor.Of(tensor.Int64, tensor.Shape{int64(l.K)}, order))
			p.s.graph.Initializers = append(p.s.graph.Initializers, index)
			name = f.namer.Fresh(p.node.Inputs[0] + "_ordered")
			gather := onnx.NewNode("Gather", f.namer.Fresh(l.Name+"_order"), []string{p.node.Inputs[0], index.Name}, []string{name}, onnx.IntAttr("axis", -1))
			where := slices.Index(p.s.graph.Nodes, p.node)
			p.s.graph.Nodes = slices.Insert(p.s.graph.Nodes, where, gather)
			f.gathers[key] = name
		}
		p.node.Inputs[0] = name
	}
	return nil
}
