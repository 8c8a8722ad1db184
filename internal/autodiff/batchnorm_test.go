package autodiff_test

import (
	"math"
	"math/rand/v2"
	"testing"

	. "optim/internal/autodiff"
	"optim/internal/tensor"
)

// TestTrainBatchNorm: gradients of normalization by the batch's statistics against
// differences, and running statistics against their definition.
func TestTrainBatchNorm(t *testing.T) {
	g := NewGraph()
	x := Type{DType: tensor.Float32, Shape: shape{3, 2, 2}}
	c := Type{DType: tensor.Float32, Shape: shape{2}}
	names := []string{"x", "gamma", "beta", "mean", "var"}
	feeds := map[string]tensor.Tensor{}
	rnd := rand.New(rand.NewPCG(3, 3))
	for i, name := range names {
		typ := c
		if i == 0 {
			typ = x
		}
		g.Input(name, typ)
		feeds[name] = draw(rnd, tensor.Float32, pos(typ.Shape...))
	}
	bn := g.Op("BatchNormalization", x, names)
	out := g.Unary("Tanh", bn)
	running := g.TrainBatchNorm()
	if len(running) != 2 || running[0].Name != "mean" || running[1].Name != "var" {
		t.Fatalf("running %v", running)
	}
	loss := g.Total(g.Mul(out, g.Tensor(draw(rnd, tensor.Float32, r(3, 2, 2)))))
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
	for _, v := range names[:3] {
		compareNumeric(t, s, feeds, v, floats(got["d."+v]), 3e-2, 3e-3)
	}
	for channel := range 2 {
		mean, square := 0.0, 0.0
		for i := range 12 {
			if i/2%2 == channel {
				v := element(feeds["x"], i)
				mean += v / 6
				square += v * v / 6
			}
		}
		wantMean := 0.9*element(feeds["mean"], channel) + 0.1*mean
		wantVar := 0.9*element(feeds["var"], channel) + 0.1*(square-mean*mean)*6/5
		if d := element(got["next.mean"], channel) - wantMean; math.Abs(d) > 1e-6 {
			t.Errorf("running mean is off by %v", d)
		}
		if d := element(got["next.var"], channel) - wantVar; math.Abs(d) > 1e-6 {
			t.Errorf("running variance is off by %v", d)
		}
	}
}
