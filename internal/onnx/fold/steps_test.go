package fold_test

import (
	"fmt"
	"strings"
	"testing"

	"optim/internal/onnx/fold"
	"optim/internal/onnx/onnxtest"
)

// TestLongChains: of a chain of nodes over a large weight only so many are folded
// as can be computed in bounded memory; what is left computes the same.
func TestLongChains(t *testing.T) {
	const chain = 41
	list := nodes()
	from := "w"
	for i := range chain {
		to := fmt.Sprintf("t%d", i)
		list = append(list, node("Transpose", ins(from), ins(to), perm(1, 0)))
		from = to
	}
	list = append(list, node("MatMul", ins("x", from), ins("y")))
	m := onnxtest.Model(17, graph(dims(2, 16), list, big("w")))
	in := onnxtest.Inputs(t, m, 1, nil)
	want := onnxtest.Run(t, m, in)
	if _, err := fold.Simplify(m); err != nil {
		t.Fatal(err)
	}
	if left := strings.Count(ops(m.Graph), "Transpose"); left == 0 || left > chain-16 {
		t.Errorf("%d of %d nodes are left", left, chain)
	}
	onnxtest.Equal(t, onnxtest.Run(t, onnxtest.Reparse(t, m), in), want, 0)
}
