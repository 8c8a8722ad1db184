package quant_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/checkpoint"
	"optim/internal/checkpoint/checkpointtest"
	"optim/internal/onnx"
	"optim/internal/ort/orttest"
	"optim/internal/quant"
	"optim/internal/tensor"
)

// matrix is a Gemm's weight of tinygpt by the module's name.
type matrix struct {
	name string
	t    *onnx.Tensor
}

// matrices lists the weights of tinygpt's linear layers, [inputs, outputs].
func matrices(t *testing.T, m *onnx.Model) []matrix {
	t.Helper()
	var list []matrix
	for _, i := range m.Graph.Initializers {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(i.Name, "m."), ".weight"); ok && strings.Contains(name, ".c_") {
			list = append(list, matrix{name, i})
		}
	}
	if len(list) != 16 && len(list) != 8 {
		t.Fatalf("%d linear layers", len(list))
	}
	return list
}

// replace sets the values of an initializer.
func replace(m *onnx.Model, name string, v []float32) {
	i := slices.IndexFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == name })
	m.Graph.Initializers[i] = onnx.NewTensor(name, tensor.Of(tensor.Float32, m.Graph.Initializers[i].Shape, v))
}

// TestCheckpoint: the model that takes a checkpoint's integers computes what
// the float model with the weights that they stand for does, in all layouts.
func TestCheckpoint(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(orttest.Root(t), "testdata/models/tinygpt-s/tinygpt-s.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		layout             string
		bits, group        int
		ordered, anonymous bool
		form               quant.Form
	}{
		{layout: "gptq", bits: 4, group: 32},
		{layout: "gptq", bits: 4, group: 32, ordered: true},
		{layout: "gptq", bits: 3, group: 48},
		{layout: "gptq_v2", bits: 2, group: 16, anonymous: true},
		{layout: "gptq_v2", bits: 8, group: 64, ordered: true},
		{layout: "gptq", bits: 4, group: -1},
		{layout: "gptq", bits: 4, group: 64, form: quant.QDQ},
		{layout: "awq", bits: 4, group: 32, anonymous: true},
	} {
		t.Run(fmt.Sprintf("%s,bits=%d,group=%d,ordered=%t,anonymous=%t", c.layout, c.bits, c.group, c.ordered, c.anonymous), func(t *testing.T) {
			want, work := parse(t, source), parse(t, source)
			f := checkpointtest.File{}
			products := 0
			for i, w := range matrices(t, want) {
				k, n := int(w.t.Shape[0]), int(w.t.Shape[1])
				group, order := c.group, []int(nil)
				if group < 0 {
					group = k
				}
				if c.ordered {
					order = rand.New(rand.NewPCG(uint64(i), 0)).Perm(k)
				}
				l := checkpointtest.Quantize(w.name, floatsOf(t, w.t), k, n, c.bits, group, order, i%2 == 0)
				if c.layout == "awq" {
					f.AWQ(l)
				} else {
					f.GPTQ(l, c.layout == "gptq_v2")
				}
				replace(want, w.t.Name, l.Restored())
				products++
			}
			norm := want.Graph.Initializer("m.transformer.ln_f.weight")
			scaled := floatsOf(t, norm)
			for i := range scaled {
				scaled[i] *= 2
			}
			half := checkpointtest.Half(norm.Shape, scaled)
			f["transformer.ln_f.weight"] = half
			rounded, err := half.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			replace(want, norm.Name, rounded)
			if c.anonymous {
				forget(work)
			}
			config := fmt.Sprintf(`{"quant_method":%q,"bits":%d,"group_size":%d,"checkpoint_format":%q}`, strings.TrimSuffix(c.layout, "_v2"), c.bits, c.group, c.layout)
			if c.layout == "awq" {
				config = fmt.Sprintf(`{"quant_method":"awq","bits":4,"group_size":%d,"version":"gemm"}`, c.group)
			}
			got, notes, err := fitted(t, work, f.Write(t, config), c.form)
			if err != nil {
				t.Fatal(err)
			}
			if len(notes) == 0 || !strings.Contains(notes[0], "1 tensors") {
				t.Errorf("notes: %q", notes)
			}
			tolerance := 1e-4
			if c.form == quant.QDQ { // the runtime fuses it, and rounds activations to 8 bits
				tolerance = 1e-2
			}
			same(t, marshal(t, want), got, tolerance)
			before, after := count(parse(t, source)), count(parse(t, got))
			if n := after["MatMulNBits"] + after["DequantizeLinear"]; n != products {
				t.Errorf("%d of %d products have integers", n, products)
			}
			if n := after["Gather"] - before["Gather"]; c.ordered && n != products || !c.ordered && n != 0 {
				t.Errorf("%d activations are ordered", n)
			}
		})
	}
}

// forget takes the names from weights and nodes, as exporters do.
func forget(m *onnx.Model) {
	for i, t := range m.Graph.Initializers {
		if !strings.Contains(t.Name, ".c_") || !strings.HasSuffix(t.Name, ".weight") {
			continue
		}
		name := fmt.Sprintf("onnx::MatMul_%d", i)
		m.Graph.RenameUses(t.Name, name)
		t.Name = name
	}
	for _, n := range m.Graph.Nodes {
		n.Name = ""
	}
}

func floatsOf(t testing.TB, i *onnx.Tensor) []float32 {
	t.Helper()
	v, err := i.Value()
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(f)
}

func count(m *onnx.Model) map[string]int {
	out := map[string]int{}
	m.WalkNodes(func(n *onnx.Node) { out[n.OpType]++ })
	return out
}

// fitted gives a model the integers of the checkpoint in dir.
func fitted(t testing.TB, m *onnx.Model, dir string, form quant.Form) ([]byte, []string, error) {
	t.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	target, err := quant.ParseTarget("host")
	if err != nil {
		t.Fatal(err)
	}
	o := &quant.Options{Format: quant.Int4, Method: quant.Stored, Form: form, Bits: 4, Compute: quant.ComputeFP32, Embeddings: true, Target: target}
	if _, err := quant.Prepare(m, o); err != nil {
		t.Fatal(err)
	}
	notes := []string(nil)
	if o.Solutions, notes, err = quant.FitCheckpoint(m, c); err != nil {
		return nil, nil, err
	}
	if _, err := quant.Quantize(context.Background(), m, o, nil, 2); err != nil {
		t.Fatal(err)
	}
	return marshal(t, m), notes, nil
}

// same runs two models on the same samples and compares their outputs.
func same(t testing.TB, a, b []byte, tolerance float64) {
	t.Helper()
	one, two := session(t, a), session(t, b)
	_, list := samples(t, one)
	for _, in := range list[:2] {
		want, err := one.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := two.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		for name := range want {
			noise, signal := squares(tensor.As[float32](want[name].Data), tensor.As[float32](got[name].Data))
			if !(noise <= tolerance*tolerance*signal) {
				t.Errorf("output %q: squared error %.3g of %.3g", name, noise, signal)
			}
		}
	}
}

// TestCheckpointBad: a checkpoint that does not fit a graph is an error that
// says where.
func TestCheckpointBad(t *testing.T) {
	const k, n = 64, 96
	config := `{"quant_method":"gptq","bits":4,"group_size":32}`
	weights := func(seed uint64) []float32 {
		r := rand.New(rand.NewPCG(seed, 1))
		v := make([]float32, k*n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	for _, c := range []struct {
		name, want string
		layer      string
		k, n       int
		group      int
		seed       uint64
		order      []int
		change     func(checkpointtest.File)
		graph      func(*onnx.Model)
	}{
		{name: "fits", layer: "a.fc", k: k, n: n, group: 32, seed: 1},
		{name: "other shape", want: `"a.fc" of the checkpoint is [96x64], and the graph's weight "m.a.fc.weight" [64x96]`, layer: "a.fc", k: n, n: k, group: 32, seed: 1},
		{name: "another model", want: "is it of another model", layer: "a.fc", k: k, n: n, group: 32, seed: 2},
		{name: "no counterpart", want: `no weight of the graph has this name or this shape; the graph's weights that are left: "m.a.fc.weight" [64x96]`, layer: "b", k: 32, n: 32, group: 32, seed: 1},
		{name: "no values like it", want: "best cosine", layer: "b", k: k, n: n, group: 32, seed: 2},
		{name: "odd groups", want: "multiples of 16", layer: "a.fc", k: k, n: n, group: 24, seed: 1},
		{name: "scaled activation", want: "divides an activation", layer: "a.fc", k: k, n: n, group: 32, seed: 1,
			change: func(f checkpointtest.File) { f["a.act.scales"] = checkpointtest.Half(tensor.Shape{1}, []float32{1}) }},
		{name: "half graph", want: "1 of its weights are float16, and only float32 is taken", layer: "a.fc", k: k, n: n, group: 32, seed: 1,
			graph: func(m *onnx.Model) {
				m.Graph.Initializers[0] = onnx.NewTensor("m.a.fc.weight", checkpointtest.Half(tensor.Shape{k, n}, weights(1)))
			}},
		{name: "other bias", want: "is [2], and", layer: "a.fc", k: k, n: n, group: 32, seed: 1,
			change: func(f checkpointtest.File) { f["a.fc.bias"] = checkpointtest.Half(tensor.Shape{2}, []float32{1, 2}) }},
		{name: "shared and ordered", want: "elsewhere, too", layer: "a.fc", k: k, n: n, group: 32, seed: 1, order: rand.New(rand.NewPCG(1, 1)).Perm(k),
			graph: func(m *onnx.Model) {
				m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Relu", "", []string{"m.a.fc.weight"}, []string{"z"}))
				m.Graph.Outputs = append(m.Graph.Outputs, &onnx.ValueInfo{Name: "z"})
			}},
	} {
		net := newNet(17)
		x := net.input("x", 4, k)
		net.m.Graph.Initializers = append(net.m.Graph.Initializers,
			onnx.NewTensor("m.a.fc.weight", tensor.Of(tensor.Float32, tensor.Shape{k, n}, weights(1))),
			onnx.NewTensor("m.a.fc.bias", tensor.Of(tensor.Float32, tensor.Shape{n}, make([]float32, n))))
		y := net.op("MatMul", []string{x, "m.a.fc.weight"})
		m := net.output(net.op("Add", []string{y, "m.a.fc.bias"}))
		if c.graph != nil {
			c.graph(m)
		}
		group := c.group
		f := checkpointtest.File{}
		f.GPTQ(checkpointtest.Quantize(c.layer, weights(c.seed), c.k, c.n, 4, group, c.order, false), false)
		if c.change != nil {
			c.change(f)
		}
		dir := f.Write(t, strings.Replace(config, "32", fmt.Sprint(group), 1))
		_, _, err := fitted(t, m, dir, quant.AutoForm)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, not %q", c.name, err, c.want)
		}
	}
}

// TestCheckpointSharedOrder: products with one input and one order share the
// Gather.
func TestCheckpointSharedOrder(t *testing.T) {
	const k, n = 64, 64
	order := rand.New(rand.NewPCG(5, 5)).Perm(k)
	net, f := newNet(17), checkpointtest.File{}
	x := net.input("x", 4, k)
	var outputs []string
	for _, name := range []string{"q", "k", "v"} {
		w := net.normal(k*n, 1)
		net.m.Graph.Initializers = append(net.m.Graph.Initializers, onnx.NewTensor(name+".weight", tensor.Of(tensor.Float32, tensor.Shape{k, n}, w)))
		outputs = append(outputs, net.op("MatMul", []string{x, name + ".weight"}))
		f.GPTQ(checkpointtest.Quantize(name, w, k, n, 4, 32, order, false), false)
	}
	m := net.output(outputs...)
	got, _, err := fitted(t, m, f.Write(t, `{"quant_method":"gptq","bits":4,"group_size":32,"desc_act":true}`), quant.AutoForm)
	if err != nil {
		t.Fatal(err)
	}
	if c := count(parse(t, got)); c["Gather"] != 1 || c["MatMulNBits"] != 3 {
		t.Errorf("operators: %v", c)
	}
}
