package dataset

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"optim/internal/ort"
	"optim/internal/tensor"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// pixels are three samples for the model vision.
func somePixels() []float32 {
	v := make([]float32, 18)
	for i := range v {
		v[i] = float32(i) / 4
	}
	return v
}

func TestNpzForms(t *testing.T) {
	v := somePixels()
	wide := make([]float64, len(v))
	whole := make([]int32, len(v))
	for i := range v {
		wide[i], whole[i] = float64(v[i]), int32(i)
	}
	fortran := make([]float32, len(v)) // [3, 1, 2, 3], first axis fastest
	for n := range 3 {
		for h := range 2 {
			for w := range 3 {
				fortran[n+3*h+6*w] = v[n*6+h*3+w]
			}
		}
	}
	shape := []int64{3, 1, 2, 3}
	tests := []struct {
		name  string
		array []byte
		scale float32
	}{
		{"plain", npy("<f4", false, shape, pack(le, v)), 1},
		{"big endian", npy(">f4", false, shape, pack(be, v)), 1},
		{"wide", npy("<f8", false, shape, pack(le, wide)), 1},
		{"integers", npy("<i4", false, shape, pack(le, whole)), 4},
		{"fortran", npy("<f4", true, shape, pack(le, fortran)), 1},
		{"fortran big endian", npy(">f4", true, shape, pack(be, fortran)), 1},
		{"extra axis", npy("<f4", false, []int64{3, 1, 1, 2, 3}, pack(le, v)), 1},
	}
	for _, tt := range tests {
		for _, file := range []string{
			writeFile(t, "d.npz", npz(entry{"input", tt.array}, entry{"labels", npy("<i2", false, []int64{3, 1}, pack(le, []int16{0, 1, 0}))})),
			writeFile(t, "d.npy", tt.array),
		} {
			s := open(t, file, vision, Options{})
			if n, known := s.Len(); n != 3 || !known {
				t.Errorf("%s: Len = %d, %v", tt.name, n, known)
			}
			for pass := range 2 {
				samples := all(t, s)
				if len(samples) != 3 {
					t.Fatalf("%s: %d samples", tt.name, len(samples))
				}
				for n, sample := range samples {
					if got := sample.Inputs["input"].Shape; !got.Equal(tensor.Shape{1, 1, 2, 3}) {
						t.Fatalf("%s: shape %v", tt.name, got)
					}
					for i, x := range floats(t, sample, "input") {
						if x != v[n*6+i]*tt.scale {
							t.Fatalf("%s, pass %d: sample %d element %d = %v", tt.name, pass, n, i, x)
						}
					}
					if s.HasLabels && *sample.Label != int64(n%2) {
						t.Errorf("%s: label %d = %d", tt.name, n, *sample.Label)
					}
				}
				if err := s.Rewind(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestNpzErrors(t *testing.T) {
	v := somePixels()
	good := entry{"input", npy("<f4", false, []int64{3, 1, 2, 3}, pack(le, v))}
	nan := slices.Clone(v)
	nan[7] = float32(math.NaN())
	array := func(descr string, data []byte, shape ...int64) []entry {
		return []entry{{"input", npy(descr, false, shape, data)}}
	}
	labels := func(descr string, data []byte, shape ...int64) []entry {
		return []entry{good, {"label", npy(descr, false, shape, data)}}
	}
	tests := []struct {
		name    string
		entries []entry
		words   []string
	}{
		{"nothing", nil, []string{"no array is named like an input", "none", `"input"`}},
		{"wrong name", []entry{{"x", good.data}}, []string{"no array is named like an input", `"x"`, `"input"`}},
		{"twice", []entry{good, good}, []string{`array "input" twice`}},
		{"NaN", array("<f4", pack(le, nan), 3, 1, 2, 3), []string{`array "input"`, "row 1", "element 1 is NaN"}},
		{"NaN in half", array("<f2", pack(le, []uint16{0, 0, 0, 0x7e00, 0, 0}), 1, 1, 2, 3), []string{"element 3 is NaN"}},
		{"rank", array("<f4", pack(le, v), 3, 6), []string{`array "input"`, "[3x6]", "float32[batch x 1 x 2 x 3]"}},
		{"size", array("<f4", pack(le, v), 3, 1, 3, 2), []string{"row 0", "[1x1x3x2]", "1 x 2 x 3"}},
		{"empty", array("<f4", nil, 0, 1, 2, 3), []string{"no samples"}},
		{"hollow", array("<f4", nil, 1<<60, 0, 2, 3), []string{"no elements"}},
		{"short", array("<f4", pack(le, v[:17]), 3, 1, 2, 3), []string{"takes 72 bytes", "has 68"}},
		{"overflow of float32", array("<f8", pack(le, []float64{1e300, 0, 0, 0, 0, 0}), 1, 1, 2, 3), []string{"element 0", "beyond the range of float32"}},
		{"inexact", array("<i8", pack(le, []int64{1<<24 + 1, 0, 0, 0, 0, 0}), 1, 1, 2, 3), []string{"not exact"}},
		{"huge row", array("<f4", nil, 1, 1<<40, 2, 3), []string{"takes"}},
		{"scalar", array("<f4", pack(le, v[:1])), []string{"scalar"}},
		{"counts", labels("<i8", pack(le, []int64{1, 0}), 2), []string{`"input" has 3 samples`, `"label" has 2`}},
		{"label NaN", labels("<f4", pack(le, nan[5:8]), 3), []string{`array "label"`, "not an integer"}},
		{"label fraction", labels("<f4", pack(le, []float32{0, 1.5, 1}), 3), []string{"row 1", "1.5", "not an integer"}},
		{"label negative", labels("<i8", pack(le, []int64{0, 0, -1}), 3), []string{"row 2", "label -1 is negative"}},
		{"labels one-hot", labels("<i8", pack(le, make([]int64, 6)), 3, 2), []string{"[3x2]", "one label per sample"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, drain(writeFile(t, "d.npz", npz(tt.entries...)), vision, Options{}), append(tt.words, "d.npz: ")...)
		})
	}
	wantError(t, drain(writeFile(t, "d.npz", []byte("no zip")), vision, Options{}), "d.npz", "zip")
	wantError(t, drain("absent.npz", vision, Options{}), "absent.npz: no such file")
	wantError(t, drain(writeFile(t, "d.npy", good.data), encoderAndMore, Options{}), "several inputs")
	wantError(t, drain(writeFile(t, "d.onnx", nil), vision, Options{}), "unknown kind of data")
}

var encoderAndMore = ModelInfo{Inputs: append(slices.Clone(encoder.Inputs), vision.Inputs...)}

// Integers of any width become the ids of the model when they fit; what follows
// from the ids is made.
func TestNpzIDs(t *testing.T) {
	ids := []int32{5, 6, 0, 7, 8, 9}
	mask := []bool{true, true, false, true, true, true}
	file := writeFile(t, "d.npz", npz(
		entry{"input_ids", npy("<i4", false, []int64{2, 3}, pack(le, ids))},
		entry{"attention_mask", npy("|b1", false, []int64{2, 3}, pack(le, mask))},
		entry{"extra", npy("<f4", false, []int64{1}, pack(le, []float32{1}))},
	))
	s := open(t, file, encoder, Options{})
	samples := all(t, s)
	if got := ints(t, samples[1], "input_ids"); !slices.Equal(got, []int64{7, 8, 9}) {
		t.Errorf("ids %v", got)
	}
	if got := samples[0].Mask; !slices.Equal(got, []bool{true, true, false}) || samples[1].Mask != nil {
		t.Errorf("masks %v, %v", got, samples[1].Mask)
	}
	if got := ints(t, samples[0], "token_type_ids"); !slices.Equal(got, []int64{0, 0, 0}) {
		t.Errorf("types %v", got)
	}
	want := []string{`arrays that are no inputs are ignored: "extra"`, `input "token_type_ids": zeros`}
	if !slices.Equal(s.Notes, want) {
		t.Errorf("notes %q, want %q", s.Notes, want)
	}
	file = writeFile(t, "d.npz", npz(entry{"attention_mask", npy("|b1", false, []int64{2, 3}, pack(le, mask))}))
	wantError(t, drain(file, encoder, Options{}), `no data for input "input_ids"`)
}

func TestCache(t *testing.T) {
	ids := npy("<i8", false, []int64{1, 3}, pack(le, []int64{1, 2, 3}))
	s := open(t, writeFile(t, "d.npy", ids), cached, Options{})
	sample := all(t, s)[0]
	if got := sample.Inputs["past_key_values.0.key"]; !got.Shape.Equal(tensor.Shape{1, 4, 0, 48}) {
		t.Errorf("cache %v", got.Shape)
	}
	if got := ints(t, sample, "position_ids"); !slices.Equal(got, []int64{0, 1, 2}) {
		t.Errorf("positions %v", got)
	}
	if !s.Causal {
		t.Error("ids for a causal model are not causal")
	}
	past := npy("<f4", false, []int64{1, 4, 1, 48}, make([]byte, 4*48*4))
	file := writeFile(t, "d.npz", npz(entry{"input_ids", ids}, entry{"past_key_values.0.key", past}))
	wantError(t, drain(file, cached, Options{}), `no data for input "attention_mask", while a cache is given`)
}

func TestSamplesLimit(t *testing.T) {
	file := writeFile(t, "d.npy", npy("<f4", false, []int64{3, 1, 2, 3}, pack(le, somePixels())))
	s := open(t, file, vision, Options{Samples: 2})
	if n, _ := s.Len(); n != 2 || len(all(t, s)) != 2 {
		t.Error("the limit does not hold")
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if err := s.Rewind(); err != nil || len(all(t, s)) != 2 {
		t.Errorf("after Rewind: %v", err)
	}
}

// toRowMajor against indexing.
func TestFortran(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		shape := make(tensor.Shape, 1+r.IntN(4))
		for i := range shape {
			shape[i] = 1 + r.Int64N(4)
		}
		n, _ := shape.Elements()
		src := make([]byte, 2*n)
		for i := range src {
			src[i] = byte(r.Int())
		}
		got := toRowMajor(src, shape, 2)
		for to := range n {
			from, step, rest := int64(0), int64(1), to
			index := make([]int64, len(shape))
			for i := len(shape) - 1; i >= 0; i-- {
				index[i], rest = rest%shape[i], rest/shape[i]
			}
			for i, d := range shape {
				from += index[i] * step
				step *= d
			}
			if string(got[2*to:2*to+2]) != string(src[2*from:2*from+2]) {
				t.Fatalf("shape %v: element %d", shape, to)
			}
		}
	}
}

func TestConvert(t *testing.T) {
	tests := []struct {
		name     string
		raw      []byte
		from, to tensor.DType
		want     []byte // nil: refused
	}{
		{"narrow", pack(le, []int64{-128, 127}), tensor.Int64, tensor.Int8, []byte{0x80, 0x7f}},
		{"too small", pack(le, []int64{-129}), tensor.Int64, tensor.Int8, nil},
		{"too great", pack(le, []int64{128}), tensor.Int64, tensor.Int8, nil},
		{"whole reals", pack(le, []float32{3, -2}), tensor.Float32, tensor.Int32, pack(le, []int32{3, -2})},
		{"fractions", pack(le, []float32{0.5}), tensor.Float32, tensor.Int32, nil},
		{"infinite", pack(le, []float32{float32(math.Inf(1))}), tensor.Float32, tensor.Int64, nil},
		{"2^63", pack(le, []float64{1 << 63}), tensor.Float64, tensor.Int64, nil},
		{"uint64", pack(le, []uint64{1 << 63}), tensor.Uint64, tensor.Int64, nil},
		{"boolean", []byte{0, 1}, tensor.Uint8, tensor.Bool, []byte{0, 1}},
		{"no boolean", []byte{2}, tensor.Uint8, tensor.Bool, nil},
		{"no stored boolean", []byte{2}, tensor.Bool, tensor.Bool, nil},
		{"half", pack(le, []float32{1, -2, 65504}), tensor.Float32, tensor.Float16, pack(le, []uint16{0x3c00, 0xc000, 0x7bff})},
		{"half overflow", pack(le, []float32{65520}), tensor.Float32, tensor.Float16, nil},
		{"brain", pack(le, []float32{1}), tensor.Float32, tensor.BFloat16, pack(le, []uint16{0x3f80})},
		{"2^53", pack(le, []int64{1 << 53}), tensor.Int64, tensor.Float64, pack(le, []float64{1 << 53})},
		{"2^53+1", pack(le, []int64{1<<53 + 1}), tensor.Int64, tensor.Float64, nil},
		{"infinity stays", pack(le, []float64{math.Inf(-1)}), tensor.Float64, tensor.Float32, pack(le, []float32{float32(math.Inf(-1))})},
		{"unsupported", []byte{1}, tensor.Uint8, tensor.F8E4M3FN, nil},
		{"NaN", pack(le, []float64{math.NaN()}), tensor.Float64, tensor.Float64, nil},
		{"unsigned", pack(le, []uint32{math.MaxUint32}), tensor.Uint32, tensor.Uint64, pack(le, []uint64{math.MaxUint32})},
	}
	for _, tt := range tests {
		got, err := convert(tt.raw, tt.from, false, tt.to)
		if (err != nil) != (tt.want == nil) || err == nil && string(got) != string(tt.want) {
			t.Errorf("%s: got %x, %v, want %x", tt.name, got, err, tt.want)
		}
	}
}

// Every half against the tensor package's conversion.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		got := halfToFloat(uint16(h))
		v, err := tensor.Tensor{DType: tensor.Float16, Shape: tensor.Shape{1}, Data: pack(le, uint16(h))}.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		if want := float64(v[0]); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("%#x: got %v, want %v", h, got, want)
		}
	}
}

// scalars have one number per sample.
func TestUnbatchedInputs(t *testing.T) {
	m := ModelInfo{Inputs: []ort.Info{info("image", tensor.Float32, "", 2, 3), info("threshold", tensor.Float32, "")}}
	file := writeFile(t, "d.npz", npz(
		entry{"image", npy("<f4", false, []int64{3, 2, 3}, pack(le, somePixels()))},
		entry{"threshold", npy("<f4", false, []int64{3}, pack(le, []float32{1, 2, 3}))},
	))
	s := open(t, file, m, Options{})
	b, err := s.Batch(1)
	if err != nil {
		t.Fatal(err)
	}
	if b.Rows != 1 || !b.Inputs["image"].Shape.Equal(tensor.Shape{2, 3}) || len(b.Inputs["threshold"].Shape) != 0 {
		t.Errorf("%+v", b)
	}
}
