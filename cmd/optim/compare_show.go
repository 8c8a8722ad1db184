package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"optim/internal/report"
	"optim/internal/report/plot"
)

// show tells which row is made, now and then until stop is called.
func (c *comparison) show(name string, index int) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	tick := time.NewTicker(500 * time.Millisecond)
	go func() {
		defer close(ended)
		for {
			c.shows.Set(name, int64(index), int64(len(compareRows())))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() {
		tick.Stop()
		close(done)
		<-ended
	}
}

// tell prints a line about a row that is ready, where there is no terminal with a bar.
func (c *comparison) tell(r *report.Row) {
	if c.quiet || c.noProgress || c.json || c.ErrTTY {
		return
	}
	what := fmt.Sprintf("%.1f s", r.Seconds+r.TimingSeconds)
	switch {
	case r.Error != "":
		what = "failed: " + r.Error
	case r.Skipped != "":
		what = "left out: " + r.Skipped
	}
	fmt.Fprintf(c.Err, "%s: %s\n", r.Name, report.Line(what))
}

// draw writes the picture that was asked for.
func (c *comparison) draw() error {
	file := c.o.compare.plot
	if file == "" {
		return nil
	}
	picture, err := plot.Frontier(c.choices(), c.title(), strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), "."))
	if err == nil {
		err = writeWhole(file, func(w io.Writer) error { _, err := w.Write(picture); return err })
	}
	if err != nil {
		return fmt.Errorf("--plot %q: %w", file, withoutName(err))
	}
	c.r.Wrote = append(c.r.Wrote, file)
	return nil
}

func (c *comparison) title() string {
	return "Size, speed and quality of " + filepath.Base(c.o.model)
}

// choices are the rows as the picture wants them.
func (c *comparison) choices() []plot.Choice {
	var out []plot.Choice
	for _, r := range c.r.Rows {
		if r.Bytes == nil || r.Error != "" {
			continue
		}
		p := plot.Choice{Name: r.Name, Bytes: *r.Bytes, Recommended: r.Name == c.r.Recommended, Source: r.Name == originalName}
		if l := r.Latency; l != nil {
			p.MS, p.Low, p.High = l.Median, l.Low, l.High
		}
		if q := r.Quality; q != nil {
			p.Metric, p.Retention, p.Value = q.Metric, q.Retention, q.After
		}
		out = append(out, p)
	}
	return out
}
