package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
)

// Eval is the result of "optim eval". With a reference there are Reference,
// Retention and Acceptable; for a metric that compares outputs (cosine, mse,
// agreement) Value is the comparison itself, and Reference is nil.
type Eval struct {
	Header
	Path       string     `json:"path"`
	Data       string     `json:"data"`
	Metric     string     `json:"metric"`
	Value      float64    `json:"value"`
	Samples    int        `json:"samples"`
	Against    string     `json:"against,omitempty"`
	Reference  *Reference `json:"reference,omitempty"`
	Retention  *float64   `json:"retention,omitempty"`
	Limit      *float64   `json:"limit,omitempty"`
	Acceptable *bool      `json:"acceptable,omitempty"` // nil: there was no limit
	Details    []Detail   `json:"details,omitempty"`
	Nodes      []NodeDiff `json:"nodes,omitempty"`
	Duration   float64    `json:"duration_s"`
	Warnings   []string   `json:"warnings,omitempty"`
}

// Reference is the value of the model compared with.
type Reference struct {
	Value float64 `json:"value"`
}

// Detail is a further figure of the evaluation, the number of tokens say.
type Detail struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// NodeDiff compares an activation that both models have. SQNR is nil where it
// has no figure: the two are equal, or of different shapes, or not finite.
type NodeDiff struct {
	Value  string   `json:"value"` // name of the activation
	Op     string   `json:"op"`    // operator that makes it in the reference
	Equal  bool     `json:"equal,omitempty"`
	SQNR   *float64 `json:"sqnr_db,omitempty"`
	Cosine float64  `json:"cosine"`
}

// nodesShown is how many activations are listed without --verbose.
const nodesShown = 20

// Text implements Report.
func (e *Eval) Text(w io.Writer, s Style) error {
	if s.Quiet {
		_, err := fmt.Fprintln(w, strconv.FormatFloat(e.Value, 'g', 6, 64))
		return err
	}
	if _, err := fmt.Fprintf(w, "%s on %s\n\n", clean(filepath.Base(e.Path)), clean(e.Data)); err != nil {
		return err
	}
	if err := e.facts().text(w, s); err != nil {
		return err
	}
	if len(e.Nodes) > 0 {
		shown := e.Nodes
		if !s.Verbose {
			shown = shown[:min(nodesShown, len(shown))]
		}
		fmt.Fprintln(w)
		if err := nodeGrid(shown).text(w, s); err != nil {
			return err
		}
		if rest := len(e.Nodes) - len(shown); rest > 0 {
			fmt.Fprintf(w, "… and %d more, none worse: see --verbose\n", rest)
		}
	}
	return notes(w, s, e.Warnings)
}

// Markdown implements Report.
func (e *Eval) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim eval: %s\n\n", escapeMarkdown(filepath.Base(e.Path))); err != nil {
		return err
	}
	if err := e.facts().markdown(w); err != nil {
		return err
	}
	if len(e.Nodes) > 0 {
		if err := nodeGrid(e.Nodes).markdown(w); err != nil {
			return err
		}
	}
	return markdownNotes(w, e.Warnings)
}

func (e *Eval) facts() *facts {
	f := &facts{}
	f.add(e.Metric, "%s", strconv.FormatFloat(e.Value, 'g', 6, 64))
	f.add("samples", "%s", formatCount(int64(e.Samples)))
	for _, d := range e.Details {
		f.add(d.Name, "%s", strconv.FormatFloat(d.Value, 'g', 6, 64))
	}
	f.add("data", "%s", e.Data)
	if e.Against != "" {
		f.add("against", "%s", e.Against)
	}
	if e.Reference != nil {
		f.add("reference", "%s", strconv.FormatFloat(e.Reference.Value, 'g', 6, 64))
	}
	if e.Retention != nil {
		kept := keptPercent(*e.Retention)
		if e.Limit != nil {
			kept += fmt.Sprintf(" (more than %s asked)", keptPercent(*e.Limit))
		}
		f.add("kept", "%s", kept)
	}
	f.add("time", "%s s", significant(e.Duration, 3))
	f.add("settings", "%s", e.Config)
	return f
}

func nodeGrid(list []NodeDiff) *grid {
	g := &grid{head: []string{"activation", "operator", ">SQNR dB", ">cosine"}}
	for _, n := range list {
		sqnr := "none"
		switch {
		case n.Equal:
			sqnr = "equal"
		case n.SQNR != nil:
			sqnr = strconv.FormatFloat(*n.SQNR, 'f', 1, 64)
		}
		g.add(n.Value, n.Op, sqnr, strconv.FormatFloat(n.Cosine, 'f', 6, 64))
	}
	return g
}
