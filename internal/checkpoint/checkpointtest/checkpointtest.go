// Package checkpointtest makes quantized checkpoints for tests, bit by bit, and
// by itself: it shares no code with the reader.
package checkpointtest

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"optim/internal/tensor"
)

// Layer is a matrix of K inputs and N outputs in integers.
type Layer struct {
	Name   string
	K, N   int
	Bits   int
	Codes  []byte    // [K, N]
	Scales []float32 // [groups, N]
	Zeros  []byte    // [groups, N]
	Group  []int32   // of each input
}

// Quantize rounds w [K, N] to nearest, in groups of inputs that order lists
// (nil: as they come); symmetric: the zero point is the middle. Scales are
// those that float16 has.
func Quantize(name string, w []float32, k, n, bits, group int, order []int, symmetric bool) *Layer {
	if order == nil {
		for i := range k {
			order = append(order, i)
		}
	}
	groups := (k + group - 1) / group
	l := &Layer{Name: name, K: k, N: n, Bits: bits, Codes: make([]byte, k*n), Group: make([]int32, k),
		Scales: make([]float32, groups*n), Zeros: make([]byte, groups*n)}
	top := float64(int(1)<<bits - 1)
	for g := range groups {
		inputs := order[g*group : min((g+1)*group, k)]
		for _, i := range inputs {
			l.Group[i] = int32(g)
		}
		for c := range n {
			lo, hi := 0.0, 0.0
			for _, i := range inputs {
				lo, hi = min(lo, float64(w[i*n+c])), max(hi, float64(w[i*n+c]))
			}
			middle := math.Ceil(top / 2)
			if symmetric {
				hi = max(hi, -lo)
				lo = -hi
			}
			scale := float64(half(max((hi-lo)/top, 1e-4)))
			zero := math.RoundToEven(-lo / scale)
			if symmetric {
				zero = middle
			}
			l.Scales[g*n+c], l.Zeros[g*n+c] = float32(scale), byte(min(zero, top))
			for _, i := range inputs {
				q := math.RoundToEven(float64(w[i*n+c])/scale) + float64(l.Zeros[g*n+c])
				l.Codes[i*n+c] = byte(min(max(q, 0), top))
			}
		}
	}
	return l
}

// Restored returns the weights [K, N] that the integers stand for.
func (l *Layer) Restored() []float32 {
	out := make([]float32, l.K*l.N)
	for i := range out {
		g := int(l.Group[i/l.N])*l.N + i%l.N
		out[i] = l.Scales[g] * float32(int(l.Codes[i])-int(l.Zeros[g]))
	}
	return out
}

// half rounds to float16.
func half(x float64) float32 {
	t, err := tensor.Convert(tensor.Of(tensor.Float32, tensor.Shape{1}, []float32{float32(x)}), tensor.Float16)
	if err != nil {
		panic(err)
	}
	v, err := t.Float32s()
	if err != nil {
		panic(err)
	}
	return v[0]
}

// File is what one safetensors file holds.
type File map[string]tensor.Tensor

// put sets bits of a stream of words that lie stride apart.
func put(words []uint32, stride, at, bits int, v byte) {
	for b := range bits {
		if v>>b&1 != 0 {
			i := at + b
			words[i/32*stride] |= 1 << (i % 32)
		}
	}
}

// Half converts numbers to a tensor of float16.
func Half(shape tensor.Shape, v []float32) tensor.Tensor {
	t, err := tensor.Convert(tensor.Of(tensor.Float32, shape, v), tensor.Float16)
	if err != nil {
		panic(err)
	}
	return t
}

func words(v []uint32, rows, cols int) tensor.Tensor {
	return tensor.Of(tensor.Int32, tensor.Shape{int64(rows), int64(cols)}, v)
}

// GPTQ adds a layer in the layout of GPTQ; v2: zero points as they are.
func (f File) GPTQ(l *Layer, v2 bool) {
	groups, cols := len(l.Scales)/l.N, l.N*l.Bits/32
	qweight, qzeros := make([]uint32, l.K*l.Bits/32*l.N), make([]uint32, groups*cols)
	for i, c := range l.Codes {
		put(qweight[i%l.N:], l.N, i/l.N*l.Bits, l.Bits, c)
	}
	for i, z := range l.Zeros {
		if !v2 {
			z = (z - 1) & byte(1<<l.Bits-1)
		}
		put(qzeros[i/l.N*cols:], 1, i%l.N*l.Bits, l.Bits, z)
	}
	f[l.Name+".qweight"] = words(qweight, l.K*l.Bits/32, l.N)
	f[l.Name+".qzeros"] = words(qzeros, groups, cols)
	f[l.Name+".scales"] = Half(tensor.Shape{int64(groups), int64(l.N)}, l.Scales)
	f[l.Name+".g_idx"] = tensor.Of(tensor.Int32, tensor.Shape{int64(l.K)}, l.Group)
}

// AWQ adds a layer of 4 bits in the layout of AWQ.
func (f File) AWQ(l *Layer) {
	place := map[int]int{0: 0, 2: 1, 4: 2, 6: 3, 1: 4, 3: 5, 5: 6, 7: 7} // of a column in its word
	pack := func(codes []byte) []uint32 {
		out := make([]uint32, len(codes)/8)
		for i, c := range codes {
			out[i/8] |= uint32(c) << (4 * place[i%8])
		}
		return out
	}
	groups := len(l.Scales) / l.N
	f[l.Name+".qweight"] = words(pack(l.Codes), l.K, l.N/8)
	f[l.Name+".qzeros"] = words(pack(l.Zeros), groups, l.N/8)
	f[l.Name+".scales"] = Half(tensor.Shape{int64(groups), int64(l.N)}, l.Scales)
}

var names = map[tensor.DType]string{tensor.Int32: "I32", tensor.Float16: "F16", tensor.Float32: "F32", tensor.BFloat16: "BF16", tensor.Int64: "I64", tensor.Bool: "BOOL"}

// Bytes returns the file as it is stored.
func (f File) Bytes(t testing.TB) []byte {
	t.Helper()
	header, data := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, []byte{}
	var list []string
	for name := range f {
		list = append(list, name)
	}
	slices.Sort(list)
	for _, name := range list {
		v := f[name]
		header[name] = map[string]any{"dtype": names[v.DType], "shape": v.Shape, "data_offsets": []int{len(data), len(data) + len(v.Data)}}
		data = append(data, v.Data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), data...)
}

// Write makes a checkpoint of one file in a new folder, with config as
// quantization_config of its config.json.
func (f File) Write(t testing.TB, config string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	WriteFile(t, dir, "model.safetensors", f.Bytes(t))
	WriteFile(t, dir, "config.json", []byte(`{"quantization_config":`+config+`}`))
	return dir
}

// WriteFile writes one file.
func WriteFile(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}
