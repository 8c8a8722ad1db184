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

// choice is what a method makes of a weight.
type choice struct {
	method  quant.Method
	grid    rounding.Grid
	codes   []byte
	factors []float32 // that the weight's columns were multiplied with; nil: none
}

// way is how the weights of a stage are rounded.
type way func(p quant.Product, rows []float32, h *Hessian) (choice, error)

// round rounds the products of a stage, and puts what the codes mean in the
// place of their weights.
func (s *solver) round(ctx context.Context, st stage, h *Hessian) error {
	h.mirror()
	s.noteFew(st, h)
	rows := make([][]float32, len(st.products))
	for i, p := range st.products {
		var err error
		if rows[i], err = p.Rows(); err != nil {
			return err
		}
	}
	var best []choice
	least := 0.0
	tried := ways(s.Method)
	for _, method := range tried {
		list, err := s.by(ctx, method, st, rows, h)
		if err != nil {
			return err
		}
		if len(tried) == 1 {
			best = list
			break
		}
		sum := 0.0
		for i, c := range list {
			restored := make([]float32, len(rows[i]))
			c.grid.Restore(restored, c.codes)
			divide(restored, c.factors)
			sum += rounding.OutputError(rows[i], restored, h.H, h.K, s.engine.matMul)
		}
		if best == nil || sum < least {
			best, least = list, sum
		}
	}
	if s.engine.failed != nil {
		return s.engine.failed
	}
	for i, p := range st.products {
		if err := s.keep(p, best[i]); err != nil {
			return err
		}
	}
	return nil
}

// ways lists the methods that are tried for each input; the one of least output
// error is taken. Beside AWQ that is rounding on the searched grid without
// factors, which AWQ must not fall behind.
func ways(m quant.Method) []quant.Method {
	switch m {
	case quant.Auto:
		return []quant.Method{quant.GPTQ, quant.AWQ}
	case quant.AWQ:
		return []quant.Method{quant.AWQ, quant.RTN}
	}
	return []quant.Method{m}
}

// by rounds the products of a stage by one method.
func (s *solver) by(ctx context.Context, m quant.Method, st stage, rows [][]float32, h *Hessian) ([]choice, error) {
	apply := way(nearestCodes)
	var factors []float32
	var err error
	switch m {
	case quant.GPTQ:
		f, err := s.factor(st, h, true)
		if err != nil {
			return nil, err
		}
		apply = gptq(f)
	case quant.AWQ:
		if factors, err = s.factors(st.products, rows, h); err != nil {
			return nil, err
		}
	}
	scaled := h.scaled(factors)
	var out []choice
	for i, p := range st.products {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w := rows[i]
		if factors != nil {
			w = rounding.Multiply(w, factors)
		}
		c, err := apply(p, w, scaled)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", p.Weight.Name, err)
		}
		c.method, c.factors = m, factors
		out = append(out, c)
	}
	return out, nil
}

// gptq rounds a weight by GPTQ on the grid of least squared error. Weighing the
// error by the inputs' squares, as rounding to nearest does, made the grid worse
// for GPTQ at every width that was measured.
func gptq(f *rounding.Factor) way {
	return func(p quant.Product, rows []float32, _ *Hessian) (choice, error) {
		g, err := fit(p.Scheme, rows, p.K, nil)
		if err != nil {
			return choice{}, err
		}
		return choice{grid: g, codes: f.Round(rows, &g)}, nil
	}
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
	s.result.Solutions[p.Weight.Name] = &quant.Solution{Method: c.method, Grid: c.grid, Codes: codes, Factors: c.factors}
	s.put(onnx.NewLazyTensor(p.Weight.Name, tensor.Float32, p.Weight.Shape.Clone(), func(dst []byte) error {
		all := make([]byte, p.N*p.K)
		if err := codes(all); err != nil {
			return err
		}
		v := make([]float32, len(all))
		c.grid.Restore(v, all)
		divide(v, c.factors)
		copy(dst, tensor.AsBytes(p.Stored(v)))
		return nil
	}))
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
