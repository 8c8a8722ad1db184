package report

import (
	"fmt"
	"io"
)

// Importance is the result of "optim prune --importance": how much each layer counts, the
// most first.
type Importance struct {
	Header
	Path     string       `json:"path"`
	Score    string       `json:"score"`
	Layers   []LayerScore `json:"layers"`
	Wrote    string       `json:"wrote,omitempty"` // the picture
	Warnings []string     `json:"warnings,omitempty"`

	Top int `json:"-"` // layers in the text; 0: all
}

// LayerScore is the score of a layer's weight.
type LayerScore struct {
	Name       string  `json:"name"`
	Score      float64 `json:"score"`
	Parameters int64   `json:"parameters"`
}

// Text implements Report.
func (r *Importance) Text(w io.Writer, s Style) error {
	if _, err := fmt.Fprintf(w, "importance of the layers of %s by %s\n\n", clean(r.Path), r.Score); err != nil {
		return err
	}
	if err := r.grid(s.Verbose).text(w, s); err != nil {
		return err
	}
	if n := len(r.Layers); r.Top > 0 && n > r.Top && !s.Verbose {
		fmt.Fprintf(w, "… and %d more: see --top and --verbose\n", n-r.Top)
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	if err := notes(w, s, r.Warnings); err != nil || r.Wrote == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "\nwrote %s\n", clean(r.Wrote))
	return err
}

// Markdown implements Report.
func (r *Importance) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim prune: importance of the layers of %s by %s\n\n", escapeMarkdown(clean(r.Path)), r.Score); err != nil {
		return err
	}
	if err := r.grid(true).markdown(w); err != nil {
		return err
	}
	return markdownNotes(w, r.Warnings)
}

func (r *Importance) grid(all bool) *grid {
	g := &grid{head: []string{"layer", ">score", ">parameters"}}
	for i, l := range r.Layers {
		if !all && r.Top > 0 && i >= r.Top {
			break
		}
		g.add(l.Name, significant(l.Score, 4), formatCount(l.Parameters))
	}
	return g
}
