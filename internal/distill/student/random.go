package student

import (
	"math"
	"math/rand/v2"
	"slices"

	"optim/internal/onnx"
	"optim/internal/tensor"
	"optim/internal/train"
)

// transformerDeviation is the standard deviation that BERT and GPT-2 begin with.
const transformerDeviation = 0.02

// initialize draws all parameters anew: factors of normalizations 1, what is added 0,
// matrices from a normal distribution whose deviation is 0.02 in networks with layer
// normalization and √(2/inputs) in others (He et al., Delving Deep into Rectifiers).
func initialize(m *onnx.Model, seed uint64) error {
	list, err := train.Trainable(m)
	if err != nil {
		return err
	}
	index := onnx.NewIndex(m.Graph)
	normalized := slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Is("LayerNormalization") })
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, w := range list {
		v := make([]float32, len(w.First))
		fill(v, w, role(index, w.Name), normalized, rnd)
		replace(m, w, v)
	}
	// Running statistics are no parameters, but belong to the old ones.
	for _, n := range m.Graph.Nodes {
		if n.Is("BatchNormalization") {
			resetStatistics(m, n)
		}
	}
	return nil
}

func replace(m *onnx.Model, w train.Weight, v []float32) {
	for i, t := range m.Graph.Initializers {
		if t.Name == w.Name {
			m.Graph.Initializers[i] = onnx.NewTensor(w.Name, tensor.Of(tensor.Float32, w.Shape, v))
		}
	}
}

// Roles of parameters.
const (
	added = iota
	factor
	matrix
)

func role(index *onnx.Index, name string) int {
	for _, n := range index.Consumers(name) {
		switch {
		case n.Is("LayerNormalization", "BatchNormalization", "InstanceNormalization", "GroupNormalization") && n.Input(1) == name, n.Is("Mul"):
			return factor
		case n.Is("Gemm", "Conv", "ConvTranspose") && n.Input(2) == name, n.Is("Add", "LayerNormalization", "BatchNormalization", "InstanceNormalization", "GroupNormalization"):
			return added
		}
	}
	return matrix
}

func fill(v []float32, w train.Weight, role int, normalized bool, rnd *rand.Rand) {
	one := len(w.Shape) < 2
	switch {
	case role == factor && one:
		for i := range v {
			v[i] = 1
		}
	case one: // a bias, which begins at 0
	default:
		deviation := transformerDeviation
		if !normalized {
			deviation = math.Sqrt(2 / float64(inputs(w.Shape)))
		}
		for i := range v {
			v[i] = float32(deviation * rnd.NormFloat64())
		}
	}
}

// inputs is how many products a result of a matrix or kernel sums: of [out, in, k, k]
// all but the first axis, as PyTorch lays them out.
func inputs(s tensor.Shape) int64 {
	n := int64(1)
	for _, d := range s[1:] {
		n *= d
	}
	return n
}

func resetStatistics(m *onnx.Model, n *onnx.Node) {
	for k, value := range map[int]float32{3: 0, 4: 1} {
		t := m.Graph.Initializer(n.Input(k))
		if t == nil {
			continue
		}
		v := slices.Repeat([]float32{value}, int(t.Elements()))
		replace(m, train.Weight{Name: t.Name, Shape: t.Shape}, v)
	}
}
