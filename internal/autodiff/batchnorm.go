package autodiff

import (
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Running is an input of running statistics with the value that follows it.
type Running struct{ Name, Next string }

// TrainBatchNorm makes the BatchNormalization nodes, whose means and variances have to be
// inputs (see Freeze), normalize by the statistics of the batch, as in training (Ioffe and
// Szegedy, Batch Normalization), and returns what becomes of the running ones: those of
// the operator's momentum, variances with the divisor n − 1 as in PyTorch.
func (g *Graph) TrainBatchNorm() []Running {
	var out []Running
	for i := 0; i < len(g.nodes); i++ {
		n := g.nodes[i]
		if !n.Is("BatchNormalization") || g.consts[n.Input(3)] != nil || g.consts[n.Input(4)] != nil {
			continue
		}
		rest := append([]*onnx.Node(nil), g.nodes[i+1:]...)
		g.nodes = g.nodes[:i:i]
		y, running := g.batchNorm(n)
		out = append(out, running...)
		for _, r := range running {
			g.kept[r.Next] = true
		}
		i = len(g.nodes) - 1
		for _, user := range rest {
			for k, in := range user.Inputs {
				if in == n.Output(0) {
					user.Inputs[k] = y
				}
			}
		}
		if g.kept[n.Output(0)] { // an output of the model keeps its name
			g.add("Identity", []string{y}, []string{n.Output(0)}, nil)
		}
		g.nodes = append(g.nodes, rest...)
	}
	g.made = map[string]string{}
	return out
}

// batchNorm adds what replaces one node.
func (g *Graph) batchNorm(n *onnx.Node) (string, []Running) {
	x, gamma, beta := n.Input(0), n.Input(1), n.Input(2)
	s := g.Shape(x)
	over := without(1, len(s))
	mean := g.Mean(x, over...)
	centred := g.Sub(x, mean)
	variance := g.Mean(g.Mul(centred, centred), over...)
	inv := g.Unary("Reciprocal", g.Unary("Sqrt", g.Offset(variance, float64(n.AttrFloat("epsilon", 1e-5)))))
	xhat := g.Mul(centred, inv)
	channel := func(v string) string { return g.perChannel(v, len(s)) }
	y := g.Add(g.Mul(xhat, channel(gamma)), channel(beta))
	g.Custom(y, []string{x, gamma, beta}, func(c Call) {
		sum := func(v string) string { return g.Reshape(g.Sum(v, over...), s[1]) }
		if c.Wants(1) {
			c.Give(1, sum(g.Mul(c.Grad, xhat)))
		}
		if c.Wants(2) {
			c.Give(2, sum(c.Grad))
		}
		if c.Wants(0) {
			c.Give(0, g.normGrad(g.Mul(c.Grad, channel(gamma)), xhat, inv, over, true))
		}
	})
	count := float64(g.Type(x).Elements() / max(s[1], 1))
	momentum := float64(n.AttrFloat("momentum", 0.9))
	next := func(old, now string) Running {
		return Running{old, g.Add(g.Scale(old, momentum), g.Scale(g.Reshape(now, s[1]), 1-momentum))}
	}
	return y, []Running{next(n.Input(3), mean), next(n.Input(4), g.Scale(variance, count/math.Max(count-1, 1)))}
}

// Statistics lists the running means and variances of a model's BatchNormalization nodes.
func Statistics(m *onnx.Model) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		if !n.Is("BatchNormalization") {
			continue
		}
		for _, v := range []string{n.Input(3), n.Input(4)} {
			if t := m.Graph.Initializer(v); t != nil && t.DType == tensor.Float32 && !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
	}
	return out
}
