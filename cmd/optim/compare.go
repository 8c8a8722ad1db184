package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/report"
)

// compareFlags are the flags of quantize --compare beside those that all rows
// share.
type compareFlags struct {
	on   bool
	plot string
}

func (c *compareFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&c.on, "compare", false, "make every format and method that applies, each in a process of its own, and print size, memory, speed and quality side by side; writes no model")
	fs.StringVar(&c.plot, "plot", "", "with --compare: draw size and speed against quality to this .png or .svg `file`")
	choose(fs, "format", append(words(quant.Formats), "compare")...)
}

// comparison is a run of quantize --compare.
type comparison struct {
	*app
	o      *quantizeOptions
	folder string // of the rows' files
	config string // settings of the rows' processes
	source inspect.Summary
	r      *report.Compare
	shows  *stages

	sourceTimes // of the source, from all pairs
	untimed     bool
	failures    []exitCode // of rows
}

func runCompare(ctx context.Context, a *app, o *quantizeOptions, flags *pflag.FlagSet) error {
	start := time.Now()
	c := &comparison{app: a, o: o, shows: a.stages(), r: &report.Compare{Header: report.Header{Command: "quantize", Config: a.configFile}}}
	if err := c.open(ctx); err != nil {
		return err
	}
	if o.write.dryRun {
		return c.plan()
	}
	var err error
	if c.folder, err = os.MkdirTemp("", "optim-compare-"); err != nil {
		return fmt.Errorf("a folder for the rows: %w", err)
	}
	defer os.RemoveAll(c.folder)
	if err := c.prepare(flags); err != nil {
		return err
	}
	if err := c.roomToTime(ctx); err != nil {
		return err
	}
	c.measure(ctx)
	c.shows.Done()
	c.r.Duration, c.r.PeakRSS = time.Since(start).Seconds(), measure.PeakRSS()
	return c.finish(ctx)
}

// open reads the source and looks at the data before any work, so that what is bad
// for all rows is told at once.
func (c *comparison) open(ctx context.Context) error {
	m, err := onnx.Open(c.o.model)
	if err != nil {
		return badInput(err)
	}
	defer m.Close()
	if c.source, err = inspect.Model(m, inspect.Options{}); err != nil {
		return badInput(err)
	}
	c.r.Input = report.File{Path: c.o.model, Bytes: c.source.Bytes, Parameters: c.source.Parameters}
	if err := c.checkFiles(m); err != nil {
		return err
	}
	if c.o.write.dryRun {
		return nil
	}
	rt, err := c.runtime()
	if err != nil {
		return err
	}
	defer rt.Close()
	info, err := calibrate.Describe(rt, m, c.sessionOptions())
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", c.o.model, err))
	}
	read, err := c.o.read.options()
	if err != nil {
		return err
	}
	if err := dataset.CheckShapes(info, read); err != nil {
		return badInput(err)
	}
	read.Vocab, read.PositionRows = inspect.Tables(m)
	for _, source := range []string{c.o.calib, c.o.write.eval} {
		if source == "" || ctx.Err() != nil {
			continue
		}
		set, err := dataset.Open(source, info, read)
		if err != nil {
			return badInput(err)
		}
		set.Close()
	}
	return ctx.Err()
}

// checkFiles refuses to write a summary or a picture over what is read.
func (c *comparison) checkFiles(m *onnx.Model) error {
	inputs, err := inspect.Files(m)
	if err != nil {
		return badInput(err)
	}
	for _, f := range []string{c.o.calib, c.o.write.eval, c.o.read.tokenizer, c.configFile, c.ortLib, c.customOps} {
		if f != "" {
			inputs = append(inputs, f)
		}
	}
	outputs := map[string]string{"--plot": c.o.compare.plot, "--summary": c.summary}
	for flag, file := range outputs {
		if file == "" {
			delete(outputs, flag)
		}
	}
	return checkOutputs(outputs, inputs)
}

// plan tells what would be made.
func (c *comparison) plan() error {
	c.r.DryRun = true
	for _, row := range compareRows() {
		r := row.begin()
		r.Skipped = row.applies(c.o)
		c.r.Rows = append(c.r.Rows, r)
	}
	return c.emit(c.r)
}

// measure makes and times the rows, one after the other. What a row wrote is
// removed when it was timed.
func (c *comparison) measure(ctx context.Context) {
	c.r.Rows = []report.Row{c.original()}
	for i, row := range compareRows() {
		r := row.begin()
		if r.Skipped = row.applies(c.o); r.Skipped == "" {
			stop := c.show(r.Name, i)
			c.try(ctx, row, &r)
			stop()
		}
		if ctx.Err() != nil {
			break
		}
		c.r.Rows = append(c.r.Rows, r)
		c.tell(&r)
	}
	c.completeOriginal()
}

// try makes a row and times it.
func (c *comparison) try(ctx context.Context, row compareRow, r *report.Row) {
	file := filepath.Join(c.folder, strings.ReplaceAll(row.name, " ", "-")+".onnx")
	defer c.empty()
	c.make(ctx, row, file, r)
	if r.Error != "" || r.Skipped != "" || ctx.Err() != nil {
		return
	}
	if _, err := os.Stat(file); err != nil { // a limit that was missed without a file
		return
	}
	if err := c.weigh(file, r); err != nil {
		c.fail(r, err)
		return
	}
	switch {
	case c.o.write.measure == "off" || c.untimed:
	case *r.Bytes > c.source.Bytes/100*98:
		c.r.Warnings = append(c.r.Warnings, r.Name+": hardly anything changed, so its speed was not measured")
	default:
		c.time(ctx, file, r)
	}
}

// empty removes what a row has written.
func (c *comparison) empty() {
	list, _ := os.ReadDir(c.folder)
	for _, e := range list {
		if path := filepath.Join(c.folder, e.Name()); path != c.config {
			os.RemoveAll(path)
		}
	}
}

// weigh fills in the size of a row's weights.
func (c *comparison) weigh(file string, r *report.Row) error {
	m, err := onnx.Open(file)
	if err != nil {
		return err
	}
	defer m.Close()
	s, err := inspect.Model(m, inspect.Options{})
	if err != nil {
		return err
	}
	r.Bytes = &s.Bytes
	r.WeightBytes, r.Bits = weights(s, c.source.Parameters)
	return nil
}

// weights returns the bytes of all constants, and their bits for each of the
// source's parameters.
func weights(s inspect.Summary, parameters int64) (bytes *int64, bits *float64) {
	total := int64(0)
	for _, a := range s.Weights {
		total += a.Bytes
	}
	if parameters > 0 {
		b := 8 * float64(total) / float64(parameters)
		bits = &b
	}
	return &total, bits
}

// fail notes why a row failed, without the name of the folder that is gone by then.
func (c *comparison) fail(r *report.Row, err error) {
	r.Error = c.plain(err.Error())
	c.failures = append(c.failures, exitOf(err))
}

func (row compareRow) begin() report.Row {
	return report.Row{Name: row.name, Method: row.method, Format: row.format, Flags: strings.Join(row.flags, " ")}
}

// finish chooses a row, draws and prints. Where no row worked, the reason of the first
// is the error.
func (c *comparison) finish(ctx context.Context) error {
	r := c.r
	worked := slices.ContainsFunc(r.Rows[1:], func(w report.Row) bool { return w.Error == "" && w.Skipped == "" })
	r.Interrupted = ctx.Err() != nil
	if r.Interrupted && !worked {
		return ctx.Err()
	}
	if !worked {
		return c.allFailed()
	}
	if !r.Interrupted {
		r.Recommended, r.Rule = recommend(r.Rows, c.limits())
	}
	failed := c.draw()
	if err := c.emit(r); err != nil {
		return err
	}
	if r.Interrupted {
		return ctx.Err()
	}
	return failed
}

// allFailed is the error of a comparison without a row.
func (c *comparison) allFailed() error {
	for _, r := range c.r.Rows[1:] {
		why := r.Error
		if why == "" {
			continue
		}
		code := c.failures[0]
		if slices.ContainsFunc(c.failures, func(e exitCode) bool { return e != code }) {
			code = exitFailure
		}
		return &exitError{code: code, err: fmt.Errorf("no row worked; %s: %s", r.Name, why)}
	}
	for _, r := range c.r.Rows[1:] {
		return fmt.Errorf("no row applies; %s: %s", r.Name, r.Skipped)
	}
	return nil
}
