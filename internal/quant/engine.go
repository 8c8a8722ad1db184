package quant

import (
	"optim/internal/tensor"
)

// TensorRT is the form that TensorRT reads: pairs of QuantizeLinear and DequantizeLinear
// with zero point 0 around the inputs of products, weights as 8-bit integers with a scale
// per channel (as 8-bit floats, with one scale), biases in float.
const TensorRT Form = "tensorrt"

// float8Opset is what QuantizeLinear to 8-bit floats, and with scales in half precision,
// needs.
const float8Opset = 19

// float8Max is the greatest number of E4M3 (Micikevicius et al., "FP8 Formats for Deep
// Learning", 2022).
const float8Max = 448

// engineType is the type of activations in TensorRT's form.
func (o *Options) engineType() tensor.DType {
	if o.Float8 {
		return tensor.F8E4M3FN
	}
	return tensor.Int8
}

// engineCode is the code of a value in TensorRT's form, from what was observed: the greatest
// magnitude, or for integers the calibrator's limit.
func (p *staticPass) engineCode(v string) Code {
	o := p.obs[v]
	lo, hi := o.Min, o.Max
	if p.o.Float8 {
		limit := max(-lo, hi)
		if limit == 0 {
			limit = 1
		}
		return Code{Scale: limit / float8Max, Max: float8Max}
	}
	if o.Hist != nil {
		switch p.o.Calibrator {
		case Percentile:
			lo, hi = o.Hist.PercentileAbs(percentile)
		case Entropy:
			lo, hi = o.Hist.Entropy()
		case MSE, AutoCalibrator:
			lo, hi = o.Hist.MSE(tensor.Int8, -127, 127, true)
		}
	}
	s, _ := tensor.ChooseAffine(lo, hi, tensor.Int8, -127, 127, true)
	return Code{Scale: s, Max: 127}
}

// fitFloat8 finds the one scale of a weight in 8-bit floats.
func (w *weight) fitFloat8() error {
	return w.floats(func(v []float32) error {
		if i := tensor.FirstNonFinite(v); i >= 0 {
			return tensor.ErrNotFinite
		}
		lo, hi, _ := tensor.MinMax(v)
		limit := max(-lo, hi)
		if limit == 0 {
			limit = 1
		}
		w.affine = tensor.Affine{Scale: []float32{limit / float8Max}}
		return nil
	})
}

// float8 writes the 8-bit floats.
func (w *weight) float8(dst []byte) error {
	return w.floats(func(v []float32) error {
		scaled := make([]float32, len(v))
		for i, x := range v {
			scaled[i] = x / w.affine.Scale[0]
		}
		t, err := tensor.Convert(tensor.Of(tensor.Float32, tensor.Shape{int64(len(v))}, scaled), tensor.F8E4M3FN)
		copy(dst, t.Data)
		return err
	})
}
