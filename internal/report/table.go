package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/rivo/uniseg"
)

// nameMin is the least width that a column of names is cut to.
const nameMin = 16

// grid is a table: the first column holds names, columns whose title begins
// with '>' are figures and stand to the right.
type grid struct {
	head []string
	rows [][]string
}

func (g *grid) add(cells ...string) {
	for i, c := range cells {
		cells[i] = clean(c)
	}
	g.rows = append(g.rows, cells)
}

// text writes g for a terminal, names shortened so that a row fits its width.
func (g *grid) text(w io.Writer, s Style) error {
	t := g.writer(g.nameWidth(s.Width))
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	for _, line := range strings.Split(t.Render(), "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// markdown writes g as a Markdown table with full names.
func (g *grid) markdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s\n\n", g.writer(0).RenderMarkdown())
	return err
}

// nameWidth returns the width of the first column; 0: no limit. It is what the
// others leave, or more where names cut to that could not be told apart.
func (g *grid) nameWidth(total int) int {
	if total <= 0 {
		return 0
	}
	rest := 0
	for col := 1; col < len(g.head); col++ {
		width := uniseg.StringWidth(strings.TrimPrefix(g.head[col], ">"))
		for _, r := range g.rows {
			width = max(width, uniseg.StringWidth(r[col]))
		}
		rest += width + 2
	}
	width := max(total-rest-2, nameMin)
	for !g.distinct(width) {
		width += nameMin / 2
	}
	return width
}

// distinct reports whether names cut to width still differ where they did.
func (g *grid) distinct(width int) bool {
	whole := map[string]string{}
	for _, r := range g.rows {
		short := shorten(r[0], width)
		if name, taken := whole[short]; taken && name != r[0] {
			return false
		}
		whole[short] = r[0]
	}
	return true
}

func (g *grid) writer(nameWidth int) table.Writer {
	t := table.NewWriter()
	head := table.Row{}
	var columns []table.ColumnConfig
	for i, title := range g.head {
		title, figure := strings.CutPrefix(title, ">")
		head = append(head, title)
		if figure {
			columns = append(columns, table.ColumnConfig{
				Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight,
			})
		}
	}
	t.AppendHeader(head)
	t.SetColumnConfigs(columns)
	for _, r := range g.rows {
		row := table.Row{shorten(r[0], nameWidth)}
		for _, c := range r[1:] {
			row = append(row, c)
		}
		t.AppendRow(row)
	}
	return t
}

// facts is a list of labels with their values, in columns.
type facts struct{ rows [][2]string }

// add appends a fact; one without a value is left out.
func (f *facts) add(label, format string, args ...any) {
	if v := clean(fmt.Sprintf(format, args...)); v != "" {
		f.rows = append(f.rows, [2]string{label, v})
	}
}

// more appends lines that belong to the fact above them.
func (f *facts) more(lines []string) {
	for _, l := range lines {
		f.rows = append(f.rows, [2]string{"", "  " + clean(l)})
	}
}

// text writes the facts, the values aligned and wrapped within the terminal.
func (f *facts) text(w io.Writer, s Style) error {
	width := 0
	for _, r := range f.rows {
		width = max(width, len(r[0]))
	}
	room := 0
	if s.Width > 0 {
		room = max(s.Width-width-4, nameMin)
	}
	for _, r := range f.rows {
		label := fmt.Sprintf("%-*s", width, r[0])
		if r[0] != "" {
			label = s.paint(dim, label)
		}
		for i, line := range wrap(r[1], room) {
			if i > 0 {
				label = strings.Repeat(" ", width+2) // continued
			}
			if _, err := fmt.Fprintf(w, "  %s  %s\n", label, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// markdown writes the facts as a table of two columns.
func (f *facts) markdown(w io.Writer) error {
	g := grid{head: []string{"", ""}}
	for _, r := range f.rows {
		g.add(r[0], strings.TrimSpace(r[1]))
	}
	return g.markdown(w)
}

// tally counts equal lines and returns them as "count  line", most first, at
// most limit (0: all) with the rest summed up.
func tally(lines []string, limit int) []string {
	count := map[string]int{}
	for _, l := range lines {
		count[l]++
	}
	var keys []string
	for k := range count {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	var out []string
	for i, k := range keys {
		if limit > 0 && i == limit && len(keys) > limit+1 {
			out = append(out, fmt.Sprintf("… and %d more kinds: see --verbose", len(keys)-limit))
			break
		}
		out = append(out, fmt.Sprintf("%4d  %s", count[k], k))
	}
	return out
}

// notes writes warnings as footnotes.
func notes(w io.Writer, s Style, warnings []string) error {
	return footnotes(w, s.paint(yellow, "note:"), s, warnings)
}

// footnotes writes lines that begin with a label, wrapped within the terminal.
func footnotes(w io.Writer, label string, s Style, lines []string) error {
	room := 0
	if s.Width > 0 {
		room = max(s.Width-10, nameMin)
	}
	for _, n := range lines {
		text := strings.Join(wrap(clean(n), room), "\n    ")
		if _, err := fmt.Fprintf(w, "  %s %s\n", label, text); err != nil {
			return err
		}
	}
	return nil
}

// markdownNotes writes warnings as a list.
func markdownNotes(w io.Writer, warnings []string) error {
	if len(warnings) == 0 {
		return nil
	}
	for _, n := range warnings {
		if _, err := fmt.Fprintf(w, "- **note:** %s\n", escapeMarkdown(n)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// markdownEscaper keeps text from a file from being read as markup.
var markdownEscaper = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "<", "&lt;", "|", `\|`)

func escapeMarkdown(s string) string { return markdownEscaper.Replace(clean(s)) }
