package plot

import (
	"bytes"
	"errors"
	"image/png"
	"strings"
	"testing"
)

// choices are those of a language model: figures that lie together, an outlier, and a
// row without quality.
func choices() []Choice {
	value := func(v float64) *float64 { return &v }
	row := func(name string, mb, ms, kept float64) Choice {
		return Choice{Name: name, Bytes: int64(1e6 * mb), MS: ms, Low: 0.97 * ms, High: 1.04 * ms, Metric: "perplexity", Retention: value(kept), Value: value(41.6 / kept)}
	}
	list := []Choice{
		{Name: "original", Bytes: 10_500_000, MS: 4.7, Low: 4.5, High: 4.9, Metric: "perplexity", Value: value(41.6), Source: true},
		row("fp16", 5.26, 6.9, 0.9999), row("bf16", 5.27, 7.4, 0.9991), row("int8 dynamic", 2.8, 3.2, 0.9988), row("int8 static", 2.81, 3.25, 0.9986),
		row("int8 weight-only", 3.38, 4.9, 0.9992), row("int4 rtn", 1.6, 3.9, 0.984), row("int4 hqq", 1.61, 3.92, 0.987), row("int4 gptq", 1.6, 3.88, 0.994),
		row("int4 awq", 1.62, 4.1, 0.9935), row("nf4", 1.71, 8.8, 0.985), row("nf4 double-quant", 1.6, 11.5, 0.9849), row("fp4", 1.71, 8.9, 0.71),
		{Name: "lost", Bytes: 2_000_000, MS: 5},
	}
	list[3].Recommended = true
	return list
}

func TestFrontier(t *testing.T) {
	for _, format := range []string{PNG, SVG} {
		b, err := Frontier(choices(), "Size, speed and quality of gpt.onnx", format)
		again, err2 := Frontier(choices(), "Size, speed and quality of gpt.onnx", format)
		if err != nil || err2 != nil || !bytes.Equal(b, again) {
			t.Fatalf("%s: %v, %v, or two pictures of the same differ", format, err, err2)
		}
		if format == PNG {
			if _, err := png.Decode(bytes.NewReader(b)); err != nil {
				t.Error(err)
			}
			continue
		}
		words, all := parse(t, b)
		for i, a := range words {
			if !a.box.within(rect{8, 8, pageWidth - 8, wideHeight - 8}) {
				t.Errorf("%q leaves the page: %v", a.text, a.box)
			}
			for _, o := range words[:i] {
				if a.box.overlaps(o.box) {
					t.Errorf("%q and %q overlap", a.text, o.text)
				}
			}
		}
		for _, c := range choices() {
			if want := c.Retention != nil || c.Source; strings.Count(all, c.Name+"\n") != map[bool]int{true: 3, false: 0}[want] {
				t.Errorf("%q stands %d times", c.Name, strings.Count(all, c.Name+"\n"))
			}
		}
	}
}

// TestFrontierBest: the line goes through what no other choice beats.
func TestFrontierBest(t *testing.T) {
	at := func(x, y float64) dot { return dot{x: figure{x, x, x}, y: figure{y, y, y}} }
	s := &scatter{dots: []dot{at(3, 1), at(1, 3), at(2, 2), at(2, 4), at(3, 3), at(1, 5)}}
	s.x, s.y = newAxis("", number, []float64{0, 5}, 5), newAxis("", number, []float64{0, 5}, 5)
	s.area = rect{0, 0, 100, 100}
	var want []point
	for _, d := range []dot{s.dots[1], s.dots[2], s.dots[0]} {
		want = append(want, s.point(d.x.value, d.y.value))
	}
	got := s.best()
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("point %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// TestFrontierOfMSE: a metric of which nothing is kept stands on the axis itself.
func TestFrontierOfMSE(t *testing.T) {
	v := []float64{0.001, 0.5}
	list := []Choice{{Name: "original", Bytes: 10, MS: 1, Source: true}, {Name: "a", Bytes: 5, MS: 2, Metric: "mse", Value: &v[0]}, {Name: "b", Bytes: 4, MS: 3, Metric: "mse", Value: &v[1]}}
	b, err := Frontier(list, "title", SVG)
	if err != nil {
		t.Fatal(err)
	}
	if _, all := parse(t, b); !strings.Contains(all, "mse, lower is better") || !strings.Contains(all, "b\n") {
		t.Error(all)
	}
	if _, err := Frontier(nil, "title", SVG); !errors.Is(err, ErrNothing) {
		t.Errorf("of nothing: %v", err)
	}
}
