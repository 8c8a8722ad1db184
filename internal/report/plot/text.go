package plot

import (
	"image/color"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"github.com/rivo/uniseg"
	stdfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// fonts are Liberation Sans (SIL Open Font License 1.1), of the widths of Arial and Helvetica:
// browsers that have only these show the same picture.
var fonts = sync.OnceValue(func() map[stdfont.Weight]*opentype.Font {
	out := map[stdfont.Weight]*opentype.Font{}
	for weight, file := range map[stdfont.Weight][]byte{
		stdfont.WeightNormal: liberationsansregular.TTF, stdfont.WeightBold: liberationsansbold.TTF,
	} {
		f, err := opentype.Parse(file)
		if err != nil {
			panic("plot: the built-in font does not parse: " + err.Error())
		}
		out[weight] = f
	}
	return out
})

func face(weight stdfont.Weight, size float64) font.Face {
	return font.Face{
		Font: font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: vg.Length(size)},
		Face: fonts()[weight],
	}
}

func plain(size float64) font.Face { return face(stdfont.WeightNormal, size) }
func bold(size float64) font.Face  { return face(stdfont.WeightBold, size) }

// Parts of the font's size: how far letters reach above and below the line on
// which they stand.
const (
	ascent    = 0.90
	descent   = 0.22
	capHeight = 0.72
)

// textWidth returns the width of a line in points. A character that the font
// lacks counts as a square, as East Asian ones are.
func textWidth(f font.Face, s string) float64 {
	known, squares := known(f, s)
	return float64(f.Width(known)) + float64(squares)*float64(f.Font.Size)
}

// known returns the characters of s that the font has, and how many it lacks.
func known(f font.Face, s string) (string, int) {
	var b sfnt.Buffer
	squares := 0
	known := strings.Map(func(r rune) rune {
		if i, err := f.Face.GlyphIndex(&b, r); err != nil || i == 0 {
			squares++
			return -1
		}
		return r
	}, s)
	return known, squares
}

// drawn returns s as the built-in font can show it: a box for what it lacks.
func drawn(f font.Face, s string) string {
	var b sfnt.Buffer
	return strings.Map(func(r rune) rune {
		if i, err := f.Face.GlyphIndex(&b, r); err != nil || i == 0 {
			return '□'
		}
		return r
	}, s)
}

// text draws a line that stands on y and begins at x; align 0.5 centres it
// there, 1 ends it there.
func (p *pen) text(f font.Face, c color.Color, x, y, align float64, s string) {
	s = printable(s)
	if p.pixels {
		s = drawn(f, s)
	}
	p.page.SetColor(c)
	p.page.FillString(f, vg.Point{X: vg.Length(x - align*textWidth(f, s)), Y: vg.Length(y)}, s)
}

// upward draws a line that runs upwards, centred on y.
func (p *pen) upward(f font.Face, c color.Color, x, y float64, s string) {
	p.page.Push()
	p.page.Translate(vg.Point{X: vg.Length(x), Y: vg.Length(y)})
	p.page.Rotate(math.Pi / 2)
	p.text(f, c, 0, 0, 0.5, s)
	p.page.Pop()
}

// printable puts a mark for each character that a picture cannot show: names
// come from files, and control characters are not allowed in XML.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '·'
	}, s)
}

// fit cuts s in the middle so that it is at most width points wide.
func fit(f font.Face, s string, width float64) string {
	if len(s) > 600 { // enough to fill any line
		s = strings.ToValidUTF8(s[:300]+s[len(s)-300:], "")
	}
	s = printable(s)
	if textWidth(f, s) <= width {
		return s
	}
	var parts []string
	for g := uniseg.NewGraphemes(s); g.Next(); {
		parts = append(parts, g.Str())
	}
	// The tail keeps as much as the head: names differ at their ends.
	for n := len(parts) - 1; n > 0; n-- {
		cut := strings.Join(parts[:(n+1)/2], "") + "…" + strings.Join(parts[len(parts)-n/2:], "")
		if textWidth(f, cut) <= width {
			return cut
		}
	}
	return "…"
}

// fitAll cuts names to width. Those that cannot be told apart any more get
// their number.
func fitAll(f font.Face, names []string, width float64) []string {
	out := make([]string, len(names))
	count := map[string]int{}
	for i, n := range names {
		out[i] = fit(f, n, width)
		count[drawn(f, out[i])]++
	}
	for i, n := range names {
		if count[drawn(f, out[i])] > 1 {
			number := " #" + strconv.Itoa(i+1)
			out[i] = fit(f, n, width-textWidth(f, number)) + number
		}
	}
	return out
}
