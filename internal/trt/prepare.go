package trt

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/onnx/opset"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// ErrRanges says that a precision of 8 bits was asked for and nothing tells the ranges of
// the activations: no engine is built with ranges that were made up.
var ErrRanges = errors.New("nothing tells the ranges of the activations")

// HasQDQ reports whether a model quantizes activations by itself.
func HasQDQ(m *onnx.Model) bool {
	return slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Is("QuantizeLinear") })
}

// isHalf reports whether a model computes in half precision already.
func isHalf(m *onnx.Model) bool {
	return slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool {
		return (t.DType == tensor.Float16 || t.DType == tensor.BFloat16) && t.Elements() > 1
	})
}

// Plan8 returns how activations and weights become 8 bits wide, for calibration and
// Prepare; nil where the precision needs none of that, or the model has it.
func Plan8(m *onnx.Model, p Precision, calibrated bool, keep, only []*regexp.Regexp) *quant.Options {
	eight := p == INT8 || p == FP8 || p == Best && calibrated
	if !eight || HasQDQ(m) {
		return nil
	}
	return &quant.Options{
		Format: quant.Int8, Method: quant.Static, Form: quant.TensorRT, Bits: 8, Float8: p == FP8,
		Calibrator: quant.AutoCalibrator, Embeddings: true, Keep: keep, Only: only, Target: quant.Target{WeightMax: 127},
	}
}

// Prepared says what Prepare did.
type Prepared struct {
	Done  []string              // in words; empty: the model is as it was
	Codes map[string]quant.Code // of activations, which a table keeps
	Plan  *quant.Plan           // of the last change; nil: none
}

// Prepare makes a model that TensorRT, which is strongly typed, builds in a precision:
// casts around what computes in half precision, Q/DQ around what computes in 8 bits. A
// model that has these already is left as it is. plan is that of Plan8, with the codes that
// are known; obs is what calibration saw.
func Prepare(ctx context.Context, m *onnx.Model, p Precision, plan *quant.Options, obs quant.Observations, workers int) (*Prepared, error) {
	out := &Prepared{}
	if (p == INT8 || p == FP8) && plan == nil && !HasQDQ(m) {
		return nil, ErrRanges
	}
	if plan != nil {
		if len(obs) == 0 && len(plan.Codes) == 0 {
			return nil, ErrRanges
		}
		made, err := quant.Quantize(ctx, m, plan, obs, workers)
		if err != nil {
			return nil, err
		}
		out.Plan, out.Codes = made, made.Codes
		kind := "8-bit integers"
		if plan.Float8 {
			kind = "8-bit floats"
		}
		out.Done = append(out.Done, fmt.Sprintf("%d nodes in %s", len(made.Changes), kind))
	}
	integers := inspect.QuantizedNodes(m) > 0 // weights, perhaps, and no activations
	half, wanted := quant.FP16, p == FP16 || p == BF16 || p == Best
	if p == BF16 {
		half = quant.BF16
	}
	if !wanted || isHalf(m) || HasQDQ(m) && p != Best {
		return out, nil
	}
	return out, out.half(ctx, m, half, integers, workers)
}

// halfOpset is what Q/DQ with scales in half precision needs.
const halfOpset = 19

// half converts what may run in half precision, beside integers where there are some.
func (out *Prepared) half(ctx context.Context, m *onnx.Model, format quant.Format, integers bool, workers int) error {
	o := &quant.Options{Format: format, Method: quant.Convert, Form: quant.TensorRT}
	if integers {
		if m.Opset("") < halfOpset {
			if _, err := opset.Upgrade(m, halfOpset); err != nil {
				return err
			}
		}
	} else if _, err := quant.Prepare(m, o); err != nil {
		return err
	}
	made, err := quant.Quantize(ctx, m, o, nil, workers)
	if err != nil {
		return err
	}
	out.Plan = made
	out.Done = append(append(out.Done, fmt.Sprintf("%d nodes in %s", len(made.Changes), format)), made.Notes...)
	return nil
}

// Reached reports whether an engine computes in what was asked for: of layers, by the type
// that they compute in. Where the layers of the engine are not known, those of the network
// count.
func Reached(p Precision, layers map[string]int) bool {
	switch p {
	case FP16: // or weights of 4 bits, read for products in half precision
		return layers["float16"]+layers["int4"] > 0
	case BF16:
		return layers["bfloat16"] > 0
	case INT8:
		return layers["int8"]+layers["int4"] > 0
	case FP8:
		return layers["float8e4m3fn"] > 0
	case Best:
		return layers["int8"]+layers["float16"] > 0
	}
	return true
}
