package qat

import (
	"math"
	"path/filepath"
	"testing"

	"optim/internal/autodiff"
	"optim/internal/dataset"
	"optim/internal/distill"
	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
	"optim/internal/train"
)

// TestRound: values land on the grid, and gradients are those of Learned Step Size
// Quantization.
func TestRound(t *testing.T) {
	x := []float32{-3, -0.6, -0.1, 0.26, 0.7, 5}
	const scale = 0.5
	g := autodiff.NewGraph()
	shape := tensor.Shape{int64(len(x))}
	g.Input("x", autodiff.Type{DType: tensor.Float32, Shape: shape})
	f := &faker{g: g}
	y := f.round("x", grid{name: "θ", first: []float32{scale}, shape: tensor.Shape{1}, zero: []float32{2}, lo: 0, hi: 5})
	d, err := g.VectorJacobian(map[string]string{y: g.Full(g.Type(y), 1)}, []string{"x", "θ"})
	if err != nil {
		t.Fatal(err)
	}
	g.Output("y", y)
	g.Output("dx", d["x"])
	g.Output("dθ", d["θ"])
	b, err := g.Model().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out, err := orttest.SessionOf(t, b, ort.Options{}).Run(map[string]tensor.Tensor{
		"x": tensor.Of(tensor.Float32, shape, x), "θ": tensor.Of(tensor.Float32, tensor.Shape{1}, []float32{0}),
	})
	if err != nil {
		t.Fatal(err)
	}
	slope := 0.0
	for i, v := range x {
		q := math.RoundToEven(float64(v) / scale)
		limited := math.Max(-2, math.Min(3, q))
		inside := 0.0
		if limited == q {
			inside = 1
		}
		slope += limited - inside*float64(v)/scale
		if got := tensor.As[float32](out["y"].Data)[i]; float64(got) != limited*scale {
			t.Errorf("%v became %v, not %v", v, got, limited*scale)
		}
		if got := tensor.As[float32](out["dx"].Data)[i]; float64(got) != inside {
			t.Errorf("gradient of %v is %v", v, got)
		}
	}
	want := slope * scale / math.Sqrt(float64(len(x))*5) // θ multiplies the scale
	if got := tensor.As[float32](out["dθ"].Data)[0]; math.Abs(float64(got)-want) > 1e-6 {
		t.Errorf("gradient of the scale is %v, not %v", got, want)
	}
}

func open(t *testing.T, name string) *onnx.Model {
	t.Helper()
	m, err := onnx.Open(filepath.Join(orttest.Root(t), "testdata/models", name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// threeBits prepares mnist-cnn for weights of 3 bits: the plan, the model to change, and
// samples.
func threeBits(t *testing.T, method quant.Method) (*quant.Options, *quant.Plan, *onnx.Model, *train.Rows) {
	t.Helper()
	s := orttest.Session(t, filepath.Join(orttest.Root(t), "testdata/models", cnn), ort.Options{})
	set, err := dataset.Open(filepath.Join(orttest.Root(t), "testdata/digits/calib.npz"), dataset.ModelInfo{Inputs: s.Inputs(), Outputs: s.Outputs()}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	rows, err := train.ReadRows(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	q := &quant.Options{Format: quant.Int4, Method: method, Bits: 3, Embeddings: true, Compute: quant.ComputeFP32}
	if q.Target, err = quant.ParseTarget("avx2"); err != nil {
		t.Fatal(err)
	}
	first, work := open(t, cnn), open(t, cnn)
	for _, m := range []*onnx.Model{first, work} {
		if _, err := quant.Prepare(m, q); err != nil {
			t.Fatal(err)
		}
	}
	return q, quantized(t, first, q), work, rows
}

func quantized(t *testing.T, m *onnx.Model, q *quant.Options) *quant.Plan {
	t.Helper()
	plan, err := quant.Quantize(t.Context(), m, q, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

const cnn = "mnist-cnn/mnist-cnn.onnx"

// TestTrainedModelIsTheSame: what the training graph computes is what the quantized
// model computes, and training makes it better.
func TestTrainedModelIsTheSame(t *testing.T) {
	q, plan, work, rows := threeBits(t, quant.QAT)
	rest, held := rows.Hold(0.25)
	o := distill.Options{Temperature: 1, Train: train.Options{Optimizer: "adam", Rate: 3e-4, Steps: 24}, Batch: 32, Held: held}
	r, err := Train(t.Context(), orttest.Runtime(t), open(t, cnn), work, q, plan, rest, o)
	if err != nil {
		t.Fatal(err)
	}
	if !(*r.Outcome.After < 0.7**r.Outcome.Before) {
		t.Errorf("loss of held samples %v → %v", *r.Outcome.Before, *r.Outcome.After)
	}
	q.Scales, q.Solutions = r.Scales, r.Solutions
	quantized(t, work, q)
	if loss := lossOf(t, onnxtest.Reparse(t, work), held); math.Abs(loss-*r.Outcome.After) > 2e-3 {
		t.Errorf("the quantized model loses %v on the held samples, the training graph %v", loss, *r.Outcome.After)
	}
}

// TestLearnedRounding: the same grid with learned rounding loses far less than with the
// nearest values, and no weight is further than a step from its place.
func TestLearnedRounding(t *testing.T) {
	q, plan, work, rows := threeBits(t, quant.AutoRound)
	nearest := open(t, cnn)
	if _, err := quant.Prepare(nearest, q); err != nil {
		t.Fatal(err)
	}
	quantized(t, nearest, q)
	before, after := open(t, cnn), 0
	r, err := Round(t.Context(), orttest.Runtime(t), open(t, cnn), work, q, plan, rows, distill.Options{Batch: 16, Every: 1 << 20}, func(done, total int) { after = total - done })
	if err != nil || after != 0 {
		t.Fatal(err, after)
	}
	for _, w := range plan.Grids {
		a, _ := values(before.Graph.Initializer(w.Weight))
		b, _ := values(work.Graph.Initializer(w.Weight))
		for i := range a {
			s := w.Scales[i*len(w.Scales)/len(a)]
			limit := float32(w.Max) * s
			if d := math.Abs(float64(min(max(a[i], -limit), limit) - b[i])); d > 1.0001*float64(s) {
				t.Fatalf("%s[%d] moved from %v to %v in steps of %v", w.Weight, i, a[i], b[i], s)
			}
		}
	}
	q.Scales, q.Solutions = r.Scales, r.Solutions
	quantized(t, work, q)
	plain, learned := lossOf(t, onnxtest.Reparse(t, nearest), rows), lossOf(t, onnxtest.Reparse(t, work), rows)
	if !(learned < 0.5*plain) {
		t.Errorf("loss %v rounded to nearest, %v with learned rounding", plain, learned)
	}
}

// lossOf is the cross entropy of whole batches of 32.
func lossOf(t *testing.T, m *onnx.Model, rows *train.Rows) float64 {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s := orttest.SessionOf(t, b, ort.Options{})
	batch, err := rows.Batch(32)
	if err != nil {
		t.Fatal(err)
	}
	sum, n := 0.0, 0
	for lo := 0; lo+32 <= rows.Len(); lo += 32 {
		for i := range 32 {
			rows.Copy(batch, i, lo+i)
		}
		out, err := s.RunContext(t.Context(), map[string]tensor.Tensor{"input": batch["input"]}, nil)
		if err != nil {
			t.Fatal(err)
		}
		logits := tensor.As[float32](out["logits"].Data)
		for i, label := range tensor.As[int64](batch[train.Labels].Data) {
			row := logits[i*10 : i*10+10]
			total := 0.0
			for _, x := range row {
				total += math.Exp(float64(x))
			}
			sum += math.Log(total) - float64(row[label])
			n++
		}
	}
	return sum / float64(n)
}
