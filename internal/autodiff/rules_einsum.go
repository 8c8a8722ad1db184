package autodiff

import (
	"strings"

	"optim/internal/onnx"
)

var _ = register(map[string]rule{"Einsum": einsumGrad})

// einsumGrad: the gradient of an operand is the product of the result's gradient and
// the other operands, summed over what the operand has no index of.
func einsumGrad(c *call) {
	equation := strings.ReplaceAll(c.node.AttrString("equation", ""), " ", "")
	left, out, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if !explicit || strings.Contains(equation, ".") || len(terms) != len(c.node.Inputs) {
		c.failf("no gradient of the equation %q", equation)
		return
	}
	for i, term := range terms {
		if !c.want(i) {
			continue
		}
		others := out
		in := []string{c.dy[0]}
		names := []string{out}
		for j, t := range terms {
			if j != i {
				in, names, others = append(in, c.in(j)), append(names, t), others+t
			}
		}
		for k, r := range term {
			if !strings.ContainsRune(others, r) || strings.ContainsRune(term[k+1:], r) {
				c.failf("no gradient of the equation %q: an index of operand %d is in no other, or twice in it", equation, i)
				return
			}
		}
		c.give(i, c.Op("Einsum", c.Type(c.in(i)), in, onnx.StrAttr("equation", strings.Join(names, ",")+"->"+term)))
	}
}
