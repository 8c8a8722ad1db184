package inspect

import "optim/internal/onnx"

// recurrentCost is that of LSTM, GRU and RNN: each element of the weights of
// input and state (inputs 1 and 2) is used once for each step of each sequence.
// Given lengths of the sequences may cut steps off.
func (s *shapes) recurrentCost(n *onnx.Node) (uint64, bool) {
	x, w, r := s.dims[n.Input(0)], s.dims[n.Input(1)], s.dims[n.Input(2)]
	if len(x) != 3 || len(w) != 3 || len(r) != 3 || n.Input(4) != "" {
		return 0, false
	}
	input, ok1 := product(append([]int64{x[0], x[1]}, w...)...)
	state, ok2 := product(append([]int64{x[0], x[1]}, r...)...)
	return input + state, ok1 && ok2 && input+state >= input
}

// recurrent returns the dimensions of all states of LSTM, GRU and RNN: [steps,
// directions, batch, hidden], with layout 1 [batch, steps, directions, hidden].
func (s *shapes) recurrent(n *onnx.Node) []int64 {
	x, last := s.dims[n.Input(0)], s.recurrentState(n)
	switch {
	case last == nil:
		return nil
	case n.AttrInt("layout", 0) != 0:
		return []int64{x[0], x[1], last[1], last[2]}
	}
	return append([]int64{x[0]}, last...)
}

// recurrentState returns the dimensions of the last state: [directions, batch,
// hidden], with layout 1 [batch, directions, hidden].
func (s *shapes) recurrentState(n *onnx.Node) []int64 {
	x, w := s.dims[n.Input(0)], s.dims[n.Input(1)]
	if len(x) != 3 || len(w) != 3 || n.Attr("hidden_size") == nil {
		return nil
	}
	hidden := n.AttrInt("hidden_size", -1)
	if n.AttrInt("layout", 0) != 0 {
		return []int64{x[0], w[0], hidden}
	}
	return []int64{w[0], x[1], hidden}
}
