package sequential

import (
	"context"
	"fmt"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// engine does products of matrices at the runtime's speed.
type engine struct {
	ctx      context.Context
	sessions map[[2]bool]*ort.Session // by which operands are transposed
	failed   error                    // of a product, whose caller has no way to tell
}

func newEngine(ctx context.Context, rt *ort.Runtime, so ort.Options) (*engine, error) {
	e := &engine{ctx: ctx, sessions: map[[2]bool]*ort.Session{}}
	for _, turned := range [][2]bool{{false, false}, {false, true}, {true, false}} {
		b, err := gemm(turned).Marshal()
		if err != nil {
			return nil, err
		}
		if e.sessions[turned], err = rt.OpenBytes(b, so); err != nil {
			e.close()
			return nil, err
		}
	}
	return e, nil
}

// gemm is a model of one product, of a or its transpose and b or its transpose.
func gemm(turned [2]bool) *onnx.Model {
	value := func(name string) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: onnx.TensorType(tensor.Float32, -1, -1)}
	}
	flag := func(name string, on bool) *onnx.Attribute {
		if on {
			return onnx.IntAttr(name, 1)
		}
		return onnx.IntAttr(name, 0)
	}
	g := &onnx.Graph{Name: "product", Inputs: []*onnx.ValueInfo{value("a"), value("b")}, Outputs: []*onnx.ValueInfo{value("c")}}
	g.Nodes = []*onnx.Node{onnx.NewNode("Gemm", "gemm", []string{"a", "b"}, []string{"c"}, flag("transA", turned[0]), flag("transB", turned[1]))}
	return &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 13}}, Graph: g}
}

// product gives f the product of a and b, [m, k] and [k, n] after transposition;
// it lies in the runtime's memory.
func (e *engine) product(turned [2]bool, a, b []float32, m, k, n int, f func(c []float32)) error {
	sa, sb := tensor.Shape{int64(m), int64(k)}, tensor.Shape{int64(k), int64(n)}
	if turned[0] {
		sa[0], sa[1] = sa[1], sa[0]
	}
	if turned[1] {
		sb[0], sb[1] = sb[1], sb[0]
	}
	in := map[string]tensor.Tensor{"a": tensor.Of(tensor.Float32, sa, a), "b": tensor.Of(tensor.Float32, sb, b)}
	out, release, err := e.sessions[turned].RunLent(e.ctx, in, nil)
	if err != nil {
		return err
	}
	defer release()
	c, err := out["c"].Float32s()
	if err != nil {
		return err
	}
	f(c)
	return nil
}

// matMul is a rounding.MatMul. An error is kept for later: what was computed
// since is worthless.
func (e *engine) matMul(c []float32, ldc int, a, b []float32, m, k, n int, turned bool, sign float32) {
	if e.failed != nil {
		return
	}
	err := e.product([2]bool{false, turned}, a, b, m, k, n, func(sum []float32) {
		tensor.Parallel(m, 0, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				row := c[i*ldc : i*ldc+n]
				for j, x := range sum[i*n : (i+1)*n] {
					row[j] += sign * x
				}
			}
		})
	})
	if err != nil {
		e.failed = fmt.Errorf("product of %d × %d × %d: %w", m, k, n, err)
	}
}

func (e *engine) close() {
	for _, s := range e.sessions {
		if s != nil {
			s.Close()
		}
	}
}
