package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"optim/internal/eval"
)

// Eval is the result of "optim eval". With a reference there are Reference,
// Retention and Acceptable; for a metric that compares outputs (cosine, mse,
// agreement) Value is the comparison itself, and Reference is nil.
type Eval struct {
	Header
	Path      string     `json:"path"`
	Data      string     `json:"data"`
	Metric    string     `json:"metric"`
	Value     float64    `json:"value"`
	StdErr    *float64   `json:"stderr,omitempty"` // of Value, for perplexity
	Samples   int        `json:"samples"`
	Against   string     `json:"against,omitempty"`
	Reference *Reference `json:"reference,omitempty"`
	Retention *float64   `json:"retention,omitempty"`
	// Interval is that of the retention, of 95 %, by a paired bootstrap over the samples.
	Interval   *eval.Interval   `json:"retention_interval,omitempty"`
	Limit      *float64         `json:"limit,omitempty"`
	Acceptable *bool            `json:"acceptable,omitempty"` // nil: there was no limit
	Agreement  *Agreement       `json:"agreement,omitempty"`
	McNemar    *eval.McNemar    `json:"mcnemar,omitempty"`
	Divergence *eval.Divergence `json:"divergence,omitempty"`
	Details    []Detail         `json:"details,omitempty"`
	Nodes      []NodeDiff       `json:"nodes,omitempty"`
	Duration   float64          `json:"duration_s"`
	Warnings   []string         `json:"warnings,omitempty"`
}

// Reference is the value of the model compared with.
type Reference struct {
	Value  float64  `json:"value"`
	StdErr *float64 `json:"stderr,omitempty"`
}

// Agreement is how often model and reference decide alike, rightly or not.
type Agreement struct {
	Share float64 `json:"share"`
	Same  int     `json:"same"`
	Of    int     `json:"of"`
	Unit  string  `json:"unit"` // "samples" or "positions"
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
	if e.Divergence != nil && s.Verbose {
		fmt.Fprintln(w)
		if err := e.spreads().text(w, s); err != nil {
			return err
		}
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
	if e.Divergence != nil {
		if err := e.spreads().markdown(w); err != nil {
			return err
		}
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
	f.add(e.Metric, "%s", withError(e.Value, e.StdErr))
	f.add("samples", "%s", formatCount(int64(e.Samples)))
	for _, d := range e.Details {
		f.add(d.Name, "%s", strconv.FormatFloat(d.Value, 'g', 6, 64))
	}
	f.add("data", "%s", e.Data)
	if e.Against != "" {
		f.add("against", "%s", e.Against)
	}
	if e.Reference != nil {
		f.add("reference", "%s", withError(e.Reference.Value, e.Reference.StdErr))
	}
	if e.Retention != nil {
		kept := keptPercent(*e.Retention)
		if i := e.Interval; i != nil {
			kept += fmt.Sprintf(", 95 %% interval %s … %s", keptPercent(i.Low), keptPercent(i.High))
		}
		if e.Limit != nil {
			kept += fmt.Sprintf(" (more than %s asked)", keptPercent(*e.Limit))
		}
		f.add("kept", "%s", kept)
	}
	e.paired(f)
	f.add("time", "%s s", significant(e.Duration, 3))
	f.add("settings", "%s", e.Config)
	return f
}

// paired adds how the two models differ sample by sample.
func (e *Eval) paired(f *facts) {
	if a := e.Agreement; a != nil && e.Divergence == nil {
		f.add("same decision", "%s of %s %s", keptPercent(a.Share), formatCount(int64(a.Of)), a.Unit)
	}
	if m := e.McNemar; m != nil {
		f.add("changed", "%s got wrong, %s got right: McNemar's p = %s", formatCount(int64(m.Lost)), formatCount(int64(m.Gained)), significant(m.P, 2))
	}
	d := e.Divergence
	if d == nil {
		return
	}
	f.add("log ratio", "%s", estimate(d.LogRatio, 1))
	if d.KL != nil {
		f.add("KL divergence", "%s nats, median %s, 99 %% below %s, greatest %s",
			estimate(eval.Estimate{Value: d.KL.Mean, StdErr: d.KL.StdErr}, 1), significant(d.KL.Median, 3), significant(d.KL.P99, 3), significant(d.KL.Max, 3))
	}
	f.add("Δp of the id", "mean %s %%, RMS %s %%", estimate(eval.Estimate{Value: d.DeltaP.Mean, StdErr: d.DeltaP.StdErr}, 100), estimate(d.RMS, 100))
	f.add("same choice", "%s %% of %s ids", estimate(d.SameTop, 100), formatCount(int64(d.Predictions)))
}

// withError returns a value, with its standard error where it has one.
func withError(v float64, stderr *float64) string {
	text := strconv.FormatFloat(v, 'g', 6, 64)
	if stderr != nil {
		text += " ± " + significant(*stderr, 2)
	}
	return text
}

// estimate returns an estimate, in units of 1/scale, with its standard error.
func estimate(e eval.Estimate, scale float64) string {
	return significant(scale*e.Value, 3) + " ± " + significant(scale*e.StdErr, 2)
}

// spreads is the table of the distributions over the predictions.
func (e *Eval) spreads() *grid {
	g := &grid{head: []string{"over the predictions", ">mean", ">min", ">1 %", ">10 %", ">median", ">90 %", ">99 %", ">99.9 %", ">max"}}
	add := func(name string, s *eval.Spread, scale float64) {
		row := []string{name}
		for _, v := range []float64{s.Mean, s.Min, s.P1, s.P10, s.Median, s.P90, s.P99, s.P99_9, s.Max} {
			row = append(row, significant(scale*v, 3))
		}
		g.add(row...)
	}
	if e.Divergence.KL != nil {
		add("KL divergence, nats", e.Divergence.KL, 1)
	}
	add("Δp, %", &e.Divergence.DeltaP, 100)
	return g
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
