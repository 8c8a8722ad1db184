package quant_test

import (
	"math"
	"testing"

	"optim/internal/quant"
)

// TestGelu writes GELU in the ways that exporters do, and in some that mean
// something else.
func TestGelu(t *testing.T) {
	const root = math.Sqrt2
	scalar := func(n *net, name string, v float64) string { return n.floats(name, []float32{float32(v)}) }
	// sum is erf(x/√2) + 1.
	sum := func(n *net, x string) string {
		e := n.op("Erf", []string{n.op("Div", []string{x, scalar(n, "root", root)})})
		return n.op("Add", []string{e, scalar(n, "one", 1)})
	}
	mul := func(n *net, a, b string) string { return n.op("Mul", []string{a, b}) }
	for _, c := range []struct {
		name  string
		gelu  int
		build func(n *net, x string) string
	}{
		{"half last", 1, func(n *net, x string) string { return mul(n, mul(n, x, sum(n, x)), scalar(n, "half", 0.5)) }},
		{"half first", 1, func(n *net, x string) string { return mul(n, mul(n, x, scalar(n, "half", 0.5)), sum(n, x)) }},
		{"half of the sum", 1, func(n *net, x string) string { return mul(n, x, mul(n, scalar(n, "half", 0.5), sum(n, x))) }},
		{"a product with 1/√2", 1, func(n *net, x string) string {
			e := n.op("Erf", []string{mul(n, scalar(n, "inverse", 1/root), x)})
			return mul(n, mul(n, n.op("Add", []string{scalar(n, "one", 1), e}), x), scalar(n, "half", 0.5))
		}},
		{"another factor", 0, func(n *net, x string) string { return mul(n, mul(n, x, sum(n, x)), scalar(n, "half", 0.4)) }},
		{"another value", 0, func(n *net, x string) string {
			return mul(n, mul(n, n.op("Relu", []string{x}), sum(n, x)), scalar(n, "half", 0.5))
		}},
		{"the sum is read twice", 0, func(n *net, x string) string {
			s := sum(n, x)
			return n.op("Add", []string{s, mul(n, mul(n, x, s), scalar(n, "half", 0.5))})
		}},
		{"divided the other way", 0, func(n *net, x string) string {
			x = n.op("Softplus", []string{x}) // which is not 0
			e := n.op("Erf", []string{n.op("Div", []string{scalar(n, "root", root), x})})
			s := n.op("Add", []string{e, scalar(n, "one", 1)})
			return mul(n, mul(n, x, s), scalar(n, "half", 0.5))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := apply(t, stack(c.build), options(t, quant.Static)).close(0.03)
			if got := r.kernels["Gelu"]; got != c.gelu || got+r.kernels["Erf"] != 1 {
				t.Errorf("%d kernels Gelu, want %d: %v", got, c.gelu, r.kernels)
			}
		})
	}
	// Standard operators only, when they are asked for.
	o := options(t, quant.Static, func(o *quant.Options) { o.Form = quant.QDQ })
	m := stack(func(n *net, x string) string { return mul(n, mul(n, x, sum(n, x)), scalar(n, "half", 0.5)) })
	apply(t, m, o).nodes("Gelu:0 Erf:1")
}
