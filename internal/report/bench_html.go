package report

import (
	_ "embed"
	"errors"
	"html/template"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"optim/internal/bench"
	"optim/internal/report/plot"
)

//go:embed bench_page.html
var benchPage string

// page is made once: a template that does not parse is a mistake in this package.
var page = template.Must(template.New("bench").Parse(benchPage))

// pageData is what the page shows. Texts are plain; the template escapes them.
type pageData struct {
	Title       string
	Lead        string
	Interrupted string
	Facts       [][2]string
	Results     []pageTable
	Causes      []pageTable
	Details     []pageTable
	Figures     []pageFigure
	Method      []method
	Warnings    []string
	Version     string
}

type pageTable struct {
	Title string
	Head  []pageCell
	Rows  [][]pageCell
	Lines []string
}

// pageCell is a cell with the classes of its look.
type pageCell struct{ Text, Class string }

type pageFigure struct {
	Caption string
	SVG     template.HTML
}

// HTML writes the report as one page that needs nothing else: its style and its
// pictures are in it, and it runs no script.
func (b *Bench) HTML(w io.Writer) error {
	figures, err := pageFigures(&b.Result)
	if err != nil {
		return err
	}
	d := pageData{
		Title: b.title(), Facts: b.facts(true).rows, Figures: figures,
		Lead: b.lead(), Method: methodOf(&b.Result), Version: clean(b.Environment.Optim),
		Results: pageTables(b.results()), Causes: pageTables(b.causes()), Details: pageTables(b.details()),
	}
	if b.Interrupted {
		d.Interrupted = interruption
	}
	label := "filled in"
	for _, warning := range b.Warnings {
		if filledIn.MatchString(warning) {
			d.Facts = append(d.Facts, [2]string{label, clean(warning)})
			label = ""
			continue
		}
		d.Warnings = append(d.Warnings, clean(warning))
	}
	return page.Execute(w, d)
}

// filledIn matches notes that only say what inputs that the data lack were filled with:
// they belong to the settings.
var filledIn = regexp.MustCompile(`(?s)^input ".*: (an empty cache|false|ones|zeros|0, 1, 2, …)$`)

// lead is the line below the title: where, and with what.
func (b *Bench) lead() string {
	parts := []string{b.machine(), b.runtime(), b.setting()}
	return clean(strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " · "))
}

func pageTables(sections []*section) []pageTable {
	var out []pageTable
	for _, sec := range sections {
		out = append(out, newPageTable(sec))
	}
	return out
}

func newPageTable(sec *section) pageTable {
	t := pageTable{Title: sentence(clean(sec.title))}
	class := make([]string, len(sec.grid.head))
	for i, head := range sec.grid.head {
		head, number := strings.CutPrefix(head, ">")
		switch {
		case number:
			class[i] = "n"
		case i == 0:
			class[i] = "name"
		}
		t.Head = append(t.Head, pageCell{head, class[i]})
	}
	for _, r := range sec.grid.rows {
		var row []pageCell
		for i, c := range r {
			row = append(row, pageCell{c, strings.TrimSpace(class[i] + " " + tone(c))})
		}
		t.Rows = append(t.Rows, row)
	}
	for _, l := range sec.lines {
		t.Lines = append(t.Lines, clean(l))
	}
	return t
}

// sentence begins s with a capital.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// tone returns the class that colours a verdict.
func tone(cell string) string {
	switch {
	case strings.Contains(cell, "× faster ("):
		return "good"
	case strings.Contains(cell, "× slower ("):
		return "bad"
	}
	return ""
}

// pageFigures draws the pictures that the result has figures for.
func pageFigures(r *bench.Result) ([]pageFigure, error) {
	var out []pageFigure
	for _, f := range []struct {
		caption string
		draw    func(*bench.Result, string) ([]byte, error)
		wanted  bool
	}{
		{"What size, memory and speed cost each other. Markers are the same in all diagrams.", plot.Tradeoff,
			len(r.Models) > 1 && r.Scenario != bench.Server},
		{"The time that a share of the runs stayed below; the axis is stretched towards the slowest.", plot.Distribution, true},
		{"The 99th percentile of the time of a request, by the rate at which requests arrived.", plot.Server, true},
		{"The median time of a token, by the number of tokens before it.", plot.Decode, true},
	} {
		if !f.wanted {
			continue
		}
		svg, err := f.draw(r, plot.SVG)
		switch {
		case errors.Is(err, plot.ErrNothing):
			continue
		case err != nil:
			return nil, err
		}
		// The picture escapes the names in it.
		out = append(out, pageFigure{f.caption, template.HTML(plot.Inline(svg))})
	}
	return out, nil
}
