package quant_test

import (
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// TestWide: with activations of 16 bits the error is that of the weights alone,
// well below that of 8 bits; standard operators only.
func TestWide(t *testing.T) {
	wide := func(o *quant.Options) { o.Activations = 16 }
	for name, build := range map[string]func() *onnx.Model{
		"mixed": mixed, "tied": func() *onnx.Model { return tiedHead(100, 64) }, "products": blockProducts,
	} {
		t.Run(name, func(t *testing.T) {
			narrow := apply(t, build(), options(t, quant.Static))
			r := apply(t, build(), options(t, quant.Static, wide)).close(0.03)
			if r.model.Opset("") < 21 || r.model.Opset("com.microsoft") != 0 {
				t.Errorf("opsets %v", r.model.Opsets)
			}
			pairs := 0
			for _, n := range r.model.Graph.Nodes {
				if n.OpType == "QuantizeLinear" {
					pairs++
				}
			}
			if pairs == 0 {
				t.Error("no activation of 16 bits")
			}
			if a, b := worstSQNR(t, narrow), worstSQNR(t, r); b < a+1 {
				t.Errorf("%.1f dB with 16 bits, %.1f dB with 8", b, a)
			}
		})
	}
	if _, plan, err := rewrite(t, marshal(t, mixed()), options(t, quant.Static, wide, func(o *quant.Options) { o.Keep = pattern("conv") }), 1); err != nil || len(plan.Unchanged) != 3 || len(plan.Notes) == 0 {
		t.Errorf("kept: %+v, %v", plan, err)
	}
}

// worstSQNR is the least ratio of signal to noise over samples and outputs.
func worstSQNR(t *testing.T, r *result) float64 {
	worst := 200.0
	for i := range r.outputs {
		for name, a := range r.sources[i] {
			worst = min(worst, tensor.SQNR(floats(t, a), floats(t, r.outputs[i][name])))
		}
	}
	return worst
}
