package train

import (
	"math"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

var f32 = tensor.Float32

// evaluate runs a graph that build makes over inputs, and returns its output.
func evaluate(t *testing.T, in map[string]tensor.Tensor, build func(g *autodiff.Graph) string) []float32 {
	t.Helper()
	g := autodiff.NewGraph()
	for _, name := range sorted(in) {
		g.Input(name, autodiff.Type{DType: in[name].DType, Shape: in[name].Shape})
	}
	g.Output("out", build(g))
	b, err := g.Model().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out, err := orttest.SessionOf(t, b, ort.Options{}).Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return tensor.As[float32](out["out"].Data)
}

// repeated is n rows of the same logits.
func repeated(n int, v ...float32) tensor.Tensor {
	var all []float32
	for range n {
		all = append(all, v...)
	}
	return tensor.Of(f32, tensor.Shape{1, int64(n), int64(len(v))}, all)
}

func bools(v ...byte) tensor.Tensor {
	return tensor.Tensor{DType: tensor.Bool, Shape: tensor.Shape{1, int64(len(v))}, Data: v}
}

func ones(n int) tensor.Tensor {
	v := make([]byte, n)
	for i := range v {
		v[i] = 1
	}
	return bools(v...)
}

// TestDivergenceHasNoLength: on equal logits the loss is the same for one position and
// for 128, so that alpha means the same, and it is T²·KL.
func TestDivergenceHasNoLength(t *testing.T) {
	const temperature = 2
	student, teacher := []float32{1, -2, 0.5}, []float32{0.3, 2, -1}
	soft := func(v []float32) []float64 {
		sum := 0.0
		var p []float64
		for _, x := range v {
			p = append(p, math.Exp(float64(x)/temperature))
			sum += p[len(p)-1]
		}
		for i := range p {
			p[i] /= sum
		}
		return p
	}
	want := 0.0
	for i, p := range soft(teacher) {
		want += temperature * temperature * p * math.Log(p/soft(student)[i])
	}
	for _, n := range []int{1, 128} {
		got := evaluate(t, map[string]tensor.Tensor{"s": repeated(n, student...), "t": repeated(n, teacher...), "c": ones(n)}, func(g *autodiff.Graph) string {
			return Divergence(g, "s", "t", "c", temperature)
		})
		if math.Abs(float64(got[0])-want) > 1e-5 {
			t.Errorf("%d positions: %v, not %v", n, got[0], want)
		}
	}
}

// TestPaddingCounts: what is masked changes no loss and gets no gradient.
func TestPaddingCounts(t *testing.T) {
	losses := map[string]func(g *autodiff.Graph) string{
		"cross entropy":   func(g *autodiff.Graph) string { return CrossEntropy(g, "s", "l") },
		"divergence":      func(g *autodiff.Graph) string { return Divergence(g, "s", "t", "c", 3) },
		"squared error":   func(g *autodiff.Graph) string { return SquaredError(g, "s", "t", "c") },
		"cosine distance": func(g *autodiff.Graph) string { return CosineDistance(g, "s", "t", "c") },
	}
	labels := tensor.Of(tensor.Int64, tensor.Shape{1, 3}, []int64{2, 0, Ignore})
	in := func(padding float32) map[string]tensor.Tensor {
		s := tensor.Of(f32, tensor.Shape{1, 3, 3}, []float32{1, -2, 0.5, 0, 1, 2, padding, -padding, 3})
		return map[string]tensor.Tensor{"s": s, "t": repeated(3, 0.3, 2, -1), "l": labels, "c": bools(1, 1, 0)}
	}
	for name, loss := range losses {
		a, b := evaluate(t, in(0.1), loss), evaluate(t, in(7), loss)
		if a[0] != b[0] || a[0] <= 0 {
			t.Errorf("%s: %v and %v with other padding", name, a[0], b[0])
		}
		grad := evaluate(t, in(7), func(g *autodiff.Graph) string {
			d, err := g.Gradients(loss(g), []string{"s"})
			if err != nil {
				t.Fatal(err)
			}
			return d["s"]
		})
		if grad[6] != 0 || grad[7] != 0 || grad[0] == 0 {
			t.Errorf("%s: gradient %v", name, grad)
		}
		checkGradient(t, name, in(0.1), loss)
	}
}

// checkGradient compares the gradient of s with central differences.
func checkGradient(t *testing.T, name string, in map[string]tensor.Tensor, loss func(g *autodiff.Graph) string) {
	t.Helper()
	got := evaluate(t, in, func(g *autodiff.Graph) string {
		d, _ := g.Gradients(loss(g), []string{"s"})
		return d["s"]
	})
	s := tensor.As[float32](in["s"].Data)
	const h = 1e-2
	for i, d := range got {
		old := s[i]
		s[i] = old + h
		up := evaluate(t, in, loss)[0]
		s[i] = old - h
		down := evaluate(t, in, loss)[0]
		s[i] = old
		if want := (up - down) / (2 * h); math.Abs(float64(d-want)) > 2e-3 {
			t.Errorf("%s: gradient %d is %v, by differences %v", name, i, d, want)
		}
	}
}

// TestNothingCounts: a batch of padding alone has loss 0, not NaN.
func TestNothingCounts(t *testing.T) {
	in := map[string]tensor.Tensor{"s": repeated(2, 1, 2, 3), "l": tensor.Of(tensor.Int64, tensor.Shape{1, 2}, []int64{Ignore, Ignore})}
	got := evaluate(t, in, func(g *autodiff.Graph) string { return CrossEntropy(g, "s", "l") })
	if got[0] != 0 {
		t.Errorf("loss %v", got[0])
	}
}

func crossEntropyOf(g *autodiff.Graph) string { return CrossEntropy(g, "s", "l") }

// TestDivergenceOfRuledOut: classes that the teacher rules out by −∞ have no part in it.
func TestDivergenceOfRuledOut(t *testing.T) {
	inf := float32(math.Inf(-1))
	value := func(student, teacher []float32) float64 {
		return float64(evaluate(t, map[string]tensor.Tensor{"s": repeated(2, student...), "t": repeated(2, teacher...), "c": ones(2)}, func(g *autodiff.Graph) string {
			return Divergence(g, "s", "t", "c", 2)
		})[0])
	}
	want := value([]float32{1, -2}, []float32{0.3, 2})
	for _, student := range [][]float32{{1, -2, inf}, {1, -2, -1e5}} {
		if got := value(student, []float32{0.3, 2, inf}); math.Abs(got-want) > 1e-5 {
			t.Errorf("student %v: %v, not %v", student, got, want)
		}
	}
}
