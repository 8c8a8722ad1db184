package inspect

import (
	"math/bits"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// role is what a constant is for.
type role uint8

const (
	roleConstant role = iota // shapes, indices, numbers of a formula
	roleWeight
	roleScale
	roleZero
)

var roleNames = [...]string{"constant", "weight", "scale", "zero point"}

// inputRoles tells what the inputs of quantized operators are; float inputs of
// other operators are weights. A letter per input: w weight, s scale, z zero
// point, c constant. The lists follow the ONNX operator specification and ONNX
// Runtime's docs/ContribOperators.md.
var inputRoles = map[string]string{
	"QuantizeLinear":                   "wsz",
	"DequantizeLinear":                 "wsz",
	"MatMulInteger":                    "wwzz",
	"ConvInteger":                      "wwzz",
	"QLinearConv":                      "wszwszszw",
	"QLinearMatMul":                    "wszwszsz",
	"QGemm":                            "wszwszwsz",
	"QLinearAdd":                       "wszwszsz",
	"QLinearMul":                       "wszwszsz",
	"DynamicQuantizeMatMul":            "wwszw",
	"MatMulIntegerToFloat":             "wwsszzw",
	"DynamicQuantizeLSTM":              "wwwwwwwwszsz",
	"MatMulNBits":                      "wwszcw",
	"MatMulBnb4":                       "wws",
	"GatherBlockQuantized":             "wcsz",
	"QAttention":                       "wwwsscz",
	"EmbedLayerNormalization":          "ccwwwwwc",
	"SkipLayerNormalization":           "wwwww",
	"DequantizeBFP":                    "ccc",
	"QLinearGlobalAveragePool":         "wszsz",
	"QLinearLeakyRelu":                 "wszsz",
	"QLinearSigmoid":                   "wszsz",
	"QLinearAveragePool":               "wszsz",
	"QLinearConcat":                    "szwszwszwsz",
	"Dropout":                          "wcc",
	"Clip":                             "wcc",
	"Pad":                              "wccc",
	"LayerNormalization":               "www",
	"Resize":                           "wccc",
	"OneHot":                           "ccc",
	"TopK":                             "wc",
	"ConstantOfShape":                  "c",
	"Range":                            "ccc",
	"Where":                            "cww",
	"SkipSimplifiedLayerNormalization": "wwww",
}

// roles knows the constants of a model and what each is for.
type roles struct {
	tensors []*onnx.Tensor
	role    map[string]role
	// means is the number of elements that a packed weight stands for, where
	// that is not the number of its own elements.
	means map[string]int64
}

// findRoles collects the constants of all graphs. Names are unique within a
// model that passed its check, save in bodies beside each other; a name that
// is there twice keeps the role that says most.
func findRoles(m *onnx.Model) *roles {
	r := &roles{role: map[string]role{}, means: map[string]int64{}}
	dynamic := map[string]bool{} // scales that DynamicQuantizeLinear makes
	scalars := map[string]bool{}
	m.WalkGraphs(func(g *onnx.Graph, _ string) {
		r.tensors = append(r.tensors, g.Initializers...)
		for _, sp := range g.Sparse {
			if sp.Values != nil {
				r.tensors = append(r.tensors, sp.Values)
			}
		}
		for _, n := range g.Nodes {
			if n.OpType == "Constant" && len(n.Outputs) == 1 {
				r.constant(n)
			}
			if n.OpType == "DynamicQuantizeLinear" && len(n.Outputs) > 1 {
				dynamic[n.Outputs[1]] = true
			}
		}
	})
	kinds := map[string]tensor.DType{}
	for _, t := range r.tensors {
		// A scalar is a number of a formula, whether it is a Constant or an
		// initializer; as a scale or zero point it is found by its place.
		if kinds[t.Name] = t.DType; len(t.Shape) == 0 && t.DType.IsFloat() {
			scalars[t.Name] = true
		}
	}
	m.WalkNodes(func(n *onnx.Node) { r.use(n, kinds, dynamic) })
	r.tables(m)
	for name := range scalars {
		if r.role[name] == roleWeight {
			r.role[name] = roleConstant
		}
	}
	return r
}

// tables finds tables of integers of which Gather takes rows, as quantized embeddings
// are written: the integers are weights, and floats that the same indices pick one
// of for each row are their scales.
func (r *roles) tables(m *onnx.Model) {
	constants := map[string]*onnx.Tensor{}
	for _, t := range r.tensors {
		constants[t.Name] = t
	}
	gathers := func(f func(t *onnx.Tensor, indices string)) {
		m.WalkNodes(func(n *onnx.Node) {
			if t := constants[n.Input(0)]; n.OpType == "Gather" && t != nil && len(t.Shape) > 0 && n.AttrInt("axis", 0) == 0 {
				f(t, n.Input(1))
			}
		})
	}
	rows := map[string]int64{} // of the table of integers, by the indices
	gathers(func(t *onnx.Tensor, indices string) {
		if len(t.Shape) == 2 && (t.DType == tensor.Int8 || t.DType == tensor.Uint8) {
			r.role[t.Name], rows[indices] = roleWeight, t.Shape[0]
		}
	})
	gathers(func(t *onnx.Tensor, indices string) {
		if n := rows[indices]; n > 0 && t.DType.IsFloat() && t.Shape[0] == n && t.Elements() == n {
			r.role[t.Name] = roleScale
		}
	})
}

// constant takes in the tensor of a Constant node under its output's name.
// Single numbers stay out: exporters write every number of a formula so.
func (r *roles) constant(n *onnx.Node) {
	for _, a := range n.Attrs {
		if a.T != nil && a.T.Elements() > 1 {
			r.tensors = append(r.tensors, a.T.Clone(n.Outputs[0]))
		}
	}
}

// use notes what n uses its inputs for.
func (r *roles) use(n *onnx.Node, kinds map[string]tensor.DType, dynamic map[string]bool) {
	letters, special := inputRoles[n.OpType]
	scaling := n.OpType == "Mul" && len(n.Inputs) == 2 && (dynamic[n.Inputs[0]] || dynamic[n.Inputs[1]])
	for i, in := range n.Inputs {
		dtype, ok := kinds[in]
		if !ok {
			continue
		}
		found := roleConstant
		switch {
		case scaling:
			found = roleScale
		case special && i < len(letters):
			found = map[byte]role{'w': roleWeight, 's': roleScale, 'z': roleZero}[letters[i]]
		case dtype.IsFloat():
			found = roleWeight
		}
		if found == roleWeight || r.role[in] == roleConstant {
			r.role[in] = found
		}
		if found == roleWeight && i < 2 {
			r.packed(n, in)
		}
	}
}

// packed notes how many elements the weight w of n means, where several are
// packed into a byte.
func (r *roles) packed(n *onnx.Node, w string) {
	switch n.OpType {
	case "MatMulNBits", "MatMulBnb4":
		hi, lo := bits.Mul64(uint64(n.AttrInt("K", 0)), uint64(n.AttrInt("N", 0)))
		if len(n.Inputs) > 1 && n.Inputs[1] == w && hi == 0 && int64(lo) > 0 {
			r.means[w] = int64(lo)
		}
	case "GatherBlockQuantized":
		for _, t := range r.tensors {
			if b := n.AttrInt("bits", 4); t.Name == w && t.DType == tensor.Uint8 && b > 0 && b < 8 {
				r.means[w] = t.Elements() * (8 / b)
			}
		}
	}
}

// parameters sums up the elements of the weights.
func (r *roles) parameters() int64 {
	var sum int64
	for _, t := range r.tensors {
		if r.role[t.Name] != roleWeight {
			continue
		}
		if n, ok := r.means[t.Name]; ok {
			sum += n
		} else {
			sum += t.Elements()
		}
	}
	return sum
}

func (r *roles) list() []Weight {
	out := make([]Weight, len(r.tensors))
	for i, t := range r.tensors {
		shape := t.Shape
		if shape == nil {
			shape = tensor.Shape{}
		}
		out[i] = Weight{t.Name, t.DType.String(), shape, t.Size(), roleNames[r.role[t.Name]]}
	}
	return out
}
