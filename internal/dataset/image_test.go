package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/image/bmp"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// coloured is a picture of h × w with red = x, green = y, blue = 7.
func coloured(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), 7, 255})
		}
	}
	return img
}

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// folder writes files into a new folder.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, data := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// imageModel takes pictures of the given dimensions.
func imageModel(d tensor.DType, dims ...int64) ModelInfo {
	return ModelInfo{Inputs: []ort.Info{info("image", d, "batch height width", dims...)}}
}

func TestClasses(t *testing.T) {
	data := encodePNG(t, coloured(3, 2))
	dir := folder(t, map[string][]byte{
		"dog/1.png": data, "dog/2.PNG": data, "dog/3.png": data, "cat/1.png": data,
		"cat/notes.txt": nil, ".git/1.png": data, "README.md": nil, "eel/none.txt": nil,
	})
	s := open(t, dir, imageModel(tensor.Float32, -1, 3, 2, 3), Options{})
	var got []string
	for _, sample := range all(t, s) {
		got = append(got, fmt.Sprint(sample.Name, " ", *sample.Label))
	}
	want := []string{"cat/1.png 0", "dog/1.png 1", "dog/2.PNG 1", "dog/3.png 1"}
	if !slices.Equal(got, want) || !s.HasLabels {
		t.Errorf("got %q, want %q", got, want)
	}
	flat := folder(t, map[string][]byte{"b.png": data, "a.png": data})
	s = open(t, flat, imageModel(tensor.Float32, -1, 3, 2, 3), Options{})
	if list := all(t, s); len(list) != 2 || list[0].Name != "a.png" || s.HasLabels {
		t.Errorf("flat folder: %+v", list)
	}
}

func TestInterleave(t *testing.T) {
	a, b := []picture{{"a1", 0}, {"a2", 0}, {"a3", 0}}, []picture{{"b1", 1}}
	want := []picture{{"a1", 0}, {"b1", 1}, {"a2", 0}, {"a3", 0}}
	if got := interleave([][]picture{a, b}, 4); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestLayoutsAndFormats(t *testing.T) {
	img := coloured(3, 2)
	encoded := map[string][]byte{"a.png": encodePNG(t, img)}
	var b bytes.Buffer
	if err := bmp.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	encoded["a.bmp"] = bytes.Clone(b.Bytes())
	red := func(scale float64) []float64 { return []float64{0, scale, 2 * scale, 0, scale, 2 * scale} }
	tests := []struct {
		name  string
		model ModelInfo
		o     Options
		first []float64 // of the six red elements
		step  int       // from one to the next
	}{
		{"nchw", imageModel(tensor.Float32, -1, 3, 2, 3), Options{Layout: "nchw", Preprocess: "raw"}, red(1), 1},
		{"nhwc", imageModel(tensor.Float32, -1, 2, 3, 3), Options{Layout: "auto", Preprocess: "unit"}, red(1. / 255), 3},
		{"symbolic", imageModel(tensor.Float32, -1, 3, -1, -1), Options{Dims: map[string]int64{"height": 2, "width": 3}}, red(1. / 255), 1},
		{"shape", imageModel(tensor.Float32, -1, -1, -1, 3), Options{Shapes: map[string]tensor.Shape{"image": {1, 2, 3, 3}}, Preprocess: "raw"}, red(1), 3},
		{"bytes", imageModel(tensor.Uint8, -1, 2, 3, 3), Options{Layout: "nhwc"}, red(1), 3},
		{"half", imageModel(tensor.Float16, -1, 3, 2, 3), Options{Preprocess: "raw", Layout: "nchw"}, red(1), 1},
	}
	for _, tt := range tests {
		for name, data := range encoded {
			s := open(t, folder(t, map[string][]byte{name: data}), tt.model, tt.o)
			in := all(t, s)[0].Inputs["image"]
			v, err := convertToFloats(in)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.first {
				if got := float64(v[i*tt.step]); math.Abs(got-want) > 1e-6 {
					t.Errorf("%s, %s: red %d = %v, want %v", tt.name, name, i, got, want)
				}
			}
		}
	}
}

func convertToFloats(in tensor.Tensor) ([]float32, error) {
	c, err := tensor.Convert(in, tensor.Float32)
	if err != nil {
		return nil, err
	}
	return c.Float32s()
}

func TestPreprocess(t *testing.T) {
	p, err := ParsePreprocess("mean=0.5,std=0.1:0.2:0.5")
	if err != nil || p.Mean != [3]float64{0.5, 0.5, 0.5} || p.Std != [3]float64{0.1, 0.2, 0.5} {
		t.Errorf("%+v, %v", p, err)
	}
	for name, want := range map[string]float64{"unit": 1, "raw": 255, "symmetric": 1, "imagenet": (1 - 0.456) / 0.224} {
		p, err := ParsePreprocess(name)
		if got := p.apply(255, 1); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: white is %v, want %v (%v)", name, got, want, err)
		}
	}
	for _, bad := range []string{"", "vgg", "mean=1:2", "std=0", "mean=NaN", "mean=x", "mean=1,size=3"} {
		if _, err := ParsePreprocess(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// A constant picture stays constant, a grey one keeps its values, and shrinking
// averages: a fine chequer becomes grey instead of aliasing.
func TestResize(t *testing.T) {
	chequer := image.NewGray(image.Rect(5, 5, 69, 69))
	for y := 5; y < 69; y++ {
		for x := 5; x < 69; x++ {
			chequer.SetGray(x, y, color.Gray{uint8((x + y) % 2 * 255)})
		}
	}
	small := resize(chequer, 8, 8)
	for i := 0; i < len(small.Pix); i += 4 {
		if v := int(small.Pix[i]); v < 120 || v > 135 {
			t.Fatalf("pixel %d of the chequer is %d", i/4, v)
		}
	}
	flat := image.NewUniform(color.RGBA{9, 90, 200, 255})
	big := resize(struct{ image.Image }{subImage{flat, image.Rect(0, 0, 7, 5)}}, 13, 11)
	for i := 0; i < len(big.Pix); i += 4 {
		if [3]byte(big.Pix[i:i+3]) != [3]byte{9, 90, 200} {
			t.Fatalf("pixel %d is %v", i/4, big.Pix[i:i+4])
		}
	}
	for v := range 256 {
		if luma(uint8(v), uint8(v), uint8(v)) != uint8(v) {
			t.Errorf("grey %d changes", v)
		}
	}
	clear := image.NewNRGBA(image.Rect(0, 0, 1, 1))
	clear.SetNRGBA(0, 0, color.NRGBA{100, 50, 25, 128})
	if got := resize(clear, 1, 1).Pix; got[0] < 99 || got[0] > 101 || got[3] != 255 {
		t.Errorf("alpha is not dropped: %v", got)
	}
}

// subImage gives an endless image bounds.
type subImage struct {
	image.Image
	r image.Rectangle
}

func (s subImage) Bounds() image.Rectangle { return s.r }

func TestGrey(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 28, 28))
	for i := range grey.Pix {
		grey.Pix[i] = uint8(i)
	}
	var jpg, anim bytes.Buffer
	if err := jpeg.Encode(&jpg, grey, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&anim, grey, nil); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		data []byte
		tol  float64
	}{"a.png": {encodePNG(t, grey), 0}, "a.jpg": {jpg.Bytes(), 12}, "a.gif": {anim.Bytes(), 40}} {
		s := open(t, folder(t, map[string][]byte{name: tt.data}), imageModel(tensor.Float32, -1, 1, 28, 28), Options{Preprocess: "raw"})
		for i, v := range floats(t, all(t, s)[0], "image") {
			if math.Abs(float64(v)-float64(grey.Pix[i])) > tt.tol {
				t.Fatalf("%s: pixel %d is %v, want %d", name, i, v, grey.Pix[i])
			}
		}
	}
}

// bomb is a PNG whose header promises far more pixels than it has.
func bomb(w, h uint32) []byte {
	chunk := append([]byte("IHDR"), binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)...)
	chunk = append(chunk, 8, 6, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), chunk...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
}

func TestImageErrors(t *testing.T) {
	model := imageModel(tensor.Float32, -1, 3, 2, 3)
	good := encodePNG(t, coloured(3, 2))
	one := func(data []byte) map[string][]byte { return map[string][]byte{"a.png": data} }
	tests := []struct {
		name  string
		files map[string][]byte
		model ModelInfo
		o     Options
		words []string
	}{
		{"empty", nil, model, Options{}, []string{"no images"}},
		{"no image", one([]byte("text")), model, Options{}, []string{"a.png", "unknown format"}},
		{"cut", one(good[:len(good)-20]), model, Options{}, []string{"a.png"}},
		{"bomb", one(bomb(1<<20, 1<<20)), model, Options{}, []string{"a.png", "1048576 × 1048576 pixels"}},
		{"wide", one(bomb(1<<26, 1)), model, Options{}, []string{"a.png", "67108864 × 1 pixels", "32768 on a side"}},
		{"high", one(bomb(1, 1<<15+1)), model, Options{}, []string{"a.png", "1 × 32769 pixels"}},
		{"costly", one(encodePNG(t, image.NewGray(image.Rect(0, 0, 1, 4096)))), imageModel(tensor.Float32, -1, 3, 2, 1<<14), Options{},
			[]string{"a.png", "4096 rows are too many"}},
		{"no picture model", one(good), encoder, Options{}, []string{"one input of four dimensions"}},
		{"free size", one(good), imageModel(tensor.Float32, -1, 3, -1, -1), Options{}, []string{"--shape"}},
		{"channels", one(good), imageModel(tensor.Float32, -1, 5, 2, 3), Options{Layout: "nchw"}, []string{"1 or 3 channels"}},
		{"layout", one(good), model, Options{Layout: "chw"}, []string{`unknown layout "chw"`}},
		{"preprocess", one(good), model, Options{Preprocess: "vgg"}, []string{`unknown preprocessing "vgg"`, "imagenet"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, drain(folder(t, tt.files), tt.model, tt.o), tt.words...)
		})
	}
}
