package autodiff_test

import (
	"math/rand/v2"
	"testing"

	. "optim/internal/autodiff"
	"optim/internal/tensor"
)

// trainedNorm is a batch normalization, not yet in training, with inputs.
func trainedNorm() (g *Graph, feeds map[string]tensor.Tensor, names []string, out string, rnd *rand.Rand) {
	g = NewGraph()
	x := Type{DType: tensor.Float32, Shape: shape{3, 2, 2}}
	c := Type{DType: tensor.Float32, Shape: shape{2}}
	names = []string{"x", "gamma", "beta", "mean", "var"}
	feeds = map[string]tensor.Tensor{}
	rnd = rand.New(rand.NewPCG(3, 3))
	for i, name := range names {
		typ := c
		if i == 0 {
			typ = x
		}
		g.Input(name, typ)
		feeds[name] = draw(rnd, tensor.Float32, pos(typ.Shape...))
	}
	return g, feeds, names, g.Op("BatchNormalization", x, names), rnd
}

// TestTrainBatchNorm: gradients of normalization by the batch's statistics against
// differences and PyTorch's, and running statistics against PyTorch's.
func TestTrainBatchNorm(t *testing.T) {
	g, feeds, names, bn, rnd := trainedNorm()
	out := g.Unary("Tanh", bn)
	running := g.TrainBatchNorm()
	if len(running) != 2 || running[0].Name != "mean" || running[1].Name != "var" {
		t.Fatalf("running %v", running)
	}
	seed := draw(rnd, tensor.Float32, r(3, 2, 2))
	loss := g.Total(g.Mul(out, g.Tensor(seed)))
	grads, err := g.Gradients(loss, names[:3])
	if err != nil {
		t.Fatal(err)
	}
	g.Output("loss", loss)
	for _, v := range names[:3] {
		g.Output("d."+v, grads[v])
	}
	for _, s := range running {
		g.Output("next."+s.Name, s.Next)
	}
	s := open(t, g)
	got, err := s.Run(feeds)
	if err != nil {
		t.Fatal(err)
	}
	want := fixture(t)[trainedNormTitle]
	near(t, "running mean", floats(got["next.mean"]), want.Grads["next.mean"], 1e-6)
	near(t, "running variance", floats(got["next.var"]), want.Grads["next.var"], 1e-6)
	for _, v := range names[:3] {
		near(t, "d."+v, floats(got["d."+v]), want.Grads[v], 2e-5)
		compareNumeric(t, s, feeds, v, floats(got["d."+v]), 3e-2, 3e-3)
	}
}
