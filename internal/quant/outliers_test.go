package quant_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// withOutliers multiplies three channels behind each normalization of a language model
// by 60, and divides the rows of the weights that read them: the model computes what it
// did.
func withOutliers(t *testing.T) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(filepath.Join(orttest.Root(t), "testdata/models/tinygpt-s/tinygpt-s.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	for _, in := range m.Graph.Inputs { // texts long enough for integers to pay
		in.Type = onnx.TensorType(tensor.Int64, 1, 128)
	}
	for i, w := range m.Graph.Initializers {
		factor := float32(0)
		switch {
		case strings.Contains(w.Name, ".ln_1.") || strings.Contains(w.Name, ".ln_2."):
			factor = 60
		case strings.HasSuffix(w.Name, "c_attn.weight") || strings.HasSuffix(w.Name, "c_fc.weight"):
			factor = 1.0 / 60
		default:
			continue
		}
		value, err := w.Value()
		if err != nil {
			t.Fatal(err)
		}
		v := slices.Clone(tensor.As[float32](value.Data))
		width := len(v) / int(w.Shape[0])
		for _, channel := range []int{3, 17, 60} {
			for j := range width {
				v[channel*width+j] *= factor
			}
		}
		m.Graph.Initializers[i] = onnx.NewTensor(w.Name, tensor.Of(tensor.Float32, w.Shape, v))
	}
	return m
}

// TestSmoothingOutliers: with outliers in its activations a model of 8-bit weights and
// activations loses less than half with smoothing of what it loses without.
func TestSmoothingOutliers(t *testing.T) {
	m := withOutliers(t)
	var noise [2]float64
	for i, smooth := range []float64{quant.SmoothOff, quant.SmoothAuto} {
		o := &quant.Options{Format: quant.Int8, Method: quant.Static, Bits: 8, Calibrator: quant.MinMax, Smooth: smooth, Embeddings: true}
		var err error
		if o.Target, err = quant.ParseTarget("vnni"); err != nil {
			t.Fatal(err)
		}
		r := apply(t, m, o)
		for k, want := range r.sources {
			n, _ := squares(tensor.As[float32](want["logits"].Data), tensor.As[float32](r.outputs[k]["logits"].Data))
			noise[i] += n
		}
	}
	if !(noise[1] < noise[0]/2) || noise[1] == 0 {
		t.Errorf("squared error %.4g without smoothing, %.4g with", noise[0], noise[1])
	}
}
