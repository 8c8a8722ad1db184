// Package quant lowers the precision of a model. A run simplifies the graph,
// decides for every node what becomes of it (a Plan: pure data), rewrites the
// graph with weights that are computed only when the file is written, and
// leaves loading, comparing and renaming to the gate.
package quant

import (
	"regexp"
	"slices"

	"optim/internal/onnx"
)

// Form names the operators that carry the integers of static products and of
// weights in blocks.
type Form string

// The forms: AutoForm takes what this runtime runs fastest, its own operators
// (com.microsoft) included; QDQ takes standard operators only, which other
// runtimes read, and of which this one may leave some in float.
const (
	AutoForm Form = "auto"
	QDQ      Form = "qdq"
)

// Forms lists the valid forms.
var Forms = []Form{AutoForm, QDQ, TensorRT}

// ComputeType is what products with weights in blocks compute in, where the
// target has a kernel for it.
type ComputeType string

// The compute types. AutoCompute is int8: activations are rounded to 8 bits in
// the blocks of the weight, which the fast kernels of processors do.
const (
	AutoCompute ComputeType = "auto"
	ComputeFP32 ComputeType = "fp32"
	ComputeInt8 ComputeType = "int8"
	ComputeFP16 ComputeType = "fp16"
	ComputeBF16 ComputeType = "bf16"
)

// ComputeTypes lists the valid compute types.
var ComputeTypes = []ComputeType{AutoCompute, ComputeFP32, ComputeInt8, ComputeFP16, ComputeBF16}

// Options are the choices that change the result.
type Options struct {
	Format      Format
	Method      Method
	Form        Form
	Bits        int // range of the weights: 2 to 8 inside 8-bit storage, 2 to 4 inside 4-bit storage
	BlockSize   int // values per scale, a power of two from 16 to 256; 0: the format's default, less where rows do not divide
	Compute     ComputeType
	Symmetric   bool
	PerTensor   bool
	PlainScales bool // scales from extremes alone, without the search for the least error
	DoubleQuant bool // NF4, FP4: scales are quantized, too
	Embeddings  bool
	HalfIO      bool // FP16, BF16: float inputs and outputs change their type, too
	Float8      bool // TensorRT's form: 8-bit floats in place of integers
	Activations int  // static: bits of activations, 4, 8 or 16; 0: 8
	Calibrator  Calibrator
	Smooth      float64 // SmoothQuant's alpha for static, or SmoothAuto, or SmoothOff
	Target      Target
	Keep, Only  []*regexp.Regexp

	// Float are units that static placement must leave in float, by label (see
	// Plan.Integer), with the reason.
	Float map[string]string

	// Assigned are the nodes that mixed precision gives a format of their own, by
	// label.
	Assigned map[string]Assignment

	// Solutions are the weights that a calibrated method has decided.
	Solutions Solutions

	// Codes and Scales are what training has learned: those of activations by value,
	// and those of weights in 8-bit storage by name, one for each output channel.
	Codes  map[string]Code
	Scales map[string][]float32
}

// Code is how an activation becomes unsigned integers from 0 to Max: x/Scale + Zero,
// rounded.
type Code struct {
	Scale float32
	Zero  int32
	Max   int32
}

// Assignment is the format of one node: Float, or Int8 inside a format of fewer
// bits; any other is that of the run.
type Assignment struct{ Format, Reason string }

// left says that mixed precision leaves a node in float, and why.
func (o *Options) left(label string) (reason string, ok bool) {
	a := o.Assigned[label]
	return a.Reason, a.Format == Float
}

// SmoothAuto chooses alpha for each activation by the expected noise, and
// leaves alone what gains nothing; SmoothOff smooths nothing.
const (
	SmoothAuto = -1
	SmoothOff  = 0
)

// selected says whether the user lets a node be changed, and why not. A
// pattern is matched against the node's name and its inputs and outputs.
func (o *Options) selected(n *onnx.Node) (reason string, ok bool) {
	if slices.ContainsFunc(o.Keep, func(re *regexp.Regexp) bool { return matches(re, n) }) {
		return "kept by --keep", false
	}
	if len(o.Only) > 0 && !slices.ContainsFunc(o.Only, func(re *regexp.Regexp) bool { return matches(re, n) }) {
		return "not selected by --only", false
	}
	return "", true
}

func matches(re *regexp.Regexp, n *onnx.Node) bool {
	hit := func(s string) bool { return s != "" && re.MatchString(s) }
	return hit(n.Name) || slices.ContainsFunc(n.Inputs, hit) || slices.ContainsFunc(n.Outputs, hit)
}
