package dataset

import (
	"bufio"
	"fmt"
	"image"
	"io"
	"os"
	"strconv"
	"strings"

	// Formats that image.Decode knows.
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"
)

const (
	maxImageFile = 256 << 20 // bytes of an encoded image
	maxPixels    = 1 << 26   // pixels of a decoded one
	maxSide      = 1 << 15   // its greatest width and height: resizing weighs every row and column
	maxResized   = 1 << 25   // width of the result × height of the image, in 32 bytes each on the way
)

// Preprocess maps a pixel v of channel c in 0…255 to (v/255 − Mean[c])/Std[c],
// or leaves it as it is (Raw).
type Preprocess struct {
	Name      string
	Raw       bool
	Mean, Std [3]float64
}

// preprocesses are the named ones. imagenet: torchvision's constants; symmetric:
// −1…1, as TensorFlow's "tf" mode.
var preprocesses = []Preprocess{
	{Name: "unit", Std: [3]float64{1, 1, 1}},
	{Name: "imagenet", Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}},
	{Name: "symmetric", Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.5, 0.5, 0.5}},
	{Name: "raw", Raw: true},
}

// ParsePreprocess reads a name ("imagenet", "unit", "symmetric", "raw"), or
// "mean=R:G:B,std=R:G:B" in units of the full scale; one number counts for all
// channels.
func ParsePreprocess(s string) (Preprocess, error) {
	names := make([]string, len(preprocesses))
	for i, p := range preprocesses {
		if p.Name == s {
			return p, nil
		}
		names[i] = p.Name
	}
	p := Preprocess{Name: s, Std: [3]float64{1, 1, 1}}
	for part := range strings.SplitSeq(s, ",") {
		key, list, ok := strings.Cut(part, "=")
		to := map[string]*[3]float64{"mean": &p.Mean, "std": &p.Std}[key]
		if !ok || to == nil {
			return p, fmt.Errorf("unknown preprocessing %q: want %s, or mean=R:G:B,std=R:G:B", s, strings.Join(names, ", "))
		}
		if err := parseTriple(list, to); err != nil {
			return p, fmt.Errorf("preprocessing %q: %w", s, err)
		}
	}
	for _, v := range p.Std {
		if v <= 0 {
			return p, fmt.Errorf("preprocessing %q: std must be positive", s)
		}
	}
	return p, nil
}

// parseTriple reads one or three numbers with colons between them.
func parseTriple(list string, to *[3]float64) error {
	parts := strings.Split(list, ":")
	if len(parts) != 1 && len(parts) != 3 {
		return fmt.Errorf("%q: want one number or three", list)
	}
	for c := range to {
		v, err := strconv.ParseFloat(parts[c%len(parts)], 64)
		if err != nil || v-v != 0 { // v-v is not 0 for Inf and NaN
			return fmt.Errorf("bad number %q", parts[c%len(parts)])
		}
		to[c] = v
	}
	return nil
}

// load decodes, resizes and normalizes one image.
func (f pixelFormat) load(path string) ([]byte, error) {
	img, err := decodeImage(path)
	if err != nil {
		return nil, err
	}
	if h := img.Bounds().Dy(); f.width > maxResized/h {
		return nil, fmt.Errorf("%d rows are too many to be resized to a width of %d", h, f.width)
	}
	return f.pixels(resize(img, f.width, f.height))
}

// decodeImage decodes a file after its header has promised a sane size. The
// first frame of an animation counts; an orientation in EXIF data is not applied.
func decodeImage(path string) (image.Image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || st.Size() > maxImageFile {
		return nil, fmt.Errorf("not an image of at most %d bytes", maxImageFile)
	}
	cfg, _, err := image.DecodeConfig(bufio.NewReader(file))
	if err != nil {
		return nil, err
	}
	if cfg.Width <= 0 || cfg.Height <= 0 || cfg.Width > maxPixels/cfg.Height {
		return nil, fmt.Errorf("%d × %d pixels, more than %d in all or none", cfg.Width, cfg.Height, maxPixels)
	}
	if max(cfg.Width, cfg.Height) > maxSide {
		return nil, fmt.Errorf("%d × %d pixels, more than %d on a side", cfg.Width, cfg.Height, maxSide)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(bufio.NewReader(file))
	if err != nil {
		return nil, err
	}
	if b := img.Bounds(); b.Dx() != cfg.Width || b.Dy() != cfg.Height {
		return nil, fmt.Errorf("decoded to %v, the header said %d × %d", b, cfg.Width, cfg.Height)
	}
	return img, nil
}

// resize scales the image as a whole, without cropping, bilinearly; when it
// shrinks the filter widens with the scale, so that nothing aliases. Alpha is
// dropped, as Pillow's conversion to RGB does.
func resize(img image.Image, w, h int) *image.RGBA {
	src := opaque(img)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	if b := src.Bounds(); b.Dx() == w && b.Dy() == h {
		draw.Draw(out, out.Bounds(), src, b.Min, draw.Src)
		return out
	}
	draw.BiLinear.Scale(out, out.Bounds(), src, src.Bounds(), draw.Src, nil)
	return out
}

// opaque returns the image with all alpha at its maximum.
func opaque(img image.Image) image.Image {
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return img
	}
	b := img.Bounds()
	flat := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(flat, flat.Bounds(), img, b.Min, draw.Src)
	for i := 3; i < len(flat.Pix); i += 4 {
		flat.Pix[i] = 255
	}
	return flat
}

// pixels returns the normalized elements in the model's layout and type.
func (f pixelFormat) pixels(img *image.RGBA) ([]byte, error) {
	area := f.width * f.height
	out := make([]float64, area*f.channels)
	for y := range f.height {
		for x := range f.width {
			px := img.Pix[img.PixOffset(x, y):]
			rgb := [3]float64{float64(px[0]), float64(px[1]), float64(px[2])}
			if f.channels == 1 {
				rgb[0] = float64(luma(px[0], px[1], px[2]))
			}
			i := y*f.width + x
			for c := range f.channels {
				at := c*area + i
				if f.nhwc {
					at = i*f.channels + c
				}
				out[at] = f.prep.apply(rgb[c], c)
			}
		}
	}
	return encode(values{floats: out}, f.dtype)
}

func (p Preprocess) apply(v float64, c int) float64 {
	if p.Raw {
		return v
	}
	return (v/255 - p.Mean[c]) / p.Std[c]
}

// luma is the brightness of ITU-R BT.601 in 16-bit fixed point; the weights
// sum to 1, so a grey pixel keeps its value.
func luma(r, g, b uint8) uint8 {
	return uint8((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16)
}
