package inspect

import (
	"fmt"
	"math"
	"strings"

	"optim/internal/tensor"
)

// listed is how many numbers of a tensor are listed; errors are of all.
const listed = 8

// Numbers tells how formats represent a list of numbers.
type Numbers struct {
	Name    string           `json:"name,omitempty"` // of the tensor; empty: numbers of the user
	DType   string           `json:"dtype,omitempty"`
	Shape   tensor.Shape     `json:"shape,omitempty"`
	Count   int64            `json:"count"`
	Values  []float32        `json:"values"` // the first ones of a tensor
	Stats   *Stats           `json:"stats,omitempty"`
	Formats []Representation `json:"formats,omitempty"`
}

// Stats describes the numbers of a tensor.
type Stats struct {
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Mean   float64 `json:"mean"`
	StdDev float64 `json:"stddev"`
	Zeros  int64   `json:"zeros"`
}

// Representation is how one format represents the numbers. Bytes are those of
// the stored values, without the scale; Reduction is the fraction of FP32's
// bytes that is saved; MSE is the mean squared error.
type Representation struct {
	Format    string   `json:"format"`
	Stored    []any    `json:"stored"` // bit patterns of floats as "0x3f80", integers as they are
	Scale     *float64 `json:"scale,omitempty"`
	ZeroPoint *int32   `json:"zero_point,omitempty"`
	Restored  []any    `json:"restored"` // numbers; "inf" where the format overflows
	Bytes     int64    `json:"bytes"`
	Reduction float64  `json:"reduction"`
	MSE       *float64 `json:"mse,omitempty"` // nil where the format overflows
}

// Represent tells how each format represents v, none of which may be NaN or
// infinite. One scale serves all numbers of INT8, INT4 and NF4.
func Represent(v []float32) (Numbers, error) {
	if i := tensor.FirstNonFinite(v); i >= 0 {
		return Numbers{}, fmt.Errorf("value %d is %g: only finite numbers have a quantized form", i+1, v[i])
	}
	n := Numbers{Count: int64(len(v)), Values: head(v)}
	for _, f := range []struct {
		name  string
		dtype tensor.DType
	}{{"FP32", tensor.Float32}, {"FP16", tensor.Float16}, {"BF16", tensor.BFloat16}} {
		r, err := floatForm(f.name, f.dtype, v)
		if err != nil {
			return Numbers{}, err
		}
		n.Formats = append(n.Formats, r)
	}
	for _, f := range []struct {
		name  string
		dtype tensor.DType
	}{{"INT8", tensor.Int8}, {"INT4", tensor.Int4}} {
		r, err := integerForm(f.name, f.dtype, v)
		if err != nil {
			return Numbers{}, err
		}
		n.Formats = append(n.Formats, r)
	}
	nf4, err := normalForm(v)
	if err != nil {
		return Numbers{}, err
	}
	n.Formats = append(n.Formats, nf4)
	return n, nil
}

func head[T any](v []T) []T { return v[:min(len(v), listed)] }

// finish fills in what follows from the restored values and the bytes.
func finish(r Representation, v, restored []float32) Representation {
	for _, x := range head(restored) {
		if math.IsInf(float64(x), 0) {
			r.Restored = append(r.Restored, strings.ToLower(fmt.Sprint(x)))
		} else {
			r.Restored = append(r.Restored, x)
		}
	}
	if n := len(v); n > 0 {
		r.Reduction = 1 - float64(r.Bytes)/float64(4*n)
	}
	if mse := tensor.MSE(v, restored); !math.IsInf(mse, 0) && !math.IsNaN(mse) {
		r.MSE = &mse
	}
	return r
}

func floatForm(name string, d tensor.DType, v []float32) (Representation, error) {
	t, err := tensor.Convert(tensor.Of(tensor.Float32, tensor.Shape{int64(len(v))}, v), d)
	if err != nil {
		return Representation{}, fmt.Errorf("%s: %w", name, err)
	}
	restored := make([]float32, len(v))
	if err := tensor.ToFloat32(restored, t); err != nil {
		return Representation{}, fmt.Errorf("%s: %w", name, err)
	}
	r := Representation{Format: name, Bytes: int64(len(t.Data))}
	for i := range head(v) {
		if d.Bits() == 16 {
			r.Stored = append(r.Stored, fmt.Sprintf("0x%04x", tensor.As[uint16](t.Data)[i]))
		} else {
			r.Stored = append(r.Stored, fmt.Sprintf("0x%08x", math.Float32bits(v[i])))
		}
	}
	return finish(r, v, restored), nil
}

// integerForm is the symmetric code with one scale, max|v| / 127 for INT8.
func integerForm(name string, d tensor.DType, v []float32) (Representation, error) {
	shape := tensor.Shape{int64(len(v))}
	code, err := tensor.Scheme{DType: d, Symmetric: true, Axis: -1}.Fit(v, shape)
	if err != nil {
		return Representation{}, fmt.Errorf("%s: %w", name, err)
	}
	size, err := shape.Bytes(d)
	if err != nil {
		return Representation{}, fmt.Errorf("%s: %w", name, err)
	}
	packed, restored := make([]byte, size), make([]float32, len(v))
	if err := code.Quantize(packed, v, shape); err != nil {
		return Representation{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := code.Dequantize(restored, packed, shape); err != nil {
		return Representation{}, fmt.Errorf("%s: %w", name, err)
	}
	scale := float64(code.Scale[0])
	r := Representation{Format: name, Bytes: size, Scale: &scale, ZeroPoint: &code.Zero[0]}
	for i := range head(v) {
		r.Stored = append(r.Stored, storedInteger(packed, i, d))
	}
	return finish(r, v, restored), nil
}

// storedInteger returns element i of packed signed integers of 8 or 4 bits.
func storedInteger(packed []byte, i int, d tensor.DType) int {
	if d.Bits() == 8 {
		return int(int8(packed[i]))
	}
	nibble := packed[i/2] >> (4 * (i % 2))
	return int(int8(nibble<<4) >> 4)
}

// normalForm is 4-bit NormalFloat: codes of 16 quantiles of the normal
// distribution over the greatest magnitude.
func normalForm(v []float32) (Representation, error) {
	code, err := tensor.NF4.Quantize(v, max(len(v), 2))
	if err != nil {
		return Representation{}, fmt.Errorf("NF4: %w", err)
	}
	restored, err := tensor.NF4.Dequantize(code)
	if err != nil {
		return Representation{}, fmt.Errorf("NF4: %w", err)
	}
	scale := float64(code.Scales[0])
	r := Representation{Format: "NF4", Bytes: int64(len(code.Codes)), Scale: &scale}
	for i := range head(v) {
		r.Stored = append(r.Stored, int(code.Codes[i/2]>>(4-i%2*4)&15))
	}
	return finish(r, v, restored), nil
}

// Tensor tells what numbers a tensor holds and, for a float tensor, how the
// formats represent them. An empty tensor, or one with NaN or infinite
// elements, has no formats.
func Tensor(name string, t tensor.Tensor) (Numbers, error) {
	n := Numbers{Name: name, DType: t.DType.String(), Shape: append(tensor.Shape{}, t.Shape...)}
	n.Count, _ = t.Shape.Elements()
	if t.DType == tensor.String {
		return n, nil
	}
	v := make([]float32, n.Count)
	if err := tensor.ToFloat32(v, t); err != nil {
		return Numbers{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	if len(v) == 0 || tensor.FirstNonFinite(v) >= 0 {
		return n, nil
	}
	n.Stats = stats(v)
	n.Values = head(v)
	if !t.DType.IsFloat() {
		return n, nil
	}
	forms, err := Represent(v)
	if err != nil {
		return Numbers{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	n.Formats = forms.Formats
	return n, nil
}

func stats(v []float32) *Stats {
	lo, hi, _ := tensor.MinMax(v)
	s := &Stats{Min: float64(lo), Max: float64(hi)}
	var sum float64
	for _, x := range v {
		sum += float64(x)
		if x == 0 {
			s.Zeros++
		}
	}
	s.Mean = sum / float64(len(v))
	var squares float64
	for _, x := range v {
		d := float64(x) - s.Mean
		squares += d * d
	}
	s.StdDev = math.Sqrt(squares / float64(len(v)))
	return s
}
