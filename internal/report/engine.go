package report

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"optim/internal/trt"
)

// Engine is the result of "optim build-engine", and what "optim inspect" tells of an
// engine. Its JSON is that of the sidecar.
type Engine struct {
	*trt.Sidecar
	Missed []string `json:"missed,omitempty"`
	// Prepared says that an ONNX model was written, not an engine.
	Only bool `json:"prepared_only,omitempty"`
	// Inspected says that the engine was there already.
	Inspected bool `json:"-"`
}

// Text implements Report.
func (e *Engine) Text(w io.Writer, s Style) error {
	if s.Quiet {
		_, err := fmt.Fprintln(w, e.quiet())
		return err
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", e.title()); err != nil {
		return err
	}
	if err := e.facts().text(w, s); err != nil {
		return err
	}
	if len(e.Missed)+len(e.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	if err := footnotes(w, s.paint(red, "missed:"), s, e.Missed); err != nil {
		return err
	}
	if err := notes(w, s, e.Warnings); err != nil || e.Inspected {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", e.ending())
	return err
}

// Markdown implements Report.
func (e *Engine) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim %s: %s\n\n", e.Command, escapeMarkdown(e.title())); err != nil {
		return err
	}
	if err := e.facts().markdown(w); err != nil {
		return err
	}
	for _, m := range e.Missed {
		fmt.Fprintf(w, "**missed:** %s\n\n", escapeMarkdown(m))
	}
	return markdownNotes(w, e.Warnings)
}

func (e *Engine) quiet() string {
	if len(e.Missed) > 0 || e.Output.Path == "" {
		return e.ending()
	}
	return e.Output.Path
}

func (e *Engine) title() string {
	if e.Inspected {
		return clean(filepath.Base(e.Output.Path))
	}
	title := clean(filepath.Base(e.Input.Path))
	if e.Output.Path != "" {
		title += " → " + clean(filepath.Base(e.Output.Path))
	}
	return title + "  (" + string(e.Precision) + ")"
}

func (e *Engine) ending() string {
	switch {
	case len(e.Missed) > 0:
		return "nothing written, as the precision was missed"
	case e.Skipped:
		return clean(e.Output.Path) + " is up to date: nothing done"
	case e.Output.Path == "":
		return "nothing written"
	}
	return fmt.Sprintf("wrote %s; took %s s, peak memory %s", clean(e.Output.Path), significant(e.BuildSeconds, 3), formatBytes(e.PeakRSS))
}

func (e *Engine) facts() *facts {
	f := &facts{}
	switch {
	case e.Inspected:
		f.add("size", "%s", formatBytes(e.Output.Bytes))
	case e.Output.Bytes == 0:
		f.add("size", "%s", formatBytes(e.Input.Bytes))
	default:
		f.add("size", "%s → %s", formatBytes(e.Input.Bytes), formatBytes(e.Output.Bytes))
	}
	if e.Plan != nil {
		f.add("plan", "%s %s", e.Flavour, e.Plan.Version)
	} else if e.Flavour != "" {
		f.add("library", "%s %s", e.Flavour, e.Library)
	}
	if e.Inspected && e.Precision != "" {
		f.add("precision", "%s", e.Precision)
		f.add("made of", "%s", clean(e.Input.Path))
	}
	f.add("prepared", "%s", strings.Join(e.Prepared, "; "))
	f.add("layers", "%s", e.layers())
	for _, t := range e.Inputs {
		f.add("input", "%s %s[%s]", clean(t.Name), t.DType, sizes(t.Shape))
	}
	for _, t := range e.Outputs {
		f.add("output", "%s %s[%s]", clean(t.Name), t.DType, sizes(t.Shape))
	}
	for i, p := range e.Profiles {
		for _, name := range sortedNames(p) {
			r := p[name]
			f.add(fmt.Sprintf("profile %d", i), "%s %s, best at %s, up to %s", clean(name), trt.FormatDims(r.Min), trt.FormatDims(r.Opt), trt.FormatDims(r.Max))
		}
	}
	if len(e.Capabilities) > 0 {
		f.add("for GPUs", "of compute capability %s", strings.Join(e.Capabilities, ", "))
	}
	if e.Workspace > 0 && !e.Only {
		f.add("workspace", "up to %s", formatBytes(e.Workspace))
	}
	if e.WeightsBytes != nil {
		f.add("weights", "%s", formatBytes(*e.WeightsBytes))
	}
	if e.ActivationBytes != nil {
		f.add("activations", "%s", formatBytes(*e.ActivationBytes))
	}
	f.add("settings", "%s", e.Config)
	return f
}

// layers counts the engine's layers by type, most first.
func (e *Engine) layers() string {
	names := sortedNames(e.Layers)
	slices.SortStableFunc(names, func(a, b string) int { return e.Layers[b] - e.Layers[a] })
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf("%d in %s", e.Layers[n], n))
	}
	return strings.Join(out, ", ")
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func sizes(shape []int64) string {
	var out []string
	for _, d := range shape {
		if d < 0 {
			out = append(out, "?")
		} else {
			out = append(out, fmt.Sprint(d))
		}
	}
	return strings.Join(out, " x ")
}
