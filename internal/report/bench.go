package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"optim/internal/bench"
)

// Bench is the result of "optim bench".
type Bench struct {
	Header
	bench.Result
	Wrote    []string `json:"wrote,omitempty"` // files
	Duration float64  `json:"duration_s"`
}

// MarshalJSON writes lists that are empty as [].
func (b Bench) MarshalJSON() ([]byte, error) {
	type plain Bench
	b.Models, b.Comparisons = orEmpty(b.Models), orEmpty(b.Comparisons)
	return json.Marshal(plain(b))
}

// Text implements Report. With Quiet it is the headline figure: of one row the
// number alone, of several a line for each.
func (b *Bench) Text(w io.Writer, s Style) error {
	if s.Quiet {
		return b.quietText(w)
	}
	if _, err := fmt.Fprintf(w, "%s\n\n", b.title()); err != nil {
		return err
	}
	if err := b.facts(s.Verbose).text(w, s); err != nil {
		return err
	}
	for _, sec := range b.sections() {
		if sec.detail && !s.Verbose {
			continue
		}
		if err := sec.text(w, s); err != nil {
			return err
		}
	}
	if b.Interrupted || len(b.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	if b.Interrupted {
		if err := footnotes(w, s.paint(red, "interrupted:"), s, []string{interruption}); err != nil {
			return err
		}
	}
	if err := notes(w, s, b.Warnings); err != nil || b.Duration == 0 {
		return err
	}
	wrote := ""
	if len(b.Wrote) > 0 {
		wrote = fmt.Sprintf("wrote %s; ", clean(join(b.Wrote)))
	}
	_, err := fmt.Fprintf(w, "\n%stook %s s\n", wrote, significant(b.Duration, 3))
	return err
}

const interruption = "the figures are of what was measured until then"

// Markdown implements Report. Details are folded.
func (b *Bench) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim bench: %s\n\n", escapeMarkdown(b.title())); err != nil {
		return err
	}
	if b.Interrupted {
		fmt.Fprintf(w, "**Interrupted:** %s\n\n", interruption)
	}
	f := b.facts(true)
	for i := range f.rows {
		f.rows[i][1] = escapeCell(f.rows[i][1])
	}
	if err := f.markdown(w); err != nil {
		return err
	}
	for _, sec := range b.sections() {
		if err := sec.markdown(w); err != nil {
			return err
		}
	}
	return markdownNotes(w, b.Warnings)
}

// quietText prints the figure that the scenario is about: milliseconds (median of a
// run; of a token; p99 of requests at a given rate), or items a second (offline; the
// rate that a server holds). Scripts read it: it has no separators of thousands.
func (b *Bench) quietText(w io.Writer) error {
	for i := range b.Models {
		m := &b.Models[i]
		line := "not measured"
		if v, unit := b.headline(m); unit != "" && !math.IsNaN(v) {
			line = significant(v, 4) + " " + unit
		}
		if len(b.Models) > 1 {
			line = clean(m.Name) + b.settings(m) + "  " + line
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// headline returns the figure with its unit; without unit there is none.
func (b *Bench) headline(m *bench.Row) (v float64, unit string) {
	load, capacity := m.Server.Outcome()
	switch written := m.Decode.Best(); {
	case capacity != nil && capacity.Rate == 0 && b.Interrupted:
		return 0, ""
	case capacity != nil:
		return capacity.Rate, "items/s"
	case load != nil:
		return load.P99, "ms"
	case written != nil && written.TPOT > 0:
		return written.TPOT, "ms"
	case written != nil:
		return 0, ""
	case b.Scenario == bench.Offline && m.Throughput != nil:
		return *m.Throughput, "items/s"
	case m.Latency != nil:
		return m.Latency.P50, "ms"
	}
	return 0, ""
}

// title names the models, or how many there are, and the scenario.
func (b *Bench) title() string {
	var names []string
	for _, m := range b.Models {
		if !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	title := plural(len(names), "model")
	if len(names) == 1 {
		title = clean(names[0])
	}
	if b.Scenario != "" {
		title += ", " + b.Scenario
	}
	return title
}

// key is a setting that tells rows apart.
type key struct {
	head string
	cell func(*bench.Row) string
}

// keys returns the settings that differ between the rows.
func (b *Bench) keys() []key {
	all := []key{
		{">batch", func(m *bench.Row) string { return formatCount(int64(m.Batch)) }},
		{">streams", func(m *bench.Row) string { return formatCount(int64(m.Concurrency)) }},
		{"provider", func(m *bench.Row) string { return m.Provider }},
	}
	return slices.DeleteFunc(all, func(k key) bool {
		for i := range b.Models {
			if k.cell(&b.Models[i]) != k.cell(&b.Models[0]) {
				return false
			}
		}
		return true
	})
}

// settings returns the keys of a row in words: ", batch 8".
func (b *Bench) settings(m *bench.Row) string {
	out := ""
	for _, k := range b.keys() {
		out += ", " + strings.TrimPrefix(k.head, ">") + " " + clean(k.cell(m))
	}
	return out
}
