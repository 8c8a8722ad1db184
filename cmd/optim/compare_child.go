package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"optim/internal/bench"
	"optim/internal/measure"
	"optim/internal/quant"
	"optim/internal/report"
)

// parentFlags are those that a row's process does not get: what --compare does by
// itself, and limits, which would take a row's file away.
var parentFlags = []string{
	"compare", "plot", "json", "summary", "quiet", "verbose", "no-progress", "color", "config", "help",
	"dry-run", "max-loss", "max-size", "measure", "min-speedup", "output", "force", "if-unchanged",
}

// prepare writes the settings that all rows share: what the user gave, on whatever
// level. From a file, flags that mean nothing for a row are no error.
func (c *comparison) prepare(flags *pflag.FlagSet) error {
	if free, err := measure.DiskFree(c.folder); err == nil && free >= 0 && free < c.source.Bytes {
		err := fmt.Errorf("folder %q has %d bytes free, and a row may need as many as the source, %d", filepath.Dir(c.folder), free, c.source.Bytes)
		return withHint(err, "set TMPDIR to a folder with more room")
	}
	settings := map[string]any{"max-loss": "1"} // every row is let through, to be timed
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed || slices.Contains(parentFlags, f.Name) || slices.Contains(comparedFlags, f.Name) {
			return
		}
		switch v := f.Value.(type) {
		case pflag.SliceValue:
			settings[f.Name] = v.GetSlice()
		case *regexValue:
			settings[f.Name] = v.list()
		default:
			settings[f.Name] = v.String()
		}
	})
	text, err := json.Marshal(map[string]any{"quantize": settings}) // which is YAML, too
	if err != nil {
		return err
	}
	c.config = filepath.Join(c.folder, configName)
	return os.WriteFile(c.config, text, 0o600)
}

// childPatience is how long a row's process may take to stop when the user
// interrupts; it is less than what this process has.
const childPatience = patience - 2*time.Second

// make runs this program to make one row, and takes over what it reports.
func (c *comparison) make(ctx context.Context, row compareRow, file string, r *report.Row) {
	args := append([]string{"quantize"}, row.flags...)
	args = append(args, "--json", "--compare=false", "--measure", "off", "--no-progress", "--config", c.config, "-o", file, "--", c.o.model)
	self, err := bench.Self(args...)
	if err != nil {
		c.fail(r, err)
		return
	}
	start := time.Now()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, self.Path)
	cmd.Args, cmd.Env = self.Args, ownEnvironment()
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = childPatience
	err = cmd.Run()
	r.Seconds = time.Since(start).Seconds()
	var made report.Transform
	switch {
	case ctx.Err() != nil:
	case json.Unmarshal(out.Bytes(), &made) == nil && (err == nil || exitStatus(err) == exitLimit):
		c.take(r, &made)
	case err == nil:
		c.fail(r, errors.New("the process that made it gave no report"))
	default:
		c.blame(r, err, errs.Bytes())
	}
}

// ownEnvironment is this process's without settings of optim: the file of settings
// has them.
func ownEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OPTIM_") })
}

// take takes over the figures of a row's process.
func (c *comparison) take(r *report.Row, made *report.Transform) {
	r.Seconds, r.Warnings = made.Duration, made.Warnings
	if made.Output != nil {
		r.Bytes = &made.Output.Bytes
	}
	if made.PeakRSS > 0 {
		r.PeakRSS = &made.PeakRSS
	}
	r.Quality = made.Quality
	if r.Quality == nil && made.Cosine != nil {
		r.Quality = &report.Quality{Metric: "cosine", After: made.Cosine, Retention: made.Cosine, Samples: 1}
	}
	for i, w := range r.Warnings {
		r.Warnings[i] = c.plain(w)
	}
	c.limits().apply(r)
}

// blame says why a row's process failed.
func (c *comparison) blame(r *report.Row, err error, stderr []byte) {
	var told struct {
		Error *struct {
			Message, Hint string
			Exit          exitCode
		}
	}
	for line := range bytes.Lines(stderr) { // a library may have written, too
		if json.Unmarshal(line, &told) == nil && told.Error != nil {
			break
		}
	}
	switch e := told.Error; {
	case e == nil:
		if text := firstLine(stderr); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		c.fail(r, fmt.Errorf("the process that made it ended: %w", err))
	case strings.Contains(e.Message, quant.ErrNothing.Error()):
		r.Seconds, r.Skipped = 0, c.plain(e.Message)
	default:
		message := errors.New(e.Message)
		if e.Hint != "" {
			message = fmt.Errorf("%s (%s)", e.Message, e.Hint)
		}
		c.fail(r, &exitError{code: e.Exit, err: message})
	}
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	return string(line)
}

// exitStatus is that of a process.
func exitStatus(err error) exitCode {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return exitCode(e.ExitCode())
	}
	return exitFailure
}

// plain leaves the folder of the rows out of a message.
func (c *comparison) plain(text string) string {
	return strings.ReplaceAll(text, c.folder+string(filepath.Separator), "")
}
