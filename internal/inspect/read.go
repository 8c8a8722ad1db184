package inspect

import (
	"strings"

	"optim/internal/onnx"
)

// ReadBytes returns the bytes of the constants that every run reads: all that
// the graph and its bodies use, but for tables of which a Gather takes rows
// alone. A constant counts once, however often it is used.
func ReadBytes(m *onnx.Model) int64 {
	used := map[string]bool{}
	m.WalkNodes(func(n *onnx.Node) {
		for i, in := range n.Inputs {
			if i > 0 || !strings.HasPrefix(n.OpType, "Gather") {
				used[in] = true
			}
		}
	})
	var sum int64
	for _, t := range findRoles(m).tensors {
		if used[t.Name] {
			sum += t.Size()
		}
	}
	return sum
}
