package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"optim/internal/inspect"
)

// Inspect is the result of "optim inspect MODEL". Numbers is there with
// --tensor or --values.
type Inspect struct {
	Header
	inspect.Summary
	Numbers  *inspect.Numbers `json:"values,omitempty"`
	Warnings []string         `json:"warnings,omitempty"`
}

// Text implements Report.
func (r *Inspect) Text(w io.Writer, s Style) error {
	if s.Quiet {
		_, err := fmt.Fprintf(w, "%s: opset %d, %s parameters, %s\n", clean(r.Path), r.Opset,
			formatCount(r.Parameters), formatBytes(r.Bytes))
		return err
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", clean(filepath.Base(r.Path))); err != nil {
		return err
	}
	if err := r.facts(s.Verbose).text(w, s); err != nil {
		return err
	}
	for _, g := range r.tables() {
		fmt.Fprintln(w)
		if err := g.text(w, s); err != nil {
			return err
		}
	}
	if r.Numbers != nil {
		fmt.Fprintln(w)
		if err := (&Values{Numbers: *r.Numbers}).Text(w, s); err != nil {
			return err
		}
	}
	return notes(w, s, r.Warnings)
}

// Markdown implements Report.
func (r *Inspect) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim inspect: %s\n\n", escapeMarkdown(filepath.Base(r.Path))); err != nil {
		return err
	}
	if err := r.facts(true).markdown(w); err != nil {
		return err
	}
	for _, g := range r.tables() {
		if err := g.markdown(w); err != nil {
			return err
		}
	}
	if r.Numbers != nil {
		if err := (&Values{Numbers: *r.Numbers}).Markdown(w); err != nil {
			return err
		}
	}
	return markdownNotes(w, r.Warnings)
}

// operatorsShown is how many operators are listed without --verbose.
const operatorsShown = 12

func (r *Inspect) facts(all bool) *facts {
	f := &facts{}
	size := formatBytes(r.Bytes)
	if n := len(r.External); n > 0 {
		size += fmt.Sprintf(", with %s of external data", plural(n, "file"))
	}
	f.add("size", "%s", size)
	f.add("parameters", "%s", formatCount(r.Parameters))
	if r.MACs != nil {
		f.add("cost", "%s multiply-accumulates a run (symbolic dimensions 1)", formatCount(*r.MACs))
	}
	f.add("opset", "%s", r.opsets())
	f.add("producer", "%s", r.Producer)
	f.addValues("inputs", r.Inputs)
	f.addValues("outputs", r.Outputs)
	f.add("operators", "%s", r.operators(all))
	first := true
	for _, t := range slices.Sorted(maps.Keys(r.Weights)) {
		a := r.Weights[t]
		label := ""
		if first {
			label, first = "weights", false
		}
		f.add(label, "%s: %s, %s elements, %s", t, plural(a.Count, "tensor"), formatCount(a.Elements), formatBytes(a.Bytes))
	}
	f.add("quantized", "%s", quantizationLine(r.Quantization))
	for _, k := range slices.Sorted(maps.Keys(r.Recipe)) {
		for _, line := range recipeLines(k, r.Recipe[k]) {
			f.add("recipe", "%s", line)
		}
	}
	if all {
		for _, k := range slices.Sorted(maps.Keys(r.Metadata)) {
			f.add("metadata", "%s = %s", k, r.Metadata[k])
		}
	}
	f.add("settings", "%s", r.Config)
	return f
}

func (f *facts) addValues(label string, list []inspect.Value) {
	for i, v := range list {
		if i > 0 {
			label = ""
		}
		f.add(label, "%s  %s", v.Name, valueType(v))
	}
}

// valueType returns "float32[batch x 3 x 224 x 224]".
func valueType(v inspect.Value) string {
	if v.Shape == nil {
		return v.DType
	}
	dims := make([]string, len(v.Shape))
	for i, d := range v.Shape {
		if dims[i] = "?"; d != nil {
			dims[i] = fmt.Sprint(d)
		}
	}
	return v.DType + "[" + strings.Join(dims, " x ") + "]"
}

func (r *Inspect) opsets() string {
	var out []string
	for _, domain := range slices.Sorted(maps.Keys(r.Opsets)) {
		if domain == "ai.onnx" {
			out = append([]string{strconv.FormatInt(r.Opset, 10)}, out...)
		} else {
			out = append(out, fmt.Sprintf("%s %d", domain, r.Opsets[domain]))
		}
	}
	return fmt.Sprintf("%s (IR version %d)", join(out), r.IRVersion)
}

// operators lists the operators, the most frequent first.
func (r *Inspect) operators(all bool) string {
	names := slices.SortedFunc(maps.Keys(r.Operators), func(a, b string) int {
		if d := r.Operators[b] - r.Operators[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	total := 0
	var out []string
	for i, n := range names {
		total += r.Operators[n]
		if all || i < operatorsShown {
			out = append(out, fmt.Sprintf("%d %s", r.Operators[n], n))
		}
	}
	if rest := len(names) - len(out); rest > 0 {
		out = append(out, fmt.Sprintf("%d more kinds", rest))
	}
	if total == 0 {
		return "none"
	}
	return fmt.Sprintf("%s: %s", plural(total, "node"), join(out))
}

// recipeLines has a line for each command that made the model.
func recipeLines(key, value string) []string {
	var steps []struct {
		Command, Version string
		Options          map[string]string
	}
	if json.Unmarshal([]byte(value), &steps) != nil {
		return []string{key + " = " + value}
	}
	var out []string
	for _, s := range steps {
		line := fmt.Sprintf("%s (%s):", s.Command, s.Version)
		for _, k := range slices.Sorted(maps.Keys(s.Options)) {
			line += fmt.Sprintf(" %s=%s", k, s.Options[k])
		}
		out = append(out, line)
	}
	return out
}

func quantizationLine(q inspect.Quantization) string {
	if len(q.Kinds) == 0 {
		return "no"
	}
	var kinds, static []string
	for _, k := range q.Kinds {
		switch k {
		case "qdq":
			static = append(static, "Q/DQ")
		case "operator":
			static = append(static, "integer operators")
		default:
			kinds = append(kinds, k)
		}
	}
	if len(static) > 0 {
		kinds = append(kinds, "static ("+join(static)+")")
	}
	parts := []string{join(kinds)}
	for _, t := range slices.Sorted(maps.Keys(q.Weights)) {
		parts = append(parts, fmt.Sprintf("%s in %s", plural(q.Weights[t], "weight"), t))
	}
	return strings.Join(parts, "; ")
}

// tables returns the lists that were asked for.
func (r *Inspect) tables() []*grid {
	var out []*grid
	if r.Nodes != nil {
		g := &grid{head: []string{"node", "operator", ">inputs", ">outputs"}}
		for _, n := range r.Nodes {
			op := n.Op
			if n.Domain != "" && n.Domain != "ai.onnx" {
				op = n.Domain + ":" + op
			}
			g.add(n.Name, op, strconv.Itoa(len(n.Inputs)), strconv.Itoa(len(n.Outputs)))
		}
		out = append(out, g)
	}
	if r.Tensors != nil {
		g := &grid{head: []string{"tensor", "role", "type", "shape", ">bytes"}}
		for _, t := range r.Tensors {
			g.add(t.Name, t.Role, t.DType, t.Shape.String(), formatCount(t.Bytes))
		}
		out = append(out, g)
	}
	return out
}

// Values is the result of "optim inspect --values" without a model.
type Values struct {
	Header
	inspect.Numbers
}

// Text implements Report.
func (v *Values) Text(w io.Writer, s Style) error {
	for _, line := range v.lines() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if len(v.Formats) == 0 {
		return nil
	}
	return v.grid().text(w, s)
}

// Markdown implements Report.
func (v *Values) Markdown(w io.Writer) error {
	for _, line := range v.lines() {
		if _, err := fmt.Fprintf(w, "%s\n", escapeMarkdown(line)); err != nil {
			return err
		}
	}
	if len(v.Formats) == 0 {
		_, err := fmt.Fprintln(w)
		return err
	}
	fmt.Fprintln(w)
	return v.grid().markdown(w)
}

// lines describes the tensor that the numbers are of, if they are of one.
func (v *Values) lines() []string {
	var out []string
	if v.Name != "" {
		out = append(out, fmt.Sprintf("tensor %s  %s%s", clean(v.Name), v.DType, v.Shape))
	}
	if s := v.Stats; s != nil {
		out = append(out, fmt.Sprintf("  min %s, max %s, mean %s, standard deviation %s, zeros %s of %s",
			significant(s.Min, 4), significant(s.Max, 4), significant(s.Mean, 4),
			significant(s.StdDev, 4), formatCount(s.Zeros), formatCount(v.Count)))
	}
	return out
}

func (v *Values) grid() *grid {
	g := &grid{head: []string{"format", "stored", ">scale", ">zero point", "restored", ">bytes", ">reduction", ">mean squared error"}}
	more := ""
	if v.Count > int64(len(v.Values)) {
		more = " …"
	}
	for _, f := range v.Formats {
		scale, zero, mse := "", "", "overflow"
		if f.Scale != nil {
			scale = strconv.FormatFloat(*f.Scale, 'f', 6, 64)
		}
		if f.ZeroPoint != nil {
			zero = strconv.Itoa(int(*f.ZeroPoint))
		}
		if f.MSE != nil {
			mse = formatMSE(*f.MSE)
		}
		reduction := ""
		if f.Reduction != 0 {
			reduction = formatPercent(-f.Reduction)
		}
		g.add(f.Format, list(f.Stored)+more, scale, zero, list(f.Restored)+more,
			formatCount(f.Bytes), reduction, mse)
	}
	return g
}

func list(values []any) string {
	out := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case float32:
			out[i] = strings.Replace(strconv.FormatFloat(float64(v), 'g', 5, 32), "-", "−", 1)
		case int:
			out[i] = strings.Replace(strconv.Itoa(v), "-", "−", 1)
		default:
			out[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(out, " ")
}

// formatMSE returns six decimals, or an exponent for what they would hide.
func formatMSE(v float64) string {
	if v != 0 && v < 5e-7 {
		return strconv.FormatFloat(v, 'e', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 6, 64)
}

// MarshalJSON writes the lists of the summary as [], never null.
func (r Inspect) MarshalJSON() ([]byte, error) {
	type plain Inspect
	r.Inputs, r.Outputs = orEmpty(r.Inputs), orEmpty(r.Outputs)
	return json.Marshal(plain(r))
}
