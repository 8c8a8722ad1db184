package main

import (
	"fmt"
	"math"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// resnet returns a residual network of bottleneck blocks (He et al., 2015), its
// batch normalizations folded into the convolutions: input float32
// [batch, 3, 224, 224] to logits float32 [batch, classes]. blocks are the blocks
// of the four stages, width the channels of the stem; 3, 4, 6, 3 and 64 make
// ResNet-50.
func resnet(blocks [4]int, width, classes int64, o options) *onnx.Model {
	g := newGraph("resnet", o.seed)
	g.g.Inputs = []*onnx.ValueInfo{value("input", tensor.Float32, symbol("batch"), fixed(3), fixed(224), fixed(224))}
	x := g.relu(g.conv("conv1", "input", 3, width, 7, 2, 1))
	x = g.node("MaxPool", []string{x}, onnx.IntListAttr("kernel_shape", 3, 3),
		onnx.IntListAttr("strides", 2, 2), onnx.IntListAttr("pads", 1, 1, 1, 1))
	in := width
	for stage, n := range blocks {
		mid := width << stage
		for i := range n {
			stride := int64(1)
			if i == 0 && stage > 0 {
				stride = 2
			}
			x = g.bottleneck(fmt.Sprintf("layer%d.%d.", stage+1, i), x, in, mid, stride)
			in = 4 * mid
		}
	}
	x = g.node("Flatten", []string{g.node("GlobalAveragePool", []string{x})}, onnx.IntAttr("axis", 1))
	w := g.weight("fc.weight", 1/math.Sqrt(float64(in)), classes, in)
	y := g.node("Gemm", []string{x, w, g.weight("fc.bias", 0.01, classes)}, onnx.IntAttr("transB", 1))
	g.output(y, "logits", tensor.Float32, symbol("batch"), fixed(classes))
	return g.model()
}

// bottleneck adds a block: 1×1 down to mid channels, 3×3, 1×1 up to 4·mid, and
// the input added, projected where its shape differs. The last convolution is
// small, so that the stream keeps its size through fifty layers.
func (g *graph) bottleneck(name, x string, in, mid, stride int64) string {
	y := g.relu(g.conv(name+"conv1", x, in, mid, 1, 1, 1))
	y = g.relu(g.conv(name+"conv2", y, mid, mid, 3, stride, 1))
	y = g.conv(name+"conv3", y, mid, 4*mid, 1, 1, 0.25)
	if in != 4*mid || stride != 1 {
		x = g.conv(name+"downsample", x, in, 4*mid, 1, stride, 1)
	}
	return g.relu(g.node("Add", []string{y, x}))
}

// conv adds a convolution of size×size that keeps height and width but for the
// stride; gain multiplies He's initial deviation.
func (g *graph) conv(name, x string, in, out, size, stride int64, gain float64) string {
	deviation := gain * math.Sqrt(2/float64(in*size*size))
	w := g.weight(name+".weight", deviation, out, in, size, size)
	p := size / 2
	return g.node("Conv", []string{x, w, g.weight(name+".bias", 0.01, out)},
		onnx.IntListAttr("kernel_shape", size, size), onnx.IntListAttr("strides", stride, stride),
		onnx.IntListAttr("pads", p, p, p, p), onnx.IntListAttr("dilations", 1, 1), onnx.IntAttr("group", 1))
}

func (g *graph) relu(x string) string { return g.node("Relu", []string{x}) }
