package quant_test

import (
	"fmt"
	"testing"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/tensor"
)

const (
	steps  = 5
	lanes  = 3
	width  = 24
	hidden = 16
)

// lstm builds an LSTM with the optional inputs that the name asks for.
func lstm(direction string, bias, lengths, initial, peepholes bool) *onnx.Model {
	n := newNet(17)
	d := int64(1)
	if direction == "bidirectional" {
		d = 2
	}
	in := []string{n.input("x", steps, lanes, width), n.weight("w", d, 4*hidden, width), n.weight("r", d, 4*hidden, hidden), "", "", "", "", ""}
	if bias {
		in[3] = n.weight("b", d, 8*hidden)
	}
	if lengths {
		in[4] = n.tensor("lengths", tensor.Of(tensor.Int32, tensor.Shape{lanes}, []int32{5, 2, 1}))
	}
	if initial {
		in[5], in[6] = n.weight("h0", d, lanes, hidden), n.weight("c0", d, lanes, hidden)
	}
	if peepholes {
		in[7] = n.weight("p", d, 3*hidden)
	}
	for len(in) > 3 && in[len(in)-1] == "" {
		in = in[:len(in)-1]
	}
	n.op("LSTM", in, onnx.IntAttr("hidden_size", hidden), onnx.StrAttr("direction", direction))
	n.last().Outputs = []string{"y", "y_h", "y_c"}
	return n.output("y", "y_h", "y_c")
}

func TestLSTM(t *testing.T) {
	for _, direction := range []string{"forward", "reverse", "bidirectional"} {
		for i := range 16 {
			bias, lengths, initial, peepholes := i&1 != 0, i&2 != 0, i&4 != 0, i&8 != 0
			name := fmt.Sprintf("%s bias=%v lengths=%v initial=%v peepholes=%v", direction, bias, lengths, initial, peepholes)
			t.Run(name, func(t *testing.T) {
				m := lstm(direction, bias, lengths, initial, peepholes)
				apply(t, m, options(t, quant.Dynamic)).close(0.03).runs("DynamicQuantizeLSTM:1 LSTM:0").floatsBelow(8 * 2 * hidden)
			})
		}
	}
}

func TestLSTMPerTensor(t *testing.T) {
	for _, direction := range []string{"forward", "bidirectional"} {
		m := lstm(direction, true, false, true, false)
		o := options(t, quant.Dynamic, func(o *quant.Options) { o.PerTensor = true })
		apply(t, m, o).close(0.05).runs("DynamicQuantizeLSTM:1 LSTM:0")
	}
}

func TestLSTMIsLeft(t *testing.T) {
	tests := []struct {
		name, words string
		change      func(m *onnx.Model)
	}{
		{"layout 1", "layout 0", func(m *onnx.Model) { m.Graph.Nodes[0].SetAttr(onnx.IntAttr("layout", 1)) }},
		{"computed weight", "not constant", func(m *onnx.Model) {
			w := onnx.NewNode("Abs", "abs", []string{"x"}, []string{"computed"})
			m.Graph.Nodes[0].Inputs[1] = "computed"
			m.Graph.Nodes = append([]*onnx.Node{w}, m.Graph.Nodes...)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := lstm("forward", true, false, false, false)
			tt.change(m)
			if plan := refused(t, m, options(t, quant.Dynamic), quant.ErrNothing); !isLeft(plan, "LSTM", tt.words) {
				t.Errorf("no reason %q: %+v", tt.words, plan.Unchanged)
			}
		})
	}
}

// attention builds com.microsoft.Attention.
func attention(change func(n *onnx.Node, g *net)) *onnx.Model {
	n := newNet(17)
	n.m.SetOpset("com.microsoft", 1)
	in := []string{n.input("x", 2, 6, 32), n.weight("w", 32, 96), n.weight("b", 96)}
	y := n.op("Attention", in, onnx.IntAttr("num_heads", 4))
	node := n.last()
	node.Domain = "com.microsoft"
	if change != nil {
		change(node, n)
	}
	return n.output(y)
}

func TestAttention(t *testing.T) {
	mask := func(node *onnx.Node, n *net) {
		node.Inputs = append(node.Inputs, n.tensor("mask", tensor.Of(tensor.Int32, tensor.Shape{2, 6}, []int32{1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1})))
	}
	causal := func(node *onnx.Node, n *net) { node.SetAttr(onnx.IntAttr("unidirectional", 1)) }
	for name, change := range map[string]func(*onnx.Node, *net){"plain": nil, "mask": mask, "causal": causal} {
		for _, perTensor := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " per tensor ", perTensor), func(t *testing.T) {
				o := options(t, quant.Dynamic, func(o *quant.Options) { o.PerTensor = perTensor })
				apply(t, attention(change), o).close(0.03).runs("QAttention:1 Attention:0").floatsBelow(96)
			})
		}
	}
}

func TestAttentionIsLeft(t *testing.T) {
	tests := map[string]func(*onnx.Node, *net){
		"attention bias": func(node *onnx.Node, n *net) {
			node.Inputs = append(node.Inputs, "", "", n.weight("extra", 2, 4, 6, 6))
		},
		"equal sizes": func(node *onnx.Node, n *net) {
			node.SetAttr(onnx.IntListAttr("qkv_hidden_sizes", 32, 32, 32))
		},
		"rotary":             func(node *onnx.Node, n *net) { node.SetAttr(onnx.IntAttr("do_rotary", 1)) },
		"no constant matrix": func(node *onnx.Node, n *net) { node.Inputs[1] = n.input("v", 32, 96) },
	}
	tests["needs a bias"] = func(node *onnx.Node, n *net) { node.Inputs[2] = "" }
	for words, change := range tests {
		t.Run(words, func(t *testing.T) {
			plan := refused(t, attention(change), options(t, quant.Dynamic), quant.ErrNothing)
			if !isLeft(plan, "Attention", words) {
				t.Errorf("no reason %q: %+v", words, plan.Unchanged)
			}
		})
	}
}
