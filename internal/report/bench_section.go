package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"optim/internal/bench"
)

// section is a table of the report with its title. The first keys columns name the
// rows. Lines stand below it. A detail is shown where there is room for everything.
type section struct {
	title  string
	grid   grid
	keys   int
	lines  []string
	detail bool
}

// text writes the section for a terminal, in as many tables as its width asks
// for. The title heads the column of names.
func (sec *section) text(w io.Writer, s Style) error {
	room := nameRoom(s.Width)
	g := grid{head: slices.Concat([]string{shorten(clean(sec.title), 2*room)}, sec.grid.head[1:])}
	names := shortNames(sec.grid.rows, room)
	for i, r := range sec.grid.rows {
		g.rows = append(g.rows, slices.Concat(names[i:i+1], r[1:]))
	}
	parts := split(&g, sec.keys, s.Width)
	if len(g.rows) == 0 { // only lines
		parts = nil
		fmt.Fprintf(w, "\n%s\n", g.head[0])
	}
	for _, part := range parts {
		fmt.Fprintln(w)
		if err := part.text(w, s); err != nil {
			return err
		}
	}
	for _, l := range sec.lines {
		text := strings.Join(wrap(clean(l), s.Width-4), "\n    ")
		if _, err := fmt.Fprintf(w, "  %s\n", text); err != nil {
			return err
		}
	}
	return nil
}

// nameRoom is what names of models may take of a terminal's width; 0: no limit.
func nameRoom(width int) int {
	if width <= 0 {
		return 0
	}
	return max(width/3, nameMin)
}

// shortNames cuts the first cells of rows to width. Names that cannot be told
// apart any more get a number.
func shortNames(rows [][]string, width int) []string {
	number := map[string]int{} // of each name, in the order of the rows
	same := map[string]int{}   // how many names are cut to the same
	for _, r := range rows {
		if _, seen := number[r[0]]; !seen {
			number[r[0]] = len(number) + 1
			same[shorten(r[0], width)]++
		}
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = shorten(r[0], width)
		if same[out[i]] > 1 {
			suffix := fmt.Sprintf(" #%d", number[r[0]])
			out[i] = shorten(r[0], width-len(suffix)) + suffix
		}
	}
	return out
}

// markdown writes the section; a detail is folded.
func (sec *section) markdown(w io.Writer) error {
	before, after := fmt.Sprintf("#### %s\n\n", escapeMarkdown(sec.title)), ""
	if sec.detail {
		before, after = fmt.Sprintf("<details><summary>%s</summary>\n\n", escapeMarkdown(sec.title)), "</details>\n\n"
	}
	if _, err := fmt.Fprint(w, before); err != nil {
		return err
	}
	g := grid{head: sec.grid.head}
	for _, r := range sec.grid.rows {
		cells := make([]string, len(r))
		for i, c := range r {
			cells[i] = escapeCell(c)
		}
		g.rows = append(g.rows, cells)
	}
	if len(g.rows) > 0 {
		if err := g.markdown(w); err != nil {
			return err
		}
	}
	for _, l := range sec.lines {
		fmt.Fprintf(w, "%s\n\n", escapeMarkdown(l))
	}
	_, err := fmt.Fprint(w, after)
	return err
}

// cellEscaper is markdownEscaper for cells, whose bars the table escapes itself.
var cellEscaper = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "<", "&lt;", "&", "&amp;")

func escapeCell(s string) string { return cellEscaper.Replace(s) }

// column is a figure of each row.
type column struct {
	head string
	cell func(*bench.Row) string
}

// table returns a section with the columns that have a figure in any row; nil if
// none has.
func (b *Bench) table(title string, columns []column) *section {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return !slices.ContainsFunc(b.Models, func(m bench.Row) bool { return c.cell(&m) != "" })
	})
	if len(columns) == 0 {
		return nil
	}
	sec := b.begin(title)
	for _, c := range columns {
		sec.grid.head = append(sec.grid.head, c.head)
	}
	for i := range b.Models {
		m := &b.Models[i]
		var cells []string
		for _, c := range columns {
			cells = append(cells, c.cell(m))
		}
		b.add(sec, m, cells...)
	}
	return sec
}

// begin returns a section whose columns so far are those that name a row.
func (b *Bench) begin(title string, head ...string) *section {
	sec := &section{title: title, grid: grid{head: []string{"model"}}}
	for _, k := range b.keys() {
		sec.grid.head = append(sec.grid.head, k.head)
	}
	sec.keys = len(sec.grid.head)
	sec.grid.head = append(sec.grid.head, head...)
	return sec
}

// add appends a line of a row's figures.
func (b *Bench) add(sec *section, m *bench.Row, cells ...string) {
	line := []string{m.Name}
	for _, k := range b.keys() {
		line = append(line, k.cell(m))
	}
	sec.grid.add(append(line, cells...)...)
}
