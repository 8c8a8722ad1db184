package quant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"optim/internal/onnx"
	"optim/internal/tensor"
)

// weights turns float initializers into integer ones, each once however many
// nodes use it. The integers are computed when the file is written; until then
// only the scales are in memory.
type weights struct {
	namer *onnx.Namer
	made  map[weightKey]*weight
	given map[string][]float32 // scales that were learned, by weight
	fits  func(f func() error) // takes what has to run before writing
}

// layout says how a weight's values are arranged before and after.
type layout struct {
	axis   int // of the stored tensor that has one scale per index; -1: one scale in all
	blocks int // leading dimensions that are transposed one by one; 0: nothing is transposed
	dtype  tensor.DType
	max    int64   // greatest magnitude of the integers
	factor float32 // that the stored scales are multiplied with (Gemm's alpha)
	turned bool    // of smoothed matrices: stored as [outputs, inputs]
}

type weightKey struct {
	source *onnx.Tensor
	layout layout
	smooth *smoothing
}

// weight is a quantized initializer: integers and their scales.
type weight struct {
	source *onnx.Tensor
	layout layout
	smooth *smoothing   // whose factors multiply the input channels; nil: none
	flat   tensor.Shape // the source's shape with leading dimensions merged as the codec needs it
	axis   int          // of flat
	affine tensor.Affine
	data   *onnx.Tensor
	scale  *onnx.Tensor
	extra  map[string]*onnx.Tensor // further shapes of the scale, and zero points, by role
	least  []float32               // lower bounds of the scales; nil: none
	given  []float32               // scales that were learned; nil: none
	home   *scope

	restored string // value that DequantizeLinear makes of it; empty: none yet
}

func newWeights(namer *onnx.Namer, given map[string][]float32, fits func(func() error)) *weights {
	return &weights{namer: namer, made: map[weightKey]*weight{}, given: given, fits: fits}
}

// grids lists the weights whose values are stored as they are, by name.
func (ws *weights) grids() []WeightGrid {
	var out []WeightGrid
	for key, w := range ws.made {
		if key.smooth == nil && len(w.flat) == len(w.source.Shape) {
			out = append(out, WeightGrid{w.source.Name, w.axis, w.layout.max, w.affine.Scale})
		}
	}
	slices.SortFunc(out, func(a, b WeightGrid) int {
		return cmp.Or(strings.Compare(a.Weight, b.Weight), cmp.Compare(a.Axis, b.Axis))
	})
	return out
}

// get returns the quantized form of a constant. The data's shape is the
// source's, with the last two dimensions exchanged when the layout transposes.
func (ws *weights) get(t *onnx.Tensor, home *scope, l layout, smooth *smoothing) *weight {
	key := weightKey{t, l, smooth}
	if w := ws.made[key]; w != nil {
		return w
	}
	w := &weight{source: t, given: ws.given[t.Name], layout: l, smooth: smooth, home: home, axis: l.axis, flat: t.Shape.Clone(), extra: map[string]*onnx.Tensor{}}
	shape := t.Shape.Clone()
	if l.blocks > 0 {
		n := len(shape)
		shape[n-1], shape[n-2] = shape[n-2], shape[n-1]
		if n == 3 && l.axis == 1 { // one scale per row of every block
			w.flat = tensor.Shape{t.Shape[0] * t.Shape[1], t.Shape[2]}
			w.axis = 0
		}
	}
	w.data = onnx.NewLazyTensor(ws.namer.Fresh(t.Name+"_quantized"), l.dtype, shape, w.quantize)
	w.scale = onnx.NewLazyTensor(ws.namer.Fresh(t.Name+"_scale"), tensor.Float32, w.scaleShape(), w.writeScale)
	home.graph.Initializers = append(home.graph.Initializers, w.data, w.scale)
	ws.made[key] = w
	ws.fits(w.fit)
	return w
}

// scales returns the number of scales.
func (w *weight) scales() int64 {
	if w.axis < 0 {
		return 1
	}
	return w.flat[w.axis]
}

func (w *weight) scaleShape() tensor.Shape {
	if w.axis < 0 {
		return tensor.Shape{}
	}
	return tensor.Shape{w.scales()}
}

// scaleAs returns the scales under another shape, as an initializer of its own.
func (w *weight) scaleAs(namer *onnx.Namer, role string, shape tensor.Shape) *onnx.Tensor {
	if t := w.extra[role]; t != nil {
		return t
	}
	t := onnx.NewLazyTensor(namer.Fresh(w.source.Name+"_"+role), tensor.Float32, shape, w.writeScale)
	w.extra[role] = t
	w.home.graph.Initializers = append(w.home.graph.Initializers, t)
	return t
}

// zeros returns zero points (all zero) of the given shape.
func (w *weight) zeros(namer *onnx.Namer, shape tensor.Shape) *onnx.Tensor {
	if t := w.extra["zero_point"]; t != nil {
		return t
	}
	n, _ := shape.Elements()
	z := tensor.Tensor{DType: w.layout.dtype, Shape: shape, Data: make([]byte, n)}
	t := onnx.NewTensor(namer.Fresh(w.source.Name+"_zero_point"), z)
	w.extra["zero_point"] = t
	w.home.graph.Initializers = append(w.home.graph.Initializers, t)
	return t
}

// bytesAfter returns the stored size of integers and scales.
func (w *weight) bytesAfter() int64 { return w.data.Size() + w.scale.Size() }

// writeScale fills dst with the scales, repeated where dst has room for more
// (one scale where the operator wants a vector).
func (w *weight) writeScale(dst []byte) error {
	out := tensor.As[float32](dst)
	for i := range out {
		out[i] = w.affine.Scale[i%len(w.affine.Scale)] * w.layout.factor
	}
	copy(dst, tensor.AsBytes(out))
	return nil
}

// floats gives f the source's values, smoothed where that is asked for; the mapped pages are given back after.
func (w *weight) floats(f func(v []float32) error) error {
	t, err := w.source.Value()
	if err != nil {
		return err
	}
	defer w.source.Release()
	v, err := t.Float32s()
	if err != nil {
		return err
	}
	if w.smooth != nil {
		v = w.smooth.multiply(v, w.layout.turned)
	}
	if err := f(v); err != nil {
		return fmt.Errorf("tensor %q: %w", w.source.Name, err)
	}
	return nil
}

// multiply returns s·W for a matrix stored as [inputs, outputs], or turned.
func (sm *smoothing) multiply(v []float32, turned bool) []float32 {
	out := make([]float32, len(v))
	k := len(sm.factor)
	n := len(v) / k
	if turned {
		for i := range n {
			for j, f := range sm.factor {
				out[i*k+j] = v[i*k+j] * f
			}
		}
		return out
	}
	for j, f := range sm.factor {
		for i, x := range v[j*n : (j+1)*n] {
			out[j*n+i] = x * f
		}
	}
	return out
}

// fit finds the scales.
func (w *weight) fit() error {
	if w.layout.dtype == tensor.F8E4M3FN {
		return w.fitFloat8()
	}
	scheme := tensor.Scheme{DType: w.layout.dtype, Lo: -w.layout.max, Hi: w.layout.max, Symmetric: true, Axis: w.axis}
	return w.floats(func(v []float32) (err error) {
		if w.affine, err = scheme.Fit(v, w.flat); err != nil {
			return err
		}
		if len(w.given) == len(w.affine.Scale) {
			copy(w.affine.Scale, w.given)
		}
		for i, least := range w.least {
			w.affine.Scale[i] = max(w.affine.Scale[i], least)
		}
		return nil
	})
}

// quantize writes the integers in their final layout.
func (w *weight) quantize(dst []byte) error {
	if w.layout.dtype == tensor.F8E4M3FN {
		return w.float8(dst)
	}
	return w.floats(func(v []float32) error {
		if w.layout.blocks == 0 {
			return w.affine.Quantize(dst, v, w.flat)
		}
		rowMajor := make([]byte, len(dst))
		if err := w.affine.Quantize(rowMajor, v, w.flat); err != nil {
			return err
		}
		n := len(w.source.Shape)
		rows, cols := int(w.source.Shape[n-2]), int(w.source.Shape[n-1])
		for b := range w.layout.blocks {
			transpose(dst[b*rows*cols:][:rows*cols], rowMajor[b*rows*cols:][:rows*cols], rows, cols)
		}
		return nil
	})
}

// transpose writes the rows × cols matrix src to dst as cols × rows, in tiles
// that stay in the first-level cache.
func transpose(dst, src []byte, rows, cols int) {
	const tile = 64
	for r0 := 0; r0 < rows; r0 += tile {
		r1 := min(r0+tile, rows)
		for c0 := 0; c0 < cols; c0 += tile {
			c1 := min(c0+tile, cols)
			for r := r0; r < r1; r++ {
				for c, v := range src[r*cols+c0 : r*cols+c1] {
					dst[(c0+c)*rows+r] = v
				}
			}
		}
	}
}
