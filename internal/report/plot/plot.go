// Package plot draws pictures of benchmarks, as PNG or SVG: the trade-off between
// size, speed and quality, the distribution of times, what a server holds, and
// what a key/value cache gains. It draws on gonum's canvases, in points (1/72 inch)
// from the lower left corner, and lays out the axes itself, so that labels find
// free places.
package plot

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"optim/internal/bench"
)

// Formats of pictures.
const (
	PNG = "png"
	SVG = "svg"
)

// ErrNothing says that a result has no figures for a picture.
var ErrNothing = errors.New("nothing was measured that this picture shows")

// Size of the pictures in points, and the resolution of PNG: the trade-off is
// 1600 x 1200 pixels, the others 1600 x 900.
const (
	pageWidth  = 800
	pageHeight = 600
	wideHeight = 450
	dpi        = 144
)

// Picture draws what fits a result best: what a server holds; the trade-off where
// there are several rows; else what the scenario is about. Format is PNG or SVG.
func Picture(r *bench.Result, format string) ([]byte, error) {
	if len(r.Models) > 1 && r.Scenario != bench.Server {
		return Tradeoff(r, format)
	}
	for _, draw := range []func(*bench.Result, string) ([]byte, error){Server, Decode, Offline, Distribution} {
		if b, err := draw(r, format); !errors.Is(err, ErrNothing) {
			return b, err
		}
	}
	return Tradeoff(r, format)
}

// render gives paint a blank page of width x height points and returns the
// picture; title is for those who cannot see it.
func render(format, title string, width, height float64, paint func(*pen)) ([]byte, error) {
	w, h := vg.Length(width), vg.Length(height)
	var page interface {
		vg.Canvas
		io.WriterTo
	}
	switch format {
	case PNG:
		page = vgimg.PngCanvas{Canvas: vgimg.NewWith(
			vgimg.UseWH(w, h), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))}
	case SVG:
		page = vgsvg.New(w, h)
	default:
		return nil, fmt.Errorf("pictures are written as %s or %s, not %q", PNG, SVG, format)
	}
	p := &pen{page: page, pixels: format == PNG}
	p.fill(paper, rect{0, 0, width, height}.corners()...)
	paint(p)
	var b bytes.Buffer
	if _, err := page.WriteTo(&b); err != nil {
		return nil, err
	}
	if format == SVG {
		return finishSVG(b.Bytes(), title), nil
	}
	return b.Bytes(), nil
}
