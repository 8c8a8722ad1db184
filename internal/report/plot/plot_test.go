package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/png"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"optim/internal/bench"
	"optim/internal/report/benchtest"
)

var figures = map[string]func(*bench.Result, string) ([]byte, error){
	"trade-off": Tradeoff, "distribution": Distribution, "server": Server, "decode": Decode, "picture": Picture,
}

// samples are results of all kinds, and some that are hardly any.
func samples() map[string]*bench.Result {
	all := benchtest.All()
	point := benchtest.Row(benchtest.Float, 1)
	zero := benchtest.Row(benchtest.Float, 3)
	zero.Latency = &bench.Times{}
	zero.Parameters, zero.Bytes, zero.PeakRSS, zero.Samples, zero.Quality = 0, 0, 0, make([]bench.Sample, 3), &bench.Quality{Metric: "accuracy"}
	bare := bench.Row{Name: "bare.onnx"}
	huge := benchtest.Row(benchtest.Float, 3)
	huge.Name, huge.Parameters, huge.Latency.P50 = "huge.onnx", math.MaxInt64, 1e300
	percentiles := benchtest.Row(benchtest.Float, 100)
	percentiles.Samples = nil
	percentiles.Quality.Metric, percentiles.Quality.Value = "mse", -1
	all["point"] = &bench.Result{Models: []bench.Row{point}}
	all["twice"] = &bench.Result{Models: []bench.Row{point, point}}
	all["zero"] = &bench.Result{Models: []bench.Row{zero, point}}
	all["bare"] = &bench.Result{Models: []bench.Row{bare}}
	all["huge"] = &bench.Result{Models: []bench.Row{huge, point}}
	all["percentiles"] = &bench.Result{Models: []bench.Row{percentiles, point}}
	// The label of the first goes to the left, into the corner.
	corner := &bench.Result{}
	for _, m := range []benchtest.Model{
		{Name: "first.onnx", Parameters: 260_000, PeakRSS: 6_000_000, MS: 0.35},
		{Name: "second.onnx", Parameters: 330_000, PeakRSS: 6_000_000, MS: 0.35},
		{Name: "third.onnx", Parameters: 1_000_000, PeakRSS: 90_000_000, MS: 5},
	} {
		corner.Models = append(corner.Models, benchtest.Row(m, 10))
	}
	all["corner"] = corner
	script := benchtest.Row(benchtest.Float, 10)
	script.Name = "<script>&\x00"
	all["script"] = &bench.Result{Models: []bench.Row{script}}
	crowd := &bench.Result{}
	for i := range 100 {
		m := point
		m.Name = "model-" + strconv.Itoa(i) + ".onnx"
		crowd.Models = append(crowd.Models, m)
	}
	all["crowd"] = crowd
	return all
}

// draw calls see with each figure of each sample that has one. PNG is slow, so
// that not every sample is drawn.
func draw(t *testing.T, format string, see func(t *testing.T, sample, figure string, r *bench.Result, b []byte)) {
	for sample, r := range samples() {
		for name, figure := range figures {
			if format == PNG && (name == "picture" || !slices.Contains([]string{"three", "many", "hostile", "served", "decoded", "zero", "point"}, sample)) {
				continue
			}
			t.Run(sample+"/"+name, func(t *testing.T) {
				b, err := figure(r, format)
				if errors.Is(err, ErrNothing) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				see(t, sample, name, r, b)
			})
		}
	}
}

// TestPNG: every picture has its size, and something on it, clear of the edges.
func TestPNG(t *testing.T) {
	draw(t, PNG, func(t *testing.T, _, _ string, _ *bench.Result, b []byte) {
		picture, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if size := picture.Bounds().Size(); size != image.Pt(1600, 1200) && size != image.Pt(1600, 900) {
			t.Errorf("%v pixels", size)
		}
		// The encoder writes opaque pictures as RGB, which are read as RGBA.
		pixels, ok := picture.(*image.RGBA)
		if !ok {
			t.Fatalf("the picture is %T", picture)
		}
		inked := 0
		for y := range pixels.Rect.Dy() {
			row := pixels.Pix[y*pixels.Stride:][:4*pixels.Rect.Dx()]
			for x := range pixels.Rect.Dx() {
				if row[4*x] > 250 && row[4*x+1] > 250 && row[4*x+2] > 250 {
					continue
				}
				inked++
				if x < 16 || y < 16 || x >= 1584 || y >= pixels.Rect.Dy()-16 {
					t.Fatalf("something at %d, %d, which is at the edge", x, y)
				}
			}
		}
		if inked < 5000 {
			t.Errorf("%d pixels are inked", inked)
		}
	})
}

// words are the texts of an SVG picture that stand upright, with their places.
type word struct {
	text string
	box  rect
}

// parse fails the test if svg is not well-formed, and returns its texts: the
// upright ones with their places, and all of them as one string.
func parse(t *testing.T, svg []byte) ([]word, string) {
	t.Helper()
	var words []word
	var all strings.Builder
	var open []xml.StartElement
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if err != nil {
			if len(open) > 0 || err.Error() != "EOF" {
				t.Fatalf("not well-formed: %v", err)
			}
			return words, all.String()
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) == 0 || open[len(open)-1].Name.Local != "text" {
				continue
			}
			all.WriteString(string(e) + "\n")
			if len(open) == 3 { // svg, the group that turns y upwards, text
				words = append(words, newWord(t, string(e), open[2]))
			}
		}
	}
}

var fontSize = regexp.MustCompile(`font-size:([0-9.]+)px`)

func newWord(t *testing.T, text string, e xml.StartElement) word {
	value := map[string]string{}
	for _, a := range e.Attr {
		value[a.Name.Local] = a.Value
	}
	x, err1 := strconv.ParseFloat(value["x"], 64)
	y, err2 := strconv.ParseFloat(value["y"], 64)
	found := fontSize.FindStringSubmatch(value["style"])
	if err := errors.Join(err1, err2); err != nil || found == nil {
		t.Fatalf("text %q at %q, %q with %q", text, value["x"], value["y"], value["style"])
	}
	size, _ := strconv.ParseFloat(found[1], 64)
	f := plain(size)
	if strings.Contains(value["style"], "font-weight:bold") {
		f = bold(size)
	}
	return word{text, rect{x, -y - 0.2*size, x + textWidth(f, text), -y + 0.72*size}}
}

// TestSVG: pictures are well-formed, hold the name of every row (or say that some
// are not shown), and no two texts overlap or leave the page.
func TestSVG(t *testing.T) {
	draw(t, SVG, func(t *testing.T, sample, figure string, r *bench.Result, b []byte) {
		words, all := parse(t, b)
		page := rect{8, 8, pageWidth - 8, pageHeight - 8}
		for i, a := range words {
			if !a.box.within(page) {
				t.Errorf("%q leaves the page: %v", a.text, a.box)
			}
			for _, o := range words[:i] {
				if a.box.overlaps(o.box) {
					t.Errorf("%q and %q overlap: %v, %v", a.text, o.text, a.box, o.box)
				}
			}
		}
		if sample == "crowd" {
			if !strings.Contains(all, "more") && !strings.Contains(all, "of 100 rows") {
				t.Errorf("nothing tells that rows are missing: %s", all)
			}
			return
		}
		for _, m := range r.Models {
			begin := printable(m.Name)
			if runes := []rune(begin); len(runes) > 12 {
				begin = string(runes[:12])
			}
			if !strings.Contains(all, begin) {
				t.Errorf("%s does not name %q: %s", figure, m.Name, all)
			}
		}
	})
}

// TestInline: what is put into a page has no head of its own, and colours of the
// page; names that look like a style stay as they are.
func TestInline(t *testing.T) {
	r := benchtest.One()
	r.Models[0].Name = `style="fill:#1F2328" Liberation Sans`
	b, err := Tradeoff(r, SVG)
	if err != nil {
		t.Fatal(err)
	}
	inline := Inline(b)
	if !strings.HasPrefix(inline, "<svg viewBox=") || strings.Contains(inline, "<?xml") || !strings.Contains(inline, "fill:var(--ink,#1F2328)") {
		t.Errorf("%.300s", inline)
	}
	if _, all := parse(t, []byte(inline)); !strings.Contains(all, r.Models[0].Name) {
		t.Errorf("the name has changed: %s", all)
	}
	if got := Inline([]byte("no picture")); got != "" {
		t.Errorf("%q", got)
	}
}

func TestSameBytes(t *testing.T) {
	for _, format := range []string{PNG, SVG} {
		a, err1 := Tradeoff(benchtest.Many(), format)
		b, err2 := Tradeoff(benchtest.Many(), format)
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: two pictures of the same differ (%v, %v)", format, err1, err2)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := Tradeoff(benchtest.One(), "pdf"); err == nil || !strings.Contains(err.Error(), "png or svg") {
		t.Errorf("%v", err)
	}
}

// TestNothing: what a result has no figures for is an error, not an empty
// picture.
func TestNothing(t *testing.T) {
	for name, figure := range figures {
		_, err := figure(&bench.Result{}, SVG)
		if want := name != "trade-off" && name != "picture"; errors.Is(err, ErrNothing) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
