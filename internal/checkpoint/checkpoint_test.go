package checkpoint_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"optim/internal/checkpoint"
	"optim/internal/checkpoint/checkpointtest"
	"optim/internal/tensor"
)

func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func open(t *testing.T, dir string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// restored computes a layer's weights [K, N], inputs as the module has them.
func restored(t *testing.T, l *checkpoint.Layer) []float32 {
	t.Helper()
	codes := make([]byte, l.N*l.K)
	if err := l.Codes(codes); err != nil {
		t.Fatal(err)
	}
	scales, zeros, err := l.Grid()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, l.K*l.N)
	for at := range l.K {
		k := at
		if l.Order != nil {
			k = l.Order[at]
		}
		for n := range l.N {
			g := n*l.Groups() + at/l.Group
			out[k*l.N+n] = scales[g] * float32(int(codes[n*l.K+at])-int(zeros[g]))
		}
	}
	return out
}

// TestLayouts: what another program packed is what is read, in every layout.
func TestLayouts(t *testing.T) {
	const k, n = 96, 64
	shuffled := rand.New(rand.NewPCG(3, 0)).Perm(k)
	for _, bits := range []int{2, 3, 4, 8} {
		for _, group := range []int{32, 48, 64, -1} {
			for _, order := range [][]int{nil, shuffled} {
				for _, format := range []string{"gptq", "gptq_v2", "awq"} {
					if format == "awq" && (bits != 4 || order != nil || group == 64) {
						continue
					}
					size := group
					if size < 0 {
						size = k
					}
					name := fmt.Sprintf("%s, %d bits, groups of %d, ordered %t", format, bits, group, order != nil)
					w := random(uint64(bits), k*n)
					l := checkpointtest.Quantize("m.0.fc", w, k, n, bits, size, order, group == 32)
					f := checkpointtest.File{"m.0.fc.bias": checkpointtest.Half(tensor.Shape{n}, random(1, n))}
					config := fmt.Sprintf(`{"quant_method":"gptq","bits":%d,"group_size":%d,"checkpoint_format":%q}`, bits, group, format)
					if format == "awq" {
						f.AWQ(l)
						config = fmt.Sprintf(`{"quant_method":"awq","bits":%d,"group_size":%d,"version":"GEMM"}`, bits, group)
					} else {
						f.GPTQ(l, format == "gptq_v2")
					}
					c := open(t, f.Write(t, config))
					if len(c.Layers) != 1 || len(c.Floats) != 1 || c.Floats[0].Name != "m.0.fc.bias" {
						t.Fatalf("%s: %d layers, %d others", name, len(c.Layers), len(c.Floats))
					}
					got := c.Layers[0]
					if got.Name != "m.0.fc" || got.K != k || got.N != n || got.Bits != bits {
						t.Errorf("%s: read as %+v", name, got)
					}
					if (got.Order != nil) != (order != nil && size < k) {
						t.Errorf("%s: has an order: %t", name, got.Order != nil)
					}
					if !slices.Equal(restored(t, got), l.Restored()) {
						t.Errorf("%s: weights differ", name)
					}
					some, err := got.Sample([]int{0, 95, 40}, []int{1, 63})
					if err != nil {
						t.Fatal(err)
					}
					for i, at := range []int{1, 63, 95*n + 1, 95*n + 63, 40*n + 1, 40*n + 63} {
						if some[i] != l.Restored()[at] {
							t.Errorf("%s: sample %d is %v, not %v", name, i, some[i], l.Restored()[at])
						}
					}
				}
			}
		}
	}
}

// TestVectors: words that packers written after the loops of AutoGPTQ and
// AutoAWQ made in numpy of code(k, n) = (7k + 3n + kn) mod 2^bits.
func TestVectors(t *testing.T) {
	code := func(k, n, bits int) byte { return byte((k*7 + n*3 + k*n) % (1 << bits)) }
	column4 := map[int][]uint32{
		2: {0x6c6c6c6c, 0x6c6c6c6c},
		3: {0xbc398abc, 0x8abc398a, 0x398abc39},
		4: {0x9e38d27c, 0x16b05af4, 0x9e38d27c, 0x16b05af4},
		8: {0x2d22170c, 0x594e4338, 0x857a6f64, 0xb1a69b90, 0xddd2c7bc, 0x9fef3e8, 0x352a1f14, 0x61564b40},
	}
	zeros := map[int][]uint32{ // of row 0
		2: {0x6c6c6c6c, 0x6c6c6c6c}, 3: {0x98abc398, 0xc398abc3, 0xabc398ab},
		4: {0x52fc9630, 0xda741eb8, 0x52fc9630, 0xda741eb8},
		8: {0x9060300, 0x15120f0c, 0x211e1b18, 0x2d2a2724, 0x39363330, 0x45423f3c, 0x514e4b48, 0x5d5a5754},
	}
	for bits, words := range column4 {
		qweight := make([]uint32, bits*32) // K = N = 32
		for i, w := range words {
			qweight[i*32+4] = w
		}
		f := checkpointtest.File{
			"a.qweight": tensor.Of(tensor.Int32, tensor.Shape{int64(bits), 32}, qweight),
			"a.qzeros":  tensor.Of(tensor.Int32, tensor.Shape{1, int64(bits)}, zeros[bits]),
			"a.scales":  checkpointtest.Half(tensor.Shape{1, 32}, slices.Repeat([]float32{1}, 32)),
		}
		l := open(t, f.Write(t, fmt.Sprintf(`{"quant_method":"gptq","bits":%d,"group_size":-1,"checkpoint_format":"gptq_v2"}`, bits))).Layers[0]
		codes := make([]byte, 32*32)
		if err := l.Codes(codes); err != nil {
			t.Fatal(err)
		}
		_, z, err := l.Grid()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 32 {
			if got, want := codes[4*32+i], code(i, 4, bits); got != want {
				t.Errorf("%d bits: code %d is %d, not %d", bits, i, got, want)
			}
			if got, want := z[i], code(0, i, bits); got != want {
				t.Errorf("%d bits: zero point %d is %d, not %d", bits, i, got, want)
			}
		}
	}
	awq := checkpointtest.File{
		"a.qweight": tensor.Of(tensor.Int32, tensor.Shape{2, 2}, []uint32{0x5f932c60, 0xd71ba4e8, 0x3b3bf7f7, 0x3b3bf7f7}),
		"a.qzeros":  tensor.Of(tensor.Int32, tensor.Shape{1, 2}, []uint32{0x5f932c60, 0xd71ba4e8}),
		"a.scales":  checkpointtest.Half(tensor.Shape{1, 16}, slices.Repeat([]float32{1}, 16)),
	}
	l := open(t, awq.Write(t, `{"quant_method":"awq","bits":4,"group_size":2,"version":"gemm"}`)).Layers[0]
	codes := make([]byte, 2*16)
	if err := l.Codes(codes); err != nil {
		t.Fatal(err)
	}
	for i, got := range codes {
		if want := code(i%2, i/2, 4); got != want {
			t.Errorf("AWQ: code %d is %d, not %d", i, got, want)
		}
	}
}

// small is a checkpoint of one layer.
func small(t *testing.T) checkpointtest.File {
	f := checkpointtest.File{}
	f.GPTQ(checkpointtest.Quantize("a", random(1, 64*32), 64, 32, 4, 32, nil, false), false)
	return f
}

const smallConfig = `{"quant_method":"gptq","bits":4,"group_size":32}`

// TestFiles: shards, the only file, settings in a file of their own, and a
// folder in the cache of the hub.
func TestFiles(t *testing.T) {
	all := small(t)
	one, two := checkpointtest.File{}, checkpointtest.File{}
	for name, v := range all {
		if name == "a.scales" {
			two[name] = v
		} else {
			one[name] = v
		}
	}
	sharded := func(dir string) {
		checkpointtest.WriteFile(t, dir, "x-1.safetensors", one.Bytes(t))
		checkpointtest.WriteFile(t, dir, "x-2.safetensors", two.Bytes(t))
		checkpointtest.WriteFile(t, dir, "model.safetensors.index.json", []byte(
			`{"weight_map":{"a.qweight":"x-1.safetensors","a.qzeros":"x-1.safetensors","a.g_idx":"x-1.safetensors","a.scales":"x-2.safetensors"}}`))
		checkpointtest.WriteFile(t, dir, "quantize_config.json", []byte(`{"bits":4,"group_size":32,"desc_act":false}`))
	}
	for name, make := range map[string]func() string{
		"shards": func() string { dir := t.TempDir(); sharded(dir); return dir },
		"the only file, AutoAWQ's settings": func() string {
			dir, f := t.TempDir(), checkpointtest.File{}
			f.AWQ(checkpointtest.Quantize("a", random(1, 64*32), 64, 32, 4, 32, nil, false))
			checkpointtest.WriteFile(t, dir, "awq-g32.safetensors", f.Bytes(t))
			checkpointtest.WriteFile(t, dir, "quant_config.json", []byte(`{"w_bit":4,"q_group_size":32,"zero_point":true,"version":"GEMM"}`))
			return dir
		},
		"links into the hub's blobs": func() string {
			top := t.TempDir()
			dir := filepath.Join(top, "snapshots", "abc")
			for _, d := range []string{dir, filepath.Join(top, "blobs")} {
				if err := os.MkdirAll(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			sharded(filepath.Join(top, "blobs"))
			files, err := filepath.Glob(filepath.Join(top, "blobs", "*"))
			if err != nil || len(files) == 0 {
				t.Fatal(err)
			}
			for _, f := range files {
				if err := os.Symlink(filepath.Join("..", "..", "blobs", filepath.Base(f)), filepath.Join(dir, filepath.Base(f))); err != nil {
					t.Fatal(err)
				}
			}
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, make())
			want := checkpointtest.Quantize("a", random(1, 64*32), 64, 32, 4, 32, nil, false).Restored()
			if len(c.Layers) != 1 || !slices.Equal(restored(t, c.Layers[0]), want) {
				t.Error("weights differ")
			}
		})
	}
}

// TestBad: what cannot be right is an error that says what.
func TestBad(t *testing.T) {
	edit := func(change func(checkpointtest.File)) func(t *testing.T) string {
		return func(t *testing.T) string {
			f := small(t)
			change(f)
			return f.Write(t, smallConfig)
		}
	}
	config := func(s string) func(t *testing.T) string {
		return func(t *testing.T) string { return small(t).Write(t, s) }
	}
	file := func(name, text string) func(t *testing.T) string {
		return func(t *testing.T) string {
			dir := small(t).Write(t, smallConfig)
			checkpointtest.WriteFile(t, dir, name, []byte(text))
			return dir
		}
	}
	outside := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(outside, small(t).Bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		make func(t *testing.T) string
	}{
		{"no such file", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }},
		{"is the checkpoint quantized", func(t *testing.T) string { return t.TempDir() }},
		{"no file *.safetensors", func(t *testing.T) string {
			dir := t.TempDir()
			checkpointtest.WriteFile(t, dir, "quantize_config.json", []byte(smallConfig))
			return dir
		}},
		{"no tensor *.qweight", edit(func(f checkpointtest.File) { clear(f); f["b"] = checkpointtest.Half(tensor.Shape{1}, []float32{1}) })},
		{"qzeros is missing", edit(func(f checkpointtest.File) { delete(f, "a.qzeros") })},
		{"scales is missing", edit(func(f checkpointtest.File) { delete(f, "a.scales") })},
		{"where the settings say 8", config(`{"quant_method":"gptq","bits":8,"group_size":32}`)},
		{"groups of 64", config(`{"quant_method":"gptq","bits":4,"group_size":64}`)},
		{"5 bits", config(`{"quant_method":"gptq","bits":5,"group_size":32}`)},
		{"group_size is 0", config(`{"quant_method":"gptq","bits":4,"group_size":0}`)},
		{`"bitsandbytes"`, config(`{"quant_method":"bitsandbytes","bits":4}`)},
		{`"marlin"`, config(`{"quant_method":"gptq","bits":4,"group_size":32,"checkpoint_format":"marlin"}`)},
		{`"gemv"`, config(`{"quant_method":"awq","bits":4,"group_size":32,"version":"gemv"}`)},
		{"do not fit each other", config(`{"quant_method":"awq","bits":4,"group_size":32,"version":"gemm"}`)},
		{"do not fit each other", edit(func(f checkpointtest.File) {
			f["a.qweight"] = tensor.Of(tensor.Int32, tensor.Shape{8, 16}, make([]uint32, 128))
		})},
		{"element type float16", edit(func(f checkpointtest.File) {
			f["a.qweight"] = checkpointtest.Half(tensor.Shape{8, 32}, make([]float32, 256))
		})},
		{"group 9 of 2", edit(func(f checkpointtest.File) {
			f["a.g_idx"] = tensor.Of(tensor.Int32, tensor.Shape{64}, slices.Repeat([]int32{9}, 64))
		})},
		{"unequal numbers", edit(func(f checkpointtest.File) {
			f["a.g_idx"] = tensor.Of(tensor.Int32, tensor.Shape{64}, slices.Repeat([]int32{1}, 64))
		})},
		{"int32 [64] is needed", edit(func(f checkpointtest.File) {
			f["a.g_idx"] = tensor.Of(tensor.Int32, tensor.Shape{32}, make([]int32, 32))
		})},
		{"leads out of the folder", file("model.safetensors.index.json", `{"weight_map":{"a.qweight":"../model.safetensors"}}`)},
		{"leads out of the folder", file("model.safetensors.index.json", fmt.Sprintf(`{"weight_map":{"a.qweight":%q}}`, outside))},
		{"path escapes", func(t *testing.T) string {
			dir := small(t).Write(t, smallConfig)
			link := filepath.Join(dir, "model.safetensors")
			if err := os.Remove(link); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, link); err != nil {
				t.Fatal(err)
			}
			return dir
		}},
		{"no such file", file("model.safetensors.index.json", `{"weight_map":{"a.qweight":"b.safetensors"}}`)},
		{`"b.qweight" is not in file`, file("model.safetensors.index.json", `{"weight_map":{"b.qweight":"model.safetensors"}}`)},
		{"no weight_map", file("model.safetensors.index.json", `{}`)},
		{"too few", file("model.safetensors", "")},
		{"cannot unmarshal", file("config.json", `{"quantization_config":3}`)},
		{"do not lie within", func(t *testing.T) string {
			dir, b := small(t).Write(t, smallConfig), small(t).Bytes(t)
			checkpointtest.WriteFile(t, dir, "model.safetensors", b[:len(b)-1])
			return dir
		}},
	} {
		dir := c.make(t)
		got, err := checkpoint.Open(dir)
		if err == nil {
			got.Close()
			t.Errorf("%q: was taken", c.want)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %q does not say %q", err, c.want)
		}
	}
}

// TestDynamic: layers may differ from the settings only where these say so.
func TestDynamic(t *testing.T) {
	f := checkpointtest.File{}
	f.GPTQ(checkpointtest.Quantize("a", random(1, 64*32), 64, 32, 4, 32, nil, false), false)
	b := checkpointtest.Quantize("b", random(2, 64*32), 64, 32, 8, 64, nil, false)
	f.GPTQ(b, false)
	c := open(t, f.Write(t, `{"quant_method":"gptq","bits":4,"group_size":32,"dynamic":{"+:b":{"bits":8,"group_size":64}}}`))
	if got := c.Layers[1]; got.Bits != 8 || got.Group != 64 || !slices.Equal(restored(t, got), b.Restored()) {
		t.Errorf("read as %+v", got)
	}
	if c, err := checkpoint.Open(f.Write(t, smallConfig)); err == nil {
		c.Close()
		t.Error("8 bits were taken where the settings say 4")
	}
}
