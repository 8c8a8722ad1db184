package plot

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"regexp"
	"strconv"
)

// finishSVG names fonts that stand in for one that is missing, and gives the
// picture a title for those who do not see it.
func finishSVG(svg []byte, title string) []byte {
	svg = styles.ReplaceAllFunc(svg, func(style []byte) []byte {
		return bytes.Replace(style, []byte("font-family:Liberation Sans;font-variant:none;"),
			[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"), 1)
	})
	name := fmt.Sprintf("<title>%s</title>\n", html.EscapeString(printable(title)))
	at := bytes.Index(svg, []byte("<g "))
	return bytes.Join([][]byte{svg[:at], []byte(name), svg[at:]}, nil)
}

// styles are the style attributes; a text cannot look like one, since its
// quotes are escaped.
var styles = regexp.MustCompile(`style="[^"]*"`)

// head is what stands before the picture in a file of its own.
var head = regexp.MustCompile(`(?s)^.*?<svg[^>]*viewBox="0 0 ([0-9.]+) ([0-9.]+)"[^>]*>`)

// Inline returns an SVG picture as part of an HTML page: without margins, as wide as
// it is let, and its ink, paper and grid take the page's colours, the CSS
// variables --ink, --muted, --faint and --paper. It is empty for what render did not
// make.
func Inline(svg []byte) string {
	size := head.FindSubmatch(svg)
	if size == nil {
		return ""
	}
	width, _ := strconv.ParseFloat(string(size[1]), 64)
	height, _ := strconv.ParseFloat(string(size[2]), 64)
	const left, right, below = pageMargin, pageMargin / 2, pageMargin - 4
	open := fmt.Sprintf(`<svg viewBox="%d %d %g %g" role="img" xmlns="http://www.w3.org/2000/svg">`,
		left, below, width-left-right, height-2*below)
	return open + string(styles.ReplaceAllFunc(svg[len(size[0]):], func(style []byte) []byte {
		for name, c := range map[string]color.RGBA{"ink": ink, "muted": muted, "faint": faint, "paper": paper} {
			hex := fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B)
			style = bytes.ReplaceAll(style, []byte(":"+hex), []byte(":var(--"+name+","+hex+")"))
		}
		return style
	}))
}
