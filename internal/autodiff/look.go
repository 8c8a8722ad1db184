package autodiff

import (
	"context"
	"slices"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// look returns copies of the values that are static, and the types of all.
func (f *freezer) look(ctx context.Context, rt *ort.Runtime, in map[string]tensor.Tensor, o ort.Options) (map[string]tensor.Tensor, map[string]Type, error) {
	n := rowsOf(in)
	if n > 2 {
		one, err1 := f.typesOf(ctx, rt, firstRows(in, n, 1), o)
		two, err2 := f.typesOf(ctx, rt, firstRows(in, n, 2), o)
		types, ok := extrapolated(one, two, n)
		if err1 == nil && err2 == nil && ok {
			seen, release, err := f.run(ctx, rt, in, f.isStatic, o)
			if err != nil {
				return nil, nil, err
			}
			defer release()
			return copies(seen, types), types, nil
		}
	}
	seen, release, err := f.run(ctx, rt, in, nil, o)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	types := map[string]Type{}
	static := map[string]tensor.Tensor{}
	for v, t := range seen {
		types[v] = Type{t.DType, t.Shape.Clone()}
		if f.static[v] {
			static[v] = t
		}
	}
	return copies(static, types), types, nil
}

func (f *freezer) isStatic(v string) bool { return f.static[v] }

// copies takes values out of the runtime's memory, and notes their types.
func copies(seen map[string]tensor.Tensor, types map[string]Type) map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for v, t := range seen {
		t.Data, t.Shape, t.Strings = slices.Clone(t.Data), t.Shape.Clone(), slices.Clone(t.Strings)
		out[v], types[v] = t, Type{t.DType, t.Shape}
	}
	return out
}

// typesOf runs the model and returns the types of all its values.
func (f *freezer) typesOf(ctx context.Context, rt *ort.Runtime, in map[string]tensor.Tensor, o ort.Options) (map[string]Type, error) {
	seen, release, err := f.run(ctx, rt, in, nil, o)
	if err != nil {
		return nil, err
	}
	defer release()
	out := map[string]Type{}
	for v, t := range seen {
		out[v] = Type{t.DType, t.Shape.Clone()}
	}
	return out, nil
}

// rowsOf is the number of samples: the first dimension, if all inputs share one.
func rowsOf(in map[string]tensor.Tensor) int64 {
	n := int64(-1)
	for _, t := range in {
		if len(t.Shape) == 0 || n >= 0 && t.Shape[0] != n {
			return 0
		}
		n = t.Shape[0]
	}
	return n
}

// firstRows is a view of the first k of n samples.
func firstRows(in map[string]tensor.Tensor, n, k int64) map[string]tensor.Tensor {
	out := map[string]tensor.Tensor{}
	for name, t := range in {
		t.Shape = t.Shape.Clone()
		t.Shape[0] = k
		t.Data = t.Data[:int64(len(t.Data))/n*k]
		out[name] = t
	}
	return out
}

// extrapolated are the types for n samples: every dimension grows with their number by
// as much as from one to two.
func extrapolated(one, two map[string]Type, n int64) (map[string]Type, bool) {
	out := map[string]Type{}
	for v, a := range one {
		b, ok := two[v]
		if !ok || len(a.Shape) != len(b.Shape) || a.DType != b.DType {
			return nil, false
		}
		shape := a.Shape.Clone()
		for i := range shape {
			shape[i] += (b.Shape[i] - a.Shape[i]) * (n - 1)
		}
		out[v] = Type{a.DType, shape}
	}
	return out, true
}
