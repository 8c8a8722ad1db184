package dataset

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// imageExts are the formats that are decoded.
var imageExts = []string{".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"}

// picture is one file and its class, -1 for none.
type picture struct {
	path  string // below the folder
	class int64
}

// imageSource reads a folder of images.
type imageSource struct {
	set    *Set
	files  []picture
	at     int
	in     ort.Info
	format pixelFormat
}

// pixelFormat is what the model wants of an image.
type pixelFormat struct {
	height, width, channels int
	nhwc                    bool
	dtype                   tensor.DType
	prep                    Preprocess
}

// newImages lists the folder and reads from the model what an image becomes.
func newImages(s *Set, o Options) (source, error) {
	im := &imageSource{set: s}
	name := s.shape.single()
	in, ok := s.shape.input(name)
	if !ok || len(in.Dims) != 4 {
		return nil, fail(s.Source, "a folder of images needs a model with one input of four dimensions, it has %s", s.shape.inputNames())
	}
	im.in = in
	var err error
	if im.format, err = s.shape.pixelFormat(in, o); err != nil {
		return nil, &Error{File: s.Source, Err: err}
	}
	s.note("images: %s", im.format)
	if im.files, err = im.list(); err != nil {
		return nil, err
	}
	return im, nil
}

// pixelFormat finds sizes and layout in the dimensions of the input.
func (sh *shaper) pixelFormat(in ort.Info, o Options) (pixelFormat, error) {
	d := sh.dims[in.Name]
	f := pixelFormat{dtype: in.DType}
	colours := func(n int64) bool { return n == 1 || n == 3 }
	switch o.Layout {
	case "", "auto":
		f.nhwc = !colours(d[1]) && colours(d[3])
	case "nchw":
	case "nhwc":
		f.nhwc = true
	default:
		return f, fmt.Errorf("unknown layout %q: want auto, nchw or nhwc", o.Layout)
	}
	c, h, w := d[1], d[2], d[3]
	if f.nhwc {
		h, w, c = d[1], d[2], d[3]
	}
	if c < 0 {
		c = 3
	}
	switch {
	case !colours(c):
		return f, fmt.Errorf("input %q is %s: images have 1 or 3 channels", in.Name, in)
	case h < 0 || w < 0:
		return f, fmt.Errorf("input %q is %s: give the size of the images with --shape or --dim", in.Name, in)
	case h == 0 || w == 0 || h > 1<<14 || w > 1<<14:
		return f, fmt.Errorf("input %q is %s: no size for images", in.Name, in)
	}
	f.channels, f.height, f.width = int(c), int(h), int(w)
	name := o.Preprocess
	if name == "" {
		if name = "unit"; !in.DType.IsFloat() {
			name = "raw"
		}
	}
	var err error
	f.prep, err = ParsePreprocess(name)
	return f, err
}

// String says for the report what is done to the images.
func (f pixelFormat) String() string {
	layout := "nchw"
	if f.nhwc {
		layout = "nhwc"
	}
	return fmt.Sprintf("resized to %d × %d, %d channels, %s, pixels %s", f.height, f.width, f.channels, layout, f.prep.Name)
}

// list returns the images of a folder, or of its subfolders with their classes:
// the position of the subfolder's name among all, sorted.
func (im *imageSource) list() ([]picture, error) {
	root := im.set.Source
	flat, dirs, err := listImages(root)
	if err != nil {
		return nil, &Error{File: root, Err: err}
	}
	if len(flat) > 0 {
		if len(dirs) > 0 {
			im.set.note("subfolders are ignored, as the folder itself has images: %s", quotedList(dirs))
		}
		files := make([]picture, len(flat))
		for i, name := range flat {
			files[i] = picture{name, -1}
		}
		return files, nil
	}
	classes := make([][]picture, len(dirs))
	total := 0
	for c, dir := range dirs {
		names, _, err := listImages(filepath.Join(root, dir))
		if err != nil {
			return nil, fail(root, "%s: %w", dir, err)
		}
		for _, name := range names {
			classes[c] = append(classes[c], picture{filepath.Join(dir, name), int64(c)})
		}
		total += len(names)
	}
	if total == 0 {
		return nil, fail(root, "no images (%s)", strings.Join(imageExts, " "))
	}
	return interleave(classes, total), nil
}

// interleave takes one image of each class in turn, so that a set cut short
// (128 samples for calibration) still has all classes.
func interleave(classes [][]picture, total int) []picture {
	out := make([]picture, 0, total)
	for i := 0; len(out) < total; i++ {
		for _, c := range classes {
			if i < len(c) {
				out = append(out, c[i])
			}
		}
	}
	return out
}

// listImages returns the names of images and folders, each sorted. Hidden ones
// and other files are passed over.
func listImages(dir string) (images, dirs []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, plainPathError(err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		st, err := os.Stat(filepath.Join(dir, name)) // follows links
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, plainPathError(err))
		}
		switch {
		case st.IsDir():
			dirs = append(dirs, name)
		case st.Mode().IsRegular() && slices.Contains(imageExts, strings.ToLower(filepath.Ext(name))):
			images = append(images, name)
		}
	}
	sort.Strings(images)
	sort.Strings(dirs)
	return images, dirs, nil
}

func (im *imageSource) next() (Sample, error) {
	if im.at == len(im.files) {
		return Sample{}, io.EOF
	}
	p := im.files[im.at]
	im.at++
	data, err := im.format.load(filepath.Join(im.set.Source, p.path))
	if err != nil {
		return Sample{}, fail(im.set.Source, "%s: %w", filepath.ToSlash(p.path), err)
	}
	f := im.format
	shape := tensor.Shape{1, int64(f.channels), int64(f.height), int64(f.width)}
	if f.nhwc {
		shape = tensor.Shape{1, int64(f.height), int64(f.width), int64(f.channels)}
	}
	sample := Sample{Name: filepath.ToSlash(p.path), Inputs: map[string]tensor.Tensor{
		im.in.Name: {DType: im.in.DType, Shape: shape, Data: data},
	}}
	if p.class >= 0 {
		sample.Label = &p.class
	}
	return sample, nil
}

func (im *imageSource) rewind() error    { im.at = 0; return nil }
func (im *imageSource) len() (int, bool) { return len(im.files), true }
func (im *imageSource) close() error     { return nil }
