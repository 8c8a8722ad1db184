package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"optim/internal/gate"
	"optim/internal/ort"
	"optim/internal/report"
)

// emit hands the result of a command to the user: JSON or text on standard
// output, and Markdown appended to the file of --summary. Where one fails, the other
// is still made.
func (a *app) emit(r report.Report) error {
	var summary error
	if a.summary != "" {
		summary = a.appendSummary(r)
	}
	show := func() error { return r.Text(a.Out, a.style()) }
	if a.json {
		show = func() error { return report.JSON(a.Out, r) }
	}
	if err := show(); err != nil {
		return err
	}
	return summary
}

// style returns how to print text on standard output.
func (a *app) style() report.Style {
	return report.Style{
		Width: a.Width, Colour: a.colour(a.OutTTY),
		Quiet: a.quiet, Verbose: a.verbose,
	}
}

// checkSummary refuses a --summary that would be written into one of files.
func (a *app) checkSummary(files ...string) error {
	for _, f := range files {
		if a.summary != "" && gate.SameFile(a.summary, f) {
			return withHint(usagef("--summary %q is the same file as %q", a.summary, f), "choose another name with --summary FILE")
		}
	}
	return nil
}

// checkSummaryFile refuses a --summary that cannot be written, before any work: a
// run that fails must leave nothing. The file itself is made with the report.
func (a *app) checkSummaryFile() error {
	if a.summary == "" {
		return nil
	}
	info, err := os.Stat(a.summary)
	switch {
	case err == nil && info.IsDir():
		return usagef("--summary %q is a folder", a.summary)
	case err == nil:
		return nil
	}
	folder := filepath.Dir(a.summary)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return usagef("--summary %q cannot be written: folder %q does not exist", a.summary, folder)
	}
	return nil
}

func (a *app) appendSummary(r report.Report) (err error) {
	f, err := os.OpenFile(a.summary, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("summary: %w", e)
		}
	}()
	return r.Markdown(f)
}

// runtime loads ONNX Runtime. The error of a library that is missing or does
// not load leads to exit 5.
func (a *app) runtime() (*ort.Runtime, error) {
	rt, err := ort.Load(ort.Config{Library: a.ortLib, CacheDir: a.cacheDir})
	return rt, a.libraryHint(err)
}

// libraryHint adds the remedy to an error of the runtime library; others, and nil,
// stay as they are.
func (a *app) libraryHint(err error) error {
	switch {
	case !errors.Is(err, ort.ErrLibrary):
		return err
	case a.ortLib != "":
		return withHint(err, "%q was named by --ort-lib or OPTIM_ORT_LIB; no other library is tried", a.ortLib)
	}
	return withHint(err, "give --ort-lib FILE, set OPTIM_ORT_LIB, or put the library into lib/ beside optim")
}

// sessionOptions returns the options of every session of this run.
func (a *app) sessionOptions() ort.Options {
	return ort.Options{Threads: a.threads, CustomOps: a.customOps, Stop: a.stop}
}
