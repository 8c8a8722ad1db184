package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"optim/internal/bench"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/report"
	"optim/internal/report/plot"
)

// fileFlags are the flags of bench that name files.
var fileFlags = []string{"data", "eval", "baseline", "plot", "histogram", "report", "csv", "samples"}

// checkNames refuses names that mean nothing.
func (o *benchOptions) checkNames(flags *pflag.FlagSet) error {
	for _, name := range fileFlags {
		if f := flags.Lookup(name); f.Changed {
			if err := notStdin("--"+name, f.Value.String()); err != nil {
				return err
			}
		}
	}
	if flags.Changed("provider") && (len(o.provider) == 0 || slices.Contains(o.provider, "")) {
		return withHint(usagef("--provider has an empty name"), "give cpu, cuda, tensorrt, or auto")
	}
	for _, name := range append([]string{o.data, o.eval, o.read.tokenizer}, o.models...) {
		if !utf8.ValidString(name) { // neither JSON nor the processes' protocol has others
			return usagef("the name %q is not UTF-8", name)
		}
	}
	return nil
}

// outputs are the files that are written, by flag.
func (o *benchOptions) outputs(a *app) map[string]string {
	files := map[string]string{
		"--plot": o.plot, "--histogram": o.histogram, "--report": o.report, "--csv": o.csv, "--samples": o.samples,
		"--summary": a.summary,
	}
	for flag, file := range files {
		if file == "" {
			delete(files, flag)
		}
	}
	return files
}

// inputs are the files that are read. Models that are none are told later.
func (o *benchOptions) inputs(a *app) []string {
	files := []string{o.data, o.eval, o.baseline, o.read.tokenizer, a.configFile, a.ortLib, a.customOps}
	for _, model := range o.models {
		files = append(files, model)
		if g, err := onnx.Open(model); err == nil {
			list, _ := inspect.Files(g)
			files = append(files, list...)
			g.Close()
		}
	}
	return slices.DeleteFunc(files, func(f string) bool { return f == "" })
}

// checkFiles refuses files that cannot be written, or would be written over an
// input, before anything is measured.
func (o *benchOptions) checkFiles(a *app) error {
	outputs := o.outputs(a)
	if len(outputs) == 0 {
		return nil
	}
	return checkOutputs(outputs, o.inputs(a))
}

// checkOutputs refuses files, by flag, that cannot be written, or would be written
// over an input or over each other.
func checkOutputs(outputs map[string]string, inputs []string) error {
	for _, flag := range sortedKeys(outputs) {
		file := outputs[flag]
		if err := checkExtension(flag, file); err != nil {
			return err
		}
		for _, in := range inputs {
			switch {
			case gate.SameFile(file, in):
				return usagef("%s %q is the same file as %q, which is read", flag, file, in)
			case within(file, in):
				return usagef("%s %q is a file of the folder %q, which is read", flag, file, in)
			}
		}
		for _, other := range sortedKeys(outputs) {
			if other < flag && gate.SameFile(file, outputs[other]) {
				return usagef("%s and %s are the same file %q", other, flag, file)
			}
		}
		if flag == "--summary" { // a pipe, or what is there already, is appended to
			continue
		}
		if err := writable(file); err != nil {
			return usagef("%s %q cannot be written: %w", flag, file, err)
		}
	}
	return nil
}

// within reports whether a file that is there lies in a folder.
func within(file, folder string) bool {
	info, err := os.Stat(folder)
	if err != nil || !info.IsDir() {
		return false
	}
	if _, err := os.Stat(file); err != nil {
		return false
	}
	from, err1 := filepath.Abs(folder)
	to, err2 := filepath.Abs(file)
	inside, err3 := filepath.Rel(from, to)
	return errors.Join(err1, err2, err3) == nil && filepath.IsLocal(inside)
}

// extensions are those that a flag's file may have; none: any.
var extensions = map[string][]string{
	"--plot": {".png", ".svg"}, "--histogram": {".png", ".svg"}, "--report": {".html", ".md"},
}

// checkExtension refuses a file whose kind is not one of those that can be written.
func checkExtension(flag, file string) error {
	valid := extensions[flag]
	if len(valid) == 0 || slices.Contains(valid, strings.ToLower(filepath.Ext(file))) {
		return nil
	}
	return usagef("%s %q must end in %s", flag, file, strings.Join(valid, " or "))
}

// writable returns why a file cannot be made, or be replaced. It makes another one in
// its folder for a moment.
func writable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return withoutName(err)
	}
	folder := filepath.Dir(file)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("folder %q does not exist", folder)
	}
	f, err := temporary(file)
	if err != nil {
		return fmt.Errorf("folder %q: %w", folder, withoutName(err))
	}
	f.Close()
	return os.Remove(f.Name())
}

// withoutName leaves the name out of an error of a file, where it is told already.
func withoutName(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// write writes the files that were asked for, as many as it can, and returns the
// first failure.
func (o *benchOptions) write(r *report.Bench) (failed error) {
	picture := func(draw func(*bench.Result, string) ([]byte, error), file string) func(io.Writer) error {
		return func(w io.Writer) error {
			data, err := draw(&r.Result, strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), "."))
			if err == nil {
				_, err = w.Write(data)
			}
			return err
		}
	}
	page := r.HTML
	if strings.EqualFold(filepath.Ext(o.report), ".md") {
		page = r.Markdown
	}
	for _, f := range []struct {
		flag, file string
		to         func(io.Writer) error
	}{
		{"--plot", o.plot, picture(plot.Picture, o.plot)},
		{"--histogram", o.histogram, picture(plot.Distribution, o.histogram)},
		{"--report", o.report, page}, {"--csv", o.csv, r.CSV}, {"--samples", o.samples, r.RawTimes},
	} {
		if f.file == "" {
			continue
		}
		switch err := writeWhole(f.file, f.to); {
		case err == nil:
			r.Wrote = append(r.Wrote, f.file)
		case failed == nil:
			failed = fmt.Errorf("%s %q: %w", f.flag, f.file, withoutName(err))
		}
	}
	return failed
}

// temporary makes a new file beside another one.
func temporary(file string) (*os.File, error) {
	name := filepath.Join(filepath.Dir(file), fmt.Sprintf(".optim-%016x", rand.Uint64()))
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
}

// writeWhole writes a file under a temporary name and renames it: it is there as a
// whole or not at all.
func writeWhole(file string, write func(io.Writer) error) (err error) {
	f, err := temporary(file)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
