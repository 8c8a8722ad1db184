package report

import (
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// kindsShown is how many kinds of changes or reasons are listed without
// --verbose.
const kindsShown = 8

// Text implements Report.
func (t *Transform) Text(w io.Writer, s Style) error {
	if s.Quiet {
		return t.quietText(w)
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", t.title()); err != nil {
		return err
	}
	if err := t.facts(s.Verbose).text(w, s); err != nil {
		return err
	}
	if s.Verbose {
		if err := t.lists(func(title string, g *grid) error {
			if _, err := fmt.Fprintf(w, "\n%s\n", title); err != nil {
				return err
			}
			return g.text(w, s)
		}); err != nil {
			return err
		}
	}
	if len(t.Missed)+len(t.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	if err := footnotes(w, s.paint(red, "missed:"), s, t.Missed); err != nil {
		return err
	}
	if err := notes(w, s, t.Warnings); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", t.ending())
	return err
}

// Markdown implements Report.
func (t *Transform) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim %s: %s\n\n", t.Command, escapeMarkdown(t.title())); err != nil {
		return err
	}
	if err := t.facts(false).markdown(w); err != nil {
		return err
	}
	if err := t.lists(func(title string, g *grid) error {
		fmt.Fprintf(w, "<details><summary>%s</summary>\n\n", title)
		if err := g.markdown(w); err != nil {
			return err
		}
		_, err := fmt.Fprint(w, "</details>\n\n")
		return err
	}); err != nil {
		return err
	}
	for _, m := range t.Missed {
		fmt.Fprintf(w, "**missed:** %s\n\n", escapeMarkdown(m))
	}
	if err := markdownNotes(w, t.Warnings); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s\n\n", escapeMarkdown(t.ending()))
	return err
}

// quietText prints the path of what was written, for use in a script, or why
// nothing was.
func (t *Transform) quietText(w io.Writer) error {
	if t.Acceptable && t.Output != nil {
		_, err := fmt.Fprintln(w, t.Output.Path)
		return err
	}
	_, err := fmt.Fprintln(w, t.ending())
	return err
}

func (t *Transform) title() string {
	title := clean(filepath.Base(t.Input.Path))
	if t.Output != nil {
		title += " → " + clean(filepath.Base(t.Output.Path))
	}
	if t.Method != "" {
		format := t.Format
		if t.Bits > 0 {
			format += fmt.Sprintf(" of %d bits", t.Bits)
		}
		title += "  (" + format + ", " + t.Method + ")"
	}
	return title
}

// facts returns the short form of the report.
func (t *Transform) facts(all bool) *facts {
	f := &facts{}
	switch {
	case t.Masks:
		f.add("masks", "%s for %s", formatBytes(t.Output.Bytes), plural(len(t.Changes), "weight"))
	case t.Output != nil:
		f.add("size", "%s → %s   %s", formatBytes(t.Input.Bytes), formatBytes(t.Output.Bytes),
			formatChange(t.Input.Bytes, t.Output.Bytes))
	default:
		f.add("size", "%s", formatBytes(t.Input.Bytes))
	}
	f.add("parameters", "%s", t.parameters())
	f.add("products", "%s", t.products())
	limit := kindsShown
	if all {
		limit = 0
	}
	if !t.Skipped && len(t.Students) == 0 {
		f.add("changed", "%s", plural(len(t.Changes), "node"))
		f.more(tally(changeKinds(t.Changes), limit))
	}
	if len(t.Unchanged) > 0 {
		f.add("unchanged", "%s", unchanged(t.Unchanged))
		f.more(tally(reasonKinds(t.Unchanged), limit))
	}
	f.add("kernels", "%s", t.kernelLine())
	if t.Cosine != nil {
		f.add("outputs", "cosine %.6f to the source's", *t.Cosine)
	}
	f.add("quality", "%s", t.qualityLine())
	f.add("loss", "%s", t.lossLine())
	f.add("speed", "%s", t.Speed.line())
	if t.Sparsity != nil {
		f.add("sparsity", "%.1f %% of the weights concerned", 100**t.Sparsity)
	}
	if t.ModelSparsity != nil {
		f.add("model sparsity", "%.1f %% of all weights", 100**t.ModelSparsity)
	}
	if t.CompressionRatio != nil {
		f.add("compression", "%s× fewer parameters that are not zero", significant(*t.CompressionRatio, 3))
	}
	f.add("compressed", "%s", t.compressed())
	t.trainingFacts(f)
	if t.Needs != nil {
		f.add("needs", "opset %d, ONNX Runtime %s or later", t.Needs.Opset, t.Needs.ONNXRuntime)
	}
	f.add("settings", "%s", t.Config)
	return f
}

func (t *Transform) parameters() string {
	switch {
	case t.Input.Parameters == 0:
		return ""
	case t.Output == nil || t.Output.Parameters == 0 || t.Output.Parameters == t.Input.Parameters:
		return formatCount(t.Input.Parameters)
	}
	return fmt.Sprintf("%s → %s   %s", formatCount(t.Input.Parameters),
		formatCount(t.Output.Parameters), formatChange(t.Input.Parameters, t.Output.Parameters))
}

// products says the multiply-accumulates of a run, before and after.
func (t *Transform) products() string {
	if t.Input.MACs == nil || t.Output == nil || t.Output.MACs == nil {
		return ""
	}
	before, after := *t.Input.MACs, *t.Output.MACs
	if before == after {
		return formatCount(before) + " multiply-accumulates at open sizes of 1, as before"
	}
	return fmt.Sprintf("%s → %s multiply-accumulates at open sizes of 1   %s", formatCount(before), formatCount(after), formatChange(before, after))
}

// compressed says what the files take where they are compressed.
func (t *Transform) compressed() string {
	if t.Input.Compressed == nil || t.Output == nil || t.Output.Compressed == nil {
		return ""
	}
	about := ""
	if t.Output.Estimated {
		about = "about "
	}
	return fmt.Sprintf("%s%s → %s by zstd   %s", about, formatBytes(*t.Input.Compressed), formatBytes(*t.Output.Compressed), formatChange(*t.Input.Compressed, *t.Output.Compressed))
}

// unchanged counts what was left as it is: nodes, or axes of weights.
func unchanged(list []Unchanged) string {
	if list[0].Op == "axis" {
		return plural(len(list), "axes of weight")
	}
	return plural(len(list), "node")
}

func changeKinds(list []Change) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = c.Op + " → " + c.Format
		if c.Action != "" {
			out[i] += "  (" + c.Action + ")"
		}
	}
	return out
}

func reasonKinds(list []Unchanged) []string {
	out := make([]string, len(list))
	for i, u := range list {
		out[i] = u.Reason
		if u.Op != "axis" {
			out[i] = u.Op + ": " + u.Reason
		}
	}
	return out
}

// integerKernels are the operators that compute with 8-bit integers.
var integerKernels = []string{
	"DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulInteger", "MatMulNBits", "MatMulBnb4", "QGemm", "QLinearMatMul", "QLinearConv", "ConvInteger",
	"QAttention", "DynamicQuantizeLSTM", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearAveragePool", "QLinearGlobalAveragePool",
	"QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax",
}

// floatKernels are products that were left in float, as the runtime names them.
var floatKernels = []string{"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "ConvTranspose"}

// kernelLine counts the integer kernels, and the float products that are left.
func (t *Transform) kernelLine() string {
	var parts []string
	for _, list := range [][]string{integerKernels, floatKernels} {
		for _, op := range list {
			if n := t.Kernels[op]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, op))
			}
		}
	}
	return strings.Join(parts, ", ")
}

func (t *Transform) qualityLine() string {
	if t.Quality == nil {
		if t.Skipped || t.Masks {
			return ""
		}
		return "not measured: give --eval DATA"
	}
	return t.Quality.line()
}

// line says the quality before and after, what was kept, and the limit.
func (q *Quality) line() string {
	s := q.Metric
	switch {
	case q.Before != nil && q.After != nil:
		s += fmt.Sprintf(" %s → %s", significant(*q.Before, 4), significant(*q.After, 4))
	case q.After != nil:
		s += " " + significant(*q.After, 4)
	}
	if q.Retention != nil {
		s += fmt.Sprintf(", %s kept", keptPercent(*q.Retention))
		if q.Limit != nil {
			s += fmt.Sprintf(" (more than %s asked)", keptPercent(*q.Limit))
		}
	}
	return s + ", " + plural(q.Samples, "sample")
}

func keptPercent(f float64) string { return fmt.Sprintf("%.2f %%", 100*f) }

func (t *Transform) lossLine() string {
	if t.Loss == nil {
		return ""
	}
	line := fmt.Sprintf("%s → %s   %+.4g", significant(t.Loss.Before, 4), significant(t.Loss.After, 4), t.Loss.Increase)
	if t.Loss.Before > 0 {
		line += fmt.Sprintf(" (%+.1f %%)", 100*t.Loss.Increase/t.Loss.Before)
	}
	return line
}

// line says the times and their ratio; an interval that holds 1 is no
// difference that was shown.
func (s *Speed) line() string {
	if s == nil {
		return ""
	}
	unit, scale := "ms", 1.0
	if max(s.BeforeMS, s.AfterMS) < 0.1 {
		unit, scale = "µs", 1000
	}
	times := fmt.Sprintf("%s %s → %s %s", significant(scale*s.BeforeMS, 3), unit, significant(scale*s.AfterMS, 3), unit)
	interval := fmt.Sprintf("(%s … %s)", significant(s.Low, 3), significant(s.High, 3))
	if len(s.Sizes) > 0 {
		interval += ", inputs " + strings.Join(s.Sizes, ", ")
	}
	if s.Low <= 1 && s.High >= 1 || math.IsNaN(s.Speedup) {
		return times + "   ~ no difference " + interval
	}
	word := "faster"
	if s.Speedup < 1 {
		word = "(slower)"
	}
	return fmt.Sprintf("%s   %s× %s %s", times, significant(s.Speedup, 3), word, interval)
}

func (t *Transform) ending() string {
	cost := fmt.Sprintf("; took %s s", significant(t.Duration, 3))
	if t.PeakRSS > 0 {
		cost += ", peak memory " + formatBytes(t.PeakRSS)
	}
	switch {
	case t.Skipped && t.Output != nil:
		return clean(t.Output.Path) + " is up to date: nothing done"
	case !t.Acceptable:
		return "nothing written, as a limit was missed" + cost
	case t.Output == nil:
		return "nothing written" + cost
	}
	return "wrote " + clean(join(append([]string{t.Output.Path}, t.Wrote...))) + cost
}

// lists gives the full lists to put, those that are not empty.
func (t *Transform) lists(put func(title string, g *grid) error) error {
	changed := grid{head: []string{"node", "operator", "format", "action"}}
	for _, c := range t.Changes {
		changed.add(c.Node, c.Op, c.Format, c.Action)
	}
	if len(changed.rows) > 0 {
		if err := put("changed", &changed); err != nil {
			return err
		}
	}
	if err := putUnchanged(t.Unchanged, put); err != nil {
		return err
	}
	if len(t.Epochs) > 0 {
		if err := put("epochs", epochGrid(t.Epochs)); err != nil {
			return err
		}
	}
	if len(t.Layers) > 0 {
		if err := put("layers", layerGrid(t.Layers)); err != nil {
			return err
		}
	}
	if len(t.Ledger) == 0 {
		return nil
	}
	return put("what each format would cost the outputs, one node at a time", ledgerGrid(t.Ledger))
}

// ledgerGrid has a row for each node, and a column for each format that one has.
func ledgerGrid(list []Ledger) *grid {
	seen := map[string]bool{}
	for _, l := range list {
		for f := range l.Loss {
			seen[f] = true
		}
	}
	formats := slices.Sorted(maps.Keys(seen))
	g := &grid{head: []string{"node", "got", ">bytes"}}
	for _, f := range formats {
		g.head = append(g.head, ">"+f)
	}
	for _, l := range list {
		row := []string{l.Node, l.Format, formatBytes(l.Bytes)}
		for _, f := range formats {
			cell := ""
			if loss, ok := l.Loss[f]; ok {
				cell = significant(loss, 2)
			}
			row = append(row, cell)
		}
		g.add(row...)
	}
	return g
}

// layerGrid has a row for each weight of a pruned model.
func layerGrid(list []LayerZeros) *grid {
	g := &grid{head: []string{"weight", "operator", ">before", ">after", ">non-zero", ">sparsity"}}
	for _, l := range list {
		before := ""
		if l.Before > 0 {
			before = formatCount(l.Before)
		}
		g.add(l.Name, l.Op, before, formatCount(l.Parameters), formatCount(l.Nonzero), fmt.Sprintf("%.1f %%", 100*l.Sparsity))
	}
	return g
}

func putUnchanged(list []Unchanged, put func(title string, g *grid) error) error {
	g := grid{head: []string{"node", "operator", "reason"}}
	for _, u := range list {
		g.add(u.Node, u.Op, u.Reason)
	}
	if len(g.rows) == 0 {
		return nil
	}
	return put("unchanged", &g)
}
