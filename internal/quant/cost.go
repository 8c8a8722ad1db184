package quant

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// costs is the time that operators take, in nanoseconds on two cores, as a
// linear model of the work. What counts are the ratios: they decide where
// integers pay. Fitted to single-operator runs of ONNX Runtime 1.30 (see
// docs/architecture.md, "Which nodes become integers").
type costs struct {
	launch        float64 // one node
	quantize      float64 // per element, float to integer
	dequantize    float64 // per element, integer to float
	elementFloat  float64 // per element, elementwise float operator
	elementInt    float64 // per element, elementwise integer kernel
	macFloat      float64 // per multiply-add
	macInt        float64
	outFloat      float64 // per output element of a convolution
	outInt        float64
	tap           float64 // per kernel position and output pixel: gathering inputs for an integer convolution
	depthFloat    float64 // per output element and kernel position, depthwise
	depthInt      float64 // kernels of 3×3 and 5×5, for which there is special code
	depthIntOther float64
	layout        float64 // per element of an image that becomes or was integer: integer convolutions want channels last
	fusedFloat    float64 // per element, float Add behind a float convolution, which takes it in
	poolPlanar    float64 // per output element and position, integer MaxPool with channels first
	worthRegret   float64 // an integer kernel slower than the float one by less than this is taken all the same: it is smaller
	regretRatioOK float64
}

// costTable has a line for each target.
var costTable = map[string]costs{
	"vnni": {
		launch: 2000, quantize: 0.11, dequantize: 0.14, elementFloat: 0.12, elementInt: 0.09,
		macFloat: 0.0080, macInt: 0.0026, outFloat: 0.15, outInt: 0.20, tap: 1.5,
		depthFloat: 0.035, depthInt: 0.055, depthIntOther: 0.18, layout: 0.05, fusedFloat: 0.03, poolPlanar: 2.3, worthRegret: 50e3, regretRatioOK: 1.5,
	},
	"avx2": {
		launch: 2000, quantize: 0.13, dequantize: 0.16, elementFloat: 0.12, elementInt: 0.11,
		macFloat: 0.0160, macInt: 0.0090, outFloat: 0.15, outInt: 0.25, tap: 1.5,
		depthFloat: 0.040, depthInt: 0.060, depthIntOther: 0.20, layout: 0.05, fusedFloat: 0.03, poolPlanar: 2.3, worthRegret: 50e3, regretRatioOK: 1.5,
	},
	"arm64": {
		launch: 2000, quantize: 0.15, dequantize: 0.18, elementFloat: 0.15, elementInt: 0.12,
		macFloat: 0.0200, macInt: 0.0070, outFloat: 0.20, outInt: 0.25, tap: 1.5,
		depthFloat: 0.050, depthInt: 0.060, depthIntOther: 0.20, layout: 0.05, fusedFloat: 0.03, poolPlanar: 2.3, worthRegret: 50e3, regretRatioOK: 1.5,
	},
}

// unitTime returns the time of a unit in float and in integers.
func (c costs) unitTime(u *unit, shapes map[string]tensor.Shape) (float, integer float64) {
	out := elements(shapes[u.outputs[0]])
	if u.role == compute && floatOutput(u.node) { // its output need not have been observed
		n := u.channels()
		out = elements(shapes[u.inputs[0]]) / float64(u.weight.tensor.Elements()/n) * float64(n)
	}
	switch u.role {
	case movement:
		return c.launch + out*c.elementFloat, c.launch + out*c.elementInt/2
	case kernel:
		float = c.launch + out*c.elementFloat
		if u.act != nil {
			float += c.launch + out*c.elementFloat
		}
		return float, c.launch + out*c.elementInt
	case compute:
		float, integer = c.computeTime(u, out)
		if integer < c.regretRatioOK*float || integer-float < c.worthRegret {
			integer = min(integer, float)
		}
		return float, integer
	}
	return 0, 0
}

func (c costs) computeTime(u *unit, out float64) (float, integer float64) {
	w := u.weight.tensor.Shape
	if u.node.OpType != "Conv" {
		macs := out * float64(u.weight.tensor.Elements()/u.channels())
		return c.launch + macs*c.macFloat, c.launch + macs*c.macInt
	}
	taps := float64(w[2] * w[3])
	perOut := float64(w[1]) * taps
	if w[1] == 1 && u.node.AttrInt("group", 1) > 1 {
		perTap := c.depthInt
		if taps != 9 && taps != 25 {
			perTap = c.depthIntOther
		}
		return c.launch + out*taps*c.depthFloat, c.launch + out*taps*perTap
	}
	pixels := out / float64(max(w[0], 1))
	float = c.launch + out*(perOut*c.macFloat+c.outFloat)
	integer = c.launch + out*(perOut*c.macInt+c.outInt)
	if taps > 1 {
		integer += pixels * taps * c.tap
	}
	return float, integer
}

func elements(s tensor.Shape) float64 {
	n := 1.0
	for _, d := range s {
		n *= float64(d)
	}
	return n
}

// floatOutput reports whether the integer kernel of a unit can give floats at
// no cost: MatMulIntegerToFloat and QGemm do, QLinearConv does not.
func floatOutput(n *onnx.Node) bool { return n.OpType == "MatMul" || n.OpType == "Gemm" }
