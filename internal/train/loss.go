package train

import (
	"optim/internal/autodiff"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// Ignore is the label of a position that counts for nothing: padding, or the last of
// a window, which nothing follows.
const Ignore = -100

// CrossEntropy adds the mean over all positions of −ln softmax(logits)[label].
// logits are [..., classes] and labels int64 [...]; positions labelled Ignore are left
// out, and without any other the loss is 0.
func CrossEntropy(g *autodiff.Graph, logits, labels string) string {
	classes := last(g.Shape(logits))
	n := g.Type(logits).Elements() / classes
	flat := g.Reshape(logits, n, classes)
	label := g.Reshape(labels, n, 1)
	counted := g.Binary("GreaterOrEqual", label, g.Scalar(tensor.Int64, 0))
	safe := g.Where(counted, label, g.Scalar(tensor.Int64, 0))
	weight := share(g, counted)

	logp := g.Unary("LogSoftmax", flat, onnx.IntAttr("axis", -1))
	axis := onnx.IntAttr("axis", 1)
	picked := g.Op("GatherElements", autodiff.Type{DType: tensor.Float32, Shape: tensor.Shape{n, 1}}, []string{logp, safe}, axis)
	loss := g.Unary("Neg", g.Total(g.Mul(picked, weight)))
	g.Custom(loss, []string{logits}, func(c autodiff.Call) {
		// (softmax − one-hot) / n
		f := g.Mul(weight, c.Grad)
		d := g.Mul(g.Unary("Exp", logp), f)
		d = g.Op("ScatterElements", g.Type(d), []string{d, safe, g.Unary("Neg", f)}, axis, onnx.StrAttr("reduction", "add"))
		c.Give(0, g.Reshape(d, g.Shape(logits)...))
	})
	return loss
}

// share adds each true element's share of the mean over all true ones, else 0.
func share(g *autodiff.Graph, counted string) string {
	one := g.Cast(counted, tensor.Float32)
	return g.Div(one, g.Binary("Max", g.Total(one), g.Scalar(tensor.Float32, 1)))
}

func last(s tensor.Shape) int64 { return s[len(s)-1] }

// Divergence adds T²·mean KL(softmax(teacher/T) ‖ softmax(student/T)) over the counted
// positions (Hinton et al., Distilling the Knowledge in a Neural Network: the factor
// keeps the size of the gradients when T changes). Both are [..., classes]; counted is
// boolean [...].
func Divergence(g *autodiff.Graph, student, teacher, counted string, temperature float64) string {
	classes := last(g.Shape(student))
	n := g.Type(student).Elements() / classes
	axis := onnx.IntAttr("axis", -1)
	soft := func(v string) string {
		return g.Unary("LogSoftmax", g.Scale(g.Reshape(v, n, classes), 1/temperature), axis)
	}
	// A class that the teacher rules out (−∞) has no part in the divergence: 0·(0 − …).
	least := g.Scalar(tensor.Float32, -1e4)
	logS, logT := g.Binary("Max", soft(student), least), g.Binary("Max", soft(teacher), least)
	p := g.Unary("Exp", logT)
	weight := share(g, g.Reshape(counted, n, 1))
	rows := g.Sum(g.Mul(p, g.Sub(logT, logS)), 1)
	loss := g.Scale(g.Total(g.Mul(rows, weight)), temperature*temperature)
	g.Custom(loss, []string{student}, func(c autodiff.Call) {
		f := g.Scale(g.Mul(weight, c.Grad), temperature)
		c.Give(0, g.Reshape(g.Mul(g.Sub(g.Unary("Exp", logS), p), f), g.Shape(student)...))
	})
	return loss
}

// SquaredError adds the mean of (a − b)² over the counted rows of values [..., width];
// counted is boolean [...], empty for all.
func SquaredError(g *autodiff.Graph, a, b, counted string) string {
	d := g.Sub(a, b)
	square := g.Mul(d, d)
	if counted == "" {
		return g.Scale(g.Total(square), 1/float64(g.Type(square).Elements()))
	}
	width := last(g.Shape(square))
	n := g.Type(square).Elements() / width
	rows := g.Sum(g.Reshape(square, n, width), 1)
	return g.Scale(g.Total(g.Mul(rows, share(g, g.Reshape(counted, n, 1)))), 1/float64(width))
}

// CosineDistance adds the mean of 1 − cos(a, b) over the counted rows.
func CosineDistance(g *autodiff.Graph, a, b, counted string) string {
	width := last(g.Shape(a))
	n := g.Type(a).Elements() / width
	x, y := g.Reshape(a, n, width), g.Reshape(b, n, width)
	norm := func(v string) string {
		return g.Unary("Sqrt", g.Offset(g.Sum(g.Mul(v, v), 1), 1e-12))
	}
	cos := g.Div(g.Sum(g.Mul(x, y), 1), g.Mul(norm(x), norm(y)))
	far := g.Sub(g.Scalar(tensor.Float32, 1), cos)
	if counted == "" {
		return g.Scale(g.Total(far), 1/float64(n))
	}
	return g.Total(g.Mul(far, share(g, g.Reshape(counted, n, 1))))
}
