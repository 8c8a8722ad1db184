package dataset

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// arraySource reads the arrays of an .npz or .npy file side by side, one row of
// each per sample. A compressed entry can only be read forwards, which is
// enough.
type arraySource struct {
	set    *Set
	zip    *zip.ReadCloser // nil for .npy
	names  []string        // arrays that are inputs, in the model's order
	label  string          // array of the labels; empty: none
	arrays map[string]*array
	rows   int64
	row    int64
}

// newArrays opens the file and checks names, types and counts.
func newArrays(s *Set) (source, error) {
	a := &arraySource{set: s, arrays: map[string]*array{}}
	err := a.openFile()
	if err == nil {
		err = a.check()
	}
	if err != nil {
		a.close()
		return nil, &Error{File: s.Source, Err: err}
	}
	s.Causal = s.shape.model.Causal(s.options.Vocab)
	return a, nil
}

// openFile collects the arrays of the file and opens those that are used.
func (a *arraySource) openFile() error {
	open := map[string]opener{}
	if strings.EqualFold(filepath.Ext(a.set.Source), ".npy") {
		if len(a.set.shape.model.Inputs) == 0 {
			return errors.New("the model has no inputs")
		}
		name := a.set.shape.single()
		if name == "" {
			return fmt.Errorf("the model has several inputs (%s): give an .npz file", a.set.shape.inputNames())
		}
		open[name] = func() (io.ReadCloser, int64, error) { return openNpy(a.set.Source) }
	} else {
		var err error
		if a.zip, err = zip.OpenReader(a.set.Source); err != nil {
			return plainPathError(err)
		}
		a.zip.RegisterDecompressor(zip.Deflate, flate.NewReader)
		if err := zipOpeners(a.zip.File, open); err != nil {
			return err
		}
	}
	a.choose(open)
	for _, name := range append(slices.Clone(a.names), a.label) {
		if name == "" {
			continue
		}
		arr, err := openArray(open[name])
		if err != nil {
			return fmt.Errorf("array %q: %w", name, err)
		}
		a.arrays[name] = arr
	}
	if len(a.names) == 0 {
		return fmt.Errorf("no array is named like an input: the file has %s, the model wants %s", quotedList(sortedKeys(open)), a.set.shape.inputNames())
	}
	return nil
}

// zipOpeners fills open with the arrays of an .npz file.
func zipOpeners(files []*zip.File, open map[string]opener) error {
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			continue
		}
		if open[name] != nil {
			return fmt.Errorf("array %q twice", name)
		}
		if f.UncompressedSize64 > 1<<62 {
			return fmt.Errorf("array %q: size %d", name, f.UncompressedSize64)
		}
		open[name] = func() (io.ReadCloser, int64, error) {
			r, err := f.Open()
			return r, int64(f.UncompressedSize64), err
		}
	}
	return nil
}

func openNpy(path string) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, plainPathError(err)
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, plainPathError(err)
	}
	return f, st.Size(), nil
}

// single returns the name of the one input that a lone array can be, which is
// the only one that cannot be made up.
func (sh *shaper) single() string {
	name := ""
	for _, in := range sh.model.Inputs {
		made := in.Name == sh.mask || in.Name == sh.types || in.Name == sh.positions || IsPast(in)
		if made {
			continue
		}
		if name != "" {
			return ""
		}
		name = in.Name
	}
	return name
}

// choose divides the arrays into inputs, labels, and those that are ignored.
func (a *arraySource) choose(open map[string]opener) {
	for _, in := range a.set.shape.model.Inputs {
		if open[in.Name] != nil {
			a.names = append(a.names, in.Name)
		}
	}
	var ignored []string
	for _, name := range sortedKeys(open) {
		switch {
		case slices.Contains(a.names, name):
		case a.label == "" && (name == "label" || name == "labels"):
			a.label = name
		default:
			ignored = append(ignored, name)
		}
	}
	if len(ignored) > 0 {
		a.set.note("arrays that are no inputs are ignored: %s", quotedList(ignored))
	}
}

// check compares ranks and counts before any sample is read.
func (a *arraySource) check() error {
	counted, bytes := "", int64(0)
	for _, name := range append(slices.Clone(a.names), a.label) {
		arr := a.arrays[name]
		if name == "" {
			continue
		}
		if len(arr.head.shape) == 0 {
			return fmt.Errorf("array %q is a scalar: want one row per sample", name)
		}
		if n := arr.head.shape[0]; counted == "" {
			a.rows, counted = n, name
		} else if n != a.rows {
			return fmt.Errorf("array %q has %d samples, array %q has %d", counted, a.rows, name, n)
		}
		if in, ok := a.set.shape.input(name); ok && name != a.label {
			bytes += arr.rowBytes
			if err := checkRank(in, arr.head.shape); err != nil {
				return err
			}
		}
	}
	if bytes == 0 { // rows that cost nothing could be claimed without end
		return errors.New("the samples have no elements")
	}
	if arr := a.arrays[a.label]; arr != nil {
		s := arr.head.shape
		if len(s) > 2 || len(s) == 2 && s[1] != 1 {
			return fmt.Errorf("array %q has shape %v: want one label per sample", a.label, s)
		}
	}
	return nil
}

// checkRank accepts the input's own rank (first axis: samples, as the batch),
// and one more (each row is all that a run gets).
func checkRank(in ort.Info, s tensor.Shape) error {
	if len(s) != len(in.Dims) && len(s) != len(in.Dims)+1 {
		return fmt.Errorf("array %q has shape %v, the input is %s", in.Name, s, in)
	}
	return nil
}

func (a *arraySource) next() (Sample, error) {
	if a.row >= a.rows {
		return Sample{}, io.EOF
	}
	place := fmt.Sprintf("row %d", a.row)
	sample := Sample{Inputs: map[string]tensor.Tensor{}, Name: place}
	for _, name := range a.names {
		in, _ := a.set.shape.input(name)
		arr := a.arrays[name]
		data, err := arr.next(in.DType)
		if err != nil {
			return Sample{}, fail(a.set.Source, "array %q, %s: %w", name, place, err)
		}
		shape := arr.head.shape[1:].Clone()
		if len(arr.head.shape) == len(in.Dims) {
			shape = append(tensor.Shape{1}, shape...)
		}
		sample.Inputs[name] = tensor.Tensor{DType: in.DType, Shape: shape, Data: data}
	}
	if a.label != "" {
		data, err := a.arrays[a.label].next(tensor.Int64)
		if err != nil {
			return Sample{}, fail(a.set.Source, "array %q, %s: %w", a.label, place, err)
		}
		label := tensor.As[int64](data)[0]
		if label < 0 {
			return Sample{}, fail(a.set.Source, "array %q, %s: label %d is negative", a.label, place, label)
		}
		sample.Label = &label
	}
	a.row++
	return sample, nil
}

func (a *arraySource) rewind() error {
	a.row = 0
	for name, arr := range a.arrays {
		if err := arr.reopen(); err != nil {
			return fail(a.set.Source, "array %q: %w", name, err)
		}
	}
	return nil
}

func (a *arraySource) len() (int, bool) { return int(a.rows), true }

func (a *arraySource) close() error {
	for _, arr := range a.arrays {
		arr.close()
	}
	if a.zip != nil {
		return a.zip.Close()
	}
	return nil
}
