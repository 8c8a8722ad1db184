package report

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
)

// Compare is the result of "optim quantize --compare": every format and method
// that applies, each made from the untouched source.
type Compare struct {
	Header
	Input File  `json:"input"`
	Rows  []Row `json:"rows"` // the source first
	// Recommended is the name of a row, Rule says by what it was chosen.
	Recommended string `json:"recommended,omitempty"`
	Rule        string `json:"rule,omitempty"`
	// JudgedOn says in words what quality was measured on.
	JudgedOn string `json:"judged_on,omitempty"`
	// DryRun says that nothing was made: rows without a reason would be.
	DryRun bool `json:"dry_run,omitempty"`
	// Interrupted says that the user ended the run: rows are missing.
	Interrupted bool     `json:"interrupted,omitempty"`
	Restarts    int      `json:"restarts,omitempty"` // processes that timed each row
	Duration    float64  `json:"duration_s"`
	PeakRSS     int64    `json:"peak_rss_bytes,omitempty"` // of the process that compares
	Wrote       []string `json:"wrote,omitempty"`          // pictures
	Warnings    []string `json:"warnings,omitempty"`
}

// Row is one format and method. Pointers are nil where a figure was not measured.
type Row struct {
	Name   string `json:"name"` // "int8 dynamic"
	Method string `json:"method"`
	Format string `json:"format"`
	Flags  string `json:"flags,omitempty"` // of quantize, which make it

	Bytes         *int64   `json:"bytes,omitempty"`
	WeightBytes   *int64   `json:"weight_bytes,omitempty"`
	Bits          *float64 `json:"bits_per_weight,omitempty"` // of all constants, scales included, by parameters
	ResidentBytes *int64   `json:"resident_bytes,omitempty"`  // of a process that runs it
	PeakRSS       *int64   `json:"peak_rss_bytes,omitempty"`  // of making it
	Latency       *Latency `json:"latency_ms,omitempty"`
	Quality       *Quality `json:"quality,omitempty"`
	Seconds       float64  `json:"seconds,omitempty"`        // that it took to make, load, compare and evaluate it
	TimingSeconds float64  `json:"timing_seconds,omitempty"` // that its latency took

	// Error is why it failed; the figures that were measured before stay.
	Error string `json:"error,omitempty"`
	// Skipped is why the format or method does not apply.
	Skipped string `json:"skipped,omitempty"`
	// Missed is the limit that it does not keep.
	Missed   string   `json:"missed,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Latency is the time of one run in milliseconds with its 95 % interval, and the
// speed-up over the source with its own; nil for the source. A row's time is the
// source's mean beside all rows, divided by the row's speed-up.
type Latency struct {
	Median      float64  `json:"p50"`
	Low         float64  `json:"low"`
	High        float64  `json:"high"`
	Speedup     *float64 `json:"speedup,omitempty"`
	SpeedupLow  *float64 `json:"speedup_low,omitempty"`
	SpeedupHigh *float64 `json:"speedup_high,omitempty"`
}

// MarshalJSON writes no rows as [].
func (c Compare) MarshalJSON() ([]byte, error) {
	type plain Compare
	c.Rows = orEmpty(c.Rows)
	return json.Marshal(plain(c))
}

// Text implements Report.
func (c *Compare) Text(w io.Writer, s Style) error {
	if s.Quiet {
		return c.quietText(w)
	}
	if _, err := fmt.Fprintf(w, "%s, %s\n", clean(filepath.Base(c.Input.Path)), formatBytes(c.Input.Bytes)); err != nil {
		return err
	}
	for _, g := range split(c.grid(), 1, s.Width) {
		fmt.Fprintln(w)
		if err := g.text(w, s); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	if err := c.facts().text(w, s); err != nil {
		return err
	}
	missed, failed, skipped := c.left()
	for _, l := range []struct {
		label string
		lines []string
	}{
		{s.paint(red, "missed:"), missed}, {s.paint(red, "failed:"), failed}, {"left out:", skipped}, {s.paint(yellow, "note:"), c.notes(s.Verbose)},
	} {
		if err := footnotes(w, l.label, s, l.lines); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", c.ending())
	return err
}

// quietText prints the name of the row that is recommended, for use in a script; of a
// dry run the names of the rows.
func (c *Compare) quietText(w io.Writer) error {
	names := []string{c.Recommended}
	if c.DryRun {
		names = nil
		for _, r := range c.Rows {
			if r.Skipped == "" {
				names = append(names, r.Name)
			}
		}
	}
	for _, n := range names {
		if _, err := fmt.Fprintln(w, clean(n)); err != nil {
			return err
		}
	}
	return nil
}

// Markdown implements Report.
func (c *Compare) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim %s --compare: %s\n\n", c.Command, escapeMarkdown(filepath.Base(c.Input.Path))); err != nil {
		return err
	}
	if err := c.grid().markdown(w); err != nil {
		return err
	}
	if err := c.facts().markdown(w); err != nil {
		return err
	}
	missed, failed, skipped := c.left()
	for _, l := range []struct {
		label string
		lines []string
	}{{"missed", missed}, {"failed", failed}, {"left out", skipped}} {
		for _, line := range l.lines {
			fmt.Fprintf(w, "- **%s:** %s\n", l.label, escapeMarkdown(line))
		}
	}
	if len(missed)+len(failed)+len(skipped) > 0 {
		fmt.Fprintln(w)
	}
	if err := markdownNotes(w, c.notes(false)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s\n\n", escapeMarkdown(c.ending()))
	return err
}

// facts are what was chosen, and what the figures rest on.
func (c *Compare) facts() *facts {
	f := &facts{}
	f.add("recommended", "%s", c.Recommended)
	f.add("by the rule", "%s", c.Rule)
	if i := slices.IndexFunc(c.Rows, func(r Row) bool { return r.Name == c.Recommended && r.Flags != "" }); i >= 0 {
		f.add("its flags", "%s", c.Rows[i].Flags)
	}
	f.add("quality", "%s", c.JudgedOn)
	if c.Restarts > 0 {
		f.add("time", "of a run, each row in turn with the source, in %d processes each; intervals of 95 %%", c.Restarts)
	}
	f.add("settings", "%s", c.Config)
	for _, file := range c.Wrote {
		f.add("picture", "%s", file)
	}
	return f
}

// left lists the rows that miss a limit, those that failed, and those that do not
// apply.
func (c *Compare) left() (missed, failed, skipped []string) {
	for _, r := range c.Rows {
		switch {
		case r.Error != "":
			failed = append(failed, r.Name+": "+r.Error)
		case r.Skipped != "":
			skipped = append(skipped, r.Name+": "+r.Skipped)
		case r.Missed != "":
			missed = append(missed, r.Name+": "+r.Missed)
		}
	}
	return missed, failed, skipped
}

// notes are the warnings; of the rows only where everything is wanted.
func (c *Compare) notes(all bool) []string {
	out := slices.Clone(c.Warnings)
	for _, r := range c.Rows {
		for _, n := range r.Warnings {
			if all {
				out = append(out, r.Name+": "+n)
			}
		}
	}
	return out
}

func (c *Compare) ending() string {
	making, timing := 0.0, 0.0
	for _, r := range c.Rows {
		making, timing = making+r.Seconds, timing+r.TimingSeconds
	}
	switch {
	case c.DryRun:
		return "nothing made: this is a dry run"
	case c.Interrupted:
		return "interrupted: rows are missing"
	}
	end := fmt.Sprintf("no model was written; took %s s", significant(c.Duration, 3))
	if making > 0 {
		end += fmt.Sprintf(": %s s to make and judge the rows", significant(making, 3))
	}
	if timing > 0 {
		end += fmt.Sprintf(", %s s to time them", significant(timing, 3))
	}
	return end
}
