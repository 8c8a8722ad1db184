package report

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
)

// Compare is the result of "optim quantize --compare": every format and method
// that applies, each made from the untouched source.
type Compare struct {
	Header
	Input       File     `json:"input"`
	Rows        []Row    `json:"rows"`
	Recommended string   `json:"recommended,omitempty"` // "int8 dynamic", say
	Warnings    []string `json:"warnings,omitempty"`
}

// Row is one format and method. Error is why it failed; the figures that were
// measured before stay.
type Row struct {
	Method        string   `json:"method"`
	Format        string   `json:"format"`
	Bytes         *int64   `json:"bytes,omitempty"`
	ResidentBytes *int64   `json:"resident_bytes,omitempty"` // a process that runs it
	PeakRSS       *int64   `json:"peak_rss_bytes,omitempty"` // of quantizing
	Latency       *Latency `json:"latency_ms,omitempty"`
	Quality       *Quality `json:"quality,omitempty"`
	Seconds       float64  `json:"seconds,omitempty"` // that quantizing took
	Error         string   `json:"error,omitempty"`
}

// Latency is the time of one run with its 95 % interval, and the speed-up over
// the source.
type Latency struct {
	Median  float64  `json:"p50"`
	Low     float64  `json:"low"`
	High    float64  `json:"high"`
	Speedup *float64 `json:"speedup,omitempty"`
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
		_, err := fmt.Fprintln(w, clean(c.Recommended))
		return err
	}
	if _, err := fmt.Fprintf(w, "%s, %s\n\n", clean(filepath.Base(c.Input.Path)), formatBytes(c.Input.Bytes)); err != nil {
		return err
	}
	if err := c.grid().text(w, s); err != nil {
		return err
	}
	if c.Recommended != "" {
		fmt.Fprintf(w, "\nrecommended: %s\n", clean(c.Recommended))
	}
	return notes(w, s, c.Warnings)
}

// Markdown implements Report.
func (c *Compare) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim %s: %s\n\n", c.Command, escapeMarkdown(filepath.Base(c.Input.Path))); err != nil {
		return err
	}
	if err := c.grid().markdown(w); err != nil {
		return err
	}
	if c.Recommended != "" {
		fmt.Fprintf(w, "Recommended: **%s**\n\n", escapeMarkdown(c.Recommended))
	}
	return markdownNotes(w, c.Warnings)
}

func (c *Compare) grid() *grid {
	g := &grid{head: []string{"format", "method", ">bytes", ">change", ">resident", ">peak", ">ms", ">faster", "quality", ">kept", ">seconds", "failed"}}
	for _, r := range c.Rows {
		change := ""
		if r.Bytes != nil {
			change = formatChange(c.Input.Bytes, *r.Bytes)
		}
		ms, faster := r.Latency.cells()
		quality, kept := r.Quality.cells()
		seconds := ""
		if r.Seconds > 0 {
			seconds = significant(r.Seconds, 3)
		}
		g.add(r.Format, r.Method, bytesCell(r.Bytes), change, bytesCell(r.ResidentBytes), bytesCell(r.PeakRSS),
			ms, faster, quality, kept, seconds, r.Error)
	}
	return g
}

func bytesCell(n *int64) string {
	if n == nil {
		return ""
	}
	return formatBytes(*n)
}

// cells returns the median with its interval, and the speed-up.
func (l *Latency) cells() (ms, faster string) {
	if l == nil {
		return "", ""
	}
	ms = fmt.Sprintf("%s (%s … %s)", significant(l.Median, 3), significant(l.Low, 3), significant(l.High, 3))
	if l.Speedup != nil {
		faster = significant(*l.Speedup, 3) + "×"
	}
	return ms, faster
}

// cells returns the quality of the result, and what was kept.
func (q *Quality) cells() (quality, kept string) {
	if q == nil {
		return "", ""
	}
	quality = q.Metric
	if q.After != nil {
		quality += " " + significant(*q.After, 4)
	}
	if q.Retention != nil {
		kept = keptPercent(*q.Retention)
	}
	return quality, kept
}
