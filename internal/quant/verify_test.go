package quant_test

import (
	"context"
	"strings"
	"testing"

	"optim/internal/calibrate"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
)

// placed prepares and quantizes a model, and returns both forms.
func placed(t *testing.T, source []byte, o *quant.Options) (float, integer *onnx.Model, plan *quant.Plan) {
	t.Helper()
	float, integer = parse(t, source), parse(t, source)
	for _, m := range []*onnx.Model{float, integer} {
		if _, err := quant.Prepare(m, &quant.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	plan, err := quant.Quantize(context.Background(), integer, o, calibrated(t, integer, o), 2)
	if err != nil {
		t.Fatal(err)
	}
	return float, integer, plan
}

func verify(t *testing.T, source []byte, o *quant.Options) (calibrate.Loss, *quant.Plan) {
	t.Helper()
	float, integer, plan := placed(t, source, o)
	set, _ := samples(t, session(t, source))
	loss, err := calibrate.Verify(context.Background(), orttest.Runtime(t), float, integer, plan, set, ort.Options{Threads: 1, NoSpin: true})
	if err != nil {
		t.Fatal(err)
	}
	return loss, plan
}

// TestVerify: a good placement hurts nobody; in a bad one the units that hurt
// are found, and left in float when that is asked for.
func TestVerify(t *testing.T) {
	source := marshal(t, mixed())
	if loss, _ := verify(t, source, options(t, quant.Static)); loss.Cosine < calibrate.LeastCosine || len(loss.Hurting) > 0 {
		t.Errorf("8 bits: %+v", loss)
	}
	o := options(t, quant.Static, func(o *quant.Options) { o.Bits = 2 })
	loss, plan := verify(t, source, o)
	if loss.Cosine >= calibrate.LeastCosine || len(loss.Hurting) == 0 || loss.Output == "" {
		t.Fatalf("2 bits: %+v", loss)
	}
	units := map[string]bool{}
	for _, u := range plan.Integer {
		units[u.Node] = true
	}
	for label := range loss.Hurting {
		if !units[label] {
			t.Errorf("%q is blamed and runs in float", label)
		}
	}
	if len(loss.Hurting) >= len(units) {
		t.Errorf("all of %d units are blamed", len(units))
	}
	o.Float = loss.Hurting
	better, plan := verify(t, source, o)
	for _, u := range plan.Integer {
		if loss.Hurting[u.Node] != "" {
			t.Errorf("%q is integer all the same", u.Node)
		}
	}
	for label, reason := range loss.Hurting {
		if !strings.Contains(reason, "dB") {
			t.Errorf("%q: reason %q", label, reason)
		}
	}
	if better.Cosine <= loss.Cosine {
		t.Errorf("cosine %g after correction, %g before", better.Cosine, loss.Cosine)
	}
}
