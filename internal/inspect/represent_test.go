package inspect

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"optim/internal/tensor"
)

// TestRepresentReference checks the contract's example: INT8 symmetric has the
// scale 3.1415/127.
func TestRepresentReference(t *testing.T) {
	v := []float32{1.2345, -0.6789, 3.1415, -2.7182}
	n, err := Represent(v)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]Representation{}
	for _, f := range n.Formats {
		by[f.Format] = f
	}
	int8s := by["INT8"]
	if !reflect.DeepEqual(int8s.Stored, []any{50, -27, 127, -110}) || math.Abs(*int8s.Scale-0.024736) > 5e-7 ||
		*int8s.ZeroPoint != 0 || math.Abs(*int8s.MSE-0.000034) > 5e-7 {
		t.Errorf("INT8: %+v", int8s)
	}
	for format, want := range map[string]struct {
		bytes     int64
		reduction float64
	}{"FP32": {16, 0}, "FP16": {8, 0.5}, "BF16": {8, 0.5}, "INT8": {4, 0.75}, "INT4": {2, 0.875}, "NF4": {2, 0.875}} {
		if f := by[format]; f.Bytes != want.bytes || f.Reduction != want.reduction {
			t.Errorf("%s: %d bytes, reduction %g", format, f.Bytes, f.Reduction)
		}
	}
	if *by["FP32"].MSE != 0 {
		t.Errorf("FP32 has an error of %g", *by["FP32"].MSE)
	}
}

// TestRepresentIsClose: what is restored lies within half a step of what was
// given, for every length around the packing of two numbers to a byte.
func TestRepresentIsClose(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 2, 3, 7, 8, 9, 64, 65} {
		v := make([]float32, size)
		top := 0.0
		for i := range v {
			v[i] = float32(rng.NormFloat64())
			top = max(top, math.Abs(float64(v[i])))
		}
		n, err := Represent(v)
		if err != nil {
			t.Fatal(err)
		}
		step := map[string]float64{"FP32": 0, "FP16": top / 1024, "BF16": top / 128, "INT8": top / 127, "INT4": top / 7, "NF4": top * 0.31}
		for _, f := range n.Formats {
			if len(f.Stored) != min(size, listed) || len(f.Restored) != len(f.Stored) {
				t.Fatalf("%s of %d: %d stored, %d restored", f.Format, size, len(f.Stored), len(f.Restored))
			}
			for i, x := range f.Restored {
				if d := math.Abs(float64(x.(float32)) - float64(v[i])); d > step[f.Format]/2+1e-6*top {
					t.Errorf("%s of %d: %g became %v", f.Format, size, v[i], x)
				}
			}
			if want := (int64(size)*int64(map[string]int{"FP32": 32, "FP16": 16, "BF16": 16, "INT8": 8, "INT4": 4, "NF4": 4}[f.Format]) + 7) / 8; f.Bytes != want {
				t.Errorf("%s of %d: %d bytes, want %d", f.Format, size, f.Bytes, want)
			}
		}
	}
}

func TestRepresentEdges(t *testing.T) {
	n, err := Represent([]float32{100000, -100000, 1})
	if err != nil {
		t.Fatal(err)
	}
	if f := n.Formats[1]; f.MSE != nil || f.Restored[0] != "+inf" || f.Restored[1] != "-inf" {
		t.Errorf("FP16 of 100000: %+v", f)
	}
	if n, err := Represent([]float32{0, 0}); err != nil || *n.Formats[3].MSE != 0 || *n.Formats[5].MSE != 0 {
		t.Errorf("zeros: %+v, %v", n, err)
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := Represent([]float32{1, float32(x)}); err == nil {
			t.Errorf("%g is taken", x)
		}
	}
}

func TestTensorNumbers(t *testing.T) {
	of := func(v ...float32) tensor.Tensor {
		return tensor.Of(tensor.Float32, tensor.Shape{int64(len(v))}, v)
	}
	n, err := Tensor("w", of(1, 2, 0, -3))
	if err != nil || n.Stats == nil || *n.Stats != (Stats{-3, 2, 0, math.Sqrt(14.0 / 4), 1}) || len(n.Formats) != 6 || n.Count != 4 {
		t.Errorf("%+v, %+v, %v", n, n.Stats, err)
	}
	for name, v := range map[string]tensor.Tensor{
		"empty": of(), "nan": of(float32(math.NaN())), "strings": {DType: tensor.String, Shape: tensor.Shape{1}, Strings: []string{"a"}},
	} {
		if n, err := Tensor(name, v); err != nil || n.Formats != nil || n.Stats != nil {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	ints := tensor.Of(tensor.Int64, tensor.Shape{2}, []int64{-1, 5})
	if n, err := Tensor("i", ints); err != nil || n.Formats != nil || n.Stats.Max != 5 {
		t.Errorf("integers: %+v, %v", n, err)
	}
}
