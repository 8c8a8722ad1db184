package sequential

import (
	"context"
	"fmt"

	"optim/internal/onnx"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// sparsify prunes the products of a stage by SparseGPT, and puts what is left in the place
// of their weights.
func (s *solver) sparsify(ctx context.Context, st stage, h *Hessian) error {
	h.mirror()
	s.noteFew(st, h)
	f, err := s.factor(st, h, false)
	if err != nil {
		return err
	}
	for _, p := range st.products {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows, err := p.Rows()
		if err != nil {
			return err
		}
		if i := tensor.FirstNonFinite(rows); i >= 0 {
			return fmt.Errorf("tensor %q: %w", p.Weight.Name, tensor.ErrNotFinite)
		}
		v := p.Stored(f.Prune(rows, p.N, *s.Prune))
		if s.engine.failed != nil {
			return s.engine.failed
		}
		name := "weights of " + p.Weight.Name
		if err := s.result.store.put(name, tensor.Of(tensor.Float32, p.Weight.Shape, v)); err != nil {
			return err
		}
		s.put(onnx.NewLazyTensor(p.Weight.Name, tensor.Float32, p.Weight.Shape.Clone(), func(dst []byte) error {
			t, err := s.result.store.get(name)
			if err == nil {
				copy(dst, t.Data)
			}
			return err
		}))
	}
	return nil
}

// put lets later pieces compute with a decided weight.
func (s *solver) put(w *onnx.Tensor) {
	for i, t := range s.cuts.graph.Initializers {
		if t.Name == w.Name {
			s.cuts.graph.Initializers[i] = w
		}
	}
	s.result.Weights = append(s.result.Weights, w)
}

// noteFew says once where a Hessian has too few rows.
func (s *solver) noteFew(st stage, h *Hessian) {
	if h.Rows < h.K && !s.few {
		s.few = true
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("%d rows of calibration data for the %d inputs of %q: too few to know how they depend on each other", h.Rows, h.K, st.products[0].Node))
	}
}

// factor factors the Hessian of a stage.
func (s *solver) factor(st stage, h *Hessian, order bool) (*rounding.Factor, error) {
	f, err := rounding.NewFactor(h.H, h.K, damping, order, s.engine.matMul)
	if err != nil {
		return nil, fmt.Errorf("the input %q of %q: %w", st.input, st.products[0].Node, err)
	}
	if f.Damp > damping*1.001 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("%s: its inputs are nearly dependent: damping raised to %.2g", st.products[0].Node, f.Damp))
	}
	return f, nil
}
