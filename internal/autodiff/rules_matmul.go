package autodiff

import "optim/internal/tensor"

var _ = register(map[string]rule{
	"MatMul": matmulGrad,
	"Gemm":   gemmGrad,
})

// matmulGrad: of Y = A·B, dA = dY·Bᵀ and dB = Aᵀ·dY.
func matmulGrad(c *call) {
	a, b, dy := c.in(0), c.in(1), c.dy[0]
	sa, sb := c.Shape(a), c.Shape(b)
	if len(sa) == 1 { // a row
		a = c.Reshape(a, 1, sa[0])
	}
	if len(sb) == 1 { // a column
		b = c.Reshape(b, sb[0], 1)
	}
	dy = c.Reshape(dy, append(broadcast(batch(c.Shape(a)), batch(c.Shape(b))).Clone(), rows(c.Shape(a)), columns(c.Shape(b)))...)
	if len(c.Shape(b)) == 2 { // one product over all rows
		k, n := c.Shape(b)[0], c.Shape(b)[1]
		flatA, flatDY := c.Reshape(a, c.Type(a).Elements()/max(k, 1), k), c.Reshape(dy, c.Type(dy).Elements()/max(n, 1), n)
		if c.want(0) {
			c.give(0, c.Reshape(c.gemm(flatDY, false, b, true, 1), sa...))
		}
		if c.want(1) {
			c.give(1, c.Reshape(c.gemm(flatA, true, flatDY, false, 1), sb...))
		}
		return
	}
	if c.want(0) {
		c.give(0, c.Reshape(c.sumTo(c.matmul(dy, false, b, true), c.Shape(a)), sa...))
	}
	if c.want(1) {
		c.give(1, c.Reshape(c.sumTo(c.matmul(a, true, dy, false), c.Shape(b)), sb...))
	}
}

func batch(s tensor.Shape) tensor.Shape { return s[:len(s)-2] }
func rows(s tensor.Shape) int64         { return s[len(s)-2] }
func columns(s tensor.Shape) int64      { return s[len(s)-1] }

// gemmGrad: of Y = α·A'·B' + β·C, with A' and B' transposed or not.
func gemmGrad(c *call) {
	a, b, dy := c.in(0), c.in(1), c.dy[0]
	ta, tb := c.node.AttrInt("transA", 0) != 0, c.node.AttrInt("transB", 0) != 0
	f := alpha(c, 1)
	if c.want(0) {
		if ta {
			c.give(0, c.gemm(b, tb, dy, true, f))
		} else {
			c.give(0, c.gemm(dy, false, b, !tb, f))
		}
	}
	if c.want(1) {
		if tb {
			c.give(1, c.gemm(dy, true, a, ta, f))
		} else {
			c.give(1, c.gemm(a, !ta, dy, false, f))
		}
	}
	if c.want(2) {
		c.give(2, c.Scale(c.sumTo(dy, c.Shape(c.in(2))), float64(c.node.AttrFloat("beta", 1))))
	}
}
