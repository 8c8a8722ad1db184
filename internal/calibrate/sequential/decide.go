package sequential

import (
	"context"
	"fmt"

	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/rounding"
	"optim/internal/tensor"
)

// damping is the share of the diagonal's mean that is added to a Hessian.
const damping = 0.01

// choice is what one method makes of a weight.
type choice struct {
	grid    rounding.Grid
	codes   []byte
	factors []float32
	error   float64 // of the layer's output: tr(ΔW·H·ΔWᵀ)
}

// decide rounds the products of a stage, and puts what the codes mean in the
// place of their weights.
func (s *solver) decide(ctx context.Context, st stage, h *Hessian) error {
	h.mirror()
	factor, err := rounding.NewFactor(h.H, h.K, damping, true, s.engine.matMul)
	if err != nil {
		return fmt.Errorf("the input %q of %q: %w", st.input, st.products[0].Node, err)
	}
	if factor.Damp > damping*1.001 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("%s: its inputs are nearly dependent: damping raised to %.2g", st.products[0].Node, factor.Damp))
	}
	for _, p := range st.products {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows, err := p.Rows()
		if err != nil {
			return err
		}
		c, err := s.gptq(p, rows, h, factor)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", p.Weight.Name, err)
		}
		if err := s.engine.failed; err != nil {
			return err
		}
		if err := s.keep(p, c); err != nil {
			return err
		}
	}
	return nil
}

// gptq rounds a weight by GPTQ on the grid of least weighted error.
func (s *solver) gptq(p quant.Product, rows []float32, h *Hessian, f *rounding.Factor) (choice, error) {
	g, err := fit(p.Scheme, rows, p.K, h.diagonal())
	if err != nil {
		return choice{}, err
	}
	return choice{grid: g, codes: f.Round(rows, &g)}, nil
}

// fit finds the grid of all rows, some at a time and side by side.
func fit(scheme rounding.Scheme, w []float32, k int, importance []float32) (rounding.Grid, error) {
	rows := len(w) / k
	blocks := scheme.Blocks(k)
	all := rounding.Grid{Scheme: scheme, Rows: rows, K: k, Scales: make([]float32, rows*blocks), Zeros: make([]uint8, rows*blocks)}
	const stripe = 16
	count := (rows + stripe - 1) / stripe
	errs := make([]error, count)
	tensor.Parallel(count, 0, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			first, last := i*stripe, min((i+1)*stripe, rows)
			g, err := scheme.Fit(w[first*k:last*k], k, importance)
			if err != nil {
				errs[i] = err
				continue
			}
			copy(all.Scales[first*blocks:], g.Scales)
			copy(all.Zeros[first*blocks:], g.Zeros)
		}
	})
	for _, err := range errs {
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// keep stores a decision, and lets later pieces compute with it.
func (s *solver) keep(p quant.Product, c choice) error {
	name := "codes of " + p.Weight.Name
	bits := c.grid.Storage()
	packed := make([]byte, (len(c.codes)*bits+7)/8)
	tensor.PackBits(packed, c.codes, bits)
	if err := s.result.store.put(name, tensor.Of(tensor.Uint8, tensor.Shape{int64(len(packed))}, packed)); err != nil {
		return err
	}
	codes := func(dst []byte) error {
		t, err := s.result.store.get(name)
		if err != nil {
			return err
		}
		tensor.UnpackBits(dst, t.Data, bits)
		return nil
	}
	s.result.Solutions[p.Weight.Name] = &quant.Solution{Grid: c.grid, Codes: codes, Factors: c.factors}
	restored := onnx.NewLazyTensor(p.Weight.Name, tensor.Float32, p.Weight.Shape.Clone(), func(dst []byte) error {
		all := make([]byte, p.N*p.K)
		if err := codes(all); err != nil {
			return err
		}
		v := make([]float32, len(all))
		c.grid.Restore(v, all)
		divide(v, c.factors)
		copy(dst, tensor.AsBytes(p.Stored(v)))
		return nil
	})
	list := s.cuts.graph.Initializers
	for i, t := range list {
		if t.Name == p.Weight.Name {
			list[i] = restored
		}
	}
	return nil
}

// divide takes factors of the columns out of rows again.
func divide(rows, factors []float32) {
	if factors == nil {
		return
	}
	for i := range rows {
		rows[i] /= factors[i%len(factors)]
	}
}
