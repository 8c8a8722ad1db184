package quant_test

import (
	"context"
	"math"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// TestBiasCorrection: with coarse weights and activations whose mean is far
// from zero, the outputs' means are nearer to the float model's.
func TestBiasCorrection(t *testing.T) {
	shifted := func(n *net, dims ...int64) string {
		return n.op("Add", []string{n.input("x", dims...), n.floats("shift", []float32{4})})
	}
	tests := map[string]struct {
		build  func(n *net) string
		smooth float64
	}{
		"Conv":         {func(n *net) string { return n.conv(shifted(n, 1, 32, 12, 12), 64, 32, 3) }, quant.SmoothOff},
		"Conv, groups": {func(n *net) string { return n.conv(shifted(n, 1, 64, 14, 14), 64, 32, 3, onnx.IntAttr("group", 2)) }, quant.SmoothOff},
		"Conv, no bias": {func(n *net) string {
			return n.op("Conv", []string{shifted(n, 1, 32, 12, 12), n.weight("w", 64, 32, 3, 3)})
		}, quant.SmoothOff},
		"MatMul": {func(n *net) string {
			return n.op("MatMul", []string{shifted(n, 4, 64, 64), n.weight("w", 64, 128)})
		}, quant.SmoothOff},
		"MatMul, smoothed": {func(n *net) string {
			return n.op("MatMul", []string{shifted(n, 4, 64, 64), n.weight("w", 64, 128)})
		}, 0.5},
		"Gemm":           {func(n *net) string { return n.gemm(shifted(n, 128, 64), 64, 128, false) }, quant.SmoothOff},
		"Gemm, turned":   {func(n *net) string { return n.gemm(shifted(n, 128, 64), 64, 128, true) }, quant.SmoothOff},
		"Gemm, smoothed": {func(n *net) string { return n.gemm(shifted(n, 128, 64), 64, 128, true) }, 0.5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := newNet(17)
			source := marshal(t, n.output(tt.build(n)))
			o := options(t, quant.Static, func(o *quant.Options) { o.Bits, o.Smooth = 4, tt.smooth })
			with, without := meanError(t, source, o, true), meanError(t, source, o, false)
			if with > without/2 {
				t.Errorf("error of the means %g with correction, %g without", with, without)
			}
		})
	}
}

// meanError is the root of the mean square of how far the means of output
// channels are off, over all samples.
func meanError(t *testing.T, source []byte, o *quant.Options, correct bool) float64 {
	t.Helper()
	m := parse(t, source)
	if _, err := quant.Prepare(m, &quant.Options{}); err != nil {
		t.Fatal(err)
	}
	obs := calibrated(t, m, o)
	if !correct {
		for _, v := range obs {
			v.Mean = nil
		}
	}
	if _, err := quant.Quantize(context.Background(), m, o, obs, 2); err != nil {
		t.Fatal(err)
	}
	before, after := session(t, source), session(t, marshal(t, m))
	_, list := samples(t, before)
	var sum []float64
	count := 0.0
	for _, in := range list {
		a, err := before.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := after.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range a {
			sum = addDifferences(sum, x, b[name])
			count += float64(x.Len())
		}
	}
	total := 0.0
	for _, s := range sum {
		d := s / (count / float64(len(sum)))
		total += d * d / float64(len(sum))
	}
	return math.Sqrt(total)
}

// addDifferences adds y − x by channel: axis 1 of images, else the last.
func addDifferences(sum []float64, x, y tensor.Tensor) []float64 {
	channels, stride := int(x.Shape[len(x.Shape)-1]), 1
	if len(x.Shape) == 4 {
		channels, stride = int(x.Shape[1]), int(x.Shape[2]*x.Shape[3])
	}
	if sum == nil {
		sum = make([]float64, channels)
	}
	a, b := tensor.As[float32](x.Data), tensor.As[float32](y.Data)
	for i := range a {
		sum[i/stride%channels] += float64(b[i]) - float64(a[i])
	}
	return sum
}
